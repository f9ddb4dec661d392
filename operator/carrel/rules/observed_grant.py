"""What is observed of a grant, and the shape of the verdict about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from carrel.kinds import AccessGrant, Approval, Dataset, EgressPolicy, Workspace, WorkspaceClass
from carrel.kinds.approval import ApprovedScope
from carrel.kinds.grant import AccessGrantStatus
from carrel.kinds.resource import Condition, Label
from carrel.kinds.workspace import Admission, WorkspaceSpec
from carrel.rules.facts import SiteFacts


@dataclass(frozen=True, kw_only=True)
class ReadyNode:
    """A node that can build views now."""

    name: str
    """Name of the node."""
    workspaces: int
    """Workspaces whose `spec.nodes` name it, so that homes spread."""


@dataclass(frozen=True, kw_only=True)
class ObservedGrant:
    """Everything that the decision about a grant depends on."""

    grant: AccessGrant
    """The grant as stored."""
    datasets: Mapping[str, Dataset]
    """Datasets that the grant names and that exist, by object name."""
    workspace_class: WorkspaceClass | None
    """The class that the grant names, if it exists."""
    egress_policy: EgressPolicy | None
    """The policy that the grant names, if it exists."""
    approvals: tuple[Approval, ...]
    """Approvals that name the grant."""
    workspaces: tuple[Workspace, ...]
    """Workspaces whose `spec.grant.uid` is the grant's."""
    nodes: tuple[ReadyNode, ...]
    """Nodes labelled `carrel.dev/views=ready`."""
    site: SiteFacts
    """What the administrator says about the site."""
    now: datetime
    """The present time, in UTC."""


@dataclass(frozen=True, kw_only=True)
class Denial:
    """Why something is not so: a reason for machines and a sentence for people."""

    reason: str
    """One CamelCase word that the reference explains."""
    message: str
    """Which input tripped the check and what to do next."""


@dataclass(frozen=True, kw_only=True)
class DesiredWorkspace:
    """A Workspace object that should exist, whole.

    On creation everything is applied. Later passes leave `desired` and `selfCheck` out of
    what they apply, because people and the portal own these two.
    """

    name: Label
    """Name of the Workspace and of its namespace."""
    spec: WorkspaceSpec
    """The whole specification; `desired` and `self_check` are the present ones if it exists."""


@dataclass(frozen=True, kw_only=True)
class GrantVerdict:
    """What is true of a grant and what should exist for it."""

    admission: Admission
    """Open while the grant is in force."""
    status: AccessGrantStatus
    """The whole status to write: conditions settled, all present."""
    scope: ApprovedScope | None
    """Present scope; None while a dataset, class or policy is missing."""
    counts: Mapping[str, Condition]
    """By name of the Approval: whether it counts and why not (condition `Counts`, no time)."""
    workspaces: tuple[DesiredWorkspace, ...]
    """Workspaces to apply: one per researcher while in force; those that exist else, Closed."""
    next_change: datetime | None
    """When the verdict changes without any event: look again then."""
