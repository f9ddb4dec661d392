"""Whether a workspace's pod may be, what may be released, and what its status says."""

from datetime import datetime, timedelta

from carrel.kinds.workspace import Admission, Desired, StartStep, WorkspaceStatus
from carrel.rules.condition import is_true, settle
from carrel.rules.facts import HomeProvision
from carrel.rules.observed_workspace import (
    ObservedWorkspace,
    PodDecision,
    PolicyPresence,
    Release,
    WorkspaceVerdict,
)
from carrel.rules.pod import PodStage
from carrel.rules.quiet import is_quiet
from carrel.rules.workspace_conditions import report_on_pod, workspace_conditions

_REST_AFTER_END = timedelta(seconds=10)
"""A pod that ended is remade after this time, so that one that ends at once does not spin."""

_MOST_STEPS = 16


def judge_workspace(observed: ObservedWorkspace) -> WorkspaceVerdict:
    """Decide about one workspace: equal input gives an equal verdict."""
    acknowledged = acknowledging_nodes(observed)
    workspace = observed.workspace
    conditions = workspace_conditions(observed, acknowledged=acknowledged)
    deleting = workspace.metadata.deletion_timestamp is not None
    quiet = is_quiet(observed)
    closed = workspace.spec.admission is Admission.CLOSED
    home_goes = quiet and closed and _home_is_due(observed)
    object_goes = home_goes and _home_is_gone(observed)
    return WorkspaceVerdict(
        status=WorkspaceStatus(
            conditions=settle(conditions, present=workspace.status.conditions, now=observed.now),
            observed_generation=workspace.metadata.generation or 0,
            pod_uid=_pod_uid(observed, quiet=quiet),
            node=_node(observed, quiet=quiet),
            steps=_steps(observed),
        ),
        pod=_pod(observed, acknowledged=acknowledged),
        acknowledged=acknowledged,
        view=_release(quiet and (closed or deleting)),
        home=_release(home_goes),
        workspace=_release(object_goes),
        # An Open workspace that somebody deleted is made again at once and finds its home; a
        # Closed one stays, because it alone remembers when the home is to be deleted.
        finalizer=_release(deleting and (object_goes or (quiet and not closed))),
        next_change=_next_change(observed),
    )


def wants_pod(observed: ObservedWorkspace) -> bool:
    """Tell whether a pod should run now, on the workspace's own clock and word."""
    workspace = observed.workspace
    return (
        workspace.spec.admission is Admission.OPEN
        and workspace.spec.desired is Desired.RUNNING
        and observed.now < workspace.spec.expires
        and workspace.metadata.deletion_timestamp is None
    )


def acknowledging_nodes(observed: ObservedWorkspace) -> tuple[str, ...]:
    """Return the nodes that were asked and hold the present view and the home, sorted."""
    spec = observed.workspace.spec
    asked = set(spec.nodes) & observed.known_nodes
    return tuple(
        sorted(
            report.spec.node
            for report in observed.reports
            if report.spec.node in asked
            and report.status.view_digest == spec.view_digest
            and is_true(report.status.conditions, "ViewReady")
            and (
                observed.site.homes is HomeProvision.STORAGE_CLASS
                or is_true(report.status.conditions, "HomeReady")
            )
        )
    )


def _pod(observed: ObservedWorkspace, *, acknowledged: tuple[str, ...]) -> PodDecision:
    pod, spec = observed.pod, observed.workspace.spec
    wanted = wants_pod(observed)
    if pod is None:
        return PodDecision.GATED if wanted else PodDecision.ABSENT
    if pod.deletion_asked is not None:
        return PodDecision.ABSENT
    if pod.stage is PodStage.FINISHED:
        rested = _rested_at(observed)
        resting = wanted and rested is not None and observed.now < rested
        return PodDecision.ABSENT if resting else PodDecision.DELETE
    current = (
        pod.view_digest == spec.view_digest and pod.class_digest == spec.workspace_class.digest
    )
    if not wanted or not current:
        return PodDecision.DELETE
    if pod.stage is PodStage.GATED:
        lawful = observed.policy is PolicyPresence.AS_RENDERED
        return PodDecision.UNGATED if acknowledged and lawful else PodDecision.GATED
    return PodDecision.UNGATED


def _home_is_due(observed: ObservedWorkspace) -> bool:
    deleted_after = observed.workspace.spec.home.deleted_after
    return deleted_after is not None and observed.now >= deleted_after


def _home_is_gone(observed: ObservedWorkspace) -> bool:
    if observed.site.homes is HomeProvision.STORAGE_CLASS:
        return True
    released = {
        report.spec.node
        for report in observed.reports
        if is_true(report.status.conditions, "HomeReleased")
    }
    return set(observed.workspace.spec.nodes) & observed.known_nodes <= released


def _pod_uid(observed: ObservedWorkspace, *, quiet: bool) -> str | None:
    if observed.pod is not None:
        return observed.pod.uid or None
    return None if quiet else observed.workspace.status.pod_uid


def _node(observed: ObservedWorkspace, *, quiet: bool) -> str | None:
    if observed.pod is not None:
        return observed.pod.node
    return None if quiet else observed.workspace.status.node


def _steps(observed: ObservedWorkspace) -> tuple[StartStep, ...]:
    if observed.pod is None:
        return ()
    times = dict(observed.pod.times)
    report = report_on_pod(observed)
    if report is not None:
        times = {step.step: step.at for step in report.status.steps} | times
    ordered = sorted(times.items(), key=lambda step: (step[1], step[0]))
    return tuple(StartStep(step=name, at=at) for name, at in ordered[:_MOST_STEPS])


def _rested_at(observed: ObservedWorkspace) -> datetime | None:
    ended = observed.pod.finished_at if observed.pod else None
    return ended + _REST_AFTER_END if ended else None


def _next_change(observed: ObservedWorkspace) -> datetime | None:
    spec = observed.workspace.spec
    proof = observed.policy_proof.until
    times = (spec.expires, spec.home.deleted_after, _rested_at(observed), proof)
    return min((time for time in times if time and time > observed.now), default=None)


def _release(due: bool) -> Release:  # noqa: FBT001 - the claim is spelt out by each caller
    return Release.RELEASE if due else Release.HOLD
