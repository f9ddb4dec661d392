"""The policies as they lie in the source tree, in front of the real API server."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest_asyncio
import yaml

from carrel.cluster import Cluster, connect
from carrel.embedded import find_instance
from policies.cases import POLICIES, Case, Outcome, cases, send

_GROUP = "/apis/admissionregistration.k8s.io/v1"
_REFUSED_FIRST = "dataset-publisher/deny/manager-publishes"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guarded() -> AsyncIterator[Cluster]:
    """Connect to the embedded cluster as its administrator, with all policies in force."""
    async with connect(_kubeconfig()) as cluster:
        added = [path for path, text in manifests() if await _add(cluster, path, text)]
        await _in_force(cluster)
        yield cluster
        for path in reversed(added):
            await cluster.request("DELETE", path)


def manifests() -> Iterator[tuple[str, str]]:
    """Yield every policy and every binding: its path at the API server, and its text."""
    for name, plural in (
        ("policy.yaml", "validatingadmissionpolicies"),
        ("binding.yaml", "validatingadmissionpolicybindings"),
    ):
        for path in sorted(POLICIES.glob(f"*/{name}")):
            object_name = yaml.safe_load(path.read_text())["metadata"]["name"]
            yield f"{_GROUP}/{plural}/{object_name}", path.read_text()


async def _add(cluster: Cluster, path: str, text: str) -> bool:
    # A policy of the installed platform stays as it is: that one is to be tried.
    answer = await cluster.request(
        "POST",
        path.rpartition("/")[0],
        headers={"Content-Type": "application/yaml", "Accept": "application/json"},
        body=text.encode(),
    )
    assert answer.status in {201, 409}, answer.body.decode()
    return answer.status == 201


async def _in_force(cluster: Cluster) -> None:
    # The API server takes a new policy up some moments after it was stored, and tells nobody.
    case: Case = next(case for case in cases() if case.name == _REFUSED_FIRST)
    async with asyncio.timeout(30):
        while True:
            if (await send(cluster, case)).outcome is Outcome.DENIED:
                return
            await asyncio.sleep(0.1)


def _kubeconfig() -> Path:
    return find_instance(os.environ.get("CARREL_INSTANCE", "carrel")).kubeconfig("admin")
