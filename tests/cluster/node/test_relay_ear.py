"""What the relay tells is recorded or known to be lost, also before and after a pod is known."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.node.handover import Handover, Kind
from carrel.node.recorder_desk import TELL
from support.loopback import BINDING
from support.stand import recorder, recording, said, until

POD = BINDING.pod_uid


@pytest.fixture
def log() -> Iterator[socket.socket]:
    """Stand in for a pod's log, on which nothing comes."""
    mine, kernels = socket.socketpair()
    with mine, kernels:
        yield mine


async def tell(run: Path, *names: str) -> None:
    """Tell the recorder of names that were refused, as the relay does."""
    loop = asyncio.get_running_loop()
    await until((run / TELL).exists)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
        channel.connect(str(run / TELL))
        for name in names:
            word = {
                "pod_uid": POD,
                "layer": "dns",
                "name": name,
                "type": "A",
                "rule": "r",
                "count": 1,
            }
            await loop.sock_sendall(channel, json.dumps(word).encode())


def sums(directory: Path) -> Counter[str]:
    """Return how much of the resolver's was recorded, by activity."""
    found: Counter[str] = Counter()
    for each in said(directory / "recorder"):
        if each["detail"].get("layer") == "dns":
            found[each["activity"]] += each["detail"]["count"]
    return found


async def test_a_refusal_that_comes_before_its_pod_is_recorded_with_it(
    tmp_path: Path, log: socket.socket
) -> None:
    async with recording(tmp_path):
        await tell(tmp_path / "run", "early.example")
        await Handover(tmp_path / "run").put(Kind.NFLOG, log.fileno(), BINDING)
        await until(lambda: sums(tmp_path) == {"TrafficDenied": 1})


async def test_a_refusal_that_comes_after_its_pod_ended_is_recorded(
    tmp_path: Path, log: socket.socket
) -> None:
    async with recording(tmp_path) as made:
        handover = Handover(tmp_path / "run")
        await handover.put(Kind.NFLOG, log.fileno(), BINDING)
        await until(lambda: POD in made.bound)
        await handover.drop(f"{POD}/")
        await until(lambda: POD not in made.bound)
        await tell(tmp_path / "run", "late.example")
        await until(lambda: sums(tmp_path) == {"TrafficDenied": 1})


async def test_too_many_that_wait_are_recorded_as_a_number(
    tmp_path: Path, log: socket.socket
) -> None:
    sent = 6_000
    async with recording(tmp_path) as made:
        await Handover(tmp_path / "run").put(Kind.NFLOG, log.fileno(), BINDING)
        await until(lambda: POD in made.bound)
        await tell(tmp_path / "run", *(f"n{number}.example" for number in range(sent)))
        await until(lambda: sums(tmp_path).total() == sent, seconds=60)


async def test_a_recorder_listens_only_once_it_knows_the_pods(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    async with recorder(tmp_path):
        await asyncio.sleep(0)
        # Nobody said yet which pods there are: the relay keeps what it has.
        assert not (tmp_path / "run" / TELL).exists()
