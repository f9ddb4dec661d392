"""The operator as a process against a real API server: it makes, mends, survives and rests."""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from carrel.cluster import JSON, Cluster, Ref
from carrel.cluster.refs import (
    LIMIT_RANGE,
    NAMESPACE,
    NETWORK_POLICY,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    RESOURCE_QUOTA,
    SERVICE_ACCOUNT,
)
from carrel.flows.store import APPROVALS, REPORTS
from support.control_plane import ControlPlane
from support.granted import WITHIN, Desk, approved
from support.processes import Process, eventually, running

pytestmark = pytest.mark.cluster

KILLED_RUNS = int(os.environ.get("CARREL_KILLED_RUNS", "1"))
"""How many times ten kills; `make soak` asks for ten."""


@pytest.fixture
def operator(plane: ControlPlane, folder: Path) -> Process:
    """Return a running operator."""
    with running("handlers", kubeconfig=plane.kubeconfig, folder=folder) as process:
        yield process


async def test_a_grant_becomes_a_gated_pod_and_the_gate_opens(cluster: Cluster, operator: Process):
    """Everything of the bundle is accepted by a real server, and the volumes bind."""
    desk = await approved(cluster, "becomes")
    await eventually(desk.pod_there, within=WITHIN, what="a pod")
    made = await desk.everything()
    assert {name.split()[0] for name in made} == {
        "AccessGrant",
        "LimitRange",
        "Namespace",
        "NetworkPolicy",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "ResourceQuota",
        "ServiceAccount",
        "Workspace",
    }

    async def bound() -> bool | None:
        claims = await cluster.list(PERSISTENT_VOLUME_CLAIM, namespace=desk.name)
        return True if [c["status"]["phase"] for c in claims] == ["Bound", "Bound"] else None

    await eventually(bound, within=WITHIN, what="bound claims")
    await desk.reported()
    await eventually(desk.ungated, within=WITHIN, what="an open gate")
    assert (await operator.healthz()) == (200, "ok")


async def test_a_resync_writes_nothing(
    cluster: Cluster, operator: Process, plane: ControlPlane, folder: Path
):
    """A restarted operator looks at everything and changes not one resourceVersion."""
    desk = await approved(cluster, "rests")
    await eventually(desk.pod_there, within=WITHIN, what="a pod")
    await desk.reported()
    await eventually(desk.ungated, within=WITHIN, what="an open gate")
    before = await _settled(desk)
    operator.end()
    with running("handlers", kubeconfig=plane.kubeconfig, folder=folder) as again:

        async def worked() -> str | None:
            if not again.log.read_text().count("the operator begins") >= 2:
                return None
            metrics = await again.metrics()
            return metrics if 'reconcile_seconds_count{work="workspace"}' in metrics else None

        await eventually(worked, within=WITHIN, what="a pass over everything")
        assert await _settled(desk) == before
        assert "carrel_queue_depth 0.0" in await again.metrics()


DRIFT = {
    "pod deleted": (POD, "desk", None),
    "policy deleted": (NETWORK_POLICY, "deny-all", None),
    "policy opened": (NETWORK_POLICY, "deny-all", {"spec": {"egress": [{}], "ingress": [{}]}}),
    "policy narrowed": (
        NETWORK_POLICY,
        "deny-all",
        {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}},
    ),
    "quota raised": (RESOURCE_QUOTA, "workspace", {"spec": {"hard": {"pods": "9"}}}),
    "limits deleted": (LIMIT_RANGE, "workspace", None),
    "token mounted": (SERVICE_ACCOUNT, "workspace", {"automountServiceAccountToken": True}),
}


async def test_drift_is_mended(cluster: Cluster, operator: Process):
    """Whatever is changed by hand is as rendered again within seconds."""
    desk = await approved(cluster, "drifts")
    await eventually(desk.pod_there, within=WITHIN, what="a pod")
    for what, (kind, name, patch) in DRIFT.items():
        await _settled(desk)
        ref = Ref(kind, name, desk.name)
        before = await cluster.get(ref)
        assert before is not None
        if patch is None:
            await cluster.delete(ref)
        else:
            await cluster.patch(ref, patch, manager="somebody")

        async def mended(ref: Ref = ref, before: JSON = before) -> bool | None:
            now = await cluster.get(ref)
            same = now is not None and _rendered(now) == _rendered(before)
            return True if same and now != before else None

        await eventually(mended, within=WITHIN, what=what)
    assert operator.alive


async def test_a_deleted_namespace_comes_back(cluster: Cluster, operator: Process):
    """The namespace controller takes everything; the home's volume waits and binds again."""
    desk = await approved(cluster, "vanishes")
    await eventually(desk.pod_there, within=WITHIN, what="a pod")
    before = await cluster.get(desk.workspace)
    await cluster.delete(Ref(NAMESPACE, desk.name))

    async def back() -> JSON | None:
        now = await cluster.get(desk.workspace)
        home = await cluster.get(Ref(PERSISTENT_VOLUME_CLAIM, "home", desk.name))
        bound = home is not None and home["status"]["phase"] == "Bound"
        anew = now and before and now["metadata"]["uid"] != before["metadata"]["uid"]
        return now if anew and bound else None

    again, _ = await eventually(back, within=60, what="the workspace again")
    assert before is not None
    assert again["spec"] == before["spec"]
    await eventually(desk.pod_there, within=WITHIN, what="a pod again")
    assert operator.alive


@pytest.mark.parametrize("seed", range(4, 4 + KILLED_RUNS))
async def test_killed_at_random_it_goes_on(
    seed: int, cluster: Cluster, plane: ControlPlane, folder: Path
):
    """Kill -9 ten times while grants come and go; the end is as if nothing had happened."""
    chance = random.Random(seed)  # noqa: S311 - the same kills in every run
    desks = [await approved(cluster, f"killed-{seed}-{number}") for number in range(4)]
    for _ in range(10):
        with running("handlers", kubeconfig=plane.kubeconfig, folder=folder) as process:
            await eventually(lambda p=process: begun(p), within=WITHIN, what="a begin")
            time.sleep(chance.uniform(0.0, 2.0))  # noqa: TID251, ASYNC251 - the kill is at random
            process.end(signal.SIGKILL)
            process.log.unlink()
    await cluster.patch(desks[0].grant, {"spec": {"state": "Revoked"}}, manager="admin")
    with running("handlers", kubeconfig=plane.kubeconfig, folder=folder):
        await eventually(desks[0].gone, within=WITHIN, what="no pod")
        for desk in desks[1:]:
            await eventually(desk.pod_there, within=WITHIN, what="a pod")
            await desk.reported()
            await eventually(desk.ungated, within=WITHIN, what="an open gate")


async def test_the_server_away_for_a_while_delays_and_loses_nothing(
    cluster: Cluster, operator: Process, plane: ControlPlane
):
    """What was asked for before and while it was away is done when it is back."""
    desk = await approved(cluster, "patient")
    await eventually(desk.pod_there, within=WITHIN, what="a pod")
    plane.stop_server()
    time.sleep(60)  # noqa: TID251, ASYNC251 - the server is away for this long
    plane.start_server()

    async def answers() -> bool | None:
        try:
            return True if (await cluster.request("GET", "/readyz")).status == 200 else None
        except Exception:  # noqa: BLE001 - it is away: any error means not yet
            return None

    await eventually(answers, within=60, what="the server")
    assert operator.alive
    await cluster.patch(desk.grant, {"spec": {"state": "Suspended"}}, manager="admin")
    await eventually(desk.gone, within=180, what="no pod")
    assert (await operator.healthz())[0] == 200
    plane.start_controllers()


async def test_a_revoked_grant_leaves_nothing(cluster: Cluster, operator: Process):
    """Once the node let go: no pod, volume, Workspace or namespace, and the grant may go too."""
    desk = await approved(cluster, "ends")
    await eventually(desk.pod_there, within=WITHIN, what="a pod")
    await cluster.patch(desk.grant, {"spec": {"state": "Revoked"}}, manager="admin")
    await eventually(desk.gone, within=5, what="no pod")
    await desk.reported(HomeReleased=True)

    async def nothing() -> bool | None:
        namespace = await cluster.get(Ref(NAMESPACE, desk.name))
        volumes = await cluster.list(PERSISTENT_VOLUME, labels=f"carrel.dev/workspace={desk.name}")
        return True if namespace is None and not volumes else None

    await eventually(nothing, within=60, what="nothing")
    await cluster.delete(desk.grant)

    async def no_grant() -> bool | None:
        return True if await cluster.get(desk.grant) is None else None

    await eventually(no_grant, within=WITHIN, what="no grant")
    await cluster.delete(Ref(APPROVALS, f"{desk.grant.name}-approval"))
    await cluster.delete(Ref(REPORTS, f"node-1.{desk.name}"))
    assert operator.alive


async def begun(process: Process) -> bool | None:
    """Return True once an operator has begun to work."""
    return True if "the operator begins" in process.log.read_text() else None


async def _settled(desk: Desk) -> dict[str, str]:
    """Return what is there once it has not changed for two seconds."""
    last = await desk.everything()
    steady = time.monotonic()

    async def still() -> dict[str, str] | None:
        nonlocal last, steady
        now = await desk.everything()
        if now != last:
            last, steady = now, time.monotonic()
        return now if time.monotonic() - steady > 2 else None

    found, _ = await eventually(still, within=WITHIN, what="rest")
    return found


def _rendered(obj: JSON) -> JSON:
    return {key: value for key, value in obj.items() if key not in {"metadata", "status"}}
