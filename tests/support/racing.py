"""Starts that race: namespace, lock and first instruction, several lanes of them at once.

Each start has a network namespace of its own with a way to a pretend Internet, and a program
that reaches out as soon as its gate is open. Between them control starts, with no lock and no
gate, must get through: else nothing is shown.
"""

import asyncio
import random
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from carrel.node.gate import ADMITTED
from support.forking import Nursery, nursery
from support.ground import OUTSIDE, OUTSIDE_6, Ground, Pod, Space, far_side, freezer, run, space
from support.stand import Stand, stand, until


@dataclass(frozen=True)
class Lane:
    """A pretend Internet on a bridge, and who starts pods that are wired to it."""

    number: int
    internet: Space
    forks: Nursery

    def arrived(self) -> int:
        """Return how many packets reached the pretend Internet of this lane."""
        return Ground(self.internet, self.internet).arrived()

    def wire(self, sandbox: int, *, port: str) -> None:
        """Give a sandbox a device, addresses and a default route."""
        self.internet.run(
            *("ip", "-batch", "-"),
            text=f"link add {port} type veth peer name eth0 netns {sandbox}\n"
            f"link set {port} master eth0 up\n",
        )
        run(
            *("nsenter", f"--net=/proc/{sandbox}/ns/net", "ip", "-batch", "-"),
            text="link set lo up\naddr add 10.77.0.2/24 dev eth0\n"
            "addr add fd77::2/64 dev eth0 nodad\nlink set eth0 up\n"
            "route add default via 10.77.0.1\nroute add ::/0 via fd77::1\n",
        )


@dataclass
class Starts:
    """What starts showed."""

    count: int = 0
    admitted: int = 0
    leaked: int = 0
    """Packets of locked starts that reached a pretend Internet."""
    controls: int = 0
    controls_through: int = 0
    """Control starts whose packets did."""
    milliseconds: list[float] = field(default_factory=list)
    """The agent's own work of each start: lock, proof and record."""
    seconds: float = 0.0

    def percentile(self, hundredth: int) -> float:
        """Return a percentile of the agent's work in ms."""
        return statistics.quantiles(self.milliseconds, n=100)[hundredth - 1]


@contextmanager
def lane(number: int) -> Iterator[Lane]:
    """Make a lane."""
    with space() as internet:
        internet.run(
            *("ip", "-batch", "-"),
            text="link add eth0 type bridge\nlink set eth0 promisc on up\n"
            "addr add 10.77.0.1/24 dev eth0\naddr add fd77::1/64 dev eth0 nodad\n"
            + "".join(f"addr add {each} dev lo\n" for each in (*OUTSIDE, OUTSIDE_6)),
        )
        with far_side(internet), nursery() as forks:
            yield Lane(number, internet, forks)


async def race(
    directory: Path,
    *,
    count: int,
    lanes: int,
    control_every: int,
    seed: int,
    progress: Callable[[str], None],
) -> Starts:
    """Start `count` pods in `lanes` lanes at once, with a control start after each so many."""
    told = Starts()
    numbers = iter(range(1, count + 1))
    began = time.monotonic()
    async with stand(directory) as agent:
        with ExitStack() as stack:
            made = [stack.enter_context(lane(number)) for number in range(lanes)]
            async with asyncio.TaskGroup() as tasks:
                for each in made:
                    await agent.open_workspace(name=_name(each))
                    dice = random.Random(seed + each.number)  # noqa: S311 - orders, not secrets
                    tasks.create_task(
                        _run(
                            agent,
                            each,
                            numbers,
                            told=told,
                            dice=dice,
                            control_every=control_every,
                            progress=lambda: progress(_left(told, count, began)),
                        )
                    )
        details = agent.details("GateProven")
    told.milliseconds = [
        (e["lockMicroseconds"] + e["gateMicroseconds"] + e["recordMicroseconds"]) / 1000
        for e in details
    ]
    told.seconds = time.monotonic() - began
    return told


def _left(told: Starts, count: int, began: float) -> str:
    spent = time.monotonic() - began
    left = spent / told.count * (count - told.count)
    return (
        f"{told.count:,} of {count:,} starts, {told.leaked} packets out, "
        f"{told.controls_through} of {told.controls} controls through, "
        f"{spent / 60:.1f} min spent, {left / 60:.1f} min left"
    )


async def _run(
    agent: Stand,
    on: Lane,
    numbers: Iterator[int],
    *,
    told: Starts,
    dice: random.Random,
    control_every: int,
    progress: Callable[[], None],
) -> None:
    seen = on.arrived()
    for number in numbers:
        code = await _start(agent, on, number, dice=dice)
        told.count += 1
        told.admitted += code == ADMITTED
        if number % control_every == 0:
            now = await asyncio.to_thread(on.arrived)
            told.leaked += now - seen
            await control(on, number)
            seen = await asyncio.to_thread(on.arrived)
            told.controls += 1
            told.controls_through += seen > now
            progress()
    told.leaked += on.arrived() - seen


async def _start(agent: Stand, on: Lane, number: int, *, dice: random.Random) -> int:
    """Run one start in one of the orders that a cluster may show; return the gate's code."""
    uid = str(uuid.uuid4())
    with cgroup(uid) as group:
        # What the agent hears first differs from node to node: it must not matter.
        hears = dice.choice(("before", "between", "after"))
        if hears == "before":
            await agent.bind(_pod(uid, group), name=_name(on))
        sandbox = await asyncio.to_thread(on.forks.sandbox, group)
        await asyncio.to_thread(on.wire, sandbox, port=f"start{number}")
        if hears == "between":
            await agent.bind(_pod(uid, group), name=_name(on))
        gate = asyncio.create_task(asyncio.to_thread(on.forks.gated, group, sandbox=sandbox))
        if hears == "after":
            await agent.bind(_pod(uid, group), name=_name(on))
        code = await gate
        await asyncio.to_thread(on.forks.end, sandbox)
        await agent.unbind(name=_name(on))
        await until(lambda: uid not in agent.agent._desks, seconds=60)
    return code


async def control(on: Lane, number: int) -> None:
    """Run the attacks of a start with no lock and no gate before them."""
    with cgroup(str(uuid.uuid4())) as group:
        sandbox = await asyncio.to_thread(on.forks.sandbox, group)
        await asyncio.to_thread(on.wire, sandbox, port=f"control{number}")
        await asyncio.to_thread(on.forks.ungated, group, sandbox=sandbox)
        await asyncio.to_thread(on.forks.end, sandbox)


@contextmanager
def cgroup(uid: str) -> Iterator[Path]:
    """Make the cgroup of a pod."""
    directory = freezer() / "carrel-test" / f"pod{uid}"
    directory.mkdir(parents=True)
    try:
        yield directory
    finally:
        with suppress(OSError):  # of a start that broke off, something may still end
            directory.rmdir()


def _pod(uid: str, directory: Path) -> Pod:
    # `bind` reads no more of a pod than its UID.
    return Pod(Ground(None, None), uid, directory)  # type: ignore[arg-type]  # no ground of its own


def _name(on: Lane) -> str:
    return f"ws-lane-{on.number}"
