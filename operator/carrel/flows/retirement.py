"""Retiring the platform: suspend grants, wait until nothing runs, let go of what we hold.

The order is the point. Locks, revoker and operator still work while grants are being
suspended; finalizers go last, when nothing is left that they protect.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from carrel.cluster import JSON, Cluster, KindRef, Ref
from carrel.cluster.errors import Conflict, NotFound
from carrel.cluster.refs import POD
from carrel.flows.clock import Clock, wait_until
from carrel.kinds import AccessGrant, NodeReport, Workspace

__all__ = ["STATEFUL_SET", "RetirementError", "Running", "retire", "what_runs"]

MANAGER = "carrel-retirement"
PREFIX = "carrel.dev/"
WORKSPACE_PODS = "carrel.dev/role=workspace"
GRANTS = KindRef.of(AccessGrant)
WORKSPACES = KindRef.of(Workspace)
REPORTS = KindRef.of(NodeReport)
STATEFUL_SET = KindRef("apps/v1", "StatefulSet", "statefulsets", namespaced=True)
_PAUSE = timedelta(seconds=1)
_NAMED = 5
"""So many names stand in a refusal; the rest is a number."""


class RetirementError(Exception):
    """Something still runs, so the platform must stay; the message names it."""


@dataclass(frozen=True, slots=True)
class Running:
    """What keeps the platform from going."""

    pods: tuple[str, ...]
    """Workspace pods that exist, as namespace/name."""
    unproven: tuple[str, ...]
    """Reports of a pod whose cgroup the node has not yet seen empty."""

    def __bool__(self) -> bool:
        return bool(self.pods or self.unproven)

    def sentence(self) -> str:
        """Name what runs, in part."""
        return "; ".join(
            f"{what}: {', '.join(names[:_NAMED])}"
            + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
            for what, names in (
                ("workspace pods", self.pods),
                ("reports without an empty cgroup", self.unproven),
            )
            if names
        )


def what_runs(*, pods: Sequence[JSON], reports: Sequence[JSON]) -> Running:
    """Decide what still runs: a pod that exists, or one that no node saw end."""
    return Running(
        pods=tuple(
            sorted(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in pods)
        ),
        unproven=tuple(
            sorted(
                report["metadata"]["name"]
                for report in reports
                if report.get("status", {}).get("podUID") and not _is_empty(report)
            )
        ),
    )


def _is_empty(report: JSON) -> bool:
    conditions = report.get("status", {}).get("conditions", [])
    return any(
        one.get("type") == "CgroupEmpty" and one.get("status") == "True" for one in conditions
    )


async def retire(
    cluster: Cluster,
    *,
    operator: Ref,
    clock: Clock,
    deadline: timedelta,
    say: Callable[[str], None],
) -> None:
    """Suspend every grant, wait until nothing runs, stop the operator, remove our finalizers.

    `operator` is the StatefulSet that runs it; `say` gets a sentence after each step.
    Running it again goes on where it stopped.

    Raises
    ------
    RetirementError
        If something still runs at the deadline; grants stay suspended, the rest as it was.
    ClusterError
        If the API server refuses or does not answer.
    """
    ends = clock.now() + deadline
    while True:
        suspended = await _suspend_grants(cluster)
        if suspended:
            say(f"suspended {suspended} grants")
        running = what_runs(
            pods=await cluster.list(POD, labels=WORKSPACE_PODS),
            reports=await cluster.list(REPORTS),
        )
        if not running and not suspended:
            break
        if clock.now() >= ends:
            raise RetirementError(
                f"after {deadline.total_seconds():.0f} s there are still {running.sentence()}. "
                "Grants are suspended and the platform is as it was. See why the node agent did "
                "not finish (kubectl describe nodereports), then uninstall again."
            )
        await wait_until(clock.now() + _PAUSE, clock=clock)
    say("nothing runs")
    await _stop_operator(cluster, operator, clock=clock, deadline=deadline)
    say("the operator has stopped")
    released = [await _release(cluster, kind) for kind in (WORKSPACES, GRANTS)]
    say(f"removed the finalizers of {sum(released)} objects")


async def _suspend_grants(cluster: Cluster) -> int:
    """Suspend what is Active, also grants that were applied while we wait; return how many."""
    active = [
        grant
        for grant in await cluster.list(GRANTS)
        if grant.get("spec", {}).get("state") == "Active"
    ]
    for grant in active:
        ref = Ref(GRANTS, grant["metadata"]["name"])
        try:
            await cluster.patch(ref, {"spec": {"state": "Suspended"}}, manager=MANAGER)
        except NotFound:
            continue  # deleted meanwhile, which ends it as well
    return len(active)


async def _stop_operator(
    cluster: Cluster, operator: Ref, *, clock: Clock, deadline: timedelta
) -> None:
    """Stop the operator: while it runs it puts finalizers back on what it reconciles."""
    try:
        await cluster.patch(operator, {"spec": {"replicas": 0}}, manager=MANAGER)
    except NotFound:
        return
    ends = clock.now() + deadline
    while True:
        found = await cluster.get(operator)
        status = (found or {}).get("status", {})
        if not status.get("replicas", 0):
            return
        if clock.now() >= ends:
            raise RetirementError(
                f"the operator's pod did not stop within {deadline.total_seconds():.0f} s. "
                f"See kubectl describe pods -n {operator.namespace}, then uninstall again."
            )
        await wait_until(clock.now() + _PAUSE, clock=clock)


async def _release(cluster: Cluster, kind: KindRef) -> int:
    """Take our finalizers off every object of a kind; return how many bore one."""
    released = 0
    while True:
        held = [obj for obj in await cluster.list(kind) if _ours(obj)]
        if not held:
            return released
        for obj in held:
            released += await _let_go(cluster, kind, obj)


async def _let_go(cluster: Cluster, kind: KindRef, obj: JSON) -> int:
    metadata = obj["metadata"]
    kept = [one for one in metadata["finalizers"] if not one.startswith(PREFIX)]
    patch = {"metadata": {"finalizers": kept, "resourceVersion": metadata["resourceVersion"]}}
    ref = Ref(kind, metadata["name"], metadata.get("namespace"))
    try:
        await cluster.patch(ref, patch, manager=MANAGER)
    except (Conflict, NotFound):
        return 0  # somebody wrote or deleted it meanwhile; the next list tells
    return 1


def _ours(obj: JSON) -> bool:
    return any(one.startswith(PREFIX) for one in obj["metadata"].get("finalizers", []))
