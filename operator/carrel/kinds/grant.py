"""`AccessGrant`: who may work on which images, for what, until when."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from carrel.kinds.dataset import DatasetReference, DUOCode
from carrel.kinds.resource import (
    Column,
    Conditions,
    Count,
    Digest,
    Kind,
    Label,
    Model,
    ObjectName,
    Resource,
    Rule,
    Scope,
    Subject,
    Time,
    Username,
)


class GrantState(StrEnum):
    """What the administrator wants of a grant."""

    ACTIVE = "Active"
    """In force while approved and within its period."""
    SUSPENDED = "Suspended"
    """Everything stops; may become Active again."""
    REVOKED = "Revoked"
    """Everything stops for good."""


class AccessMode(StrEnum):
    """How the data may be worked on."""

    INTERACTIVE = "Interactive"
    """In the notebook only."""
    INTERACTIVE_AND_BATCH = "InteractiveAndBatch"
    """In the notebook and in the batch queue."""


class NetworkLocks(StrEnum):
    """Which locks must hold before a workspace may start."""

    BOTH = "Both"
    """The lock in the pod's network namespace and the cluster's NetworkPolicy."""
    IN_POD = "InPod"
    """The lock in the pod's network namespace; for clusters that do not enforce NetworkPolicy."""


class OnRecorderLoss(StrEnum):
    """What happens to a workspace whose refused attempts cannot be recorded."""

    CLOSE_EGRESS = "CloseEgress"
    """Nothing is reachable any more, not even what the egress policy allows."""
    FREEZE = "Freeze"
    """As CloseEgress, and its processes stand still until the workspace is restarted."""
    TERMINATE = "Terminate"
    """It is ended."""


class HomeRetention(StrEnum):
    """What becomes of the homes when a grant has ended."""

    DELETE = "Delete"
    """Deleted as soon as nothing runs."""
    KEEP = "Keep"
    """Kept for `keepDays`, then deleted."""


class Researcher(Model):
    """A person who may work under a grant."""

    subject: Subject
    """The person's `sub` at the identity provider."""


class Purpose(Model):
    """What the data may be used for."""

    statement: Annotated[str, StringConstraints(min_length=1, max_length=2000)]
    """The purpose as the committee approved it."""
    codes: Annotated[tuple[DUOCode, ...], Field(max_length=16)] = ()
    """The purpose in terms of the GA4GH Data Use Ontology."""


class BatchQuota(Model):
    """What all researchers of a grant together may use in the batch queue at a time."""

    cpu: Annotated[int, Field(ge=0, le=10_000)] = 0
    """CPU cores."""
    memory_gib: Annotated[int, Field(ge=0, le=100_000, alias="memoryGiB")] = 0
    """Memory in GiB."""
    gpu: Annotated[int, Field(ge=0, le=1_000)] = 0
    """Whole GPUs or MIG slices."""


class HomePolicy(Model):
    """What becomes of the homes."""

    retention: HomeRetention
    """Delete or Keep."""
    keep_days: Annotated[int, Field(ge=0, le=3650)] = 0
    """Days that homes are kept after the end."""


class AccessGrantSpec(Model):
    """A grant as the administrator applies it; it may be narrowed at any time."""

    requester: Username
    """The authenticated user who created the grant; never changes."""
    researchers: Annotated[
        tuple[Researcher, ...],
        Field(
            min_length=1,
            max_length=50,
            json_schema_extra={"x-list-type": "map", "x-list-map-keys": ["subject"]},
        ),
    ]
    """The people who may work; each gets a workspace of their own."""
    project: Label
    """The project that the work and its quota are counted under."""
    purpose: Purpose
    """What the data may be used for."""
    datasets: Annotated[
        tuple[DatasetReference, ...],
        Field(
            min_length=1,
            max_length=32,
            json_schema_extra={"x-list-type": "map", "x-list-map-keys": ["name"]},
        ),
    ]
    """The dataset versions to mount, at most one version of each family."""
    not_before: Time
    """Nothing runs before this time."""
    expires: Time
    """Everything stops at this time."""
    workspace_class: ObjectName
    """Size and image of each workspace."""
    egress_policy: ObjectName
    """What may be reached from a workspace."""
    locks: NetworkLocks
    """Which network locks must hold."""
    mode: AccessMode
    """Notebook only, or batch as well."""
    batch: BatchQuota = BatchQuota()
    """Limits of the batch queue; zero unless stated."""
    home: HomePolicy
    """What becomes of the researchers' homes afterwards."""
    on_recorder_loss: OnRecorderLoss = OnRecorderLoss.CLOSE_EGRESS
    """What happens when refused attempts cannot be recorded; the lock holds in any case."""
    state: GrantState
    """Active, Suspended or Revoked."""


class GrantWorkspace(Model):
    """Where a researcher of a grant works."""

    subject: Subject
    """The researcher."""
    namespace: Label
    """Namespace of the workspace."""
    name: Label
    """Name of the Workspace."""


class AccessGrantStatus(Model):
    """What the operator observed and decided."""

    conditions: Conditions = ()
    """Approved, DatasetsReady, InForce and WorkspacesReady."""
    observed_generation: Count = 0
    """The specification that was looked at."""
    scope_digest: Digest | None = None
    """SHA-256 of the scope that an approval of the present specification must carry."""
    workspaces: Annotated[
        tuple[GrantWorkspace, ...],
        Field(
            max_length=50, json_schema_extra={"x-list-type": "map", "x-list-map-keys": ["subject"]}
        ),
    ] = ()
    """One workspace per researcher."""
    ended_at: Time | None = None
    """When the operator first saw that the grant is no longer in force."""
    homes_deleted_after: Time | None = None
    """When kept homes will be deleted."""


class AccessGrant(Kind):
    """Who may work on which images, for what purpose, until when."""

    resource: ClassVar[Resource] = Resource(
        kind="AccessGrant",
        plural="accessgrants",
        scope=Scope.CLUSTER,
        short_names=("grant", "ag"),
        columns=(
            Column(name="State", path=".spec.state"),
            Column(name="Approved", path='.status.conditions[?(@.type=="Approved")].status'),
            Column(name="In force", path='.status.conditions[?(@.type=="InForce")].status'),
            Column(name="Why", path='.status.conditions[?(@.type=="InForce")].reason'),
            # As a date kubectl shows an age, and a time to come as <invalid>.
            Column(name="Expires", path=".spec.expires"),
            Column(name="Project", path=".spec.project"),
        ),
        rules=(
            Rule(
                rule="self.expires > self.notBefore",
                field="spec",
                message="expires must be later than notBefore.",
            ),
            Rule(
                rule="self.requester == oldSelf.requester",
                field="spec",
                message="requester never changes: create a new grant.",
            ),
            Rule(
                rule="oldSelf.state != 'Revoked' || self.state == 'Revoked'",
                field="spec",
                message="Revoked is final: create a new grant.",
            ),
            Rule(
                rule="self.home.retention != 'Keep' || self.home.keepDays > 0",
                field="spec",
                message="home.retention Keep needs keepDays of at least 1.",
            ),
        ),
    )

    kind: Literal["AccessGrant"] = "AccessGrant"
    """AccessGrant."""
    spec: AccessGrantSpec
    """What is asked for."""
    status: AccessGrantStatus = AccessGrantStatus()
    """What was observed."""
