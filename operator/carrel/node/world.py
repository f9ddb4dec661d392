"""The Workspaces and NodeReports of one node, followed for views and homes."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from carrel.cluster import ChangeType, Cluster, KindRef
from carrel.kinds import Workspace
from carrel.node.health import Health
from carrel.node.report import NODE_REPORT

WORKSPACE = KindRef.of(Workspace)
Place = tuple[str, str]
"""Namespace and name of a Workspace."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LockWord:
    """What the lock process of this node says of a workspace."""

    empty: bool
    """Nothing of it runs."""
    pod_uid: str | None
    proven_at: datetime | None
    """When the gate of the present pod was passed."""


SILENCE = LockWord(empty=False, pod_uid=None, proven_at=None)


class World:
    """Keeps what concerns this node and wakes whoever waits for a change."""

    def __init__(self, cluster: Cluster, *, node: str, health: Health) -> None:
        self._cluster = cluster
        self._node = node
        self._health = health
        self._synced: set[str] = set()
        self.workspaces: dict[Place, Mapping[str, Any]] = {}
        self.reports: dict[Place, Mapping[str, Any]] = {}
        self.changed = asyncio.Event()

    @property
    def complete(self) -> bool:
        """Whether everything that exists was heard: before, absence proves nothing."""
        return self._synced >= {WORKSPACE.kind, NODE_REPORT.kind}

    async def run(self) -> None:
        """Follow for ever."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(WORKSPACE))
            tasks.create_task(self._follow(NODE_REPORT))

    def lock_word(self, place: Place) -> LockWord:
        """Return what the lock process says of a workspace."""
        status = self.reports.get(place, {}).get("status") or {}
        true = {
            each.get("type") for each in status.get("conditions") or () if each["status"] == "True"
        }
        steps = {each["step"]: each["at"] for each in status.get("steps") or ()}
        at = steps.get("GateProven") if "GateProven" in true else None
        return LockWord(
            empty="CgroupEmpty" in true,
            pod_uid=status.get("podUID"),
            proven_at=datetime.fromisoformat(at) if at else None,
        )

    async def wait(self, seconds: float) -> None:
        """Return when something changed, or after `seconds`."""
        try:
            # Not wait_for: in Python 3.11 it can swallow a cancellation (bpo-42130).
            async with asyncio.timeout(seconds):
                await self.changed.wait()
        except TimeoutError:
            return
        self.changed.clear()

    async def _follow(self, kind: KindRef) -> None:
        pulse = self._health.pulse(kind.kind)
        async for change in self._cluster.watch(kind, pulse=pulse):
            if change.type is ChangeType.SYNCED:
                self._synced.add(kind.kind)
                self.changed.set()
            elif kind is WORKSPACE:
                self._hear_workspace(change.object, gone=change.type is ChangeType.DELETED)
            else:
                self._hear_report(change.object, gone=change.type is ChangeType.DELETED)

    def _hear_workspace(self, raw: Mapping[str, Any], *, gone: bool) -> None:
        place = (raw["metadata"]["namespace"], raw["metadata"]["name"])
        here = not gone and self._node in (raw.get("spec", {}).get("nodes") or ())
        if here:
            self.workspaces[place] = raw
        elif self.workspaces.pop(place, None) is None:
            return
        self.changed.set()

    def _hear_report(self, raw: Mapping[str, Any], *, gone: bool) -> None:
        if gone:
            # A deleted object is told with its metadata alone: find it by its name.
            name = raw["metadata"]["name"]
            found = [p for p, each in self.reports.items() if each["metadata"]["name"] == name]
            for place in found:
                del self.reports[place]
            return
        spec = raw.get("spec") or {}
        if spec.get("node") == self._node:
            place = (spec["namespace"], spec["workspace"])
            before = self.lock_word(place)
            self.reports[place] = raw
            if self.lock_word(place) != before:
                self.changed.set()
