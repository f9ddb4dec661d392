"""How long it takes from applying an approved grant to a Ready workspace, and where it goes.

    python tests/bench/start_latency.py --instance carrel --starts 20 --output FILE.json

On a running embedded cluster with Carrel and the demo's dataset, images already there. Each
start is a grant of its own (`carrel.dev/start: Running`), applied and approved as the demo's
people; a watch notes when each condition of its Workspace turns True. Grants are deleted
again, one by one, so that every start finds the same cluster.
"""

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from carrel.cluster import Cluster, KindRef, Ref, connect
from carrel.cluster.protocol import ChangeType
from carrel.embedded import Person, find_instance
from carrel.kinds import Workspace
from cluster.story import grants

STEPS = ("ViewReady", "HomeReady", "PolicyEnforced", "Locked", "Started", "Ready")


async def one_start(
    grant_admin: Cluster, approver: Cluster, admin: Cluster, *, number: int
) -> dict[str, float]:
    """Return seconds from apply until each step was seen, for one fresh grant."""
    name = f"bench-start-{os.getpid()}-{number}"
    grant = await grants.sound(admin, name=name, researcher="demo-researcher")
    grant["metadata"]["annotations"] = {"carrel.dev/start": "Running"}
    began = time.monotonic()
    await grant_admin.create(grant)
    await grants.approved(approver, name=name)
    seen: dict[str, float] = {"Approved": time.monotonic() - began}
    try:
        async with asyncio.timeout(180):
            async for change in admin.watch(KindRef.of(Workspace)):
                if change.type is ChangeType.SYNCED:
                    continue
                if change.object["spec"]["grant"]["name"] != name:
                    continue
                for item in change.object.get("status", {}).get("conditions", []):
                    if item["status"] == "True" and item["type"] in STEPS:
                        seen.setdefault(item["type"], time.monotonic() - began)
                if "Ready" in seen:
                    break
    finally:
        await grants.gone(admin, Ref(grants.GRANTS, name), seconds=180)
    return seen


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return minimum, median, 95th percentile and maximum in seconds."""
    ordered = sorted(values)
    return {
        "min": round(ordered[0], 3),
        "p50": round(statistics.median(ordered), 3),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 3),
        "max": round(ordered[-1], 3),
    }


async def measure(instance_name: str, *, starts: int) -> dict[str, object]:
    """Return the figures of `starts` starts, after one that is not counted."""
    instance = find_instance(instance_name)
    async with (
        connect(instance.kubeconfig(Person.GRANT_ADMIN)) as grant_admin,
        connect(instance.kubeconfig(Person.APPROVER)) as approver,
        connect(instance.kubeconfig(Person.ADMIN)) as admin,
    ):
        rows: list[dict[str, float]] = []
        for number in range(starts + 1):
            row = await one_start(grant_admin, approver, admin, number=number)
            print(number, {k: round(v, 2) for k, v in row.items()}, file=sys.stderr, flush=True)
            if number:
                rows.append(row)
    return {
        "what": "seconds from applying a grant until each step was seen",
        "starts": starts,
        "steps": {step: spread([row[step] for row in rows]) for step in ("Approved", *STEPS)},
        "machine": {
            "processors": os.cpu_count(),
            "kernel": platform.release(),
            "load": os.getloadavg(),
        },
    }


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instance", default="carrel", help="embedded instance")
    parser.add_argument("--starts", type=int, default=20, help="starts that count")
    parser.add_argument("--output", type=Path, help="file for the figures; default is stdout")
    given = parser.parse_args()
    figures = json.dumps(asyncio.run(measure(given.instance, starts=given.starts)), indent=1)
    if given.output:
        given.output.write_text(figures + "\n")
    else:
        print(figures)


if __name__ == "__main__":
    main()
