"""Writing NodeReports: what one process saw goes to the API server, once per change."""

import asyncio
import logging
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from carrel.cluster import Cluster, KindRef, Ref
from carrel.cluster.errors import ClusterError
from carrel.flows.clock import Clock
from carrel.kinds import NodeReport
from carrel.kinds.node_report import NodeReportSpec, NodeReportStatus
from carrel.kinds.resource import API_VERSION
from carrel.kinds.workspace import StartStep
from carrel.node.watched import Identity
from carrel.rules.condition import settle
from carrel.rules.names import node_report_name

log = logging.getLogger(__name__)

NODE_REPORT = KindRef.of(NodeReport)
_FIRST_RETRY = 0.2
_LONGEST_RETRY = 10.0


class Reporter:
    """Keeps what is to be said about each workspace and writes what is not yet written.

    Each process writes its own part of a report under a field manager of its own, so the parts
    never meet; what cannot be written now is written later, in its newest form.
    """

    def __init__(self, cluster: Cluster, *, node: str, manager: str, clock: Clock) -> None:
        self._cluster = cluster
        self._node = node
        self._manager = manager
        self._clock = clock
        self._said: dict[Identity, NodeReportStatus] = {}
        self._written: dict[Identity, NodeReportStatus] = {}
        self._unwanted: set[Identity] = set()
        self._work = asyncio.Event()

    def known(self, about: Identity) -> NodeReportStatus | None:
        """Return what was last said about a workspace."""
        return self._said.get(about)

    def identity(self, *, namespace: str, workspace: str) -> Identity | None:
        """Return whom an earlier report of this node was about, for a workspace that is gone."""
        found = (
            each for each in self._said if (each.namespace, each.name) == (namespace, workspace)
        )
        return next(found, None)

    def spoken_of(self) -> tuple[Identity, ...]:
        """Return every workspace of which something was said."""
        return tuple(self._said)

    def remember(self, raw: Iterable[dict[str, Any]], *, conditions: frozenset[str]) -> None:
        """Take up what an earlier process of this kind wrote: only its own conditions."""
        for each in raw:
            try:
                report = NodeReport.model_validate(each)
            except ValueError:
                continue  # a report of another version: it is written anew
            if report.spec.node != self._node:
                continue
            about = Identity(
                report.spec.namespace, report.spec.workspace, report.spec.workspace_uid
            )
            own = tuple(each for each in report.status.conditions if each.type in conditions)
            if own:
                kept = NodeReportStatus(conditions=own, pod_uid=report.status.pod_uid)
                self._said.setdefault(about, kept)

    def say(self, about: Identity, status: NodeReportStatus) -> None:
        """Say what is now true of a workspace; only the fields that were set are written."""
        before = self._said.get(about)
        present = before.conditions if before else ()
        settled = settle(status.conditions, present=present, now=self._clock.now())
        self._said[about] = status.model_copy(update={"conditions": settled})
        self._unwanted.discard(about)
        self._work.set()

    def retire(self, about: Identity) -> None:
        """Say nothing more about a workspace; what was written stays for others to delete."""
        if self._said.get(about) == self._written.get(about):
            self._said.pop(about, None)
            self._written.pop(about, None)

    def forget(self, about: Identity) -> None:
        """Delete the report about a workspace that is gone."""
        self._said.pop(about, None)
        self._unwanted.add(about)
        self._work.set()

    async def run(self) -> None:
        """Write for ever; errors are waited out."""
        pause = _FIRST_RETRY
        while True:
            await self._work.wait()
            self._work.clear()
            if await self._write_all():
                pause = _FIRST_RETRY
                continue
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_RETRY)
            self._work.set()

    async def _write_all(self) -> bool:
        done = True
        for about in list(self._unwanted):
            done &= await self._delete(about)
        for about, status in list(self._said.items()):
            if self._written.get(about) != status:
                done &= await self._write(about, status)
        return done

    async def _write(self, about: Identity, status: NodeReportStatus) -> bool:
        try:
            await self._cluster.apply(self._wire(about, status), manager=self._manager)
        except ClusterError as error:
            log.warning("report not written", extra={"about": about.name, "error": str(error)})
            return False
        self._written[about] = status
        return True

    async def _delete(self, about: Identity) -> bool:
        name = node_report_name(node=self._node, workspace=about.name)
        try:
            await self._cluster.delete(Ref(NODE_REPORT, name))
        except ClusterError as error:
            log.warning("report not deleted", extra={"about": about.name, "error": str(error)})
            return False
        self._unwanted.discard(about)
        self._written.pop(about, None)
        return True

    def _wire(self, about: Identity, status: NodeReportStatus) -> dict[str, Any]:
        spec = NodeReportSpec(
            node=self._node,
            namespace=about.namespace,
            workspace=about.name,
            workspace_uid=about.uid,
        )
        name = node_report_name(node=self._node, workspace=about.name)
        return {
            "apiVersion": API_VERSION,
            "kind": NodeReport.resource.kind,
            "metadata": {"name": name},
            "spec": spec.to_wire(),
            # Only what was said: a default would take the field from the process that owns it.
            "status": status.model_dump(
                mode="json", by_alias=True, exclude_none=True, exclude_unset=True
            ),
        }


def step(name: str, at: datetime) -> StartStep:
    """Return a step of a start, to the millisecond."""
    text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return StartStep(step=name, at=text)
