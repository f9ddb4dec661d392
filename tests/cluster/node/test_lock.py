"""The rule set in a bare network namespace beside a pretend Internet."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from carrel.node import nft
from carrel.node.netns import NetworkNamespace
from carrel.render.nft import Counter, Counts, Doors, Lock
from support.attempts import ATTEMPTS
from support.ground import NODE_ADDRESS, Ground, ground, line_of, pod

pytestmark = pytest.mark.root

LOCK = Lock(devices=("eth0",), doors=Doors.GATEWAYS)
MET = {
    "tcp": "ECONNREFUSED",
    "udp": "EPERM",
    "icmp": "EPERM",
    "tcp over IPv6": "ECONNREFUSED",
    "udp over IPv6": "EPERM",
    "icmp over IPv6": "EACCES",
    "a frame of one's own": "ENOBUFS",
}


@pytest.fixture
def place() -> Iterator[Ground]:
    with ground() as made:
        yield made


@pytest.fixture
def namespace(place: Ground) -> Iterator[NetworkNamespace]:
    held = NetworkNamespace.at(place.pod.path)
    yield held
    held.close()


@pytest.mark.parametrize("way", ATTEMPTS)
async def test_without_the_lock_every_way_leads_out(place: Ground, way: str) -> None:
    before = place.arrived()
    assert place.pod.python(ATTEMPTS[way]) == "through"
    assert place.arrived() > before


@pytest.mark.parametrize("way", ATTEMPTS)
async def test_with_the_lock_no_way_leads_out(
    place: Ground, namespace: NetworkNamespace, way: str
) -> None:
    await nft.load(namespace, LOCK, counts=Counts.FRESH)
    before = place.arrived()
    assert place.pod.python(ATTEMPTS[way]) == MET[way]
    assert place.arrived() == before


async def test_every_refusal_is_counted_by_protocol_and_destination(
    place: Ground, namespace: NetworkNamespace
) -> None:
    await nft.load(namespace, LOCK, counts=Counts.FRESH)
    for source in ATTEMPTS.values():
        place.pod.python(source)
    refused = await nft.read_refused(namespace)
    own = refused.counters[Counter.MEMBERSHIP]  # as many as the kernel sends by itself
    wire = (await nft.read_counters(namespace)).counters[Counter.WIRE]
    assert {**refused.counters, Counter.WIRE: wire} == {
        Counter.TOTAL: 6 + own,
        Counter.TCP: 2,
        Counter.UDP: 2,
        Counter.ICMP: 2,
        Counter.MEMBERSHIP: own,
        Counter.OTHER: 0,
        Counter.INBOUND: 0,
        Counter.WIRE: 1,
    }
    assert refused.destinations == {
        nft.Destination("203.0.113.1", 6, 80): 1,
        nft.Destination("8.8.8.8", 17, 53): 1,
        nft.Destination("2001:db8::1", 6, 80): 1,
        nft.Destination("2001:db8::1", 17, 53): 1,
    }


async def test_loopback_stays_open(place: Ground, namespace: NetworkNamespace) -> None:
    await nft.load(namespace, LOCK, counts=Counts.FRESH)
    source = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); "
        "socket.create_connection(s.getsockname()); print('through')"
    )
    assert place.pod.python(source) == "through"


async def test_nobody_reaches_the_workspace_but_a_gateway(
    place: Ground, namespace: NetworkNamespace
) -> None:
    serve = (
        "import socket; s = socket.create_server(('0.0.0.0', 8888)); print('up', flush=True)\n"
        "while True: s.accept()[0].send(b'hello')"
    )
    call = "import socket; s = socket.create_connection(('10.77.0.2', 8888), 1); print(s.recv(9))"
    with pod(place) as made:
        assert line_of(made.python(serve)) == "up"
        gateway = Lock(devices=("eth0",), doors=Doors.GATEWAYS, gateways=(NODE_ADDRESS,))
        await nft.load(namespace, gateway, counts=Counts.FRESH)
        assert place.internet.python(call) == "b'hello'"
        await nft.load(namespace, LOCK, counts=Counts.KEPT)
        with pytest.raises(AssertionError, match="timed out"):
            place.internet.python(call)


async def test_closing_cuts_a_connection_that_stands(
    place: Ground, namespace: NetworkNamespace
) -> None:
    serve = (
        "import socket; s = socket.create_server(('0.0.0.0', 8888)); print('up', flush=True)\n"
        "c = s.accept()[0]\nwhile True: c.send(c.recv(100))"
    )
    talk = (
        "import socket, sys; s = socket.create_connection(('10.77.0.2', 8888), 1)\n"
        "s.send(b'a'); print(s.recv(9), flush=True); sys.stdin.readline()\n"
        "s.send(b'b')\ntry: print(s.recv(9), flush=True)\n"
        "except TimeoutError: print('cut', flush=True)"
    )
    gateway = Lock(devices=("eth0",), doors=Doors.GATEWAYS, gateways=(NODE_ADDRESS,))
    await nft.load(namespace, gateway, counts=Counts.FRESH)
    with pod(place) as made:
        assert line_of(made.python(serve)) == "up"
        with subprocess.Popen(  # noqa: ASYNC220 - the other end of a conversation, read by turns
            place.internet.enter(sys.executable, "-c", talk),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as caller:
            assert line_of(caller) == "b'a'"
            closed = Lock(devices=("eth0",), doors=Doors.CLOSED)
            await nft.load(namespace, closed, counts=Counts.KEPT)
            assert caller.stdin
            caller.stdin.write("\n")
            caller.stdin.flush()
            assert line_of(caller) == "cut"


async def test_a_change_of_ours_keeps_the_counts(
    place: Ground, namespace: NetworkNamespace
) -> None:
    await nft.load(namespace, LOCK, counts=Counts.FRESH)
    place.pod.python(ATTEMPTS["tcp"])
    before = await nft.read_refused(namespace)
    await nft.load(namespace, Lock(devices=("eth0",), doors=Doors.CLOSED), counts=Counts.KEPT)
    assert await nft.read_refused(namespace) == before


@pytest.mark.parametrize(
    "tampering",
    [
        "flush table inet carrel_lock",
        "delete table inet carrel_lock",
        "delete table netdev carrel_wire",
        "add table inet carrel_lock { flags dormant; }",
        "insert rule inet carrel_lock out accept",
        "add element inet carrel_lock gateways4 { 203.0.113.1 }",
        "chain inet carrel_lock out { policy accept; }",
        "insert rule netdev carrel_wire wire0 accept",
    ],
)
async def test_every_change_of_the_lock_changes_its_digest(
    namespace: NetworkNamespace, tampering: str
) -> None:
    await nft.load(namespace, LOCK, counts=Counts.FRESH)
    expected = await nft.expected_digest(LOCK)
    assert await nft.loaded_digest(namespace) == expected
    await nft.run_inside(namespace, "nft", tampering)
    assert await nft.loaded_digest(namespace) != expected


async def test_traffic_does_not_change_the_digest(
    place: Ground, namespace: NetworkNamespace
) -> None:
    await nft.load(namespace, LOCK, counts=Counts.FRESH)
    before = await nft.loaded_digest(namespace)
    for source in ATTEMPTS.values():
        place.pod.python(source)
    assert await nft.loaded_digest(namespace) == before
