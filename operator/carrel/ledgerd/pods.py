"""On which node a pod is, as the API server says; pods that are gone are remembered for a while."""

from collections import OrderedDict

from carrel.cluster import JSON, ChangeType, Cluster
from carrel.cluster.refs import POD

MOST_GONE = 10_000
"""Pods that were deleted and whose last records may still come."""


class Pods:
    """Follows all pods."""

    def __init__(self) -> None:
        self._nodes: dict[str, str] = {}
        self._gone: OrderedDict[str, str] = OrderedDict()

    def node(self, uid: str) -> str | None:
        """Return the node that a pod is or was bound to, None for a pod that nobody knows."""
        return self._nodes.get(uid) or self._gone.get(uid)

    async def follow(self, cluster: Cluster) -> None:
        """Follow for ever."""
        async for change in cluster.watch(POD):
            if change.type is ChangeType.DELETED:
                self._lose(change.object["metadata"]["uid"])
            elif change.type is not ChangeType.SYNCED:
                self._put(change.object)

    def _put(self, pod: JSON) -> None:
        node = pod.get("spec", {}).get("nodeName")
        if node:
            self._nodes[pod["metadata"]["uid"]] = node

    def _lose(self, uid: str) -> None:
        node = self._nodes.pop(uid, None)
        if node:
            self._gone[uid] = node
        while len(self._gone) > MOST_GONE:
            self._gone.popitem(last=False)
