"""`Workspace`: one researcher's desk under one grant, made by the operator alone."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from carrel.kinds.approval import ScopedMenu
from carrel.kinds.dataset import DatasetReference
from carrel.kinds.grant import NetworkLocks, OnRecorderLoss
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
)


class Desired(StrEnum):
    """Whether the workspace should run; the only thing that Hub and portal may change."""

    RUNNING = "Running"
    """A pod runs while the grant is in force."""
    STOPPED = "Stopped"
    """No pod; the home is kept."""


class SelfCheck(StrEnum):
    """A check that the workspace image runs once after start."""

    NONE = "None"
    """No check."""
    IMAGING = "Imaging"
    """Load a series, draw it, and try to write to the data and to reach out."""


class Admission(StrEnum):
    """Whether the operator finds the grant in force for this workspace."""

    OPEN = "Open"
    """The grant is approved, active and within its period."""
    CLOSED = "Closed"
    """The grant is not in force: the node closes the lock and kills what runs."""


class GrantReference(Model):
    """The grant that a workspace belongs to."""

    name: ObjectName
    """Name of the grant."""
    uid: ObjectUID
    """UID of the grant."""


class ViewedDataset(DatasetReference):
    """A dataset version with the digests that a node needs to build its view."""

    digest: Digest
    """Content digest of the version."""
    manifest_digest: Digest
    """SHA-256 of its manifest in the store."""


class Home(Model):
    """The researcher's own files for this grant."""

    name: Label
    """Name, made from grant UID and subject: never attached to another grant."""
    size_mib: Annotated[int, Field(ge=64, le=16_777_216, alias="sizeMiB")]
    """Size limit in MiB."""
    deleted_after: Time | None = None
    """When a home that outlives its grant is deleted; absent while the grant is in force."""


class WorkspaceSpec(Model):
    """Everything that node and operator need, resolved from the grant by the operator."""

    grant: GrantReference
    """The grant."""
    researcher: Subject
    """The person."""
    desired: Desired
    """Running or Stopped."""
    self_check: SelfCheck = SelfCheck.NONE
    """Check that the image runs once after start."""
    admission: Admission
    """Open while the grant is in force."""
    expires: Time
    """When the node closes the lock by itself."""
    workspace_class: ScopedMenu
    """Class and digest of its content."""
    egress_policy: ScopedMenu
    """Policy and digest of its content."""
    locks: NetworkLocks
    """Which network locks must hold."""
    on_recorder_loss: OnRecorderLoss = OnRecorderLoss.CLOSE_EGRESS
    """What happens when refused attempts cannot be recorded."""
    datasets: Annotated[
        tuple[ViewedDataset, ...],
        Field(max_length=32, json_schema_extra={"x-list-type": "map", "x-list-map-keys": ["name"]}),
    ]
    """What the view holds."""
    view_digest: Digest
    """SHA-256 of `datasets` in canonical JSON; a changed view has another."""
    home: Home
    """The researcher's files."""
    nodes: Annotated[
        tuple[ObjectName, ...], Field(max_length=64, json_schema_extra={"x-list-type": "set"})
    ] = ()
    """Nodes asked to prepare the view and the home."""


class StartStep(Model):
    """When a step of the present start was done."""

    step: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z]{0,62}$", max_length=63)]
    """Scheduled, ViewReady, LockLoaded, GateProven, Started, Ready and such."""
    at: Annotated[str, StringConstraints(pattern=r"^[-0-9T:.]+Z$", max_length=32)]
    """Time in UTC to the millisecond (RFC 3339)."""


class WorkspaceStatus(Model):
    """What the operator observed, of nodes and of its own objects."""

    conditions: Conditions = ()
    """ViewReady, HomeReady, PolicyEnforced, Locked, EgressRecorded, Started, Ready, SelfChecked
    and Stopped."""
    observed_generation: Count = 0
    """The specification that was looked at."""
    pod_uid: Annotated[ObjectUID | None, Field(alias="podUID")] = None
    """UID of the present pod."""
    node: ObjectName | None = None
    """Node that it runs on."""
    steps: Annotated[
        tuple[StartStep, ...],
        Field(max_length=16, json_schema_extra={"x-list-type": "map", "x-list-map-keys": ["step"]}),
    ] = ()
    """When each step of the present start was done."""


class Workspace(Kind):
    """One researcher's desk under one grant."""

    resource: ClassVar[Resource] = Resource(
        kind="Workspace",
        plural="workspaces",
        scope=Scope.NAMESPACED,
        short_names=("ws",),
        columns=(
            Column(name="Grant", path=".spec.grant.name"),
            Column(name="Desired", path=".spec.desired"),
            Column(name="Ready", path='.status.conditions[?(@.type=="Ready")].status'),
            Column(name="Why", path='.status.conditions[?(@.type=="Ready")].reason'),
            Column(name="Node", path=".status.node"),
            Column(name="Age", path=".metadata.creationTimestamp", type="date"),
        ),
        rules=(
            Rule(
                rule="self.grant == oldSelf.grant && self.researcher == oldSelf.researcher "
                "&& self.home.name == oldSelf.home.name",
                field="spec",
                message="Grant, researcher and home of a workspace never change.",
            ),
        ),
    )

    kind: Literal["Workspace"] = "Workspace"
    """Workspace."""
    spec: WorkspaceSpec
    """What should be."""
    status: WorkspaceStatus = WorkspaceStatus()
    """What was observed."""
