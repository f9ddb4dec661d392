"""The resolver over real sockets of the loopback address."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.rcode
import pytest

from carrel.flows.clock import FixedClock
from carrel.node.relay import resolver as resolving
from carrel.node.relay.resolver import Resolver
from carrel.node.relay.telling import MOST_KINDS, SOCKET, Layer, Refusal, Telling
from carrel.rules.egress import egress_rules

pytestmark = pytest.mark.loopback

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
POD = "6f0f4d8e-2f5f-4f6d-9b3c-1f1b7a6c2d10"


@dataclass(frozen=True)
class Served:
    """A resolver with its ports."""

    resolver: Resolver
    telling: Telling
    udp: int
    tcp: int


class Recorder:
    """A socket in the recorder's place."""

    def __init__(self, run_directory: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(run_directory / SOCKET))

    def heard(self) -> list[dict[str, object]]:
        """Return what was told since the last time."""
        found = []
        with suppress(BlockingIOError):
            while True:
                found.append(json.loads(self._socket.recv(65_536)))
        return found

    def close(self) -> None:
        """Be away."""
        self._socket.close()


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(tmp_path)
    yield made
    made.close()


@asynccontextmanager
async def served(run_directory: Path) -> AsyncIterator[Served]:
    clock = FixedClock(NOW)
    telling = Telling(run_directory, clock=clock)
    resolver = Resolver(
        POD,
        own_name="workspace",
        policy=egress_rules("nothing", None),
        telling=telling,
        clock=clock,
    )
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    udp.bind(("127.0.0.1", 0))
    tcp = socket.create_server(("127.0.0.1", 0))
    tcp.setblocking(False)
    tasks = [
        asyncio.create_task(resolver.serve_datagrams(udp)),
        asyncio.create_task(resolver.serve_connections(tcp)),
    ]
    try:
        yield Served(resolver, telling, udp.getsockname()[1], tcp.getsockname()[1])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        udp.close()
        tcp.close()
        telling.close()


async def ask(place: Served, name: str, kind: str = "A") -> dns.message.Message:
    query = dns.message.make_query(name, kind, use_edns=0)
    over_udp = await dns.asyncquery.udp(query, "127.0.0.1", port=place.udp, timeout=5)
    over_tcp = await dns.asyncquery.tcp(query, "127.0.0.1", port=place.tcp, timeout=5)
    assert over_udp == over_tcp
    return over_udp


@pytest.mark.parametrize(
    ("name", "kind", "records"),
    [
        ("localhost", "A", ["localhost. 0 IN A 127.0.0.1"]),
        ("LOCALHOST", "AAAA", ["LOCALHOST. 0 IN AAAA ::1"]),
        ("notebook.localhost", "A", ["notebook.localhost. 0 IN A 127.0.0.1"]),
        ("workspace", "A", ["workspace. 0 IN A 127.0.0.1"]),
        ("localhost", "TXT", []),
        (
            "1.0.0.127.in-addr.arpa",
            "PTR",
            ["1.0.0.127.in-addr.arpa. 0 IN PTR localhost."],
        ),
    ],
)
async def test_names_inside_are_answered(tmp_path: Path, name: str, kind: str, records: list[str]):
    async with served(tmp_path) as place:
        answer = await ask(place, name, kind)
    assert answer.rcode() == dns.rcode.NOERROR
    assert [each.to_text() for each in answer.answer] == records
    assert place.telling.untold == 0


@pytest.mark.parametrize("kind", ["A", "AAAA", "TXT", "NULL", "CNAME", "ANY", "HTTPS", "AXFR"])
@pytest.mark.parametrize("name", ["evil.example", "x.workspace", "localhost.evil.example", "."])
async def test_every_other_name_does_not_exist_whatever_is_asked_of_it(
    tmp_path: Path, name: str, kind: str
):
    async with served(tmp_path) as place:
        query = dns.message.make_query(name, kind, use_edns=0)
        raw = place.resolver.answer(query.to_wire())
    assert raw is not None
    answer = dns.message.from_wire(raw)
    assert answer.rcode() == dns.rcode.NXDOMAIN
    assert [each.to_text() for each in answer.options] == [
        "EDE 15 (Blocked): egress.name_never_forwarded"
    ]


async def test_refusals_are_counted_and_told_once_with_their_name(
    tmp_path: Path, recorder: Recorder
):
    async with served(tmp_path) as place:
        for name in ("evil.example", "EVIL.example", "evil.example", "other.example"):
            await ask(place, name, "TXT")
        place.resolver.collect()
        await place.telling.tell()
        place.resolver.collect()
        await place.telling.tell()
    told = {
        "pod_uid": POD,
        "layer": "dns",
        "type": "TXT",
        "rule": "egress.name_never_forwarded",
        "first": NOW.isoformat(),
        "last": NOW.isoformat(),
    }
    heard = recorder.heard()
    for each in heard:
        assert each["name"] in str(each.pop("sentence"))
        assert "dataset" in str(each.pop("todo"))
    # Each question was asked over UDP and over TCP.
    assert heard == [
        told | {"name": "evil.example", "count": 6},
        told | {"name": "other.example", "count": 2},
    ]


async def test_while_the_recorder_is_away_nothing_is_lost_and_everything_refused(tmp_path: Path):
    async with served(tmp_path) as place:
        assert (await ask(place, "evil.example")).rcode() == dns.rcode.NXDOMAIN
        place.resolver.collect()
        await place.telling.tell()
        assert place.telling.untold == 2
        recorder = Recorder(tmp_path)
        await ask(place, "evil.example")
        place.resolver.collect()
        await place.telling.tell()
        assert [each["count"] for each in recorder.heard()] == [4]
        recorder.close()
    assert (place.telling.untold, place.telling.told) == (0, 4)


@pytest.mark.long
def test_more_names_than_can_wait_are_told_as_one_with_the_exact_count(tmp_path: Path):
    telling = Telling(tmp_path, clock=FixedClock(NOW))
    resolver = Resolver(
        POD,
        own_name="workspace",
        policy=egress_rules("nothing", None),
        telling=telling,
        clock=FixedClock(NOW),
    )
    asked = MOST_KINDS + 900
    for number in range(asked):
        query = dns.message.make_query(f"{number}.evil.example", "A")
        assert resolver.answer(query.to_wire()) is not None
    resolver.collect()
    assert telling.untold == asked
    waiting = telling._waiting[POD]
    assert len(waiting) == MOST_KINDS + 1
    other = Refusal(Layer.DNS, "", "", "egress.name_never_forwarded")
    assert waiting[other].count == asked - MOST_KINDS
    assert len(resolver._known) <= resolving.MOST_KNOWN


async def test_what_is_no_question_hurts_nobody_else(tmp_path: Path):
    async with served(tmp_path) as place:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as noise:
            noise.connect(("127.0.0.1", place.udp))
            for data in (b"", b"\0", b"\xff" * 4_000, b"\0\7\1\0\0\1" + b"\xc0\x0c" * 30):
                noise.send(data)
        assert (await ask(place, "localhost")).rcode() == dns.rcode.NOERROR
    assert place.telling.untold == 1  # the one that was to be understood as a question


async def test_a_message_that_is_too_long_ends_its_connection(tmp_path: Path):
    async with served(tmp_path) as place:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.tcp)
        writer.write(struct.pack("!H", 65_535) + b"x" * 65_535)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        assert (await ask(place, "localhost")).rcode() == dns.rcode.NOERROR
    assert place.telling.untold == 1


async def test_connections_that_say_nothing_do_not_keep_others_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(resolving, "PATIENCE", 0.2)
    async with served(tmp_path) as place:
        silent = [
            await asyncio.open_connection("127.0.0.1", place.tcp)
            for _ in range(resolving.MOST_CONNECTIONS + 10)
        ]
        for reader, writer in silent:
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
        assert (await ask(place, "localhost")).rcode() == dns.rcode.NOERROR
