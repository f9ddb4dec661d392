"""`python -m carrel.node homes`: mounts homes where the host sees them, and deletes them in time.

Privileged, because only such a process may mount for the host; so it reads nothing in a home.
"""

import logging

from carrel.cluster import connect
from carrel.flows.clock import Clock, SystemClock
from carrel.kinds.node_report import NodeReportStatus
from carrel.kinds.resource import Condition, ConditionStatus
from carrel.kinds.workspace import Admission
from carrel.ledger import Activity, Event, Ledger, LedgerError, RecordClass
from carrel.node.health import Health
from carrel.node.home_image import Change, HomeError, Homes
from carrel.node.process import open_own_chain, until_stopped
from carrel.node.report import Reporter, step
from carrel.node.settings import HomeProvision, Settings
from carrel.node.wanted import Wanted, read_wanted
from carrel.node.watched import Identity, MalformedError
from carrel.node.world import Place, World
from carrel.rules.condition import condition, is_true

log = logging.getLogger(__name__)

PROCESS = "node-homes"
MANAGER = "carrel-node-homes"
OWN = frozenset({"HomeReady", "HomeReleased"})
_LOOK = 5.0
_TRUE, _FALSE = ConditionStatus.TRUE, ConditionStatus.FALSE


class HomeKeeper:
    """Has the home of every workspace of this node in place, until its time has come."""

    def __init__(
        self,
        world: World,
        *,
        homes: Homes,
        node: str,
        reporter: Reporter,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._world = world
        self._homes = homes
        self._node = node
        self._reporter = reporter
        self._ledger = ledger
        self._clock = clock

    async def run(self) -> None:
        """Keep homes for ever."""
        self._homes.prepare()
        while True:
            await self._world.wait(_LOOK)
            if self._world.complete:
                for place, raw in list(self._world.workspaces.items()):
                    try:
                        await self._attend(place, read_wanted(raw))
                    except MalformedError as error:
                        log.warning("workspace unreadable", extra={"why": str(error)})
                self._retire()

    async def _attend(self, place: Place, wanted: Wanted) -> None:
        try:
            if wanted.home_is_due(self._clock.now()):
                await self._release(place, wanted)
            elif wanted.admission is Admission.CLOSED:
                # A home that is mounted stays so, for a grant that comes back into force.
                self._say_closed(wanted)
            else:
                await self._ensure(wanted)
        except (HomeError, OSError) as error:
            reason = error.reason if isinstance(error, HomeError) else "HomeFailed"
            self._say(wanted.about, ready=condition("HomeReady", _FALSE, reason, str(error)))
        except LedgerError as error:
            self._say(wanted.about, ready=condition("HomeReady", _FALSE, "NotRecorded", str(error)))

    async def _ensure(self, wanted: Wanted) -> None:
        change = await self._homes.ensure(wanted.home_name, size_mib=wanted.home.size_mib)
        if change is Change.MADE:
            await self._record(Activity.HOME_MADE, wanted, RecordClass.AFTER)
        elif change is Change.MOUNTED:
            await self._record(Activity.HOME_MOUNTED, wanted, RecordClass.AFTER)
        known = self._reporter.known(wanted.about)
        if change is Change.NONE and known and is_true(known.conditions, "HomeReady"):
            return
        size = f"The home of {wanted.home.size_mib:,} MiB is mounted."
        self._say(wanted.about, ready=condition("HomeReady", _TRUE, "Mounted", size))

    def _say_closed(self, wanted: Wanted) -> None:
        if self._reporter.known(wanted.about) is None:
            closed = "Homes are mounted for grants in force."
            self._say(wanted.about, ready=condition("HomeReady", _FALSE, "GrantNotInForce", closed))

    async def _release(self, place: Place, wanted: Wanted) -> None:
        known = self._reporter.known(wanted.about)
        if known and is_true(known.conditions, "HomeReleased"):
            return
        if not self._world.lock_word(place).empty:
            waits = "The home's time has come; the node waits until nothing runs any more."
            self._say(wanted.about, ready=condition("HomeReady", _FALSE, "WaitsForEnd", waits))
            return
        there = await self._homes.release(wanted.home_name)
        if there:
            await self._record(Activity.HOME_DELETED, wanted, RecordClass.STOP)
        gone = "The home was deleted: its time had come." if there else "There is no home here."
        self._say(
            wanted.about,
            ready=condition("HomeReady", _FALSE, "HomeDeleted", gone),
            released=condition("HomeReleased", _TRUE, "HomeDeleted", gone),
        )

    def _retire(self) -> None:
        for about in self._reporter.spoken_of():
            if (about.namespace, about.name) not in self._world.workspaces:
                self._reporter.retire(about)

    def _say(
        self,
        about: Identity,
        *,
        ready: Condition,
        released: Condition | None = None,
    ) -> None:
        kept = condition("HomeReleased", _FALSE, "Kept", "The home has not been deleted.")
        status = NodeReportStatus(conditions=(ready, released or kept))
        if ready.status is _TRUE:
            known = self._reporter.known(about)
            steps = known.steps if known else ()
            at = steps or (step("HomeReady", self._clock.now()),)
            status = NodeReportStatus(conditions=status.conditions, steps=at)
        self._reporter.say(about, status)

    async def _record(self, activity: Activity, wanted: Wanted, how: RecordClass) -> None:
        event = Event(
            activity=activity,
            time=self._clock.now(),
            actor=PROCESS,
            grant=wanted.grant,
            grant_uid=wanted.grant_uid,
            workspace=wanted.about.name,
            node=self._node,
            detail={"home": wanted.home_name, "sizeMiB": wanted.home.size_mib},
        )
        await self._ledger.append(event, record_class=how)


async def run(settings: Settings) -> None:
    """Run until SIGTERM; homes stay mounted."""
    clock, health = SystemClock(), Health()
    if settings.homes is HomeProvision.STORAGE_CLASS:
        log.info("homes are claims of a StorageClass; nothing to do")
        await until_stopped(health.serve(settings.metrics_port))
        return
    async with connect(settings.kubeconfig, user_agent=MANAGER) as cluster:
        reporter = Reporter(cluster, node=settings.node_name, manager=MANAGER, clock=clock)
        world = World(cluster, node=settings.node_name, health=health)
        with await open_own_chain(settings, PROCESS) as ledger:
            keeper = HomeKeeper(
                world,
                homes=Homes(settings.store_root),
                node=settings.node_name,
                reporter=reporter,
                ledger=ledger,
                clock=clock,
            )
            await until_stopped(
                world.run(), reporter.run(), keeper.run(), health.serve(settings.metrics_port)
            )
