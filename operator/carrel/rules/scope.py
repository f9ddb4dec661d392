"""The scope of a grant: what an approver says yes to, and whether a grant stays within it."""

from collections.abc import Mapping
from dataclasses import dataclass

from carrel.kinds import AccessGrant, Dataset, EgressPolicy, WorkspaceClass
from carrel.kinds.approval import ApprovedScope


@dataclass(frozen=True, kw_only=True)
class Widening:
    """One field in which a grant asks for more than was approved."""

    field: str
    """Path of the field in the grant, such as `spec.expires`."""
    sentence: str
    """What is wider, with both values where they are short."""


def approved_scope(
    grant: AccessGrant,
    *,
    datasets: Mapping[str, Dataset],
    workspace_class: WorkspaceClass,
    egress_policy: EgressPolicy,
) -> ApprovedScope:
    """Return the scope that an approval of this grant must carry; `datasets` by object name."""
    raise NotImplementedError


def scope_text(scope: ApprovedScope) -> str:
    """Return the canonical JSON of a scope: what `Approval.spec.scope` holds."""
    raise NotImplementedError


def widenings(*, present: ApprovedScope, approved: ApprovedScope) -> tuple[Widening, ...]:
    """Return every field in which `present` is wider than `approved`; empty means within."""
    raise NotImplementedError
