"""The cluster floor against a real API server, and the fake held to what the real one does."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from carrel.cluster import JSON, Change, ChangeType, Cluster, Deadline, Ref
from carrel.cluster import client as client_module
from carrel.cluster.errors import (
    AlreadyExists,
    ClusterError,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Timeout,
)
from carrel.cluster.refs import CONFIG_MAP, NAMESPACE, ref_of
from carrel.cluster.watching import Watch
from support import examples
from support.control_plane import ControlPlane
from support.fake_cluster import FakeCluster

pytestmark = pytest.mark.cluster

PLACE = "floor"


def settings(name: str, **data: str) -> JSON:
    """Return a ConfigMap, the plainest object there is."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": PLACE, "labels": {"of": "floor"}},
        "data": data,
    }


async def story(cluster: Cluster, place: str) -> list[object]:
    """Do what the operator relies on; return what came of each step."""
    seen: list[object] = []
    obj = {**settings("story", a="1", b="2")}
    obj["metadata"] = {**obj["metadata"], "namespace": place}
    ref = ref_of(obj)

    async def attempt(call: object) -> None:
        try:
            seen.append(_plain(await call))  # type: ignore[misc]  # any coroutine
        except ClusterError as error:
            seen.append(type(error).__name__)

    await attempt(cluster.create(obj))
    await attempt(
        cluster.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}}, manager="m"
        )
    )
    await attempt(cluster.apply(obj, manager="m"))
    await attempt(cluster.create(obj))
    await attempt(cluster.patch(ref, {"data": {"c": "3"}}, manager="other"))
    await attempt(cluster.apply({**obj, "data": {"a": "1"}}, manager="m"))
    await attempt(cluster.patch(ref, {"metadata": {"resourceVersion": "1"}}, manager="m"))
    await attempt(cluster.patch(ref, {"metadata": {"finalizers": ["carrel.dev/x"]}}, manager="m"))
    await attempt(cluster.delete(ref, uid="another"))
    await attempt(cluster.delete(ref))
    held = await cluster.get(ref)
    seen.append(held is not None and "deletionTimestamp" in held["metadata"])
    await attempt(cluster.patch(ref, {"metadata": {"finalizers": None}}, manager="m"))
    seen.append(await cluster.get(ref))
    await attempt(cluster.delete(ref))
    await attempt(cluster.patch(ref, {"data": {}}, manager="m"))
    return seen


def _plain(obj: JSON | None) -> JSON | None:
    return obj and {"data": obj.get("data"), "finalizers": bool(obj["metadata"].get("finalizers"))}


async def test_the_fake_does_what_the_server_does(cluster: Cluster):
    """Every step of a story has the same outcome on both."""
    fake = FakeCluster(now=lambda: examples.NOW)
    assert await story(fake, "faithful") == await story(cluster, "faithful")


async def test_a_list_is_read_in_pages(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    """All of it, each item knowing its kind."""
    monkeypatch.setattr(client_module, "PAGE", 3)
    await _place(cluster)
    for number in range(8):
        await cluster.apply(settings(f"page-{number}"), manager="m")
    found = await cluster.list(CONFIG_MAP, namespace=PLACE, labels="of=floor")
    assert [ref_of(obj).name for obj in found] == [f"page-{number}" for number in range(8)]


async def test_a_watch_tells_what_vanished_while_it_looked_away(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
):
    """Expired versions: it lists again and no deletion is missed."""
    await _place(cluster)
    kept, gone, changed = (settings(f"watched-{name}") for name in ("kept", "gone", "changed"))
    for obj in (kept, gone, changed):
        obj["metadata"]["labels"] = {"of": "watch"}
        await cluster.apply(obj, manager="m")
    changes = cluster.watch(CONFIG_MAP, namespace=PLACE, labels="of=watch")
    assert sorted(await _until_synced(changes)) == [
        ("Added", "watched-changed"),
        ("Added", "watched-gone"),
        ("Added", "watched-kept"),
    ]
    stream = Watch._streamed

    async def expired(_: Watch) -> AsyncIterator[Change]:
        monkeypatch.setattr(Watch, "_streamed", stream)
        await cluster.delete(ref_of(gone))
        await cluster.patch(ref_of(changed), {"data": {"a": "2"}}, manager="m")
        raise Gone("too old", call="watch")
        yield  # makes this an asynchronous iterator

    monkeypatch.setattr(Watch, "_streamed", expired)
    assert await _until_synced(changes) == [
        ("Deleted", "watched-gone"),
        ("Modified", "watched-changed"),
    ]
    await cluster.delete(ref_of(kept))
    change = await asyncio.wait_for(anext(changes), 10)
    assert (change.type, change.object["metadata"]["name"]) == (ChangeType.DELETED, "watched-kept")


ERRORS: dict[str, type[ClusterError]] = {
    "a name that is taken": AlreadyExists,
    "an object that fits no schema": Invalid,
    "an unknown field": Invalid,
    "a namespace that is not there": NotFound,
    "a namespace that goes": Forbidden,
    "a deadline that has passed": Timeout,
}


@pytest.mark.parametrize("what", ERRORS)
async def test_what_the_server_refuses_is_told_in_our_words(cluster: Cluster, what: str):
    """With the call, the object and the server's reason."""
    await _place(cluster)
    taken = settings("taken")
    await cluster.apply(taken, manager="m")
    nowhere = settings("nowhere")
    nowhere["metadata"] = {**nowhere["metadata"], "namespace": "nowhere"}
    going = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "going"}}
    held = {**settings("held"), "metadata": {"name": "held", "namespace": "going"}}
    if what == "a namespace that goes":
        await cluster.apply(going, manager="m")
        held["metadata"]["finalizers"] = ["carrel.dev/x"]
        await cluster.apply(held, manager="m")
        await cluster.delete(Ref(NAMESPACE, "going"))
    calls = {
        "a name that is taken": lambda: cluster.create(taken),
        "an object that fits no schema": lambda: cluster.create(examples.grant(state="Perhaps")),
        "an unknown field": lambda: cluster.create({**settings("odd"), "odd": 1}),
        "a namespace that is not there": lambda: cluster.create(nowhere),
        "a namespace that goes": lambda: cluster.create(
            {**settings("late"), "metadata": {"name": "late", "namespace": "going"}}
        ),
        "a deadline that has passed": lambda: cluster.get(
            ref_of(taken), deadline=Deadline.after(0.0)
        ),
    }
    with pytest.raises(ERRORS[what]) as told:
        await calls[what]()
    assert told.value.call
    assert str(told.value).startswith(told.value.call)


async def test_whoami_is_the_name_that_admission_will_see(cluster: Cluster):
    """Asked of the server, not read from a file."""
    assert await cluster.whoami() == "test"


async def test_a_raw_request_streams_its_body(cluster: Cluster, plane: ControlPlane):
    """Any status comes back as an answer."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"apiVersion":"authentication.k8s.io/v1",'
        yield b'"kind":"SelfSubjectReview"}'

    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = await cluster.request(
        "POST", path, headers={"Content-Type": "application/json"}, body=chunks()
    )
    assert answer.status == 201
    assert (await cluster.request("GET", "/no/such/path")).status == 404
    assert plane.server.poll() is None


async def _place(cluster: Cluster) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}}
    await cluster.apply(namespace, manager="m")


async def _until_synced(changes: AsyncIterator[Change]) -> list[tuple[str, str]]:
    told = []
    async with asyncio.timeout(20):
        async for change in changes:
            if change.type is ChangeType.SYNCED:
                break
            told.append((change.type.value, change.object["metadata"]["name"]))
    return told
