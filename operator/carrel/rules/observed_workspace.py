"""What is observed of a workspace, and the shape of the verdict about it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from carrel.kinds import NodeReport, Workspace
from carrel.kinds.workspace import WorkspaceStatus
from carrel.rules.facts import SiteFacts
from carrel.rules.pod import ObservedPod
from carrel.rules.policy_proof import PolicyProof


class PodDecision(StrEnum):
    """What should become of the pod."""

    ABSENT = "Absent"
    """None is to be made now; one that is going is left to go."""
    GATED = "Gated"
    """A pod with its scheduling gate: make it, or leave it."""
    UNGATED = "Ungated"
    """The gate may go; affinity to `acknowledged` is added in the same patch."""
    DELETE = "Delete"
    """The present pod goes; grace 1 s."""


class Release(StrEnum):
    """Whether something may be let go."""

    HOLD = "Hold"
    """It stays (and is applied while the workspace is Open)."""
    RELEASE = "Release"
    """It is deleted now."""


class PolicyPresence(StrEnum):
    """What the namespace's deny-all NetworkPolicy looks like."""

    AS_RENDERED = "AsRendered"
    """It is there and equals what is rendered."""
    MISSING = "Missing"
    """It is not there, or differs."""


@dataclass(frozen=True, kw_only=True)
class ObservedWorkspace:
    """Everything that the decision about a workspace depends on."""

    workspace: Workspace
    """The workspace as stored."""
    reports: tuple[NodeReport, ...]
    """Reports whose `spec.workspaceUID` is the workspace's."""
    pod: ObservedPod | None
    """The present pod."""
    policy: PolicyPresence
    """The deny-all NetworkPolicy, after the bundle's first parts were applied."""
    policy_proof: PolicyProof
    """What canary pods say of the enforcement of NetworkPolicy."""
    known_nodes: frozenset[str]
    """Names of all Node objects; a deleted Node is the administrator's word that it is gone."""
    site: SiteFacts
    """What the administrator says about the site."""
    now: datetime
    """The present time, in UTC."""


@dataclass(frozen=True, kw_only=True)
class WorkspaceVerdict:
    """What is true of a workspace and what to do."""

    status: WorkspaceStatus
    """The whole status to write: conditions settled, all present."""
    pod: PodDecision
    """What should become of the pod."""
    acknowledged: tuple[str, ...]
    """Nodes that acknowledged the present view and home, sorted."""
    view: Release
    """View volume and claim."""
    home: Release
    """Home volume and claim; released only when the home's time has come."""
    workspace: Release
    """Namespace and Workspace object: released when nothing of the home is left."""
    finalizer: Release
    """The finalizer of a Workspace that is being deleted, whoever asked for that."""
    next_change: datetime | None
    """When the verdict changes without any event: look again then."""
