"""`GrantSpawner`: a person's servers are workspaces; it asks for them and waits."""

from collections.abc import AsyncIterator
from typing import Any, ClassVar

from jupyterhub.spawner import Spawner, SpawnException
from typing_extensions import override

from carrel.cluster.errors import ClusterError
from carrel.hub.desks import Desks
from carrel.kinds import Workspace
from carrel.kinds.resource import ConditionStatus
from carrel.kinds.workspace import Admission, Desired
from carrel.rules.condition import find
from carrel.rules.opening import Failed, Opening, Ready, way_of

__all__ = ["GrantSpawner", "spawner_of"]

_NO_GRANT = (
    "You hold no grant of this name. The portal lists your grants; a new one comes from a grant "
    "administrator."
)


class GrantSpawner(Spawner):  # type: ignore[misc]  # JupyterHub ships no type information
    """Makes nothing: sets `spec.desired` of a Workspace and waits for its conditions.

    Nothing is kept in the Hub's database: the cluster is asked each time.
    """

    desks: ClassVar[Desks]
    readiness: ClassVar[str]
    """Origin of the readiness listener, inside this process."""

    @override
    async def start(self) -> str:
        """Open the workspace and return where the Hub may ask whether it answers."""
        workspace = self._workspace()
        if workspace is None:
            raise SpawnException(_NO_GRANT, reason="no_grant", status_code=403)
        if workspace.spec.admission is Admission.CLOSED:
            raise _refused(way_of(workspace))
        await self._want(workspace, Desired.RUNNING)
        name = workspace.metadata.name
        async for present in self.desks.changes(name):
            if present is None or present.uid != workspace.uid:
                raise SpawnException(_NO_GRANT, reason="no_grant", status_code=403)
            way = way_of(present)
            if isinstance(way, Ready):
                break
            if isinstance(way, Failed):
                raise _refused(way)
        # JupyterHub asks `<what start returns><base_url>api`; it reads base_url after this.
        self.server.base_url = f"/{name}/"
        return self.readiness

    @override
    async def stop(self, now: bool = False) -> None:
        """Stop the workspace and wait until nothing of it runs."""
        workspace = self._workspace()
        if workspace is None:
            return
        if workspace.spec.desired is not Desired.STOPPED:
            await self._want(workspace, Desired.STOPPED)
        if now:
            return
        async for present in self.desks.changes(workspace.metadata.name):
            if present is None or present.uid != workspace.uid or _has_stopped(present):
                return
            if present.spec.desired is Desired.RUNNING:
                return  # somebody opened it again

    @override
    async def poll(self) -> int | None:
        """Return None while the workspace may run, 0 where it is closed, stopped or gone."""
        # Before the first full list an absent workspace proves nothing.
        await self.desks.synced()
        workspace = self._workspace()
        if workspace is None:
            return 0
        spec = workspace.spec
        wanted = spec.admission is Admission.OPEN and spec.desired is Desired.RUNNING
        return None if wanted else 0

    @override
    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what the workspace waits for, as it changes."""
        workspace = self._workspace()
        if workspace is None:
            return
        async for present in self.desks.changes(workspace.metadata.name):
            if present is None or present.spec.desired is Desired.STOPPED:
                # `start` is about to ask, or to say why not.
                yield {"progress": 0, "message": "Asking for the workspace."}
                if present is None:
                    return
                continue
            match way_of(present):
                case Opening() as way:
                    yield {"progress": way.percent, "message": way.sentence}
                case Failed(sentence=sentence):
                    yield {"progress": 100, "message": sentence}
                    return
                case Ready():
                    yield {"progress": 100, "message": "Ready."}
                    return

    @override
    def get_env(self) -> dict[str, str]:
        """Return nothing: the Hub's tokens never reach a workspace."""
        return {}

    def _workspace(self) -> Workspace | None:
        found = self.desks.find(self.user.name, self.name)
        return found if isinstance(found, Workspace) else None

    async def _want(self, workspace: Workspace, desired: Desired) -> None:
        try:
            await self.desks.want(workspace, desired)
        except ClusterError as error:
            raise SpawnException(
                "The cluster did not take the request. Try again in a minute.",
                reason="cluster",
                log_message=f"{workspace.metadata.name}: {error}",
                status_code=503,
            ) from error


def spawner_of(desks: Desks, *, readiness: str) -> type[GrantSpawner]:
    """Return the class that JupyterHub makes spawners of: its traits take no living objects."""
    bound = {"desks": desks, "readiness": readiness, "__module__": __name__}
    return type("GrantSpawner", (GrantSpawner,), bound)


def _has_stopped(workspace: Workspace) -> bool:
    stopped = find(workspace.status.conditions, "Stopped")
    return (
        stopped is not None
        and stopped.status is ConditionStatus.TRUE
        and stopped.observed_generation >= (workspace.metadata.generation or 0)
    )


def _refused(way: Opening | Ready | Failed) -> SpawnException:
    assert isinstance(way, Failed)  # noqa: S101 - a closed workspace is on no other way
    return SpawnException(way.sentence, reason=way.reason, status_code=403)
