"""The lock as a process that can be killed, with an API server that is a file.

    python -m support.agent_process DIRECTORY [VERSION]

`DIRECTORY/cluster.json` holds the objects; whoever plays the cluster replaces the file. A lock
of version 2 loads other rules than one of version 1. Reports go nowhere.
"""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

from carrel.cluster import JSON, Ref, ref_of
from carrel.flows.clock import SystemClock
from carrel.ledger import LedgerBusyError
from carrel.node.journal import log_json
from carrel.render import nft
from support.fake_cluster import FakeCluster
from support.stand import lock_alone

LOOK_SECONDS = 0.02


def write_cluster(directory: Path, objects: list[JSON]) -> None:
    """Replace what the lock sees of the cluster."""
    arriving = directory / ".cluster.json"
    arriving.write_text(json.dumps(objects))
    arriving.replace(directory / "cluster.json")


async def follow(directory: Path, cluster: FakeCluster) -> None:
    """Make the cluster what the file says, again and again."""
    seen = ""
    while True:
        text = (directory / "cluster.json").read_text()
        if text != seen:
            seen = text
            await _become(cluster, json.loads(text))
        await asyncio.sleep(LOOK_SECONDS)


async def _become(cluster: FakeCluster, wanted: list[JSON]) -> None:
    refs = {ref_of(each): each for each in wanted}
    for ref in [each for each in cluster.objects if each.kind.kind == "Pod" and each not in refs]:
        await _remove(cluster, ref)
    for ref, each in refs.items():
        known = cluster.objects.get(ref)
        if known is not None and known["metadata"].get("uid") != each["metadata"]["uid"]:
            await _remove(cluster, ref)
            known = None
        if known is None:
            cluster.bring(each)
        elif each.get("status", {}) != cluster.objects[ref].get("status", {}):
            cluster.set_status(ref, each["status"])


async def _remove(cluster: FakeCluster, ref: Ref) -> None:
    await cluster.delete(ref, grace=1)
    if ref in cluster.objects:
        cluster.end_pod(ref)


async def main(directory: Path, version: str) -> None:
    """Run until killed."""
    if version == "2":
        nft._TELL = nft._TELL.replace("320", "300")
    log_json()
    logging.getLogger().setLevel(logging.WARNING)
    clock = SystemClock()
    cluster = FakeCluster(now=clock.now)
    await _become(cluster, _read(directory))
    while True:
        try:
            async with lock_alone(directory, cluster=cluster):
                await follow(directory, cluster)
        except LedgerBusyError:  # as `open_own_chain`: the agent before us still writes
            await asyncio.sleep(LOOK_SECONDS)


def _read(directory: Path) -> list[Any]:
    return list(json.loads((directory / "cluster.json").read_text()))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *(sys.argv[2:] or ["1"])))
