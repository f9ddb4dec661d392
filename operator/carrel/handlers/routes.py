"""Which work follows from a change of which object."""

from collections.abc import Callable, Iterator, Mapping

from carrel.cluster.refs import (
    JOB,
    JSON,
    NAMESPACE,
    NODE,
    POD,
    KindRef,
    Ref,
    kind_of,
)
from carrel.flows.policy_canary import is_canary, read_canary
from carrel.flows.store import (
    APPROVALS,
    CLASSES,
    DATASETS,
    GRANTS,
    INGESTS,
    POLICIES,
    REPORTS,
    WORKSPACES,
    Store,
)
from carrel.handlers.queue import Key, Lane, Work
from carrel.kinds.grant import GrantState
from carrel.kinds.workspace import Admission
from carrel.render.labels import GRANT_UID, INGEST, WORKSPACE
from carrel.rules import grant_label

Route = Callable[[JSON, Store], Iterator[Key]]


def keys_of(obj: JSON, store: Store) -> Iterator[Key]:
    """Yield what must be looked at again because `obj` came, changed or went."""
    kind = kind_of(obj)
    if kind in _ROUTES:
        yield from _ROUTES[kind](obj, store)
    else:
        yield from _surrounded(obj, store)


def keys_of_ours(obj: JSON, store: Store) -> Iterator[Key]:
    """Yield what must be looked at again because we wrote `obj` ourselves.

    The flow that wrote it has taken it into account; this is what other flows, or a second
    pass of the same one, make of it.
    """
    kind = kind_of(obj)
    if kind == DATASETS:
        yield from _grants(store, by="dataset", value=obj["metadata"]["name"])
    elif kind == POD:
        yield from keys_of(obj, store)
    elif kind == WORKSPACES:
        looked_at = obj.get("status", {}).get("observedGeneration")
        if looked_at != obj["metadata"].get("generation"):
            yield from keys_of(obj, store)


def told_of(obj: JSON) -> Iterator[Key]:
    """Yield what only tells of `obj` and may do so a little later."""
    if kind_of(obj) == WORKSPACES:
        yield Key(Work.GRANT, obj["spec"].get("grant", {}).get("name", ""))


def lane_of(obj: JSON) -> Lane:
    """Return whether the change of `obj` may be an end, which overtakes beginnings."""
    spec = obj.get("spec", {})
    ends = (
        "deletionTimestamp" in obj["metadata"]
        or spec.get("admission") == Admission.CLOSED
        or spec.get("state") in {GrantState.SUSPENDED, GrantState.REVOKED}
    )
    return Lane.STOP if ends else Lane.START


def all_keys(store: Store) -> Iterator[Key]:
    """Yield everything there is to look at, for a process that has just started.

    Datasets come first: every grant waits for what is said of them.
    """
    yield from (Key(Work.DATASET, ref.name) for ref in store.refs(DATASETS))
    yield from _everything(store)
    yield from (Key(Work.INGEST, ref.name) for ref in store.refs(INGESTS))


def _everything(store: Store) -> Iterator[Key]:
    yield from (Key(Work.GRANT, ref.name) for ref in store.refs(GRANTS))
    for ref in store.refs(WORKSPACES):
        yield Key(Work.WORKSPACE, ref.name)
        stored = store.get(ref) or {}
        # A grant may be gone without its finalizer: its workspaces are looked after by its name.
        yield Key(Work.GRANT, stored.get("spec", {}).get("grant", {}).get("name", ""))


def _grants(store: Store, *, by: str, value: str) -> Iterator[Key]:
    for grant in store.find(GRANTS, by=by, value=value):
        yield Key(Work.GRANT, grant["metadata"]["name"])


def _surrounded(obj: JSON, store: Store) -> Iterator[Key]:
    """Yield the workspace in whose namespace something lies, or whose label it bears."""
    metadata = obj["metadata"]
    labels = metadata.get("labels", {})
    name = labels.get(WORKSPACE) or metadata.get("namespace") or metadata["name"]
    if store.get(Ref(WORKSPACES, name, name)) is not None:
        yield Key(Work.WORKSPACE, name)
    if kind_of(obj) == NAMESPACE and GRANT_UID in labels:
        yield from _grants(store, by="uid", value=labels[GRANT_UID])


def _dataset(obj: JSON, store: Store) -> Iterator[Key]:
    yield Key(Work.DATASET, obj["metadata"]["name"])
    yield from _grants(store, by="dataset", value=obj["metadata"]["name"])


def _menu(index: str) -> Route:
    return lambda obj, store: _grants(store, by=index, value=obj["metadata"]["name"])


def _job(obj: JSON, store: Store) -> Iterator[Key]:
    if not is_canary(obj):
        yield from _ingest(obj, store)
    elif any(read_canary(obj)):
        yield from (Key(Work.WORKSPACE, ref.name) for ref in store.refs(WORKSPACES))


def _ingest(obj: JSON, store: Store) -> Iterator[Key]:
    label = obj["metadata"].get("labels", {}).get(INGEST)
    for ref in store.refs(INGESTS):
        if grant_label(ref.name) == label:
            yield Key(Work.INGEST, ref.name)


_ROUTES: Mapping[KindRef, Route] = {
    GRANTS: lambda obj, _: iter([Key(Work.GRANT, obj["metadata"]["name"])]),
    APPROVALS: lambda obj, _: iter([Key(Work.GRANT, obj["spec"].get("grant", ""))]),
    DATASETS: _dataset,
    CLASSES: _menu("class"),
    POLICIES: _menu("policy"),
    WORKSPACES: lambda obj, _: iter([Key(Work.WORKSPACE, obj["metadata"]["name"])]),
    REPORTS: lambda obj, _: iter([Key(Work.WORKSPACE, obj["spec"].get("workspace", ""))]),
    INGESTS: lambda obj, _: iter([Key(Work.INGEST, obj["metadata"]["name"])]),
    JOB: _job,
    NODE: lambda _, store: _everything(store),
}
