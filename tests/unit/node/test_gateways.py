"""Whom a lock lets in: pods that run as the gateway, while they are there, and nobody else."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from carrel.cluster.refs import Ref, ref_of
from carrel.node.gateways import MOST, Gateways, addresses_of
from support.fake_cluster import FakeCluster


def pod(
    name: str = "gateway-0",
    *,
    uid: str = "p-1",
    address: str = "10.0.0.7",
    account: str = "carrel-gateway",
    **status: Any,
) -> dict[str, Any]:
    """Return a pod that runs as the gateway."""
    labels = {"app.kubernetes.io/name": "carrel", "app.kubernetes.io/component": "gateway"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "carrel-system", "uid": uid, "labels": labels},
        "spec": {"serviceAccountName": account},
        "status": {"phase": "Running", "podIPs": [{"ip": address}], **status},
    }


OTHERS: dict[str, Mapping[str, Any]] = {
    "another account": pod(account="default"),
    "no account": {"metadata": {"uid": "p"}, "spec": {}, "status": pod()["status"]},
    "the node's own network": {
        **pod(),
        "spec": {"serviceAccountName": "carrel-gateway", "hostNetwork": True},
    },
    "ended": pod(phase="Succeeded"),
    "failed": pod(phase="Failed"),
    "without an address": pod(podIPs=[]),
    "no address at all": pod(podIPs=[{"ip": "10.0.0.0/8; accept"}]),
    "nothing known": {"metadata": {"uid": "p"}},
}


@pytest.mark.parametrize("raw", OTHERS.values(), ids=OTHERS.keys())
def test_nobody_is_let_in_by_a_pod_that_is(raw: Mapping[str, Any]):
    assert addresses_of(raw) == ()


def test_both_families_of_a_gateway_are_let_in():
    raw = pod(podIPs=[{"ip": "10.0.0.7"}, {"ip": "fd00::7"}])
    assert addresses_of(raw) == ("10.0.0.7", "fd00::7")


@asynccontextmanager
async def following(gateways: Gateways) -> AsyncIterator[asyncio.Event]:
    """Let the gateways follow a cluster; the event is set whenever they changed."""
    changed = asyncio.Event()
    task = asyncio.create_task(gateways.follow(pulse=lambda: None, changed=changed.set))
    try:
        await changed.wait()
        yield changed
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def made(cluster: FakeCluster, raw: dict[str, Any]) -> Ref:
    """Make a pod and give it its status, as the kubelet does."""
    await cluster.create(raw)
    cluster.set_status(ref_of(raw), raw["status"])
    return ref_of(raw)


@pytest.fixture
async def cluster() -> FakeCluster:
    cluster = FakeCluster(now=lambda: datetime(2026, 3, 2, tzinfo=UTC))
    await cluster.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "carrel-system"}}
    )
    return cluster


async def test_an_address_goes_with_its_pod(cluster: FakeCluster):
    gateways = Gateways(cluster, namespace="carrel-system")
    ref = await made(cluster, pod())
    async with following(gateways) as changed:
        assert gateways.known
        assert gateways.addresses == ("10.0.0.7",)
        changed.clear()
        await cluster.delete(ref)
        await changed.wait()
        assert gateways.addresses == ()


async def test_a_new_pod_of_the_same_name_brings_its_own_address(cluster: FakeCluster):
    gateways = Gateways(cluster, namespace="carrel-system")
    async with following(gateways) as changed:
        ref = await made(cluster, pod())
        await cluster.delete(ref)
        await made(cluster, pod(address="10.0.0.8"))
        while gateways.addresses != ("10.0.0.8",):
            changed.clear()
            await changed.wait()


async def test_a_pod_that_ended_is_not_let_in_while_its_object_is_still_there(
    cluster: FakeCluster,
):
    gateways = Gateways(cluster, namespace="carrel-system")
    ref = await made(cluster, pod())
    async with following(gateways) as changed:
        changed.clear()
        cluster.set_status(ref, {**pod()["status"], "phase": "Failed"})
        await changed.wait()
        assert gateways.addresses == ()


async def test_an_agent_that_starts_lets_in_whom_the_one_before_let_in_until_it_hears(
    cluster: FakeCluster,
):
    gateways = Gateways(cluster, namespace="carrel-system")
    gateways.recall(("10.0.0.6",))
    assert (gateways.known, gateways.addresses) == (False, ("10.0.0.6",))
    async with following(gateways):
        assert (gateways.known, gateways.addresses) == (True, ())


async def test_a_report_holds_no_more_than_it_may(cluster: FakeCluster):
    gateways = Gateways(cluster, namespace="carrel-system")
    for number in range(MOST + 4):
        await made(cluster, pod(f"gateway-{number}", address=f"10.0.1.{number}"))
    async with following(gateways):
        assert len(gateways.addresses) == MOST
