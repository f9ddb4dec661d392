"""An agent whose processes are killed at random moments, while pods start and one runs."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from carrel.cluster import JSON
from carrel.ledger import verify
from carrel.node.gate import ADMITTED
from support.agent_process import write_cluster
from support.racing import Lane, cgroup, control, lane
from support.stand import NODE, free_port, said, until
from support.sums import reconciled

PARTS = ("holder", "recorder", "relay", "lock")
_TRIES = """
import socket
while True:
    for kind, address in (
        (socket.SOCK_STREAM, ("203.0.113.1", 80)), (socket.SOCK_DGRAM, ("8.8.8.8", 53))
    ):
        channel = socket.socket(socket.AF_INET, kind)
        channel.settimeout(0.2)
        try:
            channel.connect(address)
            channel.send(b"secret")
        except OSError:
            pass
        channel.close()
"""


@dataclass
class Kills:
    """What killing showed."""

    kills: Counter[str] = field(default_factory=Counter)
    """By part; `upgrade` is all of them at once, and another version after them."""
    starts: Counter[int] = field(default_factory=Counter)
    """By the exit code of the gate."""
    leaked: int = 0
    controls_through: int = 0
    counted: int = 0
    """Packets of the pod that ran, as its kernel counted them."""
    recorded: int = 0
    lost: int = 0
    """Packets of it that are known to be lost, and recorded as such."""
    activities: Counter[str] = field(default_factory=Counter)
    """What the lock recorded."""
    faults: int = 0
    """What is wrong with the recorder's chain."""
    seconds: float = 0.0


class Agent:
    """The four processes of a node's agent."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._version = 1
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        (directory / "run").mkdir(exist_ok=True)  # the volume in which the containers meet
        self._log = (directory / "agent.log").open("ab")

    def start(self, part: str) -> None:
        """Start a part."""
        settings = {
            "CARREL_NODE_NAME": NODE,
            "CARREL_LEDGER_DIR": str(self._directory / "recorder"),
            "CARREL_RUN_DIR": str(self._directory / "run"),
            "CARREL_KEYS_DIR": str(self._directory / "keys"),
            "CARREL_RELAY_DIR": str(self._directory / "relay"),
            "CARREL_METRICS_PORT": str(free_port()),
            "PYTHONPATH": str(Path(__file__).parents[1]),
        }
        command = [sys.executable, "-m", "carrel.node", part]
        if part == "lock":
            where = (str(self._directory), str(self._version))
            command = [sys.executable, "-m", "support.agent_process", *where]
        self._processes[part] = subprocess.Popen(
            command, env=os.environ | settings, stdout=self._log, stderr=self._log
        )

    def kill(self, part: str) -> None:
        """Kill a part, whatever it does at this moment."""
        self._processes[part].send_signal(signal.SIGKILL)
        self._processes[part].wait()

    def mind(self) -> None:
        """Start again what ended by itself, as a kubelet does."""
        for part, process in list(self._processes.items()):
            if process.poll() is not None:
                self.start(part)

    def upgrade(self) -> None:
        """Kill all parts and start those of the other version."""
        for part in PARTS:
            self.kill(part)
        self._version = 3 - self._version
        for part in PARTS:
            self.start(part)

    def close(self) -> None:
        """End everything."""
        for part in self._processes:
            self.kill(part)
        self._log.close()


class World:
    """The cluster as a file: workspaces and pods."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._objects: dict[tuple[str, str], JSON] = {}

    def open(self, name: str) -> None:
        """Have a workspace in force."""
        spec = {
            "grant": {"name": "stroke", "uid": "grant-1"},
            "admission": "Open",
            "expires": "2099-01-01T00:00:00+00:00",
            "nodes": [NODE],
        }
        metadata = {"name": name, "namespace": name, "uid": f"uid-{name}"}
        self._objects["Workspace", name] = {
            "apiVersion": "carrel.dev/v1alpha1",
            "kind": "Workspace",
            "metadata": metadata,
            "spec": spec,
            "status": {},
        }
        self._write()

    def bind(self, name: str, uid: str, *, passed: bool) -> None:
        """Have a pod of the workspace on the node."""
        labels = {
            "carrel.dev/role": "workspace",
            "carrel.dev/workspace": name,
            "carrel.dev/grant-uid": "grant-1",
        }
        gate = {"name": "lock-gate", "state": {"terminated": {"exitCode": 0}}}
        self._objects["Pod", name] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "desk", "namespace": name, "uid": uid, "labels": labels},
            "spec": {"nodeName": NODE},
            "status": {"initContainerStatuses": [gate] if passed else []},
        }
        self._write()

    def unbind(self, name: str) -> None:
        """Have no pod of the workspace."""
        self._objects.pop(("Pod", name), None)
        self._write()

    def _write(self) -> None:
        write_cluster(self._directory, list(self._objects.values()))


async def kill_at_random(
    directory: Path, *, kills: int, seed: int, progress: Callable[[str], None]
) -> Kills:
    """Kill parts of an agent `kills` times, while one pod runs and others start."""
    told, dice = Kills(), random.Random(seed)  # noqa: S311 - chooses moments, not secrets
    began = time.monotonic()
    with ExitStack() as stack:
        world, agent = World(directory), Agent(directory)
        stack.callback(agent.close)
        for name in ("ws-runs", "ws-starts"):
            world.open(name)
        for part in PARTS:
            agent.start(part)
        runs, starts = (stack.enter_context(lane(number)) for number in range(2))
        async with _running(runs, world) as uid:
            starting = asyncio.create_task(_start_for_ever(starts, world, told))
            for number in range(kills):
                await _moment(dice, told)
                await _kill(agent, dice, told)
                if (number + 1) % 10 == 0:
                    progress(_left(told, number + 1, kills, began))
            # Whoever is left after the kills must let pods start again.
            proven = told.starts[ADMITTED]
            while told.starts[ADMITTED] == proven:
                await asyncio.sleep(0.1)
                agent.mind()
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        await _settle(directory, agent, uid)
        told.leaked = sum([await asyncio.to_thread(each.arrived) for each in (runs, starts)])
        for each in (runs, starts):
            await control(each, 0)
            told.controls_through += each.arrived() > 0
        _sum_up(directory, uid, told)
    told.seconds = time.monotonic() - began
    return told


async def two_at_once(directory: Path) -> Kills:
    """Run a second agent beside the first while a pod runs, then kill the first."""
    told = Kills()
    with ExitStack() as stack:
        world, first = World(directory), Agent(directory)
        stack.callback(first.close)
        world.open("ws-runs")
        for part in PARTS:
            first.start(part)
        runs = stack.enter_context(lane(0))
        async with _running(runs, world) as uid:
            second = Agent(directory)
            stack.callback(second.close)
            for part in PARTS:
                second.start(part)
            await asyncio.sleep(3)
            for part in PARTS:
                first.kill(part)
            await asyncio.sleep(1)
        await _settle(directory, second, uid)
        told.leaked = await asyncio.to_thread(runs.arrived)
        await control(runs, 0)
        told.controls_through = int(runs.arrived() > 0)
        _sum_up(directory, uid, told)
    return told


async def _moment(dice: random.Random, told: Kills) -> None:
    """Let some time pass; every other time so much that a pod can start meanwhile."""
    seen = told.starts.total()
    await asyncio.sleep(2 * dice.random())
    if dice.choice((True, False)):
        with suppress(AssertionError):  # none in 30 s: then it is time for the next kill
            await until(lambda: told.starts.total() > seen, seconds=30)


async def _kill(agent: Agent, dice: random.Random, told: Kills) -> None:
    what = dice.choice((*PARTS, "lock", "recorder", "upgrade"))
    told.kills[what] += 1
    if what == "upgrade":
        await asyncio.to_thread(agent.upgrade)
        return
    agent.mind()
    agent.kill(what)
    # A container that died begins again at once, or after a while.
    await asyncio.sleep(dice.choice((0.0, dice.random())))
    agent.start(what)


@asynccontextmanager
async def _running(on: Lane, world: World) -> AsyncIterator[str]:
    """Run a pod that reaches out without end, and stop it before its counts are compared."""
    uid = str(uuid.uuid4())
    with cgroup(uid) as group:
        world.bind("ws-runs", uid, passed=False)
        sandbox = await asyncio.to_thread(on.forks.sandbox, group)
        await asyncio.to_thread(on.wire, sandbox, port="runs")
        for _ in range(5):  # on a busy machine an agent may begin in more than a gate's patience
            if await asyncio.to_thread(on.forks.gated, group, sandbox=sandbox) == ADMITTED:
                break
        else:
            raise AssertionError("no gate was ever passed")
        world.bind("ws-runs", uid, passed=True)
        enter = ("nsenter", f"--net=/proc/{sandbox}/ns/net", sys.executable, "-c", _TRIES)
        join = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        program = await asyncio.create_subprocess_exec("sh", "-c", join, "sh", *enter)
        try:
            yield uid
        finally:
            program.kill()
            await program.wait()


async def _start_for_ever(on: Lane, world: World, told: Kills) -> None:
    number = 0
    while True:
        number += 1
        uid = str(uuid.uuid4())
        with cgroup(uid) as group:
            world.bind("ws-starts", uid, passed=False)
            sandbox = await asyncio.to_thread(on.forks.sandbox, group)
            await asyncio.to_thread(on.wire, sandbox, port=f"start{number}")
            told.starts[await asyncio.to_thread(on.forks.gated, group, sandbox=sandbox)] += 1
            await asyncio.to_thread(on.forks.end, sandbox)
            world.unbind("ws-starts")


async def _settle(directory: Path, agent: Agent, uid: str) -> None:
    """Have what was counted compared anew until nothing is between the kernel and the records."""
    for _ in range(10):
        before = len(_comparisons(directory, uid))
        agent.kill("lock")
        agent.start("lock")
        for _ in range(180):
            await asyncio.sleep(0.5)
            agent.mind()
            if len(_comparisons(directory, uid)) > before:
                break
        if _comparisons(directory, uid)[-1]["detail"]["outcome"] == "Exact":
            return
    raise AssertionError("it never became exact")


def _of(directory: Path, uid: str) -> list[JSON]:
    return [each for each in said(directory / "recorder") if each.get("podUID") == uid]


def _comparisons(directory: Path, uid: str) -> list[JSON]:
    return [each for each in _of(directory, uid) if each["activity"] == "CountsReconciled"]


def _sum_up(directory: Path, uid: str, told: Kills) -> None:
    reconciled(_of(directory, uid))
    last = _comparisons(directory, uid)[-1]["detail"]
    assert last["base"] == last["wireBase"] == 0, "the kernel's counters began anew"
    told.counted = last["counted"] + last["wireCounted"]
    told.recorded = last["recorded"] + last["wireRecorded"]
    told.lost = last["lost"] + last["wireLost"]
    told.activities = Counter(each["activity"] for each in said(directory / "ledger"))
    told.faults = len(verify(directory / "recorder/node-recorder").faults)


def _left(told: Kills, done: int, kills: int, began: float) -> str:
    spent = time.monotonic() - began
    return (
        f"{done} of {kills} kills, {sum(told.starts.values())} starts, "
        f"{spent / 60:.1f} min spent, {spent / done * (kills - done) / 60:.1f} min left"
    )
