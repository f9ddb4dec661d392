"""A home of a StorageClass: it outlives its claim, and goes on its own date and not before."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.cluster import JSON, Cluster, Ref
from carrel.cluster.refs import NAMESPACE, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM
from support.control_plane import ControlPlane
from support.granted import WITHIN, Desk, approved
from support.processes import Process, eventually, running

pytestmark = pytest.mark.cluster

VOLUME = "provisioned-1"
SITE = {"CARREL_HOMES": "StorageClass", "CARREL_HOME_STORAGE_CLASS": "fast"}


@pytest.fixture
def operator(plane: ControlPlane, folder: Path) -> Iterator[Process]:
    """Return a running operator of a site whose homes are claims of a class."""
    with running("handlers", kubeconfig=plane.kubeconfig, folder=folder, site=SITE) as process:
        yield process


def provisioned() -> JSON:
    """Return a volume as a provisioner makes it: deleted with its claim."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": VOLUME},
        "spec": {
            "storageClassName": "fast",
            "accessModes": ["ReadWriteOnce"],
            "capacity": {"storage": "1Ti"},
            "hostPath": {"path": "/nowhere"},
            "persistentVolumeReclaimPolicy": "Delete",
        },
    }


async def schedule(cluster: Cluster, desk: Desk) -> None:
    """Play the scheduler."""
    bound = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": desk.pod.name},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node-1"},
    }
    answer = await cluster.request(
        "POST",
        f"{desk.pod.path}/binding",
        headers={"Content-Type": "application/json"},
        body=json.dumps(bound).encode(),
    )
    assert answer.status == 201, answer.body


async def test_a_provisioned_home_comes_back_and_goes_on_its_date(
    cluster: Cluster, operator: Process
):
    """A namespace deleted by hand takes the claim and not the home; the grant's end takes both."""
    volume = Ref(PERSISTENT_VOLUME, VOLUME)
    await cluster.create(provisioned())
    desk = await approved(cluster, "provisioned")
    await eventually(desk.pod_there, within=WITHIN, what="a pod")
    await desk.reported()
    pod, _ = await eventually(desk.ungated, within=WITHIN, what="an open gate")
    await schedule(cluster, desk)

    async def kept() -> bool | None:
        live = await cluster.get(volume)
        retained = live and live["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
        return True if retained else None

    await eventually(kept, within=WITHIN, what="a volume that stays")
    first = await _bound_claim(cluster, desk)
    assert first is not None
    await cluster.delete(Ref(NAMESPACE, desk.name))
    await cluster.delete(desk.pod, grace=0)
    await desk.reported(pod_uid=pod["metadata"]["uid"], CgroupEmpty=True)

    async def back() -> JSON | None:
        claim = await _bound_claim(cluster, desk)
        return claim if claim and claim["metadata"]["uid"] != first["metadata"]["uid"] else None

    again, _ = await eventually(back, within=90, what="a claim bound to the volume again")
    assert again["spec"]["volumeName"] == VOLUME
    await eventually(desk.pod_there, within=WITHIN, what="a pod again")
    await cluster.patch(desk.grant, {"spec": {"state": "Revoked"}}, manager="admin")
    await eventually(desk.gone, within=WITHIN, what="no pod")
    await desk.reported()

    async def given_back() -> bool | None:
        live = await cluster.get(volume)
        return (
            True
            if live is None or live["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
            else None
        )

    await eventually(given_back, within=WITHIN, what="a volume that its class may delete")
    assert operator.alive


async def _bound_claim(cluster: Cluster, desk: Desk) -> JSON | None:
    claim = await cluster.get(Ref(PERSISTENT_VOLUME_CLAIM, "home", desk.name))
    return claim if claim and claim.get("status", {}).get("phase") == "Bound" else None
