"""A grant and its scope in sentences that a person can say yes or no to."""

from datetime import datetime

from carrel.kinds import AccessGrant, Approval
from carrel.kinds.approval import ApprovedScope, ScopedDataset
from carrel.kinds.grant import (
    AccessMode,
    HomePolicy,
    HomeRetention,
    NetworkLocks,
    OnRecorderLoss,
)
from carrel.kinds.resource import Condition, ConditionStatus
from carrel.rules.condition import find
from carrel.rules.scope import effective_recorder_loss

_ANSWERS = {
    ConditionStatus.TRUE: "yes",
    ConditionStatus.FALSE: "no",
    ConditionStatus.UNKNOWN: "not known",
}
_MOST_NAMED = 10


def explain_scope(scope: ApprovedScope) -> tuple[str, ...]:
    """Return the sentences that an approver reads before saying yes."""
    codes = f" ({', '.join(scope.purpose.codes)})" if scope.purpose.codes else ""
    days = (scope.expires - scope.not_before).days
    sentences = (
        f"{scope.requester} asks for project {scope.project}.",
        f"Who may work: {_listed(scope.researchers)} ({_count(len(scope.researchers), 'person')}).",
        f"What for{codes}: {scope.purpose.statement}",
        *(f"Which images: {_dataset(item)}" for item in scope.datasets),
        (
            f"When: from {_time(scope.not_before)} to {_time(scope.expires)} "
            f"({_count(days, 'whole day')})."
        ),
        (
            f"Where: in a workspace of class {scope.workspace_class.name}; what may be reached "
            f"from it is policy {scope.egress_policy.name}."
        ),
        _locks(scope.locks),
        _recording(effective_recorder_loss(scope)),
        _mode(scope),
        _home(scope.home),
    )
    return tuple(_visible(sentence) for sentence in sentences)


def explain_grant(grant: AccessGrant, *, approvals: tuple[Approval, ...]) -> tuple[str, ...]:
    """Return what is true of a grant as the operator last saw it, and what to do next."""
    generation = grant.metadata.generation or 0
    if not grant.status.conditions:
        return (
            (
                f"Grant {grant.metadata.name}: the operator has not looked at it yet. If this "
                "stays so, look at `kubectl -n carrel-system get pods`."
            ),
        )
    stale = grant.status.observed_generation != generation
    sentences = (
        (
            f"Grant {grant.metadata.name}, state {grant.spec.state}, project "
            f"{grant.spec.project}, for {_count(len(grant.spec.researchers), 'person')}, "
            f"until {_time(grant.spec.expires)}."
        ),
        *(("The operator has not looked at the latest change yet.",) if stale else ()),
        *(_condition(item) for item in grant.status.conditions),
        *(_approval(item) for item in sorted(approvals, key=lambda item: item.metadata.name)),
        *(
            f"Workspace of {item.subject}: {item.name} in namespace {item.namespace}."
            for item in grant.status.workspaces
        ),
        *_ending(grant),
    )
    return tuple(_visible(sentence) for sentence in sentences)


def _visible(sentence: str) -> str:
    # The requester wrote parts of it: characters that move the cursor, turn the direction of
    # writing or hide would let an approver read something else than is approved.
    return "".join(
        character if character.isprintable() else f"\\u{{{ord(character):x}}}"
        for character in sentence
    )


def _condition(item: Condition) -> str:
    return f"{item.type}: {_ANSWERS[item.status]} ({item.reason}). {item.message}"


def _approval(approval: Approval) -> str:
    counts = find(approval.status.conditions, "Counts")
    said = f"{approval.metadata.name} by {approval.spec.approver}"
    if counts is None:
        return f"Approval {said}: not looked at yet."
    return f"Approval {said} counts: {_ANSWERS[counts.status]} ({counts.reason}). {counts.message}"


def _ending(grant: AccessGrant) -> tuple[str, ...]:
    status = grant.status
    if status.ended_at is None:
        return ()
    ended = f"The grant ended at {_time(status.ended_at)}."
    if status.homes_deleted_after is None:
        return (ended,)
    return (ended, f"Homes are deleted after {_time(status.homes_deleted_after)}.")


def _dataset(item: ScopedDataset) -> str:
    selection = item.selection
    part = (
        "all of it"
        if selection is None
        else f"only {_count(len(selection.subjects), 'subject')}, "
        f"{_count(len(selection.studies), 'study', 'studies')} and "
        f"{len(selection.series)} series of it"
    )
    return f"{item.name}, version {item.version}, {part} (content {item.digest[:19]}…)."


def _locks(locks: NetworkLocks) -> str:
    match locks:
        case NetworkLocks.BOTH:
            return "Network: locked in the pod and by the cluster's NetworkPolicy."
        case NetworkLocks.IN_POD:
            return "Network: locked in the pod only; NetworkPolicy need not be enforced."


def _recording(order: OnRecorderLoss) -> str:
    match order:
        case OnRecorderLoss.CLOSE_EGRESS:
            after = "nothing is reachable any more"
        case OnRecorderLoss.FREEZE:
            after = "the workspace stands still"
        case OnRecorderLoss.TERMINATE:
            after = "the workspace ends"
    return f"Recording: when refused attempts cannot be recorded, {after}."


def _mode(scope: ApprovedScope) -> str:
    match scope.mode:
        case AccessMode.INTERACTIVE:
            return "How: in the notebook only."
        case AccessMode.INTERACTIVE_AND_BATCH:
            batch = scope.batch
            return (
                "How: in the notebook and in the batch queue, together at most "
                f"{_count(batch.cpu, 'core')}, {batch.memory_gib} GiB and "
                f"{_count(batch.gpu, 'GPU')}."
            )


def _home(home: HomePolicy) -> str:
    match home.retention:
        case HomeRetention.DELETE:
            return "Afterwards: homes are deleted as soon as nothing runs."
        case HomeRetention.KEEP:
            kept = _count(home.keep_days, "day")
            return f"Afterwards: homes are kept {kept}, then deleted."


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    return f"{shown} and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else shown


def _count(number: int, one: str, many: str | None = None) -> str:
    if number == 1:
        return f"1 {one}"
    return f"{number} {many or {'person': 'people'}.get(one, one + 's')}"


def _time(value: datetime) -> str:
    return value.strftime("%Y-%m-%d %H:%M:%S UTC")
