"""A recorder that is lost in each of three ways: what the grant says is done, and never less."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from carrel.kinds.grant import OnRecorderLoss
from carrel.ledger import verify
from carrel.node import desk, vigil
from carrel.node.cgroup import is_frozen
from carrel.node.gate import ADMITTED
from carrel.node.handover import Handover, Kind, name_of
from support.attempts import ATTEMPTS
from support.ground import Pod, ground, pod, run
from support.loopback import STROKE
from support.stand import Stand, holding, lock_alone, recorder_process, relay, said, until
from support.sums import reconciled

pytestmark = pytest.mark.root

CLOSE, FREEZE, TERMINATE = (
    OnRecorderLoss.CLOSE_EGRESS,
    OnRecorderLoss.FREEZE,
    OnRecorderLoss.TERMINATE,
)
KEPT = (CLOSE, FREEZE)
"""Orders after which something is left that can be recorded again."""
TRIES = "while True:\n try: socket.create_connection(('203.0.113.1', 80), 0.2)\n except OSError: 0"


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look each half second and lose patience after one; a node does so in 10 and 15."""
    monkeypatch.setattr(desk, "CHECK_SECONDS", 0.5)
    monkeypatch.setattr(vigil, "GRACE_SECONDS", 1.0)
    monkeypatch.setattr(vigil, "RECONCILE_SECONDS", 1.0)


@pytest.fixture
def pods() -> Iterator[dict[OnRecorderLoss, Pod]]:
    """Make a pod under each order, each on a ground of its own."""
    with ExitStack() as stack:
        yield {
            order: stack.enter_context(pod(stack.enter_context(ground())))
            for order in OnRecorderLoss
        }


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Make a directory whose recorder has a small disk of its own."""
    disk = tmp_path / "recorder"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk))
    try:
        yield tmp_path
    finally:
        run("umount", "--lazy", str(disk))


class Kubelet:
    """Runs a recorder, and another one whenever it ended."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._forbidden = False
        self.process: subprocess.Popen[bytes] | None = None

    async def run(self) -> None:
        """Run for ever."""
        while True:
            with recorder_process(self._directory) as self.process:
                await until(lambda: self.process.poll() is not None, seconds=600)  # type: ignore[union-attr]  # set in the line before
            await until(lambda: not self._forbidden, seconds=600)

    @contextmanager
    def none_again(self) -> Iterator[None]:
        """Let none begin for a while."""
        self._forbidden = True
        yield
        self._forbidden = False


@contextmanager
def killed(kubelet: Kubelet, directory: Path) -> Iterator[None]:  # noqa: ARG001 - losses look alike
    """Take the process away."""
    assert kubelet.process
    with kubelet.none_again():
        kubelet.process.kill()
        yield


@contextmanager
def unreachable(kubelet: Kubelet, directory: Path) -> Iterator[None]:
    """Take its socket's name away: it ends, and whoever begins finds a new one."""
    with kubelet.none_again():
        (directory / "run/recorder-ask.sock").unlink()
        yield


@contextmanager
def disk_full(kubelet: Kubelet, directory: Path) -> Iterator[None]:  # noqa: ARG001 - as above
    """Fill its disk to the last byte."""
    filler = directory / "recorder/filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    yield
    filler.unlink()


@asynccontextmanager
async def running(
    directory: Path, pods: dict[OnRecorderLoss, Pod]
) -> AsyncIterator[tuple[Stand, Kubelet, dict[OnRecorderLoss, subprocess.Popen[str]]]]:
    """Run an agent with a workspace under each order, its gate past and a program at work."""
    kubelet, at_work = Kubelet(directory), {}
    run_dir = directory / "run"
    async with holding(run_dir), relay(run_dir), lock_alone(directory) as agent:
        keeping = asyncio.create_task(kubelet.run())
        try:
            for order, each in pods.items():
                await agent.open_workspace(name=name(order), on_recorder_loss=order)
                await agent.bind(each, name=name(order))
                assert await asyncio.to_thread(each.gate().wait, 60) == ADMITTED
                at_work[order] = each.python(f"import socket\n{TRIES}")
                await serve_something(directory, each)
            yield agent, kubelet, at_work
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


def name(order: OnRecorderLoss) -> str:
    return f"ws-{order.lower()}"


async def serve_something(directory: Path, each: Pod) -> None:
    """Have a socket kept under the name of a loopback service."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        binding = replace(STROKE, pod_uid=each.uid)
        await Handover(directory / "run").put(Kind.DNS_UDP, service.fileno(), binding)


async def served(directory: Path, each: Pod) -> bool:
    return name_of(each.uid, Kind.DNS_UDP) in await Handover(directory / "run").names()


def agrees(directory: Path, uid: str) -> bool:
    """Whether the records of a pod and its kernel's counters now agree to the last packet."""
    records = [each for each in said(directory / "recorder") if each.get("podUID") == uid]
    assert reconciled(records) > 0
    outcomes = [e["detail"]["outcome"] for e in records if e["activity"] == "CountsReconciled"]
    return outcomes[-1] == "Exact"


def turns(agent: Stand, activity: str) -> list[str]:
    return sorted(each["order"] for each in agent.details(activity))


def locked(each: Pod) -> bool:
    return each.ground.pod.python(ATTEMPTS["tcp"]) == "ECONNREFUSED"


@pytest.mark.parametrize("lose", [killed, unreachable, disk_full])
async def test_a_loss_is_followed_as_the_grant_says_and_its_end_is_recorded(
    place: Path,
    pods: dict[OnRecorderLoss, Pod],
    lose: Callable[[Kubelet, Path], AbstractContextManager[None]],
) -> None:
    arrived = {order: each.ground.arrived() for order, each in pods.items()}
    async with running(place, pods) as (agent, kubelet, at_work):
        with lose(kubelet, place):
            await until(lambda: len(turns(agent, "RecorderFailed")) == len(pods), seconds=60)
            assert turns(agent, "RecorderFailed") == sorted(OnRecorderLoss)
            await agent.reason("CgroupEmpty", "Killed", name=name(TERMINATE))
            await until(lambda: is_frozen((pods[FREEZE].directory,)))
            for order, each in pods.items():
                assert await asyncio.to_thread(locked, each)
                assert not await served(place, each), order
            for order in KEPT:
                assert agent.condition("EgressRecorded", name=name(order)).status == "False"
            assert pods[TERMINATE].running() == 0
            assert not is_frozen((pods[CLOSE].directory,))
            assert pods[CLOSE].running() >= 2
        await until(lambda: len(turns(agent, "RecorderReturned")) == len(KEPT), seconds=60)
        assert turns(agent, "RecorderReturned") == sorted(KEPT)
        for order in KEPT:
            await agent.reason("EgressRecorded", "Reconciled", name=name(order))
        assert is_frozen((pods[FREEZE].directory,)), "only a restart thaws"
        assert agent.condition("LockLoaded", name=name(FREEZE)).reason == "NotRecorded"
        at_work[CLOSE].kill()
        for order in KEPT:
            await until(lambda uid=pods[order].uid: agrees(place, uid), seconds=30)  # type: ignore[misc]  # mypy knows no default of a lambda
    assert arrived == {order: each.ground.arrived() for order, each in pods.items()}
    assert verify(place / "recorder/node-recorder").faults == ()
