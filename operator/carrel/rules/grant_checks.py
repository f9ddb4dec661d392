"""What must hold for a grant to be in force: the list of names is the policy, read aloud."""

from collections.abc import Callable
from dataclasses import dataclass

from carrel.kinds.approval import ApprovedScope
from carrel.kinds.dataset import Selection
from carrel.kinds.grant import GrantState, NetworkLocks
from carrel.kinds.resource import ConditionStatus
from carrel.rules.approval import ApprovalTally
from carrel.rules.condition import find
from carrel.rules.facts import PolicyEnforcement
from carrel.rules.observed_grant import Denial, ObservedGrant
from carrel.rules.scope import effective_end, effective_start


@dataclass(frozen=True, kw_only=True)
class GrantCase:
    """What the checks look at."""

    observed: ObservedGrant
    """What was observed."""
    scope: ApprovedScope | None
    """Present scope, if everything that the grant names exists."""
    tally: ApprovalTally | None
    """Which approvals count, if there is a scope."""

    @property
    def needed(self) -> int:
        """Approvals that the datasets together demand: the highest demand of any."""
        return max((item.spec.approvals for item in self.observed.datasets.values()), default=1)


def grant_is_deleted(case: GrantCase) -> Denial | None:
    """Deleting a grant is revoking it."""
    if case.observed.grant.metadata.deletion_timestamp is None:
        return None
    return Denial(
        reason="Deleted",
        message="The grant is being deleted; it goes when nothing of it runs any more.",
    )


def grant_is_revoked(case: GrantCase) -> Denial | None:
    """A revoked grant never comes back."""
    if case.observed.grant.spec.state is not GrantState.REVOKED:
        return None
    return Denial(
        reason="Revoked",
        message="The grant is revoked, which is final. Create a new grant to continue.",
    )


def grant_has_expired(case: GrantCase) -> Denial | None:
    """Everything stops at `expires`."""
    end = effective_end(case.observed.grant.spec.expires)
    if case.observed.now < end:
        return None
    return Denial(
        reason="Expired",
        message=f"The grant expired at {end:%Y-%m-%dT%H:%M:%SZ}. A later spec.expires needs "
        "approvals that allow it.",
    )


def grant_is_suspended(case: GrantCase) -> Denial | None:
    """A suspended grant rests until its state is Active again."""
    if case.observed.grant.spec.state is not GrantState.SUSPENDED:
        return None
    return Denial(
        reason="Suspended", message="The grant is suspended. Set spec.state to Active to resume."
    )


def dataset_is_unknown(case: GrantCase) -> Denial | None:
    """Every dataset version that a grant names exists."""
    named = sorted(item.object_name for item in case.observed.grant.spec.datasets)
    missing = [name for name in named if name not in case.observed.datasets]
    if not missing:
        return None
    return Denial(
        reason="DatasetUnknown",
        message=f"There is no Dataset {_listed(missing)}. Publish it with `carrel dataset "
        "ingest`, or name another version (`carrel dataset list`).",
    )


def dataset_is_not_ready(case: GrantCase) -> Denial | None:
    """Every dataset passed the gate, bears the platform's signature and is held by a node."""
    unready = []
    for name in sorted(case.observed.datasets):
        ready = find(case.observed.datasets[name].status.conditions, "Ready")
        if ready is None or ready.status is not ConditionStatus.TRUE:
            unready.append(f"{name} ({ready.reason if ready else 'not looked at yet'})")
    if not unready:
        return None
    return Denial(
        reason="DatasetNotReady",
        message=f"Not Ready: {_listed(unready)}. See the conditions of the Dataset.",
    )


def selection_is_empty(case: GrantCase) -> Denial | None:
    """A selection selects something; all of a dataset is asked for by leaving it out."""
    empty = [
        item.object_name
        for item in case.observed.grant.spec.datasets
        if item.selection == Selection()
    ]
    if not empty:
        return None
    return Denial(
        reason="SelectionEmpty",
        message=f"The selection of {_listed(sorted(empty))} names nothing. List subjects, "
        "studies or series, or leave selection out to ask for all of it.",
    )


def class_is_unknown(case: GrantCase) -> Denial | None:
    """The workspace class exists."""
    if case.observed.workspace_class is not None:
        return None
    return Denial(
        reason="ClassUnknown",
        message=f"There is no WorkspaceClass {case.observed.grant.spec.workspace_class!r}. "
        "Create it, or name one of `kubectl get workspaceclasses`.",
    )


def policy_is_unknown(case: GrantCase) -> Denial | None:
    """The egress policy exists."""
    if case.observed.egress_policy is not None:
        return None
    return Denial(
        reason="PolicyUnknown",
        message=f"There is no EgressPolicy {case.observed.grant.spec.egress_policy!r}. "
        "Create it, or name one of `kubectl get egresspolicies`.",
    )


def purpose_lacks_dataset_use_code(case: GrantCase) -> Denial | None:
    """The purpose states every data use term that a dataset demands."""
    stated = set(case.observed.grant.spec.purpose.codes)
    lacking = [
        f"{name} demands {', '.join(sorted(set(item.spec.use) - stated))}"
        for name, item in sorted(case.observed.datasets.items())
        if set(item.spec.use) - stated
    ]
    if not lacking:
        return None
    return Denial(
        reason="PurposeLacksUseCode",
        message=f"{'; '.join(lacking[:4])}. If the purpose meets these terms, state them in "
        "spec.purpose.codes and have it approved.",
    )


def network_policy_is_not_enforced(case: GrantCase) -> Denial | None:
    """Where both locks are demanded, the cluster enforces NetworkPolicy."""
    enforced = case.observed.site.network_policy is PolicyEnforcement.ENFORCED
    if enforced or case.observed.grant.spec.locks is NetworkLocks.IN_POD:
        return None
    return Denial(
        reason="NetworkPolicyNotEnforced",
        message="spec.locks is Both, but this cluster does not enforce NetworkPolicy. Use a "
        "network that does, or have spec.locks InPod approved.",
    )


def scope_is_wider_than_approved(case: GrantCase) -> Denial | None:
    """A grant holds nothing beyond what enough people said yes to."""
    if case.tally is None or len(case.tally.approvers) >= case.needed:
        return None
    return case.tally.wider


def approvals_are_missing(case: GrantCase) -> Denial | None:
    """Enough different people said yes."""
    if case.tally is None:
        return Denial(
            reason="ScopeUnknown",
            message="What the grant names does not all exist, so nobody can have approved it.",
        )
    have = len(case.tally.approvers)
    if have >= case.needed:
        return None
    return Denial(
        reason="ApprovalsMissing",
        message=f"{have} of {case.needed} approvals count. An approver runs `carrel grant "
        f"approve {case.observed.grant.metadata.name}`; an Approval's own condition Counts "
        "says why it does not count.",
    )


def grant_is_not_yet_valid(case: GrantCase) -> Denial | None:
    """Nothing runs before `notBefore`."""
    start = effective_start(case.observed.grant.spec.not_before)
    if case.observed.now >= start:
        return None
    return Denial(
        reason="NotYetValid",
        message=f"The grant begins at {start:%Y-%m-%dT%H:%M:%SZ}. Nothing is to be done.",
    )


Check = Callable[[GrantCase], Denial | None]

DATASET_CHECKS: tuple[Check, ...] = (dataset_is_unknown, dataset_is_not_ready, selection_is_empty)
"""Checks behind the condition DatasetsReady."""

APPROVAL_CHECKS: tuple[Check, ...] = (scope_is_wider_than_approved, approvals_are_missing)
"""Checks behind the condition Approved."""

IN_FORCE_CHECKS: tuple[Check, ...] = (
    grant_is_deleted,
    grant_is_revoked,
    grant_has_expired,
    grant_is_suspended,
    *DATASET_CHECKS,
    class_is_unknown,
    policy_is_unknown,
    purpose_lacks_dataset_use_code,
    network_policy_is_not_enforced,
    *APPROVAL_CHECKS,
    grant_is_not_yet_valid,
)
"""Checks behind the condition InForce; the first that trips gives the reason shown."""


def first_denial(checks: tuple[Check, ...], case: GrantCase) -> Denial | None:
    """Return what the first check that trips says, or None."""
    return next((denial for check in checks if (denial := check(case))), None)


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{shown} and {len(names) - 4} more" if len(names) > 4 else shown
