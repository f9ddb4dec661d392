"""`NodeReport`: what one node's agent observed about one workspace."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

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
)
from carrel.kinds.workspace import StartStep

Address = Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F.:]{2,45}$", max_length=45)]
"""An IPv4 or IPv6 address."""


class Figure(Model):
    """A number that the workspace's own check reported; never text."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][A-Za-z]{0,31}$", max_length=32)]
    """One of a fixed list of names."""
    value: Count
    """The number."""


class ReportedServer(Model):
    """The workspace's notebook server, as its own node sees it."""

    address: Address
    """Address of the pod."""
    certificate: Annotated[
        str,
        StringConstraints(
            pattern=r"^-----BEGIN CERTIFICATE-----\n[A-Za-z0-9+/=\n]+-----END CERTIFICATE-----\n?$",
            max_length=2048,
        ),
    ]
    """The certificate that the server made for itself at its start, PEM; whoever shows another is
    not the server."""


class NodeReportSpec(Model):
    """Which node speaks about which workspace."""

    node: ObjectName
    """Name of the node; admission compares it with the node in the caller's token."""
    namespace: Label
    """Namespace of the workspace."""
    workspace: Label
    """Name of the workspace."""
    workspace_uid: Annotated[ObjectUID, Field(alias="workspaceUID")]
    """UID of the workspace."""


class NodeReportStatus(Model):
    """What was observed on the node."""

    conditions: Conditions = ()
    """ViewReady, HomeReady, HomeReleased, LockLoaded, GateProven, EgressRecorded, SelfChecked and
    CgroupEmpty."""
    view_digest: Digest | None = None
    """View that is in place."""
    pod_uid: Annotated[ObjectUID | None, Field(alias="podUID")] = None
    """Pod that the lock, gate and cgroup conditions speak of."""
    ruleset_digest: Digest | None = None
    """SHA-256 of the rule set as loaded."""
    denied: Count = 0
    """Packets that the lock refused so far, to two digits and at most 9,900,000."""
    gateways: Annotated[
        tuple[Address, ...], Field(max_length=16, json_schema_extra={"x-list-type": "set"})
    ] = ()
    """Addresses of the gateway that the lock admits."""
    server: ReportedServer | None = None
    """The notebook server of the pod in `podUID`, once it has made its certificate."""
    steps: Annotated[
        tuple[StartStep, ...],
        Field(max_length=16, json_schema_extra={"x-list-type": "map", "x-list-map-keys": ["step"]}),
    ] = ()
    """When each step on the node was done."""
    figures: Annotated[
        tuple[Figure, ...],
        Field(max_length=16, json_schema_extra={"x-list-type": "map", "x-list-map-keys": ["name"]}),
    ] = ()
    """Numbers of the workspace's own check, to two digits and at most 9,900,000."""


class NodeReport(Kind):
    """What one node's agent observed about one workspace."""

    resource: ClassVar[Resource] = Resource(
        kind="NodeReport",
        plural="nodereports",
        scope=Scope.CLUSTER,
        columns=(
            Column(name="Node", path=".spec.node"),
            Column(name="Workspace", path=".spec.workspace"),
            Column(name="Lock", path='.status.conditions[?(@.type=="LockLoaded")].status'),
            Column(name="Empty", path='.status.conditions[?(@.type=="CgroupEmpty")].status'),
            Column(name="Denied", path=".status.denied", type="integer"),
        ),
        rules=(
            Rule(
                rule="self == oldSelf",
                field="spec",
                message="A report speaks of one node and one workspace for ever.",
            ),
        ),
        # One writer, one request: the agent applies identity and observation together.
        status_subresource="Absent",
    )

    kind: Literal["NodeReport"] = "NodeReport"
    """NodeReport."""
    spec: NodeReportSpec
    """Who speaks of what."""
    status: NodeReportStatus = NodeReportStatus()
    """What was observed."""
