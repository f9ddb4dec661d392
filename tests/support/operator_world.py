"""The operator's flows on the fake cluster, without Kopf, time or a disk."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry
from typing_extensions import override

from carrel.cluster import JSON, Change, ChangeType, Ref
from carrel.cluster.refs import POD, KindRef, ref_of
from carrel.flows.clock import FixedClock
from carrel.flows.store import GRANTS, REMEMBERED, WORKSPACES, Source, Store
from carrel.flows.surroundings import Surroundings
from carrel.handlers.feed import Feed
from carrel.handlers.queue import WorkQueue
from carrel.handlers.routes import all_keys
from carrel.handlers.workers import FLOWS
from carrel.ledger import Event, Ledger, Receipt, RecordClass
from support import examples
from support.fake_cluster import FakeCluster

MOST_PASSES = 500
LAZY = timedelta(seconds=1)
PLATFORM = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "carrel-system"}}


class MemoryLedger(Ledger):
    """Keeps records in a list."""

    def __init__(self) -> None:
        self.records: list[tuple[RecordClass, Event]] = []

    @override
    async def append(self, event: Event, *, record_class: RecordClass) -> Receipt:
        self.records.append((record_class, event))
        return Receipt(sequence=len(self.records), digest="sha256:" + "0" * 64)

    @property
    def said(self) -> list[str]:
        """Activities in order."""
        return [event.activity.value for _, event in self.records]


class Killed(BaseException):
    """The process is gone; nothing may catch it."""


class Mortal:
    """The cluster as seen by an operator that is killed at its nth write."""

    def __init__(self, world: "World") -> None:
        self._world = world

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._world.cluster, name)
        if name not in {"apply", "apply_status", "create", "patch", "delete"}:
            return method

        async def write(*args: Any, **kwargs: Any) -> Any:
            self._world.dies_at -= 1
            fatal = self._world.dies_at == 0
            if fatal and self._world.dies == "before":
                raise Killed
            answer = await method(*args, **kwargs)
            if fatal:
                raise Killed
            return answer

        return write


@dataclass
class World:
    """A cluster and an operator that sees every change at once."""

    clock: FixedClock = field(default_factory=lambda: FixedClock(examples.NOW))
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    dies_at: int = 0
    """Number of the operator's write at which it is killed, once; 0 is never."""
    dies: str = "after"
    """Before or after that write."""
    deaths: int = 0
    """How often it was killed."""
    cluster: FakeCluster = field(init=False)
    store: Store = field(init=False)
    queue: WorkQueue = field(init=False)

    def __post_init__(self) -> None:
        self.cluster = FakeCluster(now=self.clock.now)
        self.restart()

    def restart(self) -> None:
        """Start the operator anew: it knows what the cluster holds and nothing else."""
        self.store, self.queue = Store(), WorkQueue(self.clock)
        Feed(self.store, self.queue, registry=CollectorRegistry())
        self.cluster.listeners = [self._tell]
        for obj in self.cluster.objects.values():
            if ref_of(obj).kind in REMEMBERED:
                self.store.put(obj, source=Source.SERVER)
        for key in all_keys(self.store):
            self.queue.put(key)

    def around(self) -> Surroundings:
        """Return what flows are given."""
        return Surroundings(
            cluster=Mortal(self) if self.dies_at else self.cluster,
            store=self.store,
            ledger=self.ledger,
            clock=self.clock,
            facts=examples.FACTS,
            site=examples.SITE,
        )

    async def settle(self) -> int:
        """Work until nothing waits; return the number of passes."""
        passes = 0
        while self.queue.depth:
            passes += 1
            assert passes <= MOST_PASSES, f"does not settle: {self.cluster.writes[-10:]}"
            key = await self.queue.get()
            try:
                again = await FLOWS[key.work](key.name, self.around())
            except Killed:
                self.deaths += 1
                self.dies_at = 0
                self.restart()
                continue
            self.queue.done(key, again=again)
            if not self.queue.depth:
                self.queue.hurry(until=self.clock.now() + LAZY)
        return passes

    async def pass_time(self, step: timedelta) -> None:
        """Move the clock, look at everything again, and settle."""
        self.clock.advance(step)
        for key in all_keys(self.store):
            self.queue.put(key)
        await self.settle()

    async def approved_grant(self, **spec: Any) -> JSON:
        """Make a grant with all it needs, approved, and a node; settle."""
        for obj in (
            PLATFORM,
            examples.public_key(),
            examples.dataset(),
            examples.workspace_class(),
            examples.egress_policy(),
            examples.ready_node(),
        ):
            await self.cluster.apply(obj, manager="test")
        grant = await self.cluster.create(examples.grant(**spec))
        await self.cluster.create(examples.approval(grant))
        await self.settle()
        return grant

    async def acknowledge(self, **truths: bool) -> None:
        """Play the node agent: view and home of every workspace are in place."""
        for workspace in self.all(WORKSPACES):
            pod = self.pod(workspace["metadata"]["name"])
            uid = pod["metadata"]["uid"] if pod and "nodeName" in pod["spec"] else None
            await self.report(examples.node_report(workspace, pod_uid=uid, **truths))

    async def report(self, report: JSON) -> None:
        """Write a NodeReport, status and all, as its agent does."""
        if ref_of(report) not in self.cluster.objects:
            await self.cluster.create(report)
        self.cluster.set_status(ref_of(report), report["status"])
        await self.settle()

    async def schedule(self) -> None:
        """Play scheduler and kubelet: every pod without a gate runs on node-1."""
        for pod in self.all(POD):
            if not pod["spec"].get("schedulingGates"):
                await self.cluster.patch(
                    ref_of(pod), {"spec": {"nodeName": "node-1"}}, manager="kubelet"
                )
        await self.settle()

    async def running(self) -> JSON:
        """Make an approved grant whose one workspace runs on node-1, locked; return it."""
        grant = await self.approved_grant()
        await self.acknowledge()
        await self.schedule()
        await self.acknowledge(LockLoaded=True, GateProven=True, CgroupEmpty=False)
        return grant

    async def patch_grant(self, name: str = "lung-nodules", **spec: Any) -> None:
        """Change a grant and settle."""
        await self.cluster.patch(Ref(GRANTS, name), {"spec": spec}, manager="admin")
        await self.settle()

    async def tear_away(self, name: str = "lung-nodules") -> None:
        """Delete a grant and its finalizer, as an impatient administrator does."""
        await self.cluster.delete(Ref(GRANTS, name))
        await self.cluster.patch(Ref(GRANTS, name), {"metadata": {"finalizers": []}}, manager="a")
        await self.settle()

    async def kubelet_ends_pods(self) -> None:
        """Play the kubelet: pods whose deletion was asked for end."""
        for pod in self.all(POD):
            if "deletionTimestamp" in pod["metadata"]:
                self.cluster.end_pod(ref_of(pod))
        await self.settle()

    def all(self, kind: KindRef) -> list[JSON]:
        """Return every object of a kind as the cluster has it."""
        return [obj for ref, obj in self.cluster.objects.items() if ref.kind == kind]

    def one(self, kind: KindRef) -> JSON:
        """Return the only object of a kind."""
        (found,) = self.all(kind)
        return found

    def pod(self, workspace: str) -> JSON | None:
        """Return the pod of a workspace."""
        return self.cluster.objects.get(Ref(POD, "desk", workspace))

    def _tell(self, change: Change) -> None:
        if ref_of(change.object).kind not in REMEMBERED:
            return
        if change.type is ChangeType.DELETED:
            self.store.remove(change.object)
        else:
            self.store.put(change.object, source=Source.SERVER)


def conditions(obj: JSON) -> dict[str, tuple[str, str]]:
    """Return status and reason of each condition of an object."""
    said = obj.get("status", {}).get("conditions", ())
    return {each["type"]: (each["status"], each["reason"]) for each in said}
