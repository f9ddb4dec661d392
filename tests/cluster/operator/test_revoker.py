"""The revoker as a process, with no operator at all: pods end within seconds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from carrel.cluster import JSON, Cluster, Ref
from carrel.cluster.refs import NAMESPACE, POD
from carrel.flows.store import GRANTS
from carrel.ledger import verify
from support import examples
from support.control_plane import ControlPlane
from support.processes import Process, eventually, running

pytestmark = pytest.mark.cluster

SECONDS = 5.0
"""How long a pod may outlive its grant."""


@pytest.fixture
def revoker(plane: ControlPlane, folder: Path) -> Iterator[Process]:
    """Return a running revoker."""
    with running("revoker", kubeconfig=plane.kubeconfig, folder=folder) as process:
        yield process


async def granted(cluster: Cluster, name: str, **spec: object) -> tuple[Ref, Ref]:
    """Make a grant and a pod that was made for it; return both."""
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the server has its own clock
    grant = await cluster.create(examples.grant(name, now=now, **spec))
    return Ref(GRANTS, name), await pod_for(cluster, grant["metadata"]["uid"], namespace=name)


async def pod_for(cluster: Cluster, grant_uid: str, *, namespace: str) -> Ref:
    """Make a pod that says it was made for a grant."""
    await cluster.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}, manager="test"
    )
    await cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "desk",
                "namespace": namespace,
                "labels": {"carrel.dev/grant-uid": grant_uid, "carrel.dev/workspace": namespace},
            },
            "spec": {"containers": [{"name": "workspace", "image": "none"}]},
        }
    )
    return Ref(POD, "desk", namespace)


async def test_every_end_of_a_grant_ends_its_pod(cluster: Cluster, revoker: Process, folder: Path):
    """Suspended, revoked, deleted, expired: within five seconds, and nobody else's pod."""
    soon = datetime.now(UTC) + timedelta(seconds=12)  # noqa: TID251 - as above
    ends: dict[str, JSON] = {
        "suspended": {"state": "Suspended"},
        "revoked": {"state": "Revoked"},
        "deleted": {},
        "expired": {},
    }
    made = {
        name: await granted(
            cluster,
            f"revoker-{name}",
            **({"expires": f"{soon:%Y-%m-%dT%H:%M:%SZ}"} if name == "expired" else {}),
        )
        for name in ends
    }
    _, kept = await granted(cluster, "revoker-kept")
    for name, (grant, pod) in made.items():
        if name == "expired":
            left = (soon - datetime.now(UTC)).total_seconds()  # noqa: TID251 - as above
            assert await cluster.get(pod) is not None
            await eventually(lambda pod=pod: gone(cluster, pod), within=left + SECONDS, what=name)
        else:
            if name == "deleted":
                await cluster.delete(grant)
            else:
                await cluster.patch(grant, {"spec": ends[name]}, manager="admin")
            await eventually(lambda pod=pod: gone(cluster, pod), within=SECONDS, what=name)
    assert await cluster.get(kept) is not None
    assert (await revoker.healthz()) == (200, "ok")
    assert revoker.end() == 0
    chain = folder / "revoker"
    assert all(not verify(path).faults for path in chain.glob("*.jsonl"))
    records = "".join(path.read_text() for path in chain.glob("*.jsonl"))
    assert records.count('"activity":"PodDeleted"') == len(ends)


async def test_a_pod_of_a_grant_that_never_was_ends(cluster: Cluster, revoker: Process):
    """A missing grant counts as revoked."""
    pod = await pod_for(cluster, "11111111-2222-3333-4444-555555555555", namespace="revoker-none")
    await eventually(lambda: gone(cluster, pod), within=15, what="no pod")
    assert revoker.alive


async def test_what_ended_while_it_was_dead_ends_when_it_is_back(
    cluster: Cluster, plane: ControlPlane, folder: Path
):
    """It looks at everything before it waits for anything."""
    grant, pod = await granted(cluster, "revoker-dead")
    await cluster.patch(grant, {"spec": {"state": "Revoked"}}, manager="admin")
    assert await cluster.get(pod) is not None
    with running("revoker", kubeconfig=plane.kubeconfig, folder=folder):
        await eventually(lambda: gone(cluster, pod), within=15, what="no pod")


async def test_new_grants_in_a_burst_lose_no_pod(cluster: Cluster, revoker: Process):
    """A pod may be told before its grant: that alone condemns nobody."""
    made = [await granted(cluster, f"revoker-burst-{number}") for number in range(20)]
    ended, _ = await granted(cluster, "revoker-burst-end")
    await cluster.patch(ended, {"spec": {"state": "Revoked"}}, manager="admin")
    await eventually(
        lambda: gone(cluster, Ref(POD, "desk", "revoker-burst-end")), within=SECONDS, what="no pod"
    )
    assert [await cluster.get(pod) is not None for _, pod in made] == [True] * 20
    for grant, pod in made:
        await cluster.delete(grant)
        await cluster.delete(Ref(NAMESPACE, pod.namespace or ""))
    assert revoker.alive


async def gone(cluster: Cluster, pod: Ref) -> bool | None:
    """Return True once there is no such pod."""
    return True if await cluster.get(pod) is None else None
