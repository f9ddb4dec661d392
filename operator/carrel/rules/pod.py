"""What the decision about a workspace reads of a pod."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from carrel.rules.facts import CLASS_DIGEST_ANNOTATION, SCHEDULING_GATE, VIEW_DIGEST_ANNOTATION

_KERNEL = "kernel"
"""Name of the container that runs user code."""

_PASSING = frozenset({"ContainerCreating", "PodInitializing"})
"""Reasons of waiting that every start goes through."""


class PodStage(StrEnum):
    """How far a pod is."""

    GATED = "Gated"
    """Held back by the scheduling gate."""
    WAITING = "Waiting"
    """Not held back, no node yet."""
    STARTING = "Starting"
    """On a node; user code has not started."""
    RUNNING = "Running"
    """The kernel container runs."""
    READY = "Ready"
    """Server and kernels answer their readiness probes."""
    FINISHED = "Finished"
    """One of its containers ended: the other is of no use without it."""


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
    metadata, spec, status = _map(pod, "metadata"), _map(pod, "spec"), _map(pod, "status")
    annotations = _map(metadata, "annotations")
    stage = _stage(spec, status)
    return ObservedPod(
        uid=_text(metadata, "uid"),
        stage=stage,
        node=_text(spec, "nodeName") or None,
        view_digest=_text(annotations, VIEW_DIGEST_ANNOTATION),
        class_digest=_text(annotations, CLASS_DIGEST_ANNOTATION),
        deletion_asked=_time(_text(metadata, "deletionTimestamp")),
        finished_at=_finished_at(status) if stage is PodStage.FINISHED else None,
        obstacle=_obstacle(status),
        times=_times(metadata, status),
    )


def _stage(spec: Mapping[str, Any], status: Mapping[str, Any]) -> PodStage:
    state = _map(_container(status), "state")
    ended = any("terminated" in _map(item, "state") for item in _list(status, "containerStatuses"))
    if _text(status, "phase") in {"Succeeded", "Failed"} or ended:
        return PodStage.FINISHED
    if any(_text(gate, "name") == SCHEDULING_GATE for gate in _list(spec, "schedulingGates")):
        return PodStage.GATED
    if not _text(spec, "nodeName"):
        return PodStage.WAITING
    if "running" not in state:
        return PodStage.STARTING
    ready = _text(_pod_condition(status, "Ready"), "status") == "True"
    return PodStage.READY if ready else PodStage.RUNNING


def _obstacle(status: Mapping[str, Any]) -> str:
    scheduled = _pod_condition(status, "PodScheduled")
    if _text(scheduled, "status") == "False" and _text(scheduled, "reason") != "SchedulingGated":
        return _text(scheduled, "message")
    for container in _containers(status):
        state = _map(container, "state")
        waiting = _map(state, "waiting")
        reason = _text(waiting, "reason")
        if reason and reason not in _PASSING:
            return f"{_text(container, 'name')}: {reason} {_text(waiting, 'message')}".strip()
        ended = _map(state, "terminated")
        if ended.get("exitCode"):
            # Never the message of a termination: user code may have written it.
            return f"{_text(container, 'name')} ended with code {ended['exitCode']}"
    return _text(status, "reason")


def _finished_at(status: Mapping[str, Any]) -> datetime | None:
    ends = [
        _time(_text(_map(_map(item, "state"), "terminated"), "finishedAt"))
        for item in _containers(status)
    ]
    return max((end for end in ends if end is not None), default=None)


def _times(metadata: Mapping[str, Any], status: Mapping[str, Any]) -> dict[str, str]:
    ready = _pod_condition(status, "Ready")
    scheduled = _pod_condition(status, "PodScheduled")
    times = {
        "Created": _text(metadata, "creationTimestamp"),
        "Scheduled": _since(scheduled),
        "Started": _text(_map(_map(_container(status), "state"), "running"), "startedAt"),
        "Ready": _since(ready),
    }
    return {step: time for step, time in times.items() if _time(time) is not None}


def _since(condition: Mapping[str, Any]) -> str:
    true = _text(condition, "status") == "True"
    return _text(condition, "lastTransitionTime") if true else ""


def _container(status: Mapping[str, Any]) -> Mapping[str, Any]:
    found = (item for item in _containers(status) if _text(item, "name") == _KERNEL)
    return next(found, {})


def _containers(status: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    return [*_list(status, "initContainerStatuses"), *_list(status, "containerStatuses")]


def _pod_condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = (item for item in _list(status, "conditions") if _text(item, "type") == kind)
    return next(found, {})


def _map(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, Mapping) else {}


def _list(value: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    found = value.get(key)
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
    except ValueError:
        return None
