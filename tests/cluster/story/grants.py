"""Grants for the stories: a sound one, and ways to spoil it."""

import asyncio
from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from carrel.cli.demo import desk
from carrel.cli.demo.images import DATASET
from carrel.cluster import Cluster, KindRef, Ref
from carrel.cluster.protocol import ChangeType
from carrel.cluster.refs import JSON
from carrel.flows.approval import approve, read_scope
from carrel.kinds import AccessGrant
from carrel.kinds.dataset import DatasetReference
from carrel.kinds.grant import NetworkLocks

GRANTS = KindRef.of(AccessGrant)
REQUESTER = "oidc:demo-grant-admin"
APPROVER = "oidc:demo-approver"

Spoil = Callable[[dict[str, Any]], None]
"""Changes a specification in place."""


async def sound(
    cluster: Cluster, *, name: str, researcher: str, spoil: Spoil | None = None
) -> JSON:
    """Return a grant on the demo's dataset, changed by `spoil`."""
    now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - the API server compares it with its clock
    grant = desk.grant_manifest(
        name=name,
        requester=REQUESTER,
        researcher=researcher,
        dataset=DatasetReference(name=DATASET, version=1),
        workspace_class=await desk.newest_class(cluster),
        locks=NetworkLocks.IN_POD,
        now=now,
    ).to_wire()
    spec = deepcopy(grant["spec"])
    # A kept home keeps its namespace; tests leave nothing behind.
    spec["home"] = {"retention": "Delete"}
    if spoil is not None:
        spoil(spec)
    return {
        "apiVersion": GRANTS.api_version,
        "kind": GRANTS.kind,
        "metadata": {"name": name},
        "spec": spec,
    }


async def approved(cluster: Cluster, *, name: str) -> None:
    """Approve what the grant asks for now."""
    await approve(cluster, await read_scope(cluster, name), approver=APPROVER)


async def until(
    cluster: Cluster, name: str, check: Callable[[JSON], str | None], *, seconds: float = 60
) -> JSON:
    """Wait until `check` finds nothing missing on the grant."""
    return await desk.wait_for(
        cluster,
        Ref(GRANTS, name),
        until=check,
        progress=lambda _: "",
        say=lambda _: None,
        seconds=seconds,
    )


def stands(condition: str, *, status: str, reason: str) -> Callable[[JSON], str | None]:
    """Return a check that a condition says exactly this, and says it in words."""

    def check(obj: JSON) -> str | None:
        said = {c["type"]: c for c in obj.get("status", {}).get("conditions", [])}
        found = said.get(condition)
        if found is None or (found["status"], found["reason"]) != (status, reason):
            return f"{condition} says {found}, not {status} {reason}."
        return None if found["message"].strip() else f"{condition} has no message."

    return check


async def gone(cluster: Cluster, ref: Ref, *, seconds: float = 90) -> None:
    """Delete an object and wait until nothing is left of it."""
    await cluster.delete(ref)
    async with asyncio.timeout(seconds):
        changes = cluster.watch(
            ref.kind, namespace=ref.namespace, fields=f"metadata.name={ref.name}"
        )
        there = False
        async for change in changes:
            if change.type is ChangeType.SYNCED and not there:
                return
            if change.type is ChangeType.DELETED:
                return
            there = True
