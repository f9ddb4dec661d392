"""Secrets and ConfigMaps that the trust hook keeps in the platform's namespace."""

import base64
import binascii
from dataclasses import dataclass

from carrel.cluster import JSON, Cluster, Ref
from carrel.cluster.refs import CONFIG_MAP, SECRET

MANAGER = "carrel-trust"


@dataclass(frozen=True, slots=True)
class PlatformNamespace:
    """Where trust is kept, and by whom it is written."""

    cluster: Cluster
    """Where it is."""
    name: str
    """The namespace."""

    async def read(self, kind: str, name: str) -> JSON | None:
        """Return a Secret or ConfigMap, None where there is none."""
        known = SECRET if kind == "Secret" else CONFIG_MAP
        return await self.cluster.get(Ref(known, name, self.name))

    async def write(self, obj: JSON, *, over: JSON | None) -> None:
        """Create `obj`, or renew what is there; a lost race is a Conflict."""
        if over is None:
            await self.cluster.create(obj)
        else:
            await self.cluster.apply(obj, manager=MANAGER)

    def secret(self, name: str, data: dict[str, bytes], *, of_type: str) -> JSON:
        """Return a Secret to write."""
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        return self._object("Secret", name) | {"type": of_type, "data": encoded}

    def config_map(self, name: str, data: dict[str, bytes]) -> JSON:
        """Return a ConfigMap to write."""
        return self._object("ConfigMap", name) | {
            "data": {key: value.decode() for key, value in data.items()}
        }

    def _object(self, kind: str, name: str) -> JSON:
        labels = {"app.kubernetes.io/managed-by": "carrel", "app.kubernetes.io/component": "trust"}
        metadata = {"name": name, "namespace": self.name, "labels": labels}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


def data_of(secret: JSON, key: str) -> bytes:
    """Return an entry of a Secret; empty for what is missing or no base64, which no key is."""
    try:
        return base64.b64decode(secret.get("data", {}).get(key, ""), validate=True)
    except binascii.Error:
        return b""
