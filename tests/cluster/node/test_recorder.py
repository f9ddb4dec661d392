"""The recorder on this kernel: sums are the kernel's, whoever floods and whoever dies."""

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from carrel.cluster import JSON
from carrel.ledger import Keyring, Sealed, verify
from carrel.node import nft
from carrel.node.account import Outcome
from carrel.node.netns import NetworkNamespace
from carrel.node.nft import lock_of
from carrel.node.recording import Recording
from carrel.render.nft import Counts, WireLayer
from support.attempts import ATTEMPTS
from support.ground import Ground, ground
from support.loopback import STROKE
from support.stand import holding, recorder, recorder_process, recording, said
from support.sums import reconciled

pytestmark = pytest.mark.root

KILLS = int(os.environ.get("CARREL_RECORDER_KILLS", "3"))
"""A small count; the soak asks for 300."""
POD = "0c5f7a4e-0000-4000-8000-000000000001"
BINDING = replace(STROKE, pod_uid=POD, netns=1)

_SEND = """
import socket, sys
kind, many = sys.argv[1], int(sys.argv[2])
channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for n in range(many):
    port = 1 + n % 65535 if kind == "ports" else 9
    host = f"198.{18 + n // 65536}.{n // 256 % 256}.{n % 256}" if kind == "hosts" else "203.0.113.1"
    try:
        channel.sendto(b"x", (host, port))
    except OSError:
        pass
"""

_ASK = """
import socket, sys
channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for question in sys.argv[1:]:
    try:
        channel.sendto(bytes(12) + bytes.fromhex(question), ("8.8.8.8", 53))
    except OSError:
        pass
"""


# Headers that lie about lengths, protocols and themselves, past every check of a socket.
_MALFORMED = """
import random, socket, struct, sys
dice, many = random.Random(int(sys.argv[1])), int(sys.argv[2])
four = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
six = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
frames.bind(("eth0", 0))
name = b"".join(bytes([63]) + dice.randbytes(63) for _ in range(4)) + b"\\x2c" + dice.randbytes(44)
for _ in range(many):
    body = dice.choice((b"", dice.randbytes(dice.randrange(200)), name, b"\\xc0\\x0c" * 40))
    port = dice.choice((53, 80, 0, 65535))
    udp = struct.pack("!HHHH", 9, port, dice.randrange(65536), 0) + bytes(12) + body
    ports = dice.choice((udp, udp[: dice.randrange(len(udp))], body))
    protocol = dice.choice((17, 6, 1, 2, 33, 132, 0, 255, dice.randrange(256)))
    fragment = dice.choice((0, 0, 0x2000, 0x1FFF, dice.randrange(65536)))
    header = struct.pack("!BBHHHBBH4s4s", 0x45, dice.randrange(256), 20 + len(ports), 1, fragment,
        64, protocol, 0, socket.inet_aton("10.77.0.2"), socket.inet_aton("203.0.113.1"))
    follows = dice.choice((0, 17, 43, 44, 51, 60, 135, 59, dice.randrange(256)))
    wide = struct.pack("!IHBB", 6 << 28, len(ports), follows, 64)
    wide += socket.inet_pton(socket.AF_INET6, "fd77::2")
    wide += socket.inet_pton(socket.AF_INET6, "2001:db8::1") + ports
    kind = dice.choice((b"\\x08\\0", b"\\x86\\xdd", b"\\x81\\0", dice.randbytes(2)))
    frame = bytes(12) + kind + dice.choice((header + ports, wide, dice.randbytes(60)))
    for send in (
        lambda: four.sendto(header + ports, ("203.0.113.1", 0)),
        lambda: six.sendto(wide, ("2001:db8::1", 0)),
        lambda: frames.send(frame),
    ):
        try:
            send()
        except OSError:
            pass
"""


@pytest.fixture
def place() -> Iterator[Ground]:
    with ground() as made:
        yield made


@asynccontextmanager
async def locked(place: Ground, directory: Path) -> AsyncIterator[Recording]:
    """Lock the namespace and hand its log over, as the lock does."""
    async with locked_later(directory, place) as log:
        await log.give(BINDING)
        yield log


async def send(place: Ground, kind: str, many: int) -> None:
    await asyncio.to_thread(place.pod.python, _SEND, kind, str(many), seconds=120)


async def settled(log: Recording) -> Outcome:
    """Compare until there is a recorder that answers: on a busy machine it begins in seconds."""
    for _ in range(600):
        try:
            return (await log.reconcile(POD)).outcome
        except Exception:  # noqa: BLE001 - no recorder yet, or not yet bound: it says so
            await asyncio.sleep(0.1)
    raise AssertionError("no recorder ever answered")


async def exact(log: Recording) -> None:
    """Compare until nothing comes any more: a kernel asks for routers whenever it likes."""
    for _ in range(100):
        if await settled(log) is Outcome.EXACT:
            return
    raise AssertionError("it never became exact")


def told(directory: Path) -> list[JSON]:
    return said(directory / "recorder")


def total(records: list[JSON], *activities: str) -> int:
    return sum(each["detail"]["count"] for each in records if each["activity"] in activities)


async def test_every_way_out_is_a_record_under_pod_and_grant(place: Ground, tmp_path: Path) -> None:
    async with recording(tmp_path), locked(place, tmp_path) as log:
        for attempt in ATTEMPTS.values():
            await asyncio.to_thread(place.pod.python, attempt)
        assert await settled(log) in (Outcome.EXACT, Outcome.LOST)
        records = [each for each in told(tmp_path) if each["activity"] == "TrafficDenied"]
        ways = Counter(
            (each["detail"]["direction"], each["detail"]["protocol"], each["detail"]["address"])
            for each in records
            if not each["detail"]["address"].startswith("ff02::")
        )
        assert set(ways) == {
            ("out", "tcp", "203.0.113.1"),
            ("out", "udp", "8.8.8.8"),
            ("out", "icmp", "203.0.113.1"),
            ("out", "tcp", "2001:db8::1"),
            ("out", "udp", "2001:db8::1"),
            ("out", "icmpv6", "2001:db8::1"),
            ("wire", "udp", "203.0.113.1"),
        }
        assert {(each["podUID"], each["grant"]) for each in records} == {(POD, "stroke")}
        assert reconciled(told(tmp_path)) >= len(ATTEMPTS)


async def test_names_are_sealed_and_shown_to_the_researcher_alone(
    place: Ground, tmp_path: Path
) -> None:
    questions = (
        b"\x06secret\x04evil\x07example\x00\x00\x01\x00\x01",
        b"\x03\xff\x00\n\x00\x00\x10\x00\x01",
        (b"\x3f" + b"y" * 63) * 4 + b"\x2c" + b"z" * 44,
        b"",
    )
    async with recording(tmp_path), locked(place, tmp_path) as log:
        asked = [question.hex() for question in questions]
        await asyncio.to_thread(place.pod.python, _ASK, *asked)
        assert await settled(log) is Outcome.EXACT
        records = [each for each in told(tmp_path) if each["activity"] == "TrafficDenied"]
        key = Keyring(tmp_path / "keys").key("stroke")
        names = {
            key.open(Sealed.model_validate(each["sealed"]["name"]), field="name")
            for each in records
            if "sealed" in each
        }
        assert {"secret.evil.example", "\\255\\000\\010"} <= names
        assert "evil" not in (json.dumps(told(tmp_path)))


@pytest.mark.parametrize(
    ("kind", "many"), [("flood", 30_000), ("ports", 65_535), ("hosts", 200_000)]
)
async def test_a_flood_is_counted_to_the_last_packet(
    place: Ground, tmp_path: Path, kind: str, many: int
) -> None:
    async with recording(tmp_path), locked(place, tmp_path) as log:
        await send(place, kind, many)
        await exact(log)
        assert reconciled(told(tmp_path)) >= many
        assert verify(tmp_path / "recorder" / "node-recorder").faults == ()


@pytest.mark.parametrize("seed", range(3))
async def test_malformed_packets_are_blocked_counted_and_never_end_the_recorder(
    place: Ground, tmp_path: Path, seed: int
) -> None:
    before = place.arrived()
    async with recording(tmp_path), locked(place, tmp_path) as log:
        await asyncio.to_thread(place.pod.python, _MALFORMED, str(seed), "2000", seconds=120)
        await exact(log)
        assert reconciled(told(tmp_path)) > 2_000
        assert total(told(tmp_path), "TrafficLost") == 0
        layers = {e["detail"]["layer"] for e in told(tmp_path) if e["activity"] == "TrafficDenied"}
        assert layers == {"network", "wire"}
    assert place.arrived() == before


async def test_recorders_that_are_killed_in_a_flood_lose_nothing_unknown(
    place: Ground, tmp_path: Path
) -> None:
    moments = random.Random(4)  # noqa: S311 - chooses moments, not secrets
    async with holding(tmp_path / "run"), locked(place, tmp_path) as log:
        for _ in range(KILLS):
            sending = asyncio.create_task(send(place, "ports", 20_000))
            with recorder_process(tmp_path) as process:
                await settled(log)
                await asyncio.sleep(2 * moments.random())
                process.kill()
            await sending
        async with recorder(tmp_path):
            await exact(log)
        records = told(tmp_path)
        assert reconciled(records) >= KILLS * 20_000
        lost = total(records, "TrafficLost")
        assert total(records, "CountsRecovered") <= lost
        assert verify(tmp_path / "recorder" / "node-recorder").faults == ()


async def test_a_holder_that_is_replaced_costs_no_count(place: Ground, tmp_path: Path) -> None:
    async with locked_later(tmp_path, place) as log, recorder(tmp_path):
        async with holding(tmp_path / "run"):
            await log.give(BINDING)
            await send(place, "flood", 100)
            assert await settled(log) is not Outcome.REBASED
        async with holding(tmp_path / "run"):
            await log.give(BINDING)
            await send(place, "flood", 100)
            await exact(log)
        assert reconciled(told(tmp_path)) >= 200


@asynccontextmanager
async def locked_later(directory: Path, place: Ground) -> AsyncIterator[Recording]:
    """Lock the namespace; whoever asks hands its log over."""
    namespace = NetworkNamespace.at(place.pod.path)
    log = Recording(namespace, run_directory=directory / "run", wire=WireLayer.PRESENT)
    try:
        await log.open()
        lock = await lock_of(namespace, wire=WireLayer.PRESENT)
        await nft.load(namespace, lock, counts=Counts.FRESH)
        yield log
    finally:
        log.close()
        namespace.close()
