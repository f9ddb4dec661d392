"""What the Hub knows of workspaces, and the one field of them that it writes."""

import asyncio
import logging
from collections.abc import AsyncIterator

from pydantic import ValidationError

from carrel.cluster import JSON, ChangeType, Cluster, KindRef, Ref
from carrel.kinds import Workspace
from carrel.kinds.workspace import Desired
from carrel.rules.opening import server_name

__all__ = ["Desks"]

_MANAGER = "carrel-hub"
_WORKSPACES = KindRef.of(Workspace)
_log = logging.getLogger(__name__)


class Desks:
    """The workspaces of the cluster, kept by a watch."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._known: dict[str, Workspace] = {}
        self._changed = asyncio.Condition()
        self._synced = asyncio.Event()

    async def follow(self) -> None:
        """Watch for ever."""
        async for change in self._cluster.watch(_WORKSPACES):
            if change.type is ChangeType.SYNCED:
                self._synced.set()
            else:
                self._take(change.object, gone=change.type is ChangeType.DELETED)
            async with self._changed:
                self._changed.notify_all()

    async def synced(self) -> None:
        """Wait until every workspace that exists was told once."""
        await self._synced.wait()

    def find(self, researcher: str, server: str) -> Workspace | None:
        """Return the workspace that a person knows as a server, by exact subject."""
        return next((each for each in self.of(researcher) if server_name(each) == server), None)

    def of(self, researcher: str) -> tuple[Workspace, ...]:
        """Return the workspaces of a person, by name."""
        mine = (each for each in self._known.values() if each.spec.researcher == researcher)
        return tuple(sorted(mine, key=lambda each: each.metadata.name))

    def named(self, name: str) -> Workspace | None:
        """Return the workspace of this name."""
        return self._known.get(name)

    async def changes(self, name: str) -> AsyncIterator[Workspace | None]:
        """Yield a workspace as it is and as it becomes; None where there is none."""
        present = self._known.get(name)
        while True:
            yield present
            present = await self._after(name, present)

    async def _after(self, name: str, last: Workspace | None) -> Workspace | None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._known.get(name) != last)
            return self._known.get(name)

    async def want(self, workspace: Workspace, desired: Desired) -> Workspace:
        """Ask that a workspace runs or stops; return it as it is then.

        Raises
        ------
        ClusterError
            If the API server refuses, or does not answer.
        """
        name = workspace.metadata.name
        # The UID: a workspace of another grant must not be opened in place of this one.
        patch = {"metadata": {"uid": workspace.uid}, "spec": {"desired": desired.value}}
        ref = Ref(_WORKSPACES, name, workspace.metadata.namespace)
        answer = await self._cluster.patch(ref, patch, manager=_MANAGER)
        self._take(answer, gone=False)
        async with self._changed:
            self._changed.notify_all()
        return Workspace.model_validate(answer)

    def _take(self, obj: JSON, *, gone: bool) -> None:
        name = str(obj["metadata"]["name"])
        if gone:
            self._known.pop(name, None)
            return
        try:
            found = Workspace.model_validate(obj)
        except ValidationError:
            _log.warning("Workspace %s cannot be read and is nobody's server here", name)
            self._known.pop(name, None)
            return
        known = self._known.get(name)
        # The answer to a write of ours may be newer than what the watch tells next.
        if known is None or known.uid != found.uid or _age(found) >= _age(known):
            self._known[name] = found


def _age(workspace: Workspace) -> int:
    return workspace.metadata.generation or 0
