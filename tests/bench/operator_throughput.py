"""How many grants the operator makes per second, with how many writes, in how much memory.

    python tests/bench/operator_throughput.py --grants 2000 --output FILE.json

A real API server with etcd on this machine (etcd without fsync, which measures the operator
and not the disk), no kubelet: every grant becomes its whole bundle with a gated pod. Then a
simulated node acknowledges every view, which opens every gate, and the operator is started
anew, which must write nothing.
"""

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from carrel.cluster import ChangeType, Cluster, connect
from carrel.cluster.refs import POD
from carrel.flows.store import WORKSPACES
from support import examples
from support.control_plane import control_plane
from support.machine import machine
from support.processes import Process, eventually, running

AT_ONCE = 16
LONGEST_SECONDS = 1800.0
TOLD_SECONDS = 10.0
_REQUESTS = re.compile(
    r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>\S+)$", re.MULTILINE
)
_PASSES = re.compile(
    r'^carrel_reconcile_seconds_count\{work="(?:grant|workspace)"\} (\S+)$', re.MULTILINE
)
_WRITING = {"APPLY", "CREATE", "DELETE", "PATCH", "POST", "PUT", "UPDATE"}


async def writes(cluster: Cluster) -> Counter[str]:
    """Return the writes that the API server has served so far, by resource."""
    text = (await cluster.request("GET", "/metrics")).body.decode()
    counted: Counter[str] = Counter()
    for found in _REQUESTS.finditer(text):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', found["labels"]))
        ours = labels.get("resource") not in {"leases", "events", "endpointslices"}
        if labels.get("verb") in _WRITING and ours and labels.get("code", "").startswith("2"):
            part = f"{labels['resource']}/{labels['subresource']}".rstrip("/")
            counted[part] += int(float(found["count"]))
    return counted


async def prepare(cluster: Cluster, count: int) -> None:
    """Make everything that the grants need, the grants and their approvals."""
    for obj in (
        examples.public_key(),
        examples.dataset(),
        examples.workspace_class(),
        examples.egress_policy(),
        examples.ready_node(),
    ):
        await cluster.create(obj)
    limit = asyncio.Semaphore(AT_ONCE)
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the server has its own clock

    async def one(number: int) -> None:
        async with limit:
            grant = await cluster.create(examples.grant(f"bench-{number:05}", now=now))
            await cluster.create(examples.approval(grant))

    await asyncio.gather(*(one(number) for number in range(count)))


class Pods:
    """How many pods are there, gated and open, told by a watch.

    Not by lists: two thousand pods every half second would cost the server, which shares
    these cores, more than the operator does.
    """

    def __init__(self) -> None:
        self._gated: dict[str, bool] = {}
        self._changed = asyncio.Event()

    async def follow(self, cluster: Cluster) -> None:
        """Count for ever."""
        async for change in cluster.watch(POD, labels="carrel.dev/role=workspace"):
            if change.type in {ChangeType.ADDED, ChangeType.MODIFIED}:
                obj = change.object
                self._gated[obj["metadata"]["uid"]] = bool(obj["spec"].get("schedulingGates"))
                self._changed.set()

    async def until(self, count: int, *, gated: bool) -> None:
        """Return when `count` pods are there, gated or open."""
        what = f"{count} pods, gated: {gated}"
        told = time.monotonic()
        async with asyncio.timeout(LONGEST_SECONDS):
            while (there := list(self._gated.values()).count(gated)) < count:
                self._changed.clear()
                await self._changed.wait()
                if time.monotonic() - told > TOLD_SECONDS:
                    told = time.monotonic()
                    say(f"{there} of {what}")
        say(f"there are {what}")


def say(what: str) -> None:
    """Tell whoever waits how far it is."""
    print(f"{time.strftime('%X')} {what}", file=sys.stderr, flush=True)


async def until_idle(cluster: Cluster, process: Process, *, passes: int) -> None:
    """Wait until the operator made its passes, has an empty queue and writes no more.

    An empty queue alone says nothing of an operator that has not yet read what there is.
    """

    async def idle() -> bool | None:
        try:
            metrics = await process.metrics()
        except OSError:
            return None
        before = await writes(cluster)
        await asyncio.sleep(3)
        seen = sum(float(each) for each in _PASSES.findall(metrics))
        empty = "carrel_queue_depth 0.0" in metrics and seen >= passes
        written = await writes(cluster) - before
        say(f"passes: {seen:.0f}, at rest: {empty}, written: {dict(written)}")
        return True if empty and not written else None

    await eventually(idle, within=LONGEST_SECONDS, what="rest")


def memory_mib(process: Process) -> dict[str, float]:
    """Return resident memory now and at its highest."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    values = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB", status, re.MULTILINE))
    return {name: round(int(value) / 1024, 1) for name, value in values.items()}


def cpu_seconds(process: Process) -> float:
    """Return the CPU time that a process has used."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def acknowledge(cluster: Cluster) -> None:
    """Play the node agent for every workspace."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(workspace: dict[str, object]) -> None:
        async with limit:
            await cluster.apply(examples.node_report(workspace), manager="carrel-node-node-1")

    await asyncio.gather(*(one(each) for each in await cluster.list(WORKSPACES)))


async def measure(kubeconfig: Path, count: int) -> dict[str, object]:
    """Run the three rounds; return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        async with connect(kubeconfig) as cluster:
            await prepare(cluster, count)
            before = await writes(cluster)
            with running("handlers", kubeconfig=kubeconfig, folder=Path(folder)) as process:
                pods = Pods()
                following = asyncio.create_task(pods.follow(cluster))
                begun = time.monotonic()
                await pods.until(count, gated=True)
                made = time.monotonic() - begun
                await until_idle(cluster, process, passes=2 * count)
                after = await writes(cluster)
                cpu = cpu_seconds(process)
                begun = time.monotonic()
                await acknowledge(cluster)
                acknowledged = time.monotonic() - begun
                await pods.until(count, gated=False)
                opened = time.monotonic() - begun
                await until_idle(cluster, process, passes=2 * count)
                following.cancel()
                cpu_opened = cpu_seconds(process) - cpu
                used = memory_mib(process)
                process.end()
            rested = await writes(cluster)
            with running("handlers", kubeconfig=kubeconfig, folder=Path(folder)) as process:
                begun = time.monotonic()
                await until_idle(cluster, process, passes=2 * count)
                looked = time.monotonic() - begun
                again = await writes(cluster)
                used_again = memory_mib(process)
    spent = after - before
    return {
        "grants": count,
        "grantsPerSecond": round(count / made, 1),
        "secondsUntilEveryPod": round(made, 1),
        "operatorCpuSecondsPerGrant": round(cpu / count, 4),
        "writesPerGrant": round(sum(spent.values()) / count, 2),
        "writesByResource": {k: round(v / count, 2) for k, v in sorted(spent.items())},
        "secondsUntilEveryViewAcknowledged": round(acknowledged, 1),
        "secondsUntilEveryGateOpen": round(opened, 1),
        "operatorCpuSecondsPerGateOpened": round(cpu_opened / count, 4),
        "memoryMiB": used,
        "resync": {
            "writes": sum((again - rested).values()),
            "secondsAtMost": round(looked, 1),
            "memoryMiB": used_again,
        },
    }


def main() -> None:
    """Measure and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grants", type=int, default=2000)
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    described = machine()
    with control_plane(controllers=False) as plane:
        figures = asyncio.run(measure(plane.kubeconfig, chosen.grants))
        described["loadAfter"] = [round(each, 1) for each in os.getloadavg()]
    text = json.dumps({"machine": described, "operator": figures}, indent=2) + "\n"
    print(text)
    if chosen.output:
        chosen.output.write_text(text)


if __name__ == "__main__":
    main()
