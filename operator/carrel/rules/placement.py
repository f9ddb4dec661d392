"""Which nodes are asked to prepare a workspace."""

from collections.abc import Iterable

from carrel.rules.facts import HomeProvision
from carrel.rules.observed_grant import ReadyNode

_MOST_NODES = 64


def place(
    workspaces: Iterable[tuple[str, tuple[str, ...]]],
    *,
    ready: tuple[ReadyNode, ...],
    homes: HomeProvision,
) -> dict[str, tuple[str, ...]]:
    """Return the nodes of each workspace, given its name and the nodes it has now.

    A home that is an image on a node binds its workspace to that node for good, also
    while the node is away: a second, empty home elsewhere would look like a loss. New homes
    go to the node with fewest workspaces. Homes of a StorageClass follow the pod, so every
    ready node is asked.
    """
    if homes is HomeProvision.STORAGE_CLASS:
        everywhere = tuple(sorted(node.name for node in ready))[:_MOST_NODES]
        return {name: everywhere for name, _ in workspaces}
    load = {node.name: node.workspaces for node in ready}
    placed: dict[str, tuple[str, ...]] = {}
    for name, present in workspaces:
        placed[name] = present[:1]
        if not present and load:
            least = min(load, key=lambda node: (load[node], node))
            load[least] += 1
            placed[name] = (least,)
    return placed
