"""The revoker process: own watches, own clock, deletes pods and creates nothing.

It shares no state with the operator, so that neither a burst of new grants nor a dead
operator delays a stop.
"""

import asyncio
import logging
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from carrel.cluster import ChangeType, Cluster, KindRef, Ref, connect
from carrel.cluster.errors import ClusterError, Conflict
from carrel.cluster.refs import POD
from carrel.flows.clock import Clock, SystemClock, wait_until
from carrel.flows.process import endpoint
from carrel.kinds import AccessGrant
from carrel.ledger import Activity, Event, Ledger, LedgerError, RecordClass, open_chain
from carrel.render.labels import GRANT_UID
from carrel.revoker.register import Condemned, Reason, Register
from carrel.revoker.settings import Settings

_log = logging.getLogger(__name__)

GRANTS = KindRef.of(AccessGrant)
ACTOR = "carrel-revoker"
LIST_SECONDS = 10
"""A watch may be dead without a sign; a full list finds what it did not tell."""

_GRACE_SECONDS = 1
_DEAD_AFTER = timedelta(seconds=150)
_RETRY = timedelta(seconds=1)
_AT_ONCE = 16


class Revoker:
    """Deletes every pod whose grant is not in force."""

    def __init__(
        self, cluster: Cluster, ledger: Ledger, clock: Clock, *, registry: CollectorRegistry
    ) -> None:
        self._cluster = cluster
        self._ledger = ledger
        self._clock = clock
        self._register = Register()
        self._wake = asyncio.Event()
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._told: dict[KindRef, datetime] = {}
        self._listed = clock.now()
        self._deleted = Counter(
            "carrel_revoked_pods", "Pods deleted", ["reason"], registry=registry
        )
        self._failed = Counter(
            "carrel_revoke_failures", "Deletions that failed and are tried again", registry=registry
        )
        Gauge("carrel_revoker_pods", "Pods watched", registry=registry).set_function(
            lambda: float(self._register.pods)
        )

    async def run(self) -> None:
        """Revoke for ever."""
        await self._list()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(GRANTS))
            group.create_task(self._watch(POD))
            group.create_task(self._list_for_ever())
            group.create_task(self._revoke_for_ever())

    def health(self) -> str | None:
        """Say that a watch is dead although the server answers, if so."""
        now = self._clock.now()
        if now - self._listed > timedelta(seconds=3 * LIST_SECONDS):
            return None  # the server is away, and starting anew would forget what we know
        dead = [kind.plural for kind, at in self._told.items() if now - at > _DEAD_AFTER]
        return f"the watch of {', '.join(dead)} is dead" if dead else None

    async def revoke(self) -> bool:
        """Delete every pod that may not run now; tell whether all of it was done."""
        condemned = list(self._register.condemned(now=self._clock.now()))
        missing = {each.uid for each in condemned if each.reason is Reason.MISSING}
        if missing:
            # A new grant may be told after its pod: only a list made now proves it missing,
            # and it proves nothing about pods that were told meanwhile.
            await self._list()
            condemned = [
                each
                for each in self._register.condemned(now=self._clock.now())
                if each.reason is not Reason.MISSING or each.uid in missing
            ]
        return all(await asyncio.gather(*(self._delete(each) for each in condemned)))

    async def _revoke_for_ever(self) -> None:
        while True:
            self._wake.clear()
            try:
                done = await self.revoke()
            except ClusterError as error:
                _log.warning("revoking put off: %s", error)
                done = False
            now = self._clock.now()
            again = self._register.next_end(now=now) if done else now + _RETRY
            await wait_until(again, clock=self._clock, wake=self._wake)

    async def _delete(self, condemned: Condemned) -> bool:
        ref = Ref(POD, condemned.name, condemned.namespace)
        try:
            async with self._limit:
                await self._cluster.delete(ref, grace=_GRACE_SECONDS, uid=condemned.uid)
        except Conflict:
            return True  # another pod has the name by now; the watch will tell of it
        except ClusterError as error:
            _log.warning("%s: %s", ref, error)
            self._failed.inc()
            return False
        self._register.asked(condemned.uid, now=self._clock.now())
        self._deleted.labels(condemned.reason).inc()
        _log.info("deleted %s of %s: %s", ref, condemned.grant_uid, condemned.reason)
        await self._record(condemned)
        return True

    async def _record(self, condemned: Condemned) -> None:
        event = Event(
            activity=Activity.POD_DELETED,
            time=self._clock.now(),
            actor=ACTOR,
            grant=self._register.grant_name(condemned.grant_uid),
            grant_uid=condemned.grant_uid or None,
            workspace=condemned.workspace,
            pod_uid=condemned.uid,
            detail={"reason": condemned.reason.value},
        )
        try:
            await self._ledger.append(event, record_class=RecordClass.STOP)
        except LedgerError as error:
            # The act stands; that its record is missing is itself in the log and the metrics.
            _log.error("not recorded: %s", error)

    async def _list(self) -> None:
        before = self._register.versions()
        # Pods first: the grant of every pod that is listed was there before, and is listed too.
        pods = await self._cluster.list(POD, labels=GRANT_UID)
        grants = await self._cluster.list(GRANTS)
        self._register.merge(grants=grants, pods=pods, before=before)
        self._listed = self._clock.now()

    async def _list_for_ever(self) -> None:
        while True:
            await wait_until(self._clock.now() + timedelta(seconds=LIST_SECONDS), clock=self._clock)
            try:
                await self._list()
            except ClusterError as error:
                _log.warning("list put off: %s", error)
            self._wake.set()

    async def _watch(self, kind: KindRef) -> None:
        self._pulse(kind)
        labels = GRANT_UID if kind == POD else None
        changes = self._cluster.watch(kind, labels=labels, pulse=lambda: self._pulse(kind))
        async for change in changes:
            gone = change.type is ChangeType.DELETED
            if change.type is ChangeType.SYNCED:
                continue
            if gone:
                self._register.remove(change.object)
            elif kind == POD:
                self._register.put_pod(change.object)
            else:
                self._register.put_grant(change.object)
            self._wake.set()

    def _pulse(self, kind: KindRef) -> None:
        self._told[kind] = self._clock.now()


async def run(settings: Settings) -> None:
    """Run the revoker until it is cancelled."""
    clock = SystemClock()
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    async with connect(settings.kubeconfig, user_agent=ACTOR) as cluster:
        with open_chain(settings.ledger_dir, process="revoker", clock=clock) as ledger:
            revoker = Revoker(cluster, ledger, clock, registry=registry)

            def health() -> str | None:
                return revoker.health() or ledger.trouble or None

            async with endpoint(port=settings.metrics_port, health=health, registry=registry):
                _log.info("the revoker begins")
                await revoker.run()
