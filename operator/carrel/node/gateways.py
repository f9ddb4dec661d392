"""Whom the locks let in: the present addresses of the platform's gateway pods."""

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any

from carrel.cluster import ChangeType, Cluster
from carrel.cluster.refs import POD

ACCOUNT = "carrel-gateway"
"""ServiceAccount of the gateway: a label alone can be put on any pod of the namespace."""
LABELS = "app.kubernetes.io/name=carrel,app.kubernetes.io/component=gateway"
MOST = 16
"""Addresses that a report holds."""

_ENDED = ("Succeeded", "Failed")


class Gateways:
    """Follows the gateway pods of the platform's namespace.

    What was last heard stands while the API server is away. After a start of the agent that is
    what the one before it knew (`recalled`), so that its restart cuts no connection.
    """

    def __init__(self, cluster: Cluster, *, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._pods: dict[str, tuple[str, ...]] = {}
        self._recalled: tuple[str, ...] = ()
        self.known = False
        """Whether every gateway pod that exists was heard of."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Addresses of the pods that are there."""
        if not self.known:
            return self._recalled
        found = {address for addresses in self._pods.values() for address in addresses}
        return tuple(sorted(found))[:MOST]

    def recall(self, addresses: tuple[str, ...]) -> None:
        """Take up what the agent before this one knew, until the API server is heard."""
        self._recalled = addresses

    async def follow(self, *, pulse: Callable[[], None], changed: Callable[[], None]) -> None:
        """Follow for ever; call `changed` whenever the addresses did."""
        changes = self._cluster.watch(POD, namespace=self._namespace, labels=LABELS, pulse=pulse)
        async for change in changes:
            before = self.addresses, self.known
            if change.type is ChangeType.SYNCED:
                self.known = True
            else:
                self._hear(change.object, gone=change.type is ChangeType.DELETED)
            if (self.addresses, self.known) != before:
                changed()

    def _hear(self, raw: Mapping[str, Any], *, gone: bool) -> None:
        uid = raw["metadata"]["uid"]
        addresses = () if gone else addresses_of(raw)
        if addresses:
            self._pods[uid] = addresses
        else:
            # Of a pod that ended or is gone: the next pod may get its address.
            self._pods.pop(uid, None)


def addresses_of(pod: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the addresses of a pod that runs as the gateway; none for any other."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    if spec.get("serviceAccountName") != ACCOUNT or spec.get("hostNetwork"):
        return ()
    if status.get("phase") in _ENDED:
        return ()
    found = [each.get("ip") for each in status.get("podIPs") or ()]
    return tuple(str(address) for address in found if _is_address(address))


def _is_address(text: object) -> bool:
    try:
        ipaddress.ip_address(str(text))
    except ValueError:
        return False
    return True
