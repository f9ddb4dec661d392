"""What the agent reads of workspaces and pods, and what follows from it for what runs here.

Only the fields that decide are read, each by itself: an object of a newer version, with fields
that this agent does not know, must not read as an end.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from carrel.kinds.grant import OnRecorderLoss
from carrel.kinds.workspace import Admission

ROLE_LABEL = "carrel.dev/role"
WORKSPACE_LABEL = "carrel.dev/workspace"
ROLE = "workspace"
GATE = "lock-gate"
"""Name of the init container that proves the lock."""
CONTAINERS = ("kernel", "server")
"""Names of the containers that run beside each other."""

_ENDED = ("Succeeded", "Failed")
_OVERDUE = timedelta(seconds=5)
"""How long after the end of its grace a pod may still run before the node ends it."""


@dataclass(frozen=True)
class Identity:
    """Which workspace is meant."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, kw_only=True)
class WatchedWorkspace:
    """The part of a Workspace that decides about what runs."""

    identity: Identity
    grant: str
    grant_uid: str
    admission: Admission
    expires: datetime
    nodes: frozenset[str]
    generation: int
    pod_uid: str | None
    """The last pod that the operator knows of."""
    pod_node: str | None
    """Where that pod was bound to."""
    researcher: str = ""
    egress_policy: str = ""
    egress_policy_digest: str = ""
    on_recorder_loss: OnRecorderLoss = OnRecorderLoss.CLOSE_EGRESS


class Presence(StrEnum):
    """Whether the API server still holds a pod."""

    THERE = "There"
    """It does, and containers may run."""
    ENDED = "Ended"
    """It does, and all containers ended by the kubelet's word."""
    GONE = "Gone"
    """It does not."""


class GateStage(StrEnum):
    """Whether user code may already run in a pod."""

    AHEAD = "Ahead"
    """The gate has not let it pass."""
    PASSED = "Passed"
    """It has."""


@dataclass(frozen=True, kw_only=True)
class WatchedPod:
    """The part of a workspace pod that decides."""

    uid: str
    namespace: str
    workspace: str
    grant_uid: str
    gate: GateStage
    presence: Presence
    deleted_by: datetime | None
    """When its grace ends, for a pod whose deletion was asked for."""
    address: str = ""
    """Its address; empty while it has none."""


class Order(StrEnum):
    """What is to be done with a pod."""

    HOLD = "Hold"
    """It may run, locked."""
    CLOSE = "Close"
    """The lock closes and everything in it is killed."""


@dataclass(frozen=True)
class Ruling:
    """What is to be done with a pod, and why."""

    order: Order
    reason: str
    """One CamelCase word."""
    due: datetime | None = None
    """When the ruling changes by itself."""


class MalformedError(ValueError):
    """An object lacks what decides about it."""


def read_workspace(raw: Mapping[str, Any]) -> WatchedWorkspace:
    """Read a Workspace. Raises MalformedError naming the field that is missing or wrong."""
    try:
        spec, metadata = raw["spec"], raw["metadata"]
        return WatchedWorkspace(
            identity=Identity(metadata["namespace"], metadata["name"], metadata["uid"]),
            grant=spec["grant"]["name"],
            grant_uid=spec["grant"]["uid"],
            admission=Admission(spec["admission"]),
            expires=_moment(spec["expires"]),
            nodes=frozenset(spec.get("nodes") or ()),
            generation=metadata.get("generation", 0),
            pod_uid=(raw.get("status") or {}).get("podUID"),
            pod_node=(raw.get("status") or {}).get("node"),
            researcher=str(spec.get("researcher", "")),
            egress_policy=str((spec.get("egressPolicy") or {}).get("name", "")),
            egress_policy_digest=str((spec.get("egressPolicy") or {}).get("digest", "")),
            on_recorder_loss=_order(spec.get("onRecorderLoss")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedError(f"{type(error).__name__}: {error}") from error


def read_pod(raw: Mapping[str, Any]) -> WatchedPod:
    """Read a workspace pod; what is missing reads as not yet there."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    labels = metadata.get("labels") or {}
    deletion = metadata.get("deletionTimestamp")
    return WatchedPod(
        uid=metadata["uid"],
        namespace=metadata["namespace"],
        workspace=labels.get(WORKSPACE_LABEL, ""),
        grant_uid=labels.get("carrel.dev/grant-uid", ""),
        gate=_gate(status),
        presence=Presence.ENDED if status.get("phase") in _ENDED else Presence.THERE,
        deleted_by=_moment(deletion) if deletion else None,
        address=str(status.get("podIP") or ""),
    )


def rule(  # noqa: PLR0911 - one return per sentence reads as the table it is
    pod: WatchedPod, workspace: WatchedWorkspace | None, *, now: datetime
) -> Ruling:
    """Decide about one pod; `workspace` is None when there is none, or none that can be read."""
    if workspace is None:
        return Ruling(Order.CLOSE, "WorkspaceGone")
    if workspace.admission is not Admission.OPEN:
        return Ruling(Order.CLOSE, "AdmissionClosed")
    if workspace.grant_uid != pod.grant_uid:
        return Ruling(Order.CLOSE, "ForeignGrant")
    if now >= workspace.expires:
        return Ruling(Order.CLOSE, "Expired")
    if pod.presence is Presence.GONE:
        return Ruling(Order.CLOSE, "PodGone")
    if pod.deleted_by is None:
        return Ruling(Order.HOLD, "InForce", due=workspace.expires)
    overdue = pod.deleted_by + _OVERDUE
    if now >= overdue:
        return Ruling(Order.CLOSE, "Overdue")
    return Ruling(Order.HOLD, "Stopping", due=min(overdue, workspace.expires))


def _gate(status: Mapping[str, Any]) -> GateStage:
    for found in status.get("initContainerStatuses") or ():
        ended = (found.get("state") or {}).get("terminated") or {}
        if found.get("name") == GATE and ended.get("exitCode") == 0:
            return GateStage.PASSED
    # The kubelet may drop the status of an init container, never that of one that runs.
    for found in status.get("containerStatuses") or ():
        state = found.get("state") or {}
        if "running" in state or "terminated" in state:
            return GateStage.PASSED
    return GateStage.AHEAD


def _order(said: object) -> OnRecorderLoss:
    try:
        return OnRecorderLoss(str(said or OnRecorderLoss.CLOSE_EGRESS))
    except ValueError:
        # An order of a newer version is at least as stern as the sternest that is known here.
        return OnRecorderLoss.TERMINATE


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
