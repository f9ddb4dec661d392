"""A grant and its scope in sentences that a person can say yes or no to."""

from carrel.kinds import AccessGrant, Approval
from carrel.kinds.approval import ApprovedScope


def explain_scope(scope: ApprovedScope) -> tuple[str, ...]:
    """Return the sentences that an approver reads before saying yes."""
    raise NotImplementedError


def explain_grant(grant: AccessGrant, *, approvals: tuple[Approval, ...]) -> tuple[str, ...]:
    """Return what is true of a grant as the operator last saw it, and what to do next."""
    raise NotImplementedError
