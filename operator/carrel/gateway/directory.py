"""What the gateway knows of workspaces, grants and reports: own watches, and lists beside them.

A watch may be dead without a sign; a full list every few seconds finds what it did not tell.
Where no list comes any more, everything here is old and nobody is let through.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from pydantic import ValidationError

from carrel.cluster import JSON, ChangeType, Cluster, KindRef
from carrel.cluster.errors import ClusterError
from carrel.flows.clock import Clock
from carrel.kinds import AccessGrant, NodeReport, Workspace
from carrel.rules.front_door_access import Seen, Sight

LIST_SECONDS = 5.0
WORKSPACES, GRANTS, REPORTS = map(KindRef.of, (Workspace, AccessGrant, NodeReport))
_KINDS: Mapping[KindRef, type[Workspace | AccessGrant | NodeReport]] = {
    WORKSPACES: Workspace,
    GRANTS: AccessGrant,
    REPORTS: NodeReport,
}
_log = logging.getLogger(__name__)

_Known = Workspace | AccessGrant | NodeReport
Told = Callable[[Iterable[str]], None]
"""Is told the names of workspaces of which something changed."""


class Directory:
    """Everything that decides who may use which workspace, in memory."""

    def __init__(
        self, clock: Clock, *, gateway: str, stale: timedelta, ticker: Callable[[], float]
    ) -> None:
        self._clock = clock
        self._gateway = gateway
        self._stale = stale.total_seconds()
        self._ticker = ticker
        self._listed: float | None = None
        self._versions: dict[str, str] = {}
        self._objects: dict[str, _Known] = {}
        self._workspaces: dict[str, Workspace] = {}
        self._grants: dict[str, AccessGrant] = {}
        self._reports: dict[str, dict[str, NodeReport]] = defaultdict(dict)
        self._of_person: dict[str, set[str]] = defaultdict(set)
        self._of_grant: dict[str, set[str]] = defaultdict(set)
        self.told: list[Told] = []

    @property
    def sight(self) -> Sight:
        """Whether what is known is recent enough to act on."""
        fresh = self._listed is not None and self._ticker() - self._listed <= self._stale
        return Sight.FRESH if fresh else Sight.STALE

    def seen(self, workspace: str, *, subject: str) -> Seen:
        """Return what is known of a workspace, for a decision about a person."""
        found = self._workspaces.get(workspace)
        return Seen(
            sight=self.sight,
            workspace=found,
            grant=self._grants.get(found.spec.grant.uid) if found else None,
            report=self._report(found) if found else None,
            gateway=self._gateway,
            subject=subject,
            now=self._clock.now(),
        )

    def of_person(self, subject: str) -> list[Seen]:
        """Return what is known of each workspace of a person, by name."""
        return [
            self.seen(name, subject=subject) for name in sorted(self._of_person.get(subject, ()))
        ]

    async def follow(self, cluster: Cluster) -> None:
        """Watch and list for ever."""
        async with asyncio.TaskGroup() as group:
            for kind in _KINDS:
                group.create_task(self._watch(cluster, kind))
            group.create_task(self._list_for_ever(cluster))

    async def refresh(self, cluster: Cluster) -> None:
        """Read full lists; what they show is as old as their beginning."""
        begun, before = self._ticker(), dict(self._versions)
        present: set[str] = set()
        changed: set[str] = set()
        for kind in _KINDS:
            for obj in await cluster.list(kind):
                present.add(obj["metadata"]["uid"])
                changed |= self._put(kind, obj)
        for uid, version in before.items():
            # What a watch told meanwhile is newer than the list and stays.
            if uid not in present and self._versions.get(uid) == version:
                changed |= self._forget(uid)
        self._listed = begun
        self._tell(changed)

    async def _list_for_ever(self, cluster: Cluster) -> None:
        while True:
            try:
                await self.refresh(cluster)
            except ClusterError as error:
                _log.warning("list put off: %s", error)
            await asyncio.sleep(LIST_SECONDS)

    async def _watch(self, cluster: Cluster, kind: KindRef) -> None:
        async for change in cluster.watch(kind):
            match change.type:
                case ChangeType.SYNCED:
                    continue
                case ChangeType.DELETED:
                    self._tell(self._forget(change.object["metadata"]["uid"]))
                case ChangeType.ADDED | ChangeType.MODIFIED:
                    self._tell(self._put(kind, change.object))

    def _put(self, kind: KindRef, obj: JSON) -> set[str]:
        uid, version = obj["metadata"]["uid"], obj["metadata"].get("resourceVersion", "")
        known = self._versions.get(uid, "")
        is_old = version.isdecimal() and known.isdecimal() and int(version) < int(known)
        if is_old or (version and version == known):
            return set()
        changed = self._forget(uid)
        self._versions[uid] = version
        try:
            parsed = _KINDS[kind].model_validate(obj)
        except ValidationError:
            # A part that we cannot read might be the part that forbids.
            _log.warning("%s %s cannot be read", kind.kind, obj["metadata"].get("name"))
            return changed
        self._objects[uid] = parsed
        return changed | self._learn(parsed)

    def _learn(self, parsed: _Known) -> set[str]:
        name = parsed.metadata.name
        match parsed:
            case Workspace():
                if parsed.metadata.namespace != name:
                    return set()  # not made by the operator, so no origin is its own
                self._workspaces[name] = parsed
                self._of_person[parsed.spec.researcher].add(name)
                self._of_grant[parsed.spec.grant.uid].add(name)
                return {name}
            case AccessGrant():
                self._grants[parsed.uid] = parsed
                return set(self._of_grant.get(parsed.uid, ()))
            case NodeReport():
                self._reports[parsed.spec.workspace][name] = parsed
                return {parsed.spec.workspace}

    def _forget(self, uid: str) -> set[str]:
        self._versions.pop(uid, None)
        known = self._objects.pop(uid, None)
        match known:
            case None:
                return set()
            case Workspace():
                name = known.metadata.name
                if self._workspaces.get(name) is not known:
                    return set()
                del self._workspaces[name]
                self._of_person[known.spec.researcher].discard(name)
                self._of_grant[known.spec.grant.uid].discard(name)
                return {name}
            case AccessGrant():
                self._grants.pop(uid, None)
                return set(self._of_grant.get(uid, ()))
            case NodeReport():
                self._reports[known.spec.workspace].pop(known.metadata.name, None)
                return {known.spec.workspace}

    def _report(self, workspace: Workspace) -> NodeReport | None:
        """Return what the node of the present pod says of that pod."""
        status = workspace.status
        if status.pod_uid is None:
            return None
        return next(
            (
                each
                for each in self._reports.get(workspace.metadata.name, {}).values()
                if each.spec.node == status.node
                and each.spec.namespace == workspace.metadata.namespace
                and each.spec.workspace_uid == workspace.uid
                and each.status.pod_uid == status.pod_uid
            ),
            None,
        )

    def _tell(self, changed: Iterable[str]) -> None:
        for told in self.told if changed else ():
            told(changed)
