"""`Approval`: one person's yes to exactly one scope of one grant."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from carrel.kinds.dataset import DatasetReference
from carrel.kinds.grant import (
    AccessMode,
    BatchQuota,
    HomePolicy,
    NetworkLocks,
    OnRecorderLoss,
    Purpose,
)
from carrel.kinds.resource import (
    Column,
    Conditions,
    Count,
    Digest,
    Kind,
    Label,
    Model,
    ObjectName,
    ObjectUID,
    Resource,
    Rule,
    Scope,
    Subject,
    Time,
    Username,
)


class ScopedDataset(DatasetReference):
    """A dataset version as it was approved, with its content."""

    digest: Digest
    """Content digest of the version."""


class ScopedMenu(Model):
    """A menu entry as it was approved, with its content."""

    name: ObjectName
    """Name of the WorkspaceClass or EgressPolicy."""
    digest: Digest
    """SHA-256 of its specification in canonical JSON."""


class ApprovedScope(Model):
    """Everything an approver says yes to; what a grant holds beyond it is not in force."""

    grant_uid: Annotated[ObjectUID, Field(alias="grantUID")]
    """UID of the grant, so that a grant of the same name made later is not approved."""
    requester: Username
    """Who asked."""
    researchers: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=50)]
    """Who may work, sorted."""
    project: Label
    """Project."""
    purpose: Purpose
    """What for."""
    datasets: Annotated[tuple[ScopedDataset, ...], Field(min_length=1, max_length=32)]
    """Which images, sorted by name."""
    not_before: Time
    """Earliest start."""
    expires: Time
    """Latest end."""
    workspace_class: ScopedMenu
    """Size and image."""
    egress_policy: ScopedMenu
    """What may be reached."""
    locks: NetworkLocks
    """Which network locks must hold."""
    mode: AccessMode
    """Notebook only, or batch as well."""
    batch: BatchQuota
    """Limits of the batch queue."""
    home: HomePolicy
    """What becomes of homes."""
    on_recorder_loss: OnRecorderLoss | None = None
    """What happens when refused attempts cannot be recorded; absent means CloseEgress, so that
    scopes from before the field are still what was approved."""


class EvidenceType(StrEnum):
    """How it is known who approved."""

    KUBERNETES_USER = "KubernetesUser"
    """The API server authenticated the approver; admission compares the names."""
    ID_TOKEN = "IDToken"  # noqa: S105 - the name of a kind of evidence, not a secret
    """The identity provider signed a token whose nonce is the scope's digest."""


class Evidence(Model):
    """How it is known who approved."""

    type: EvidenceType
    """KubernetesUser or IDToken."""
    id_token: Annotated[str, StringConstraints(max_length=16_384)] | None = None
    """The signed token, for evidence of type IDToken."""


class ApprovalSpec(Model):
    """One person's yes; nothing in it ever changes."""

    grant: ObjectName
    """Name of the grant."""
    grant_uid: Annotated[ObjectUID, Field(alias="grantUID")]
    """UID of the grant."""
    approver: Username
    """Who approves: the authenticated user."""
    scope: Annotated[str, StringConstraints(min_length=2, max_length=1_000_000)]
    """The approved scope in canonical JSON (RFC 8785)."""
    scope_digest: Digest
    """SHA-256 of `scope`."""
    evidence: Evidence
    """How it is known who approved."""


class ApprovalStatus(Model):
    """What the operator observed."""

    conditions: Conditions = ()
    """Counts: whether this approval counts for its grant, and why not."""
    observed_generation: Count = 0
    """The specification that was looked at."""


class Approval(Kind):
    """One person's yes to exactly one scope of one grant."""

    resource: ClassVar[Resource] = Resource(
        kind="Approval",
        plural="approvals",
        scope=Scope.CLUSTER,
        columns=(
            Column(name="Grant", path=".spec.grant"),
            Column(name="Approver", path=".spec.approver"),
            Column(name="Counts", path='.status.conditions[?(@.type=="Counts")].status'),
            Column(name="Why", path='.status.conditions[?(@.type=="Counts")].reason'),
            Column(name="Age", path=".metadata.creationTimestamp", type="date"),
        ),
        rules=(
            Rule(
                rule="self == oldSelf",
                field="spec",
                message="An approval is immutable: approve again, or delete it.",
            ),
            Rule(
                rule="self.evidence.type != 'IDToken' || has(self.evidence.idToken)",
                field="spec",
                message="Evidence of type IDToken needs idToken.",
            ),
        ),
    )

    kind: Literal["Approval"] = "Approval"
    """Approval."""
    spec: ApprovalSpec
    """What was approved."""
    status: ApprovalStatus = ApprovalStatus()
    """What was observed."""
