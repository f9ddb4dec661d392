"""The lock process: follows workspaces and pods of this node and keeps a desk for each pod."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from carrel.cluster import Change, ChangeType, Cluster, KindRef
from carrel.cluster.errors import ClusterError
from carrel.cluster.refs import JSON, POD
from carrel.flows.clock import wait_until
from carrel.kinds import EgressPolicy, Workspace
from carrel.node.desk import Desk
from carrel.node.handover import Handover, HandoverError
from carrel.node.health import Health
from carrel.node.policies import Policies
from carrel.node.recollection import Memory, Recollection
from carrel.node.report import NODE_REPORT
from carrel.node.saying import LOCK_CONDITIONS, nothing_ran
from carrel.node.site import Site
from carrel.node.watched import (
    ROLE,
    ROLE_LABEL,
    GateStage,
    Identity,
    MalformedError,
    Order,
    Presence,
    Ruling,
    WatchedPod,
    WatchedWorkspace,
    read_pod,
    read_workspace,
    rule,
)
from carrel.rules.condition import is_true

log = logging.getLogger(__name__)

WORKSPACE = KindRef.of(Workspace)
EGRESS_POLICY = KindRef.of(EgressPolicy)
_TIDY_SECONDS = 30.0
_KEEP_SECONDS = 0.1
_Place = tuple[str, str]


class Agent:
    """Follows what should be and keeps one desk for each pod.

    When the API server is away, what was last heard stands, and ends come by this node's own
    clock all the same.
    """

    def __init__(self, cluster: Cluster, *, site: Site, health: Health, memory: Memory) -> None:
        self._cluster = cluster
        self._site = site
        self._health = health
        self._memory = memory
        recalled = memory.recall()
        self._workspaces = {_at(each.identity): each for each in recalled.workspaces}
        self._pods = {each.uid: each for each in recalled.pods}
        # What is only recalled, and neither confirmed nor denied by the API server yet.
        self._recalled_places = set(self._workspaces)
        self._recalled_pods = set(self._pods)
        self._digests = dict(recalled.digests)
        site.gateways.recall(recalled.gateways)
        self._policies = Policies()
        self._desks: dict[str, Desk] = {}
        self._synced: set[str] = set()
        self._wake = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Follow for ever."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._site.scanner.run())
            tasks.create_task(self._recall())
            tasks.create_task(self._site.reporter.run())
            gateways, pulse = self._site.gateways, self._health.pulse("Gateway")
            tasks.create_task(gateways.follow(pulse=pulse, changed=self._admit))
            tasks.create_task(self._follow(WORKSPACE, self._hear_workspace))
            tasks.create_task(self._follow(EGRESS_POLICY, self._hear_policy))
            tasks.create_task(
                self._follow(
                    POD,
                    self._hear_pod,
                    labels=f"{ROLE_LABEL}={ROLE}",
                    fields=f"spec.nodeName={self._site.node}",
                )
            )
            tasks.create_task(self._rule())
            tasks.create_task(self._tidy())
            tasks.create_task(self._keep_digests())

    async def _recall(self) -> None:
        """Take up what the agent before us reported, so that a restart changes no report."""
        while True:
            try:
                reports = await self._cluster.list(NODE_REPORT)
                break
            except ClusterError as error:
                log.warning("reports not read", extra={"error": str(error)})
                await asyncio.sleep(1.0)
        self._site.reporter.remember(reports, conditions=LOCK_CONDITIONS)
        self._synced.add(NODE_REPORT.kind)
        self._wake.set()

    async def _follow(
        self,
        kind: KindRef,
        hear: Callable[[Change], None],
        *,
        labels: str | None = None,
        fields: str | None = None,
    ) -> None:
        pulse = self._health.pulse(kind.kind)
        changes = self._cluster.watch(kind, labels=labels, fields=fields, pulse=pulse)
        async for change in changes:
            if change.type is ChangeType.SYNCED:
                self._synced.add(kind.kind)
                self._correct(kind)
            else:
                hear(change)
            self._wake.set()

    def _correct(self, kind: KindRef) -> None:
        """Drop what was recalled and no longer exists; a watch tells only what it has seen."""
        if kind is WORKSPACE:
            for place in self._recalled_places:
                self._workspaces.pop(place, None)
            self._recalled_places.clear()
        elif kind is POD:
            for uid in self._recalled_pods:
                self._pods.pop(uid, None)
            self._recalled_pods.clear()

    def _hear_workspace(self, change: Change) -> None:
        place = _place(change.object)
        self._recalled_places.discard(place)
        if change.type is ChangeType.DELETED:
            self._workspaces.pop(place, None)
            return
        try:
            self._workspaces[place] = read_workspace(change.object)
        except MalformedError as error:
            # Fail closed: what cannot be read is not in force.
            log.warning("workspace unreadable", extra={"at": "/".join(place), "why": str(error)})
            self._workspaces.pop(place, None)

    def _admit(self) -> None:
        """Have every lock let in the gateways that there are now."""
        for desk in self._desks.values():
            desk.look_again()
        self._wake.set()

    def _hear_policy(self, change: Change) -> None:
        if change.type is ChangeType.DELETED:
            self._policies.forget(change.object["metadata"]["name"])
        else:
            self._policies.hear(change.object)

    def _hear_pod(self, change: Change) -> None:
        uid = change.object["metadata"]["uid"]
        self._recalled_pods.discard(uid)
        if change.type is ChangeType.DELETED:
            self._pods.pop(uid, None)
        else:
            self._pods[uid] = read_pod(change.object)

    async def _rule(self) -> None:
        while True:
            due: datetime | None = None
            if self._ready():
                due = self._tell_all()
                self._keep()
            elif self._recalled_pods:
                due = self._tell_recalled()
            await wait_until(due, clock=self._site.clock, wake=self._wake)
            self._wake.clear()

    async def _tidy(self) -> None:
        """Have sockets forgotten whose pod went while no agent looked; they keep its network."""
        handover = Handover(self._site.run_directory)
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            try:
                kept = {name.partition("/")[0] for name in await handover.names()}
                for uid in kept - set(self._pods) - set(self._desks) if self._ready() else ():
                    await handover.drop(f"{uid}/")
            except HandoverError as error:
                log.warning("not tidied", extra={"error": str(error)})

    def _ready(self) -> bool:
        """Tell whether everything that exists was heard: before, absence proves nothing."""
        # Without the policies a running workspace would be told that nothing is open to it.
        kinds = {WORKSPACE.kind, POD.kind, NODE_REPORT.kind, EGRESS_POLICY.kind}
        return self._synced >= kinds and self._site.gateways.known

    def _tell_recalled(self) -> datetime | None:
        """Attend to what an agent before us knew of, until the API server answers."""
        now = self._site.clock.now()
        rulings = []
        for uid in self._recalled_pods:
            pod = self._pods[uid]
            workspace = self._workspaces.get((pod.namespace, pod.workspace))
            if workspace is not None:
                rulings.append(rule(pod, workspace, now=now))
                self._tell(pod, rulings[-1], workspace)
        return min((ruling.due for ruling in rulings if ruling.due), default=None)

    def _keep(self) -> None:
        here = {(pod.namespace, pod.workspace) for pod in self._pods.values()}
        workspaces = tuple(each for place, each in self._workspaces.items() if place in here)
        pods = tuple(self._pods.values())
        self._digests |= {uid: desk.digest for uid, desk in self._desks.items() if desk.digest}
        self._digests = {uid: self._digests[uid] for uid in self._pods if uid in self._digests}
        gateways = self._site.gateways.addresses
        self._memory.keep(Recollection(workspaces, pods, self._digests, gateways))

    async def _keep_digests(self) -> None:
        """Keep what was loaded as soon as it was: a lock that nobody remembers looks changed."""
        while True:
            await asyncio.sleep(_KEEP_SECONDS)
            loaded = {uid: desk.digest for uid, desk in self._desks.items() if desk.digest}
            if self._ready() and not loaded.items() <= self._digests.items():
                self._keep()

    def _tell_all(self) -> datetime | None:
        """Tell every desk what holds now; return when that changes by itself."""
        now = self._site.clock.now()
        rulings: list[Ruling] = []
        for pod in self._present_pods():
            workspace = self._workspaces.get((pod.namespace, pod.workspace))
            ruling = rule(pod, workspace, now=now)
            rulings.append(ruling)
            self._tell(pod, ruling, workspace)
        self._speak_of_the_absent(now)
        dues = [ruling.due for ruling in rulings if ruling.due is not None]
        return min(dues, default=None)

    def _present_pods(self) -> list[WatchedPod]:
        """Return the pods that exist, and those that are gone and of which something is left."""
        pods = dict(self._pods)
        for uid, desk in self._desks.items():
            pods.setdefault(uid, _gone(desk.pod))
        for workspace in self._workspaces.values():
            last = workspace.pod_uid
            if last is None or last in pods or workspace.pod_node != self._site.node:
                continue
            # The operator waits for our word on a pod that came and went unseen by us.
            if not self._told_empty(workspace.identity, last):
                pods[last] = _unseen(workspace, last)
        return list(pods.values())

    def _told_empty(self, about: Identity, uid: str) -> bool:
        known = self._site.reporter.known(about)
        return (
            known is not None and known.pod_uid == uid and is_true(known.conditions, "CgroupEmpty")
        )

    def _tell(self, pod: WatchedPod, ruling: Ruling, workspace: WatchedWorkspace | None) -> None:
        desk = self._desks.get(pod.uid)
        bound = self._policies.bound(workspace) if workspace else None
        if desk is not None:
            desk.tell(pod, ruling, bound=bound)
            return
        if workspace is None and pod.presence is Presence.GONE:
            return
        desk = Desk(
            pod,
            ruling,
            about=workspace.identity if workspace else self._remembered(pod),
            bound=bound,
            remembered=self._digests.get(pod.uid),
            site=self._site,
        )
        self._desks[pod.uid] = desk
        assert self._tasks is not None  # noqa: S101 - set before anything is told
        self._tasks.create_task(self._attend(pod.uid, desk))

    def _remembered(self, pod: WatchedPod) -> Identity | None:
        return self._site.reporter.identity(namespace=pod.namespace, workspace=pod.workspace)

    async def _attend(self, uid: str, desk: Desk) -> None:
        try:
            await desk.run()
        except Exception:
            # One pod's trouble must not end the agent: a new desk begins with what is there.
            log.exception("desk ended early", extra={"pod": uid})
            await asyncio.sleep(1.0)
        finally:
            self._desks.pop(uid, None)
            self._wake.set()

    def _speak_of_the_absent(self, now: datetime) -> None:
        """Say of closed workspaces without a pod that nothing runs; views go only after that."""
        attended = {(desk.pod.namespace, desk.pod.workspace) for desk in self._desks.values()}
        for place, workspace in self._workspaces.items():
            if place in attended or self._site.node not in workspace.nodes:
                continue
            known = self._site.reporter.known(workspace.identity)
            ruling = rule(_unseen(workspace, ""), workspace, now=now)
            silent = known is None or not known.conditions
            if silent and ruling.order is Order.CLOSE and ruling.reason != "PodGone":
                self._site.reporter.say(workspace.identity, nothing_ran())
        for about in self._site.reporter.spoken_of():
            place = (about.namespace, about.name)
            if place not in self._workspaces and place not in attended:
                self._site.reporter.retire(about)


def _at(about: Identity) -> _Place:
    return about.namespace, about.name


def _place(raw: JSON) -> _Place:
    return raw["metadata"]["namespace"], raw["metadata"]["name"]


def _gone(pod: WatchedPod) -> WatchedPod:
    return WatchedPod(
        uid=pod.uid,
        namespace=pod.namespace,
        workspace=pod.workspace,
        grant_uid=pod.grant_uid,
        gate=pod.gate,
        presence=Presence.GONE,
        deleted_by=pod.deleted_by,
    )


def _unseen(workspace: WatchedWorkspace, uid: str) -> WatchedPod:
    return WatchedPod(
        uid=uid,
        namespace=workspace.identity.namespace,
        workspace=workspace.identity.name,
        grant_uid=workspace.grant_uid,
        gate=GateStage.PASSED,
        presence=Presence.GONE,
        deleted_by=None,
    )
