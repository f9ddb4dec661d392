"""Whether a grant is in force, why not, and what it wants to exist."""

from datetime import datetime

from carrel.kinds import Workspace
from carrel.kinds.approval import ApprovedScope
from carrel.kinds.grant import AccessGrantStatus, GrantWorkspace
from carrel.kinds.resource import Condition, ConditionStatus
from carrel.kinds.workspace import Admission, Desired
from carrel.rules.approval import ApprovalTally, counts_condition, tally, unjudged_condition
from carrel.rules.canonical import digest_of
from carrel.rules.condition import condition, find, is_true, settle
from carrel.rules.desired_workspace import closed_workspaces, open_workspaces
from carrel.rules.grant_checks import (
    APPROVAL_CHECKS,
    DATASET_CHECKS,
    IN_FORCE_CHECKS,
    GrantCase,
    first_denial,
)
from carrel.rules.home import ended_at, homes_deleted_after
from carrel.rules.observed_grant import Denial, DesiredWorkspace, GrantVerdict, ObservedGrant
from carrel.rules.scope import approved_scope, effective_end, effective_start, scope_text

_MOST_WORKSPACES = 50


def judge_grant(observed: ObservedGrant) -> GrantVerdict:
    """Decide about one grant: equal input gives an equal verdict."""
    scope = _scope(observed)
    tallied = (
        tally(observed.approvals, grant=observed.grant, present=scope, site=observed.site)
        if scope
        else None
    )
    case = GrantCase(observed=observed, scope=scope, tally=tallied)
    denial = first_denial(IN_FORCE_CHECKS, case)
    ended = ended_at(observed.grant, now=observed.now)
    deleted_after = homes_deleted_after(
        observed.grant.spec.home,
        approved=[item.home for item in tallied.sound] if tallied else (),
        ended=ended,
    )
    workspaces = (
        open_workspaces(observed, scope)
        if scope and denial is None
        else closed_workspaces(observed, deleted_after=deleted_after)
    )
    conditions = _conditions(case, denial)
    status = AccessGrantStatus(
        conditions=settle(conditions, present=observed.grant.status.conditions, now=observed.now),
        observed_generation=_generation(observed),
        scope_digest=digest_of(scope_text(scope)) if scope else None,
        workspaces=tuple(
            GrantWorkspace(subject=item.spec.researcher, namespace=item.name, name=item.name)
            for item in workspaces[:_MOST_WORKSPACES]
        ),
        ended_at=ended,
        homes_deleted_after=deleted_after,
    )
    return GrantVerdict(
        admission=Admission.OPEN if denial is None else Admission.CLOSED,
        status=status,
        scope=scope,
        counts=_counts(observed, tallied),
        workspaces=workspaces,
        next_change=_next_change(observed, deleted_after),
    )


def grant_may_go(workspaces: tuple[Workspace, ...]) -> bool:
    """Tell whether a deleted grant's finalizer may be removed.

    True when each of its workspaces is Closed and has `Stopped=True` in its status for the
    present specification; kept homes do not hold the grant back, because the Workspace
    carries the date of their deletion by itself.
    """
    return all(has_stopped(item) for item in workspaces)


def has_stopped(workspace: Workspace) -> bool:
    """Tell whether a workspace is Closed and said, since it is, that nothing of it runs."""
    return (
        workspace.spec.admission is Admission.CLOSED
        and workspace.status.observed_generation == (workspace.metadata.generation or 0)
        and is_true(workspace.status.conditions, "Stopped")
    )


def _scope(observed: ObservedGrant) -> ApprovedScope | None:
    named = {item.object_name for item in observed.grant.spec.datasets}
    if (
        observed.workspace_class is None
        or observed.egress_policy is None
        or not named <= set(observed.datasets)
    ):
        return None
    return approved_scope(
        observed.grant,
        datasets=observed.datasets,
        workspace_class=observed.workspace_class,
        egress_policy=observed.egress_policy,
    )


def _counts(observed: ObservedGrant, tallied: ApprovalTally | None) -> dict[str, Condition]:
    counts = {}
    for approval in observed.approvals:
        name, generation = approval.metadata.name, approval.metadata.generation or 0
        counts[name] = (
            counts_condition(tallied.denials[name], generation=generation)
            if tallied
            else unjudged_condition(generation=generation)
        )
    return counts


def _conditions(case: GrantCase, denial: Denial | None) -> tuple[Condition, ...]:
    generation = _generation(case.observed)
    approvers = ", ".join(case.tally.approvers) if case.tally else ""
    return (
        _judged(
            "Approved",
            first_denial(APPROVAL_CHECKS, case),
            Denial(reason="Approved", message=f"Approved by {approvers}."),
            generation=generation,
        ),
        _judged(
            "DatasetsReady",
            first_denial(DATASET_CHECKS, case),
            Denial(reason="AllReady", message="Every dataset is Ready."),
            generation=generation,
        ),
        _judged(
            "InForce",
            denial,
            Denial(
                reason="InForce",
                message="The grant is in force until "
                f"{effective_end(case.observed.grant.spec.expires):%Y-%m-%dT%H:%M:%SZ}.",
            ),
            generation=generation,
        ),
        _workspaces_ready(case.observed.workspaces, denial, generation=generation),
    )


def _judged(kind: str, denial: Denial | None, praise: Denial, *, generation: int) -> Condition:
    status = ConditionStatus.TRUE if denial is None else ConditionStatus.FALSE
    said = denial or praise
    return condition(kind, status, said.reason, said.message, generation=generation)


def _workspaces_ready(
    workspaces: tuple[Workspace, ...], denial: Denial | None, *, generation: int
) -> Condition:
    if denial is not None:
        running = sorted(
            item.metadata.name
            for item in workspaces
            if not is_true(item.status.conditions, "Stopped")
        )
        said = (
            Denial(reason="Stopping", message=f"Not yet proven stopped: {_shown(running)}.")
            if running
            else Denial(reason="Stopped", message="Nothing runs: the grant is not in force.")
        )
        return _judged("WorkspacesReady", said, said, generation=generation)
    wanted = [item for item in workspaces if item.spec.desired is Desired.RUNNING]
    unready = sorted(
        f"{item.metadata.name} ({_why(item)})"
        for item in wanted
        if not is_true(item.status.conditions, "Ready")
    )
    tripped = (
        Denial(reason="SomeNotReady", message=f"Not Ready: {_shown(unready)}.") if unready else None
    )
    praise = (
        Denial(reason="AllReady", message="Every workspace that should run is Ready.")
        if wanted
        else Denial(reason="NoneWanted", message="No workspace is asked to run.")
    )
    return _judged("WorkspacesReady", tripped, praise, generation=generation)


def _why(workspace: Workspace) -> str:
    ready = find(workspace.status.conditions, "Ready")
    return ready.reason if ready else "not looked at yet"


def _shown(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown


def _next_change(observed: ObservedGrant, deleted_after: datetime | None) -> datetime | None:
    spec = observed.grant.spec
    times = [effective_start(spec.not_before), effective_end(spec.expires)]
    times += [deleted_after] if deleted_after else []
    return min((time for time in times if time > observed.now), default=None)


def _generation(observed: ObservedGrant) -> int:
    return observed.grant.metadata.generation or 0


__all__ = [
    "DesiredWorkspace",
    "GrantVerdict",
    "ObservedGrant",
    "grant_may_go",
    "has_stopped",
    "judge_grant",
]
