"""Whether an approval counts for a grant, and why not.

An approval counts when all checks of `CHECKS` let it pass. Their order decides which reason
is shown when several apply; it does not change whether it counts.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from carrel.kinds import AccessGrant, Approval
from carrel.kinds.approval import ApprovedScope, EvidenceType
from carrel.kinds.resource import Condition, ConditionStatus
from carrel.rules.canonical import NotCanonicalError, canonical_json, digest_of
from carrel.rules.condition import condition
from carrel.rules.facts import SiteFacts
from carrel.rules.observed_grant import Denial
from carrel.rules.scope import widenings

WIDER = "ScopeWider"
"""Reason of the one denial that narrowing the grant again, or a new approval, heals."""


@dataclass(frozen=True, kw_only=True)
class _Case:
    approval: Approval
    scope: ApprovedScope | None
    grant: AccessGrant
    present: ApprovedScope
    site: SiteFacts


def approval_is_withdrawn(case: _Case) -> Denial | None:
    """The approval is there to stay."""
    if case.approval.metadata.deletion_timestamp is None:
        return None
    return Denial(reason="Withdrawn", message="The approval is being deleted.")


def approval_is_for_another_grant(case: _Case) -> Denial | None:
    """Approval and scope carry the UID of this grant, not of an earlier one of the name."""
    uids = {case.approval.spec.grant_uid}
    uids |= {case.scope.grant_uid} if case.scope else set()
    if uids == {case.grant.uid}:
        return None
    return Denial(
        reason="GrantUIDDiffers",
        message=f"The approval is for UID {', '.join(sorted(uids))}, the grant has UID "
        f"{case.grant.uid}: it was made for an earlier grant of this name. Approve again.",
    )


def scope_digest_is_wrong(case: _Case) -> Denial | None:
    """The stated digest is the SHA-256 of the scope."""
    if digest_of(case.approval.spec.scope) == case.approval.spec.scope_digest:
        return None
    return Denial(
        reason="ScopeDigestWrong",
        message="scopeDigest is not the SHA-256 of scope. Approve again with "
        "`carrel grant approve`, which computes it.",
    )


def scope_is_unreadable(case: _Case) -> Denial | None:
    """The scope is one that this version knows, in canonical JSON."""
    if case.scope is not None:
        return None
    return Denial(
        reason="ScopeUnreadable",
        message="scope is not an approved scope in canonical JSON (RFC 8785). Approve again "
        "with `carrel grant approve`, which writes it.",
    )


def evidence_is_not_supported(case: _Case) -> Denial | None:
    """The evidence is of a type that this version can verify."""
    if case.approval.spec.evidence.type is EvidenceType.KUBERNETES_USER:
        return None
    return Denial(
        reason="EvidenceNotSupported",
        message=f"Evidence of type {case.approval.spec.evidence.type} cannot be verified by "
        "this version. Approve as a user of the API server (KubernetesUser).",
    )


def approver_is_not_a_user_of_the_issuer(case: _Case) -> Denial | None:
    """The approver's name shows that the one issuer authenticated a person."""
    prefix, approver = case.site.user_prefix, case.approval.spec.approver
    if prefix and approver.startswith(prefix) and approver != prefix:
        return None
    return Denial(
        reason="NotAnIssuerUser",
        message=f"Approver {approver!r} does not begin with {prefix!r}, so it is not known "
        "which person approved. Approve with a login of the identity provider.",
    )


def approver_is_the_requester(case: _Case) -> Denial | None:
    """Nobody approves an own request."""
    if case.approval.spec.approver != case.grant.spec.requester:
        return None
    return Denial(
        reason="ApproverIsRequester",
        message=f"{case.approval.spec.approver!r} asked for the grant. Somebody else must approve.",
    )


def approver_is_a_researcher(case: _Case) -> Denial | None:
    """Nobody approves access of their own."""
    subjects = {person.subject for person in case.grant.spec.researchers}
    subjects |= set(case.scope.researchers) if case.scope else set()
    if case.approval.spec.approver not in {case.site.user_prefix + sub for sub in subjects}:
        return None
    return Denial(
        reason="ApproverIsResearcher",
        message=f"{case.approval.spec.approver!r} would work under the grant. "
        "Somebody else must approve.",
    )


def scope_is_wider_than_approved(case: _Case) -> Denial | None:
    """The grant asks for nothing beyond what the approval says yes to."""
    if case.scope is None:
        return None
    wider = widenings(present=case.present, approved=case.scope)
    if not wider:
        return None
    told = "; ".join(f"{item.field}: {item.sentence}" for item in wider[:4])
    more = f"; and {len(wider) - 4} more" if len(wider) > 4 else ""
    return Denial(
        reason=WIDER,
        message=f"The grant is wider than approved: {told}{more}. Narrow it, or approve again.",
    )


CHECKS: tuple[Callable[[_Case], Denial | None], ...] = (
    approval_is_withdrawn,
    scope_digest_is_wrong,
    scope_is_unreadable,
    approval_is_for_another_grant,
    evidence_is_not_supported,
    approver_is_not_a_user_of_the_issuer,
    approver_is_the_requester,
    approver_is_a_researcher,
    scope_is_wider_than_approved,
)
"""What is asked of an approval, in this order."""


@dataclass(frozen=True, kw_only=True)
class ApprovalTally:
    """Which approvals count for a grant."""

    denials: Mapping[str, Denial | None]
    """By name of the approval; None for one that counts."""
    approvers: tuple[str, ...]
    """Distinct approvers who count, sorted."""
    sound: tuple[ApprovedScope, ...]
    """Scopes of approvals that count or would, were the grant not wider."""

    @property
    def wider(self) -> Denial | None:
        """The first approval that only the grant's width keeps from counting."""
        found = (self.denials[name] for name in sorted(self.denials))
        return next((item for item in found if item and item.reason == WIDER), None)


def tally(
    approvals: tuple[Approval, ...],
    *,
    grant: AccessGrant,
    present: ApprovedScope,
    site: SiteFacts,
) -> ApprovalTally:
    """Decide about each approval of a grant whose present scope is `present`."""
    denials: dict[str, Denial | None] = {}
    approvers: set[str] = set()
    sound: list[ApprovedScope] = []
    for approval in sorted(approvals, key=_age):
        scope = read_scope(approval.spec.scope)
        case = _Case(approval=approval, scope=scope, grant=grant, present=present, site=site)
        denial = next((found for check in CHECKS if (found := check(case))), None)
        if scope and (denial is None or denial.reason == WIDER):
            sound.append(scope)
        if denial is None and approval.spec.approver in approvers:
            denial = Denial(
                reason="ApproverAlreadyCounts",
                message=f"Another approval of {approval.spec.approver!r} counts already; "
                "approvers must be different people.",
            )
        if denial is None:
            approvers.add(approval.spec.approver)
        denials[approval.metadata.name] = denial
    return ApprovalTally(denials=denials, approvers=tuple(sorted(approvers)), sound=tuple(sound))


def read_scope(text: str) -> ApprovedScope | None:
    """Return the scope that an approval carries, or None if it is not canonical JSON of one."""
    try:
        # A text that is not its own canonical form may show a reader one thing and a parser
        # another: two members of one name, of which the last wins.
        if canonical_json(json.loads(text)) != text:
            return None
        return ApprovedScope.model_validate_json(text)
    except (ValidationError, NotCanonicalError, ValueError, RecursionError):
        return None


def counts_condition(denial: Denial | None, *, generation: int) -> Condition:
    """Return the condition `Counts` of an approval."""
    if denial is None:
        return condition(
            "Counts",
            ConditionStatus.TRUE,
            "Counted",
            "The approval counts: the grant is within its scope.",
            generation=generation,
        )
    return condition(
        "Counts", ConditionStatus.FALSE, denial.reason, denial.message, generation=generation
    )


def unjudged_condition(*, generation: int) -> Condition:
    """Return the condition `Counts` of an approval while the grant's scope is unknown."""
    return condition(
        "Counts",
        ConditionStatus.UNKNOWN,
        "ScopeUnknown",
        "The grant names a dataset, class or policy that does not exist, so there is no "
        "scope to compare with. See the grant's conditions.",
        generation=generation,
    )


def _age(approval: Approval) -> tuple[datetime, str]:
    unborn = datetime.max.replace(tzinfo=UTC)
    return (approval.metadata.creation_timestamp or unborn, approval.metadata.name)
