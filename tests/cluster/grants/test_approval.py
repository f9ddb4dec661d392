"""A grant, its approval and its refusal by real people on the real cluster with Carrel on it.

The grant begins in 2090, so nothing of it ever runs.
"""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from carrel.cli.main import app
from carrel.cluster import JSON, ChangeType, KindRef, Ref, connect
from carrel.embedded import find_instance
from carrel.kinds import AccessGrant, Approval, Dataset, WorkspaceClass
from carrel.kinds.resource import API_VERSION

pytestmark = pytest.mark.cluster

NAME = "approval-case"
GRANT = Ref(KindRef.of(AccessGrant), NAME)


def person(name: str) -> Path:
    """Return the kubeconfig of a demo person."""
    return find_instance(os.environ.get("CARREL_INSTANCE", "carrel")).kubeconfig(name)


def carrel(*arguments: str, by: str, expect: int = 0) -> str:
    """Run the command line as a demo person; return what it printed, both ways."""
    done = CliRunner().invoke(app, [*arguments, "--kubeconfig", str(person(by))])
    assert done.exit_code == expect, done.output
    return done.output


async def first(kind: Any) -> str:
    """Return the name of some object of a kind that the platform holds."""
    async with connect(person("admin")) as cluster:
        return str((await cluster.list(KindRef.of(kind)))[0]["metadata"]["name"])


async def asked() -> JSON:
    """Return a grant for a dataset and a class that are there."""
    family, _, version = (await first(Dataset)).partition(".v")
    async with connect(person("admin")) as cluster:
        held = await cluster.get(Ref(KindRef.of(Dataset), f"{family}.v{version}"))
    assert held is not None
    return {
        "apiVersion": API_VERSION,
        "kind": "AccessGrant",
        "metadata": {"name": NAME},
        "spec": {
            "requester": "oidc:demo-grant-admin",
            "researchers": [{"subject": "demo-researcher"}],
            "project": "case",
            "purpose": {"statement": "A test.", "codes": held["spec"].get("use", [])},
            "datasets": [{"name": family, "version": int(version)}],
            "notBefore": "2090-01-01T00:00:00Z",
            "expires": "2090-02-01T00:00:00Z",
            "workspaceClass": await first(WorkspaceClass),
            "egressPolicy": "nothing",
            "locks": "InPod",
            "mode": "Interactive",
            "home": {"retention": "Delete"},
            "state": "Active",
        },
    }


async def forget() -> None:
    """Delete the grant and its approvals, and wait until the grant is gone."""
    async with connect(person("admin")) as cluster, asyncio.timeout(60):
        for item in await cluster.list(KindRef.of(Approval)):
            if item["spec"]["grant"] == NAME:
                await cluster.delete(Ref(KindRef.of(Approval), item["metadata"]["name"]))
        await cluster.delete(GRANT)
        there = False
        async for item in cluster.watch(GRANT.kind, fields=f"metadata.name={NAME}"):
            there = there or item.type is ChangeType.ADDED
            gone = item.type is ChangeType.DELETED
            if gone or (item.type is ChangeType.SYNCED and not there):
                return


async def until(reached: Callable[[str], bool]) -> str:
    """Return why the grant is not in force, once that is what `reached` waits for."""
    async with connect(person("grant-admin")) as cluster, asyncio.timeout(30):
        async for change in cluster.watch(GRANT.kind, fields=f"metadata.name={NAME}"):
            conditions = change.object.get("status", {}).get("conditions", [])
            said = {item["type"]: item["reason"] for item in conditions}
            if reached(said.get("InForce", "")):
                return str(said["InForce"])
    raise AssertionError("a watch never ends")


async def change(by: str, **spec: Any) -> None:
    """Patch the grant's specification as a demo person."""
    async with connect(person(by)) as cluster:
        await cluster.patch(GRANT, {"spec": spec}, manager="case")


@pytest.fixture
def grant() -> Iterator[None]:
    """Hold a grant that its administrator applied."""
    asyncio.run(forget())
    asyncio.run(_create())
    yield
    asyncio.run(forget())


async def _create() -> None:
    async with connect(person("grant-admin")) as cluster:
        await cluster.create(await asked())


@pytest.mark.usefixtures("grant")
def test_a_grant_waits_for_its_approval_and_grows_only_with_another() -> None:
    asyncio.run(until(lambda reason: reason == "ApprovalsMissing"))
    carrel("grant", "approve", NAME, "--yes", by="approver")
    asyncio.run(until(lambda reason: reason == "NotYetValid"))

    asyncio.run(change("grant-admin", expires="2090-01-15T00:00:00Z"))
    asyncio.run(until(lambda reason: reason == "NotYetValid"))

    asyncio.run(change("grant-admin", expires="2091-01-01T00:00:00Z"))
    asyncio.run(until(lambda reason: reason == "ScopeWider"))
    told = carrel("grant", "explain", NAME, by="grant-admin")
    assert "spec.expires: 2091-01-01T00:00:00Z is later than 2090-02-01T00:00:00Z" in told

    carrel("grant", "approve", NAME, "--yes", by="approver-2")
    asyncio.run(until(lambda reason: reason == "NotYetValid"))


@pytest.mark.usefixtures("grant")
def test_the_scope_shown_is_the_scope_that_the_operator_demands() -> None:
    asyncio.run(until(lambda reason: reason == "ApprovalsMissing"))
    shown = json.loads(carrel("grant", "scope", NAME, "--output", "json", by="approver"))
    held = asyncio.run(_stored())
    assert shown["scopeDigest"] == held["status"]["scopeDigest"]


async def _stored() -> JSON:
    async with connect(person("grant-admin")) as cluster:
        held = await cluster.get(GRANT)
    assert held is not None
    return held


@pytest.mark.usefixtures("grant")
@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("grant-admin", "'oidc:demo-grant-admin' asked for this grant."),
        ("researcher", 'User "oidc:demo-researcher" cannot get resource "accessgrants"'),
        ("auditor", 'User "oidc:demo-auditor" cannot get resource "accessgrants"'),
    ],
)
def test_nobody_else_approves(who: str, why: str) -> None:
    refused = carrel("grant", "approve", NAME, "--yes", by=who, expect=1)
    assert why in refused


def test_a_grant_that_is_not_there_is_named() -> None:
    told = carrel("grant", "explain", "no-such-grant", by="approver", expect=1)
    assert told == (
        "carrel: There is no AccessGrant 'no-such-grant' in this cluster. `carrel grant list` "
        "shows all.\n"
    )
