"""What the decision about a workspace reads of a pod."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class PodStage(StrEnum):
    """How far a pod is."""

    GATED = "Gated"
    """Held back by the scheduling gate."""
    WAITING = "Waiting"
    """Not held back, no node yet."""
    STARTING = "Starting"
    """On a node; user code has not started."""
    RUNNING = "Running"
    """The workspace container runs."""
    READY = "Ready"
    """The workspace answers its readiness probe."""
    FINISHED = "Finished"
    """All containers ended."""


@dataclass(frozen=True, kw_only=True)
class ObservedPod:
    """What the decision about a workspace reads of a pod."""

    uid: str
    """UID of the pod."""
    stage: PodStage
    """How far it is."""
    node: str | None
    """Node it is bound to."""
    view_digest: str
    """View it was made for; empty if it does not say."""
    class_digest: str
    """Workspace class it was made from; empty if it does not say."""
    deletion_asked: datetime | None
    """When its deletion was asked for."""
    finished_at: datetime | None
    """When its last container ended, for a finished pod."""
    obstacle: str
    """What keeps it from starting, in the cluster's words; empty if nothing is known."""
    times: Mapping[str, str]
    """Times of Created, Scheduled, Started and Ready, as the cluster wrote them."""


def read_pod(pod: Mapping[str, Any]) -> ObservedPod:
    """Read a Pod object; what is missing or malformed reads as not yet there."""
    raise NotImplementedError
