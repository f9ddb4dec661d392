"""An API server in a dictionary, faithful in what the operator relies on.

Server-side apply removes what the same manager applied before and no longer does; deletion
waits for finalizers; a namespace takes its content with it; a pod on a node stays until
somebody plays kubelet. Lists are atomic. tests/cluster/operator holds it against the real one.
"""
# ruff: noqa: ARG002, D102 - the Protocol says what each method is given and does

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any

from carrel.cluster import JSON, Answer, Change, ChangeType, Cluster, Deadline, KindRef, Ref, ref_of
from carrel.cluster.errors import AlreadyExists, Conflict, Forbidden, NotFound
from carrel.cluster.protocol import Body
from carrel.cluster.refs import NAMESPACE, POD, Objects

_ATOMIC = {"podSelector"}
"""Maps that the server replaces whole (x-kubernetes-map-type: atomic)."""

_UNVERSIONED = ("status", "metadata")


class FakeCluster(Cluster):
    """Holds objects; counts what was written."""

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self.objects: dict[Ref, JSON] = {}
        self.writes: list[str] = []
        """Every write that changed something, as verb and object."""
        self.listeners: list[Callable[[Change], None]] = []
        """Called with every change at once, as a watch without delay."""
        self.undeletable: set[KindRef] = set()
        """Kinds that the caller's role may not delete."""
        self._now = now
        self._versions = itertools.count(1)
        self._applied: dict[tuple[Ref, str, str], JSON] = {}
        self._watchers: dict[KindRef, list[asyncio.Queue[Change]]] = defaultdict(list)

    async def get(self, ref: Ref, *, deadline: Deadline | None = None) -> JSON | None:
        return _copied(self.objects.get(ref))

    async def list(
        self,
        kind: KindRef,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        deadline: Deadline | None = None,
    ) -> Objects:
        return [
            _copied(obj)
            for ref, obj in self.objects.items()
            if ref.kind == kind and namespace in {None, ref.namespace} and _selected(obj, labels)
        ]

    async def apply(self, obj: JSON, *, manager: str, deadline: Deadline | None = None) -> JSON:
        ref = ref_of(obj)
        if ref not in self.objects:
            if "uid" in obj["metadata"]:
                raise Conflict("the object with this UID is gone", call=f"apply {ref}")
            self._applied[ref, manager, ""] = _copied(obj)
            return await self.create(obj)
        return self._merge(ref, obj, manager=manager, part="")

    async def apply_status(
        self, obj: JSON, *, manager: str, deadline: Deadline | None = None
    ) -> JSON:
        ref = ref_of(obj)
        if ref not in self.objects:
            raise NotFound("no such object", call=f"apply {ref}/status")
        return self._merge(ref, obj, manager=manager, part="status")

    async def create(self, obj: JSON, *, deadline: Deadline | None = None) -> JSON:
        ref = ref_of(obj)
        if ref in self.objects:
            raise AlreadyExists("already exists", call=f"create {ref}")
        if ref.namespace is not None:
            place = self.objects.get(Ref(NAMESPACE, ref.namespace))
            if place is None:
                raise NotFound(f"namespace {ref.namespace} not found", call=f"create {ref}")
            if "deletionTimestamp" in place["metadata"]:
                raise Forbidden("the namespace is being terminated", call=f"create {ref}")
        number = next(self._versions)
        stored = _copied(obj)
        stored.pop("status", None)
        stored["metadata"] |= {
            "uid": f"uid-{number}",
            "resourceVersion": str(number),
            "generation": 1,
            "creationTimestamp": self._stamp(),
        }
        self.objects[ref] = stored
        self.writes.append(f"create {ref}")
        self._tell(ChangeType.ADDED, ref)
        return _copied(stored)

    async def patch(
        self, ref: Ref, patch: JSON, *, manager: str, deadline: Deadline | None = None
    ) -> JSON:
        if ref not in self.objects:
            raise NotFound("no such object", call=f"patch {ref}")
        self._require(ref, patch.get("metadata", {}), call=f"patch {ref}")
        changed = _merged(self.objects[ref], patch)
        changed["metadata"]["resourceVersion"] = self.objects[ref]["metadata"]["resourceVersion"]
        return self._store(ref, changed, call=f"patch {ref}")

    async def delete(
        self,
        ref: Ref,
        *,
        grace: int | None = None,
        uid: str | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        if ref.kind in self.undeletable:
            raise Forbidden("no role of the caller allows it", call=f"delete {ref}")
        obj = self.objects.get(ref)
        if obj is None:
            return
        self._require(ref, {"uid": uid} if uid else {}, call=f"delete {ref}")
        if "deletionTimestamp" in obj["metadata"]:
            return
        changed = _copied(obj)
        changed["metadata"]["deletionTimestamp"] = self._stamp()
        self._store(ref, changed, call=f"delete {ref}")
        for inner in [each for each in self.objects if each.namespace == ref.name]:
            if ref.kind == NAMESPACE:
                await self.delete(inner)
        self._collect(ref)

    async def watch(
        self,
        kind: KindRef,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        pulse: Callable[[], None] | None = None,
    ) -> AsyncIterator[Change]:
        queue: asyncio.Queue[Change] = asyncio.Queue()
        self._watchers[kind].append(queue)
        for obj in await self.list(kind, namespace=namespace, labels=labels):
            yield Change(type=ChangeType.ADDED, object=obj)
        yield Change(type=ChangeType.SYNCED, object={})
        while True:
            change = await queue.get()
            if _selected(change.object, labels):
                yield change

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        deadline: Deadline | None = None,
    ) -> Answer:
        return Answer(status=404, body=b"", headers={})

    async def whoami(self, *, deadline: Deadline | None = None) -> str:
        return "oidc:demo-grant-admin"

    def bring(self, obj: JSON) -> None:
        """Hold an object as it is, with a UID of the caller's and a status."""
        ref = ref_of(obj)
        assert ref not in self.objects
        number = next(self._versions)
        known = {"resourceVersion": str(number), "generation": 1}
        self.objects[ref] = _copied({**obj, "metadata": known | obj["metadata"]})
        self._tell(ChangeType.ADDED, ref)

    def set_status(self, ref: Ref, status: JSON) -> None:
        """Write a status as somebody else would."""
        self._store(ref, {**self.objects[ref], "status": status}, call=f"status {ref}")

    def end_pod(self, ref: Ref) -> None:
        """Play the kubelet that has ended a pod whose deletion was asked for."""
        del self.objects[ref]["spec"]["nodeName"]
        self._collect(ref)

    def _merge(self, ref: Ref, obj: JSON, *, manager: str, part: str) -> JSON:
        call = f"apply {ref}{'/' + part if part else ''}"
        self._require(ref, obj["metadata"], call=call)
        fields = {part: obj[part]} if part else {k: v for k, v in obj.items() if k != "status"}
        before = self._applied.get((ref, manager, part), {})
        changed = _without(self.objects[ref], before, kept=fields)
        self._applied[ref, manager, part] = _copied(fields)
        changed = _merged(changed, fields)
        changed["metadata"] = {
            **changed["metadata"],
            "resourceVersion": self.objects[ref]["metadata"]["resourceVersion"],
        }
        return self._store(ref, changed, call=call)

    def _store(self, ref: Ref, changed: JSON, *, call: str) -> JSON:
        before = self.objects[ref]
        if changed != before:
            self.writes.append(call)
            changed = _copied(changed)
            changed["metadata"]["resourceVersion"] = str(next(self._versions))
            if any(changed.get(k) != before.get(k) for k in changed if k not in _UNVERSIONED):
                changed["metadata"]["generation"] = before["metadata"]["generation"] + 1
            self.objects[ref] = changed
            self._tell(ChangeType.MODIFIED, ref)
            self._collect(ref)
        return _copied(changed)

    def _collect(self, ref: Ref) -> None:
        """Remove an object whose deletion nothing holds up any more."""
        obj = self.objects.get(ref)
        if obj is None or "deletionTimestamp" not in obj["metadata"]:
            return
        on_node = ref.kind == POD and "nodeName" in obj["spec"]
        filled = ref.kind == NAMESPACE and any(e.namespace == ref.name for e in self.objects)
        if obj["metadata"].get("finalizers") or on_node or filled:
            return
        self._tell(ChangeType.DELETED, ref)
        del self.objects[ref]
        for key in [key for key in self._applied if key[0] == ref]:
            del self._applied[key]
        if ref.namespace is not None:
            self._collect(Ref(NAMESPACE, ref.namespace))

    def _require(self, ref: Ref, metadata: Mapping[str, Any], *, call: str) -> None:
        present = self.objects[ref]["metadata"]
        for field in ("uid", "resourceVersion"):
            if field in metadata and metadata[field] != present[field]:
                raise Conflict(f"{field} is another", call=call)

    def _tell(self, kind: ChangeType, ref: Ref) -> None:
        for queue in self._watchers[ref.kind]:
            queue.put_nowait(Change(type=kind, object=_copied(self.objects[ref])))
        for listener in self.listeners:
            listener(Change(type=kind, object=_copied(self.objects[ref])))

    def _stamp(self) -> str:
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")


def _copied(value: Any) -> Any:
    """Objects are JSON; this is ten times as fast as copy.deepcopy."""
    return json.loads(json.dumps(value))


def _merged(live: JSON, patch: Mapping[str, Any]) -> JSON:
    """RFC 7386."""
    result = dict(live)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and key not in _ATOMIC:
            inner = result.get(key)
            result[key] = _merged(inner if isinstance(inner, dict) else {}, value)
        else:
            result[key] = _copied(value)
    return result


def _without(live: JSON, before: Mapping[str, Any], *, kept: Mapping[str, Any]) -> JSON:
    """Take away what a manager applied before and does not apply any more."""
    result = dict(live)
    for key, value in before.items():
        if key not in kept:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(result.get(key), dict):
            inner = kept[key]
            result[key] = _without(result[key], value, kept=inner or {})
    return result


def _selected(obj: JSON, labels: str | None) -> bool:
    present = obj.get("metadata", {}).get("labels", {}) if obj else {}
    wanted = [part.split("=", 1) for part in (labels or "").split(",") if part]
    return all(present.get(name) == value for name, value in wanted)
