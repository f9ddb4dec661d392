"""The demo's grant and workspace: apply, approve, start, wait, and read what was proven."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from carrel.cluster.errors import NotFound
from carrel.cluster.protocol import ChangeType, Cluster
from carrel.cluster.refs import JSON, KindRef, Ref
from carrel.kinds import AccessGrant, NodeReport, Workspace, WorkspaceClass
from carrel.kinds.dataset import DatasetReference
from carrel.kinds.grant import (
    AccessGrantSpec,
    AccessMode,
    GrantState,
    HomePolicy,
    HomeRetention,
    NetworkLocks,
    Purpose,
    Researcher,
)
from carrel.kinds.resource import Metadata
from carrel.kinds.workspace import Desired, SelfCheck
from carrel.rules import find, is_true

MANAGER = "carrel-demo"
GRANT_NAME = "first-look"
PERIOD = timedelta(days=30)


class DemoError(Exception):
    """The story cannot go on; the message says why and what to look at."""


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What the workspace's own check reported through the node agent."""

    figures: dict[str, int]
    """Numbers by name: series, slices, rows and such."""
    denied: int
    """Packets that the lock refused so far."""
    steps: dict[str, str]
    """Time of each step of the start."""


def grant_manifest(
    *,
    name: str,
    requester: str,
    researcher: str,
    dataset: DatasetReference,
    workspace_class: str,
    locks: NetworkLocks,
    now: datetime,
) -> AccessGrant:
    """Return the grant that the demo applies: one researcher, one dataset, thirty days."""
    return AccessGrant(
        metadata=Metadata(name=name),
        spec=AccessGrantSpec(
            requester=requester,
            researchers=(Researcher(subject=researcher),),
            project="demo",
            purpose=Purpose(
                statement="See whether a workspace shows the CT series it was granted.",
                codes=("DUO:0000042",),
            ),
            datasets=(dataset,),
            not_before=now - timedelta(minutes=1),
            expires=now + PERIOD,
            workspace_class=workspace_class,
            egress_policy="nothing",
            locks=locks,
            mode=AccessMode.INTERACTIVE,
            home=HomePolicy(retention=HomeRetention.KEEP, keep_days=7),
            state=GrantState.ACTIVE,
        ),
    )


async def usable_grant(cluster: Cluster, *, now: datetime) -> tuple[str, AccessGrant | None]:
    """Return the name for the demo's grant, with the grant where one can still be used.

    Revoked is final and an end passes: then the next free name is taken.
    """
    number = 1
    while True:
        name = GRANT_NAME if number == 1 else f"{GRANT_NAME}-{number}"
        found = await cluster.get(Ref(KindRef.of(AccessGrant), name))
        if found is None:
            return name, None
        grant = AccessGrant.model_validate(found)
        gone = grant.metadata.deletion_timestamp is not None
        if not gone and grant.spec.state is GrantState.ACTIVE and grant.spec.expires > now:
            return name, grant
        number += 1


async def newest_class(cluster: Cluster) -> str:
    """Return the newest workspace class, which holds the image that was just installed."""
    classes = [
        WorkspaceClass.model_validate(item)
        for item in await cluster.list(KindRef.of(WorkspaceClass))
    ]
    if not classes:
        raise DemoError(
            "There is no WorkspaceClass: the chart makes one when images.workspace is set; "
            "see `kubectl get workspaceclasses`."
        )
    newest = max(classes, key=lambda item: (str(item.metadata.creation_timestamp), item.spec.image))
    return newest.metadata.name


async def wait_for(
    cluster: Cluster,
    ref: Ref,
    *,
    until: Callable[[JSON], str | None],
    progress: Callable[[JSON], str],
    say: Callable[[str], None],
    seconds: float,
) -> JSON:
    """Watch one object until `until` returns None, saying each new line of progress.

    Raises DemoError with the last thing that was missing when `seconds` have passed.
    """
    missing, said = "the object itself", ""
    try:
        async with asyncio.timeout(seconds):
            changes = cluster.watch(
                ref.kind, namespace=ref.namespace, fields=f"metadata.name={ref.name}"
            )
            async for change in changes:
                if change.type is ChangeType.SYNCED or change.type is ChangeType.DELETED:
                    continue
                line = progress(change.object)
                if line != said:
                    said = line
                    say(line)
                waiting = until(change.object)
                if waiting is None:
                    return change.object
                missing = waiting
    except TimeoutError:
        raise DemoError(
            f"{ref} did not get there within {seconds:.0f} s: {missing} Look with "
            f"`kubectl describe {ref.kind.plural} {ref.name}`"
            + (f" -n {ref.namespace}." if ref.namespace else ".")
        ) from None
    raise DemoError(f"The watch of {ref} ended: {missing}")


def condition_is_true(name: str) -> Callable[[JSON], str | None]:
    """Return a check that says what is missing until condition `name` is True."""

    def check(obj: JSON) -> str | None:
        for item in obj.get("status", {}).get("conditions", []):
            if item["type"] == name:
                return None if item["status"] == "True" else f"{name}: {item['message']}"
        return f"{name} has not been reported yet."

    return check


def why_not_ready(obj: JSON) -> str:
    """Return the first condition that is not True as a line of progress."""
    conditions = Workspace.model_validate(obj).status.conditions
    for name in ("ViewReady", "HomeReady", "PolicyEnforced", "Locked", "Started", "Ready"):
        found = find(conditions, name)
        if found is None or not is_true(conditions, name):
            return f"{name}: {found.message if found else 'not reported yet'}"
    return "Ready"


async def start(cluster: Cluster, workspace: Ref, *, say: Callable[[str], None]) -> JSON:
    """Start the workspace with the imaging check; a running one is stopped first."""
    present = await cluster.get(workspace)
    if present is None:
        raise NotFound("the operator has not made it", call=f"get {workspace}", status=404)
    if present["spec"]["desired"] == Desired.RUNNING:
        say("Stopping the workspace of an earlier run.")
        await _want(cluster, workspace, Desired.STOPPED)
        await wait_for(
            cluster,
            workspace,
            until=condition_is_true("Stopped"),
            progress=lambda _: "",
            say=lambda _: None,
            seconds=60,
        )
    await _want(cluster, workspace, Desired.RUNNING)
    return await wait_for(
        cluster,
        workspace,
        until=condition_is_true("Ready"),
        progress=why_not_ready,
        say=say,
        seconds=300,
    )


async def _want(cluster: Cluster, workspace: Ref, desired: Desired) -> None:
    await cluster.patch(
        workspace,
        {"spec": {"desired": desired, "selfCheck": SelfCheck.IMAGING}},
        manager=MANAGER,
    )


async def read_proof(cluster: Cluster, workspace: Workspace) -> Proof:
    """Return what the node's agents reported about the present pod."""
    reports = [
        NodeReport.model_validate(item)
        for item in await cluster.list(KindRef.of(NodeReport))
        if item["spec"]["workspaceUID"] == workspace.uid
    ]
    if not reports:
        raise DemoError(f"No node reported about {workspace.metadata.name}.")
    report = reports[0]
    return Proof(
        figures={figure.name: figure.value for figure in report.status.figures},
        denied=report.status.denied,
        steps={step.step: step.at for step in workspace.status.steps},
    )
