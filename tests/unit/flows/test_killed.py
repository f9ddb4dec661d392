"""The operator killed at every single write: the next one ends in the same place."""

from collections.abc import Awaitable, Callable

import pytest

from carrel.cluster import JSON
from carrel.cluster.refs import POD
from carrel.flows.store import WORKSPACES
from support import examples
from support.operator_world import World

_OF_THE_SERVER = {
    "uid",
    "podUID",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "ownerReferences",
}


Story = Callable[[World], Awaitable[None]]


async def _starts(world: World) -> None:
    """From an applied grant to a pod on a node."""
    await world.approved_grant()
    await world.acknowledge()
    await world.schedule()


async def _ends(world: World) -> None:
    """From a running workspace to nothing."""
    fatal, world.dies_at = world.dies_at, 0  # how it starts is the other story
    await world.running()
    world.dies_at = fatal
    workspace, uid = world.one(WORKSPACES), world.one(POD)["metadata"]["uid"]
    await world.patch_grant(state="Revoked")
    await world.kubelet_ends_pods()
    await world.report(
        examples.node_report(workspace, pod_uid=uid, CgroupEmpty=True, HomeReleased=True)
    )


STORIES: dict[str, Story] = {"starts": _starts, "ends": _ends}


@pytest.mark.long
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("story", STORIES)
async def test_killed_at_every_write_the_operator_ends_in_the_same_place(story: str, moment: str):
    """Each run dies once, at another write, loses all it knew, and starts anew."""
    quiet = World()
    await STORIES[story](quiet)
    deaths = 0
    while True:
        world = World(dies_at=deaths + 1, dies=moment)
        await STORIES[story](world)
        if world.deaths == 0:
            break
        deaths += 1
        assert _essence(world) == _essence(quiet), f"killed {moment} write {deaths}"
    assert deaths >= 8


def _essence(world: World) -> dict[str, JSON]:
    """Return every object without what only the server decides."""
    return {
        str(ref): {
            key: _lasting(value) if key in {"metadata", "status"} else value
            for key, value in obj.items()
            if key != "status" or ref.kind.kind in {"AccessGrant", "Workspace", "Approval"}
        }
        for ref, obj in world.cluster.objects.items()
        if ref.kind.kind != "NodeReport"
    }


def _lasting(part: JSON) -> JSON:
    return {key: value for key, value in part.items() if key not in _OF_THE_SERVER}
