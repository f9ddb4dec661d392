"""What the operator remembers of the cluster, trimmed to what decisions read.

Watches feed it, our own writes are put in at once, and a regular audit against a full
list mends what a watch lost: Kopf does not tell of objects that vanished while its
watch was broken, so neither its events nor its indices alone can be trusted for absence.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from carrel.cluster.refs import (
    JOB,
    JSON,
    LIMIT_RANGE,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    RESOURCE_QUOTA,
    SERVICE_ACCOUNT,
    KindRef,
    Ref,
    ref_of,
)
from carrel.kinds import (
    AccessGrant,
    Approval,
    Dataset,
    DatasetIngest,
    EgressPolicy,
    NodeReport,
    Workspace,
    WorkspaceClass,
)
from carrel.render.labels import HOME, VIEWS

GRANTS = KindRef.of(AccessGrant)
APPROVALS = KindRef.of(Approval)
DATASETS = KindRef.of(Dataset)
INGESTS = KindRef.of(DatasetIngest)
POLICIES = KindRef.of(EgressPolicy)
REPORTS = KindRef.of(NodeReport)
WORKSPACES = KindRef.of(Workspace)
CLASSES = KindRef.of(WorkspaceClass)

OWN: tuple[KindRef, ...] = (
    GRANTS,
    APPROVALS,
    DATASETS,
    INGESTS,
    POLICIES,
    REPORTS,
    WORKSPACES,
    CLASSES,
)
"""Carrel's own kinds."""

REMEMBERED: tuple[KindRef, ...] = (
    *OWN,
    NAMESPACE,
    NODE,
    POD,
    NETWORK_POLICY,
    RESOURCE_QUOTA,
    LIMIT_RANGE,
    SERVICE_ACCOUNT,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    JOB,
)
"""Every kind that decisions read."""

_WITH_STATUS = frozenset({*OWN, POD, JOB, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, NAMESPACE})
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
)

_INDEXES: Mapping[KindRef, Mapping[str, Callable[[JSON], Iterable[str]]]] = {
    GRANTS: {
        "dataset": lambda obj: (
            f"{each.get('name')}.v{each.get('version')}" for each in obj["spec"].get("datasets", ())
        ),
        "class": lambda obj: (obj["spec"].get("workspaceClass", ""),),
        "policy": lambda obj: (obj["spec"].get("egressPolicy", ""),),
        "uid": lambda obj: (obj["metadata"]["uid"],),
    },
    APPROVALS: {"grant": lambda obj: (obj["spec"].get("grant", ""),)},
    WORKSPACES: {
        "grant": lambda obj: (obj["spec"].get("grant", {}).get("name", ""),),
        "node": lambda obj: obj["spec"].get("nodes", ()),
    },
    REPORTS: {
        "workspace": lambda obj: (obj["spec"].get("workspaceUID", ""),),
        "name": lambda obj: (obj["spec"].get("workspace", ""),),
    },
    PERSISTENT_VOLUME: {"home": lambda obj: (obj["metadata"].get("labels", {}).get(HOME, ""),)},
    NETWORK_POLICY: {"namespace": lambda obj: (obj["metadata"]["namespace"],)},
}


class Source(StrEnum):
    """Who told of a change."""

    SERVER = "Server"
    """A watch or a list."""
    OURSELVES = "Ourselves"
    """The answer to a write of ours, whose echo on the watch will be no news.

    What it changes beside the status counts as told by the server: others may have written it.
    """


@dataclass(frozen=True, slots=True)
class _Entry:
    uid: str
    version: str
    content: bytes


class Store:
    """Objects by kind and name; reading gives a fresh copy that the caller may change.

    `follow` is called with every object of which anything that decisions read has changed,
    came or went, and who told of it.
    """

    def __init__(self, *, follow: Callable[[JSON, Source], None] = lambda _, __: None) -> None:
        self.follow = follow
        self._objects: dict[KindRef, dict[Ref, _Entry]] = {kind: {} for kind in REMEMBERED}
        self._found: dict[tuple[KindRef, str, str], set[Ref]] = defaultdict(set)

    def put(self, obj: JSON, *, source: Source) -> bool:
        """Remember an object; tell whether anything that decisions read has changed.

        An older version of the same object is ignored: our own write may be answered
        before the watch tells of the write before it.
        """
        ref = ref_of(obj)
        trimmed = trim(obj, kind=ref.kind)
        version = trimmed["metadata"].pop("resourceVersion", "")
        uid = trimmed["metadata"].get("uid", "")
        content = json.dumps(trimmed, separators=(",", ":")).encode()
        known = self._objects[ref.kind].get(ref)
        if known is not None and known.uid == uid and _older(version, known.version):
            return False
        if known is not None:
            self._unindex(ref, known)
        self._objects[ref.kind][ref] = _Entry(uid=uid, version=version, content=content)
        for key in self._index_keys(ref.kind, trimmed):
            self._found[key].add(ref)
        changed = known is None or known.content != content
        if changed:
            more = known is not None and _beside_status(
                json.loads(known.content)
            ) != _beside_status(trimmed)
            # The answer to a write of ours also carries what others wrote since we last read,
            # and the watch, which tells the same version, will find it known.
            self.follow(obj, Source.SERVER if more else source)
        return changed

    def remove(self, obj: JSON) -> bool:
        """Forget an object; tell whether it was known under this UID."""
        ref = ref_of(obj)
        known = self._objects[ref.kind].get(ref)
        if known is None or known.uid != obj["metadata"].get("uid", known.uid):
            # The name was taken again before the deletion was told.
            return False
        self._unindex(ref, known)
        del self._objects[ref.kind][ref]
        if ref.kind == NAMESPACE:
            self._forget_content(ref.name)
        self.follow(obj, Source.SERVER)
        return True

    def _forget_content(self, namespace: str) -> None:
        """Forget what was in a namespace, which is gone only when all of it is.

        Not every kind is watched; none of these is in an index.
        """
        for kind in (RESOURCE_QUOTA, LIMIT_RANGE, SERVICE_ACCOUNT, PERSISTENT_VOLUME_CLAIM):
            for ref in [ref for ref in self._objects[kind] if ref.namespace == namespace]:
                del self._objects[kind][ref]

    def replace(self, kind: KindRef, objects: Iterable[JSON]) -> None:
        """Remember exactly `objects` of a kind."""
        present = set()
        for obj in objects:
            present.add(ref_of(obj))
            self.put(obj, source=Source.SERVER)
        for ref in [ref for ref in self._objects[kind] if ref not in present]:
            gone = self.get(ref)
            if gone is not None:
                self.remove(gone)

    def get(self, ref: Ref) -> JSON | None:
        """Return an object, None where none is known."""
        entry = self._objects[ref.kind].get(ref)
        return None if entry is None else _read(entry)

    def version(self, ref: Ref) -> str:
        """Return the resourceVersion of an object, empty where none is known."""
        entry = self._objects[ref.kind].get(ref)
        return "" if entry is None else entry.version

    def all(self, kind: KindRef) -> Iterator[JSON]:
        """Yield every object of a kind."""
        for entry in list(self._objects[kind].values()):
            yield _read(entry)

    def refs(self, kind: KindRef) -> tuple[Ref, ...]:
        """Return the references of every object of a kind."""
        return tuple(self._objects[kind])

    def find(self, kind: KindRef, *, by: str, value: str) -> list[JSON]:
        """Return the objects that an index files under `value`, in order of name."""
        refs = sorted(self._found.get((kind, by, value), ()), key=str)
        return [_read(self._objects[kind][ref]) for ref in refs]

    def count(self, kind: KindRef, *, by: str, value: str) -> int:
        """Return how many objects an index files under `value`."""
        return len(self._found.get((kind, by, value), ()))

    def _unindex(self, ref: Ref, entry: _Entry) -> None:
        for key in self._index_keys(ref.kind, json.loads(entry.content)):
            self._found[key].discard(ref)
            if not self._found[key]:
                del self._found[key]

    @staticmethod
    def _index_keys(kind: KindRef, obj: JSON) -> Iterator[tuple[KindRef, str, str]]:
        for name, values in _INDEXES.get(kind, {}).items():
            for value in values(obj):
                yield kind, name, value


def trim(obj: JSON, *, kind: KindRef) -> JSON:
    """Return what decisions read of an object."""
    metadata = {key: obj["metadata"][key] for key in _METADATA if key in obj["metadata"]}
    if _LAST_APPLIED in metadata.get("annotations", {}):
        metadata["annotations"] = {
            key: value for key, value in metadata["annotations"].items() if key != _LAST_APPLIED
        }
    trimmed: JSON = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": metadata,
    }
    if kind == NODE:
        # A node's status changes every few seconds; decisions read one label.
        labels = metadata.get("labels", {})
        metadata["labels"] = {VIEWS: labels[VIEWS]} if VIEWS in labels else {}
        metadata.pop("annotations", None)
        return trimmed
    for part in obj:
        if part not in {"apiVersion", "kind", "metadata", "status"}:
            trimmed[part] = obj[part]
    if kind in _WITH_STATUS and "status" in obj:
        trimmed["status"] = obj["status"]
    trimmed.setdefault("spec", {})
    return trimmed


def _beside_status(obj: JSON) -> JSON:
    return {part: obj[part] for part in obj if part != "status"}


def _read(entry: _Entry) -> JSON:
    obj: JSON = json.loads(entry.content)
    obj["metadata"]["resourceVersion"] = entry.version
    return obj


def _older(version: str, known: str) -> bool:
    if not (version.isdecimal() and known.isdecimal()):
        return False
    return int(version) < int(known)
