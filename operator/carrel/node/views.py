"""`python -m carrel.node views`: builds dataset views and reads figures of workspaces' checks.

Root without privileges: it reads manifests and one small file of a home, both with distrust.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from carrel.cluster import Cluster, Ref, connect
from carrel.cluster.errors import ClusterError
from carrel.cluster.refs import NODE
from carrel.flows.clock import Clock, SystemClock
from carrel.kinds.node_report import Figure, NodeReportStatus
from carrel.kinds.resource import Condition, ConditionStatus
from carrel.kinds.workspace import Admission, SelfCheck
from carrel.ledger import Activity, Event, Ledger, LedgerError, RecordClass
from carrel.node.health import Health
from carrel.node.manifest import ViewError
from carrel.node.process import open_own_chain, until_stopped
from carrel.node.report import Reporter, step
from carrel.node.selfcheck import Outcome, ResultError, read_result
from carrel.node.settings import Settings
from carrel.node.view_tree import Built, Views
from carrel.node.wanted import Wanted, read_wanted
from carrel.node.watched import Identity, MalformedError
from carrel.node.world import Place, World
from carrel.rules.condition import condition, is_true
from carrel.rules.facts import HOME_FOLDER

log = logging.getLogger(__name__)

PROCESS = "node-views"
MANAGER = "carrel-node-views"
READY_LABEL = "carrel.dev/views"
_LOOK = 2.0
_LABEL_AGAIN = 30.0
_SLACK = timedelta(seconds=2)
"""A file's time is to the second on some file systems."""
_TRUE, _FALSE, _UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


class ViewKeeper:
    """Has the view of every open workspace in place; a view goes only when nothing runs."""

    def __init__(
        self,
        world: World,
        *,
        views: Views,
        store_root: Path,
        node: str,
        reporter: Reporter,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._world = world
        self._views = views
        self._homes = store_root / "homes"
        self._node = node
        self._reporter = reporter
        self._ledger = ledger
        self._clock = clock
        self._verified: dict[Identity, str] = {}

    async def run(self) -> None:
        """Keep views for ever."""
        while True:
            await self._world.wait(_LOOK)
            if not self._world.complete:
                continue
            for place, raw in list(self._world.workspaces.items()):
                try:
                    await self._attend(place, raw)
                except (OSError, LedgerError):
                    log.exception("view not attended", extra={"at": "/".join(place)})
            await self._sweep()

    async def _attend(self, place: Place, raw: Mapping[str, Any]) -> None:
        try:
            wanted = read_wanted(raw)
        except MalformedError as error:
            log.warning("workspace unreadable", extra={"at": "/".join(place), "why": str(error)})
            return
        if wanted.admission is Admission.CLOSED:
            await self._close(place, wanted)
            return
        ready, digest = await self._ready(wanted)
        checked, figures = await self._checked(place, wanted)
        self._say(wanted.about, ready, checked, digest=digest, figures=figures)

    async def _ready(self, wanted: Wanted) -> tuple[Condition, str | None]:
        digest, name = wanted.view_digest, wanted.about.name
        known = self._reporter.known(wanted.about)
        if self._verified.get(wanted.about) == digest and known is not None:
            return known.conditions[0], digest
        try:
            if await asyncio.to_thread(self._in_place, wanted):
                message = "The view is in place and holds what its manifests say."
            else:
                message = _sentence(await self._build(wanted))
        except ViewError as error:
            return condition("ViewReady", _FALSE, error.reason, str(error)), None
        except OSError as error:
            return condition(
                "ViewReady", _FALSE, "StoreFailed", f"The node's store failed on {name}: {error}"
            ), None
        self._verified[wanted.about] = digest
        return condition("ViewReady", _TRUE, "Built", message), digest

    def _in_place(self, wanted: Wanted) -> bool:
        """Tell whether the view that an earlier process built is whole."""
        if self._views.digest(wanted.about.name) != wanted.view_digest:
            return False
        try:
            self._views.verify(wanted.about.name, wanted.datasets)
        except ViewError as error:
            log.warning("view is built again", extra={"why": str(error)})
            return False
        return True

    async def _build(self, wanted: Wanted) -> tuple[Built, int]:
        began = time.perf_counter()
        built = await asyncio.to_thread(
            self._views.build, wanted.about.name, wanted.datasets, digest=wanted.view_digest
        )
        spent = round((time.perf_counter() - began) * 1000)
        await self._record(
            Activity.VIEW_BUILT,
            wanted.about,
            wanted=wanted,
            viewDigest=wanted.view_digest,
            files=built.files,
            bytes=built.bytes,
            milliseconds=spent,
        )
        return built, spent

    async def _close(self, place: Place, wanted: Wanted) -> None:
        present = wanted.about.name in self._views.present()
        if present and not self._world.lock_word(place).empty:
            return
        if present:
            await self._remove(wanted.about, wanted)
        ready = condition("ViewReady", _FALSE, "GrantNotInForce", "Views are for grants in force.")
        self._say(wanted.about, ready, _not_checked(), digest=None, figures=())

    async def _remove(self, about: Identity, wanted: Wanted | None) -> None:
        self._verified.pop(about, None)
        await asyncio.to_thread(self._views.remove, about.name)
        await self._record(Activity.VIEW_REMOVED, about, wanted=wanted)

    async def _sweep(self) -> None:
        """Remove views of workspaces that are gone, and then the report about them."""
        names = {name for _, name in self._world.workspaces}
        views = self._views.present()
        for place, raw in list(self._world.reports.items()):
            if place in self._world.workspaces or not self._world.lock_word(place).empty:
                continue
            about = Identity(*place, raw["spec"]["workspaceUID"])
            if place[1] in views and place[1] not in names:
                await self._remove(about, None)
            self._reporter.forget(about)

    async def _checked(self, place: Place, wanted: Wanted) -> tuple[Condition, tuple[Figure, ...]]:
        word = self._world.lock_word(place)
        if wanted.self_check is SelfCheck.NONE or word.proven_at is None:
            return _not_checked(), ()
        known = self._reporter.known(wanted.about)
        before = known.conditions[1] if known else None
        if before and before.reason in {*Outcome} and known and self._after(known, word.proven_at):
            return before, known.figures
        try:
            found = await asyncio.to_thread(
                read_result, self._homes / wanted.home_name / HOME_FOLDER
            )
        except ResultError as error:
            return condition("SelfChecked", _FALSE, "ResultMalformed", f"{error}."), ()
        if found is None or _written(found.written) < word.proven_at - _SLACK:
            return _not_checked(), ()
        result = found.result
        message = (
            f"{result.slices} slices of {result.rows} x {result.columns} loaded from one of "
            f"{result.series} series; writing to the data {result.write_refused.lower()}, "
            f"reaching out {result.connect_refused.lower()}."
        )
        status = _TRUE if result.outcome is Outcome.PASSED else _FALSE
        return condition("SelfChecked", status, result.outcome, message), result.figures()

    def _after(self, known: NodeReportStatus, moment: datetime) -> bool:
        times = [
            each.last_transition_time for each in known.conditions if each.type == "SelfChecked"
        ]
        return any(at is not None and at >= moment - _SLACK for at in times)

    def _say(
        self,
        about: Identity,
        ready: Condition,
        checked: Condition,
        *,
        digest: str | None,
        figures: tuple[Figure, ...],
    ) -> None:
        known = self._reporter.known(about)
        steps = known.steps if known else ()
        if ready.status is not _TRUE:
            steps = ()
        elif not known or not is_true(known.conditions, "ViewReady"):
            steps = (step("ViewReady", self._clock.now()),)
        self._reporter.say(
            about,
            NodeReportStatus(
                conditions=(ready, checked), view_digest=digest, figures=figures, steps=steps
            ),
        )

    async def _record(
        self,
        activity: Activity,
        about: Identity,
        *,
        wanted: Wanted | None,
        **detail: str | int,
    ) -> None:
        event = Event(
            activity=activity,
            time=self._clock.now(),
            actor=PROCESS,
            grant=wanted.grant if wanted else None,
            grant_uid=wanted.grant_uid if wanted else None,
            workspace=about.name,
            node=self._node,
            detail=detail,
        )
        # The view becomes visible to a workspace only by the report that follows this.
        await self._ledger.append(event, record_class=RecordClass.BEFORE)


def _sentence(done: tuple[Built, int]) -> str:
    built, spent = done
    return f"{built.files:,} files of {built.bytes:,} bytes, linked in {spent} ms."


def _not_checked() -> Condition:
    return condition("SelfChecked", _UNKNOWN, "NotReported", "The check has not reported yet.")


def _written(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


async def keep_label(cluster: Cluster, *, views: Views, node: str) -> None:
    """Say on the Node object that views can be built here, for as long as it is true."""
    said: str | None = None
    while True:
        try:
            await asyncio.to_thread(views.prepare)
            usable: str | None = "ready"
        except OSError as error:
            log.warning("store unusable", extra={"error": str(error)})
            usable = None
        try:
            found = await cluster.get(Ref(NODE, node))
            labels = ((found or {}).get("metadata") or {}).get("labels") or {}
            if labels.get(READY_LABEL) != usable:
                patch = {"metadata": {"labels": {READY_LABEL: usable}}}
                await cluster.patch(Ref(NODE, node), patch, manager=MANAGER)
            said = usable
        except ClusterError as error:
            log.warning("node not labelled", extra={"error": str(error)})
        await asyncio.sleep(_LABEL_AGAIN if said == usable else 1.0)


async def run(settings: Settings) -> None:
    """Run until SIGTERM; views stay in place."""
    clock, health = SystemClock(), Health()
    views = Views(settings.store_root)
    async with connect(settings.kubeconfig, user_agent=MANAGER) as cluster:
        reporter = Reporter(cluster, node=settings.node_name, manager=MANAGER, clock=clock)
        world = World(cluster, node=settings.node_name, health=health)
        with await open_own_chain(settings, PROCESS) as ledger:
            views.prepare()
            keeper = ViewKeeper(
                world,
                views=views,
                store_root=settings.store_root,
                node=settings.node_name,
                reporter=reporter,
                ledger=ledger,
                clock=clock,
            )
            await until_stopped(
                world.run(),
                reporter.run(),
                keeper.run(),
                keep_label(cluster, views=views, node=settings.node_name),
                health.serve(settings.metrics_port),
            )
