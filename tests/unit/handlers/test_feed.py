"""From what is told to what is worked on, and what an audit finds."""

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from typing_extensions import override

from carrel.cluster import JSON, KindRef, Ref
from carrel.cluster.refs import NAMESPACE, NODE, SERVICE_ACCOUNT, Objects, ref_of
from carrel.flows.clock import FixedClock
from carrel.flows.store import GRANTS, WORKSPACES, Source, Store
from carrel.handlers import feed as feeding
from carrel.handlers.feed import Feed
from carrel.handlers.queue import Key, Work, WorkQueue
from support import examples
from support.fake_cluster import FakeCluster
from support.workspaces import workspace

NAME = "ws-lung-nodules-0123456789ab"
GRANT, DESK = Key(Work.GRANT, "lung-nodules"), Key(Work.WORKSPACE, NAME)
LABELS = {"app.kubernetes.io/managed-by": "carrel", "carrel.dev/workspace": NAME}


@pytest.fixture
def store() -> Store:
    """Return a store that knows a grant, its workspace and a node."""
    made = Store()
    for obj in (
        examples.stored(examples.grant(), resourceVersion="1"),
        _workspace(),
        examples.stored(examples.ready_node(), resourceVersion="1"),
    ):
        made.put(obj, source=Source.SERVER)
    return made


@pytest.fixture
def queue() -> WorkQueue:
    """Return an empty queue."""
    return WorkQueue(FixedClock(examples.NOW))


@pytest.fixture
def feed(store: Store, queue: WorkQueue) -> Feed:
    """Return a feed from the one to the other."""
    return Feed(store, queue, registry=CollectorRegistry())


def _workspace(**spec: object) -> JSON:
    wire = workspace(**spec).to_wire()
    wire["metadata"] |= {"resourceVersion": "1", "generation": 1, "labels": LABELS}
    return {"apiVersion": "carrel.dev/v1alpha1", "kind": "Workspace", **wire}


def _made(kind: str, api_version: str = "v1", **metadata: object) -> JSON:
    place = {"name": "any", "namespace": NAME, "uid": "u", "labels": LABELS, **metadata}
    return {"apiVersion": api_version, "kind": kind, "metadata": place}


FOLLOWS: dict[str, tuple[JSON, set[Key]]] = {
    "an approval": (
        examples.stored(
            {
                "apiVersion": "carrel.dev/v1alpha1",
                "kind": "Approval",
                "metadata": {"name": "yes"},
                "spec": {"grant": "lung-nodules"},
            }
        ),
        {GRANT},
    ),
    "a dataset": (
        examples.stored(examples.dataset()),
        {Key(Work.DATASET, "chest-ct.v1"), GRANT},
    ),
    "a class": (examples.stored(examples.workspace_class()), {GRANT}),
    "a policy": (examples.stored(examples.egress_policy()), {GRANT}),
    "another class": (examples.stored(examples.workspace_class("large")), set()),
    "another node": (examples.stored(examples.ready_node("node-2")), {GRANT, DESK}),
    "a pod": (_made("Pod"), {DESK}),
    "our policy": (_made("NetworkPolicy", "networking.k8s.io/v1"), {DESK}),
    "a foreign policy": (_made("NetworkPolicy", "networking.k8s.io/v1", labels={}), {DESK}),
    "a policy elsewhere": (
        _made("NetworkPolicy", "networking.k8s.io/v1", labels={}, namespace="elsewhere"),
        set(),
    ),
    "a volume": (_made("PersistentVolume", namespace=None), {DESK}),
    "its namespace": (
        _made(
            "Namespace",
            name=NAME,
            namespace=None,
            labels=LABELS | {"carrel.dev/grant-uid": "uid-lung-nodules"},
        ),
        {DESK, GRANT},
    ),
}


@pytest.mark.parametrize("what", FOLLOWS)
async def test_what_follows_from_a_change(what: str, feed: Feed, queue: WorkQueue):
    """Each change brings back exactly what depends on it."""
    obj, keys = FOLLOWS[what]
    feed.told(obj)
    assert await _waiting(queue) == keys


async def test_a_change_that_no_decision_reads_brings_nothing_back(feed: Feed, queue: WorkQueue):
    """A node's heartbeat, a resourceVersion, managedFields."""
    node = examples.stored(examples.ready_node(), resourceVersion="2", managedFields=[{}])
    feed.told({**node, "status": {"conditions": [{"type": "Ready"}]}})
    assert await _waiting(queue) == set()


async def test_an_older_version_of_an_object_is_ignored(feed: Feed, store: Store):
    """Our own write is answered before the watch tells of the one before it."""
    newer = examples.stored(examples.grant(state="Suspended"), resourceVersion="9")
    store.put(newer, source=Source.OURSELVES)
    feed.told(examples.stored(examples.grant(), resourceVersion="8"))
    stored = store.get(Ref(GRANTS, "lung-nodules"))
    assert stored is not None
    assert stored["spec"]["state"] == "Suspended"


@pytest.mark.parametrize(
    "theirs",
    [{"state": "Suspended"}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}],
    ids=["suspended", "deleted"],
)
async def test_what_another_wrote_is_seen_in_the_answer_to_our_own_write(
    theirs: dict[str, str], feed: Feed, store: Store, queue: WorkQueue
):
    """A grant is suspended between our reading it and our writing its status.

    The answer is the newest version: the watch brings no other, and a stop would be lost.
    """
    feed.told(examples.stored(examples.grant(), resourceVersion="7"))
    await _waiting(queue)
    marks = {key: value for key, value in theirs.items() if key != "state"}
    grant = examples.grant(**{key: value for key, value in theirs.items() if key == "state"})
    answer = examples.stored(grant, resourceVersion="9", **marks)
    store.put({**answer, "status": {"observedGeneration": 1}}, source=Source.OURSELVES)
    feed.told({**answer, "status": {"observedGeneration": 1}})
    assert await _waiting(queue) == {GRANT}


async def test_our_own_status_brings_nothing_back(feed: Feed, store: Store, queue: WorkQueue):
    """Else each pass would ask for the next one."""
    feed.told(examples.stored(examples.grant(), resourceVersion="7"))
    await _waiting(queue)
    answer = examples.stored(examples.grant(), resourceVersion="8")
    store.put({**answer, "status": {"observedGeneration": 1}}, source=Source.OURSELVES)
    assert await _waiting(queue) == set()


async def test_a_deletion_of_an_object_whose_name_is_taken_again_is_ignored(
    feed: Feed, store: Store
):
    """Deleted and made anew: the new one stays known."""
    store.put(examples.stored(examples.grant(), uid="new"), source=Source.SERVER)
    feed.told_gone(examples.stored(examples.grant(), uid="old"))
    assert store.get(Ref(GRANTS, "lung-nodules")) is not None


async def test_the_status_of_a_workspace_reaches_its_grant_a_little_later(
    feed: Feed, queue: WorkQueue
):
    """A start changes it many times: the grant tells of it once a second."""
    feed.told(_workspace(desired="Stopped"))
    assert await _waiting(queue) == {DESK}
    queue.hurry(until=examples.NOW + timedelta(seconds=1))
    assert await _waiting(queue) == {GRANT}


async def test_a_namespace_takes_with_it_what_nobody_watches(feed: Feed, store: Store):
    """Else the next one of its name would seem to hold it already."""
    account = _made("ServiceAccount")
    place = _made("Namespace", name=NAME, namespace=None)
    feed.told(place)
    feed.told(account)
    feed.told_gone(place)
    assert store.refs(feeding.ref_of(account).kind) == ()


async def test_an_audit_mends_what_a_watch_missed_and_calls_it_dead_the_second_time(
    feed: Feed, store: Store, queue: WorkQueue, monkeypatch: pytest.MonkeyPatch
):
    """Kopf does not tell of objects that vanished while its watch was broken."""
    monkeypatch.setattr(feeding, "SETTLE_SECONDS", 0.0)
    cluster = FakeCluster(now=lambda: examples.NOW)
    assert feed.dead_watch() is None
    await feed.audit(cluster, NODE, namespace="carrel-system")
    assert store.refs(NODE) == ()
    assert await _waiting(queue) == {GRANT, DESK}
    assert feed.dead_watch() is None
    await cluster.create(examples.ready_node("node-2"))
    await feed.audit(cluster, NODE, namespace="carrel-system")
    assert feed.dead_watch() == "the watch of nodes is dead"
    await feed.audit(cluster, NODE, namespace="carrel-system")
    assert feed.dead_watch() is None


async def test_what_is_made_while_an_audit_lists_is_not_taken_for_gone(
    feed: Feed, store: Store, queue: WorkQueue
):
    """A list is as old as its beginning; what came after would be applied a second time."""
    account = _made("ServiceAccount", resourceVersion="7")

    class Listing(FakeCluster):
        @override
        async def list(self, kind: KindRef, **asked: Any) -> Objects:
            objects = await super().list(kind, **asked)
            store.put(account, source=Source.OURSELVES)
            return objects

    cluster = Listing(now=lambda: examples.NOW)
    await feed.audit(cluster, SERVICE_ACCOUNT, namespace="carrel-system")
    assert store.refs(SERVICE_ACCOUNT) == (ref_of(account),)
    assert await _waiting(queue) == set()


async def test_everything_there_is_is_looked_at_when_the_operator_starts(
    queue: WorkQueue,
):
    """Also a grant that is gone and whose workspace is still there."""
    cluster = FakeCluster(now=lambda: examples.NOW)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAME}}
    for obj in (namespace, _workspace(), examples.dataset()):
        await cluster.create(obj)
    feed = Feed(Store(), queue, registry=CollectorRegistry())
    await feed.fill(cluster, (WORKSPACES, NAMESPACE), namespace="carrel-system")
    assert await _waiting(queue) == {GRANT, DESK}


async def _waiting(queue: WorkQueue) -> set[Key]:
    keys = set()
    while queue.depth:
        key = await queue.get()
        queue.done(key)
        keys.add(key)
    return keys
