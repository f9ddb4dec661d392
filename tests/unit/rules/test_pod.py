"""What is read of a pod, and that nothing in it can make reading fail."""

from datetime import UTC, datetime
from typing import Any

import pytest

from carrel.rules import ObservedPod, PodStage, read_pod

GATE = {"schedulingGates": [{"name": "carrel.dev/view"}]}
NODE = {"nodeName": "node-a"}
UP = {"name": "kernel", "state": {"running": {"startedAt": "2026-11-22T12:00:03Z"}}}
DOWN = {
    "name": "kernel",
    "state": {
        "terminated": {"exitCode": 1, "message": "secret", "finishedAt": "2026-11-22T12:01:00Z"}
    },
}


def read(spec: Any, **status: Any) -> ObservedPod:
    """Read a pod with this specification and status."""
    return read_pod({"metadata": {"uid": "p"}, "spec": spec, "status": status})


STAGES: dict[str, tuple[PodStage, ObservedPod]] = {
    "gated": (PodStage.GATED, read(GATE, phase="Pending")),
    "held by a gate that is not ours": (
        PodStage.WAITING,
        read({"schedulingGates": [{"name": "x"}]}, phase="Pending"),
    ),
    "without a node": (PodStage.WAITING, read({}, phase="Pending")),
    "bound": (PodStage.STARTING, read(NODE, phase="Pending")),
    "running": (PodStage.RUNNING, read(NODE, phase="Running", containerStatuses=[UP])),
    "ready": (
        PodStage.READY,
        read(
            NODE,
            phase="Running",
            containerStatuses=[UP],
            conditions=[{"type": "Ready", "status": "True"}],
        ),
    ),
    "failed": (PodStage.FINISHED, read(NODE, phase="Failed")),
    "succeeded": (PodStage.FINISHED, read(NODE, phase="Succeeded")),
    "ended before the phase says so": (
        PodStage.FINISHED,
        read(NODE, phase="Running", containerStatuses=[DOWN]),
    ),
    "left by its server": (
        PodStage.FINISHED,
        read(NODE, phase="Running", containerStatuses=[UP, {**DOWN, "name": "server"}]),
    ),
}


@pytest.mark.parametrize(("stage", "pod"), STAGES.values(), ids=STAGES.keys())
def test_the_stage_of_a_pod_that_is(stage: PodStage, pod: ObservedPod) -> None:
    assert pod.stage is stage


def test_a_whole_pod_reads_as() -> None:
    whole = {
        "metadata": {
            "uid": "p-1",
            "creationTimestamp": "2026-11-22T12:00:00Z",
            "annotations": {"carrel.dev/view-digest": "v", "carrel.dev/class-digest": "c"},
        },
        "spec": NODE,
        "status": {
            "phase": "Running",
            "containerStatuses": [UP],
            "conditions": [
                {
                    "type": "PodScheduled",
                    "status": "True",
                    "lastTransitionTime": "2026-11-22T12:00:01Z",
                },
                {"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-22T12:00:05Z"},
            ],
        },
    }
    assert read_pod(whole) == ObservedPod(
        uid="p-1",
        stage=PodStage.READY,
        node="node-a",
        view_digest="v",
        class_digest="c",
        deletion_asked=None,
        finished_at=None,
        obstacle="",
        times={
            "Created": "2026-11-22T12:00:00Z",
            "Scheduled": "2026-11-22T12:00:01Z",
            "Started": "2026-11-22T12:00:03Z",
            "Ready": "2026-11-22T12:00:05Z",
        },
    )


def test_the_end_is_when_the_last_container_ended() -> None:
    gate = {"name": "lock-gate", "state": {"terminated": {"finishedAt": "2026-11-22T12:00:02Z"}}}
    pod = read(NODE, phase="Failed", initContainerStatuses=[gate], containerStatuses=[DOWN])
    assert pod.finished_at == datetime(2026, 11, 22, 12, 1, tzinfo=UTC)


def test_words_of_user_code_are_not_repeated() -> None:
    pod = read(NODE, phase="Failed", containerStatuses=[DOWN])
    assert pod.obstacle == "kernel ended with code 1"


OBSTACLES: dict[str, tuple[str, ObservedPod]] = {
    "no node fits": (
        "0/1 nodes are available",
        read(
            {},
            conditions=[
                {
                    "type": "PodScheduled",
                    "status": "False",
                    "reason": "Unschedulable",
                    "message": "0/1 nodes are available",
                }
            ],
        ),
    ),
    "our own gate": (
        "",
        read(
            GATE,
            conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
        ),
    ),
    "an image that is not there": (
        "kernel: ImagePullBackOff not found",
        read(
            NODE,
            containerStatuses=[
                {
                    "name": "kernel",
                    "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}},
                }
            ],
        ),
    ),
    "the ordinary wait": (
        "",
        read(
            NODE,
            containerStatuses=[
                {"name": "kernel", "state": {"waiting": {"reason": "PodInitializing"}}}
            ],
        ),
    ),
    "a gate that refused": (
        "lock-gate ended with code 3",
        read(
            NODE,
            initContainerStatuses=[{"name": "lock-gate", "state": {"terminated": {"exitCode": 3}}}],
        ),
    ),
    "an eviction": ("Evicted", read(NODE, phase="Failed", reason="Evicted")),
}


@pytest.mark.parametrize(("words", "pod"), OBSTACLES.values(), ids=OBSTACLES.keys())
def test_what_keeps_it_from_starting(words: str, pod: ObservedPod) -> None:
    assert pod.obstacle == words


@pytest.mark.parametrize(
    "junk",
    [
        {},
        {"metadata": None, "spec": [], "status": "x"},
        {"status": {"containerStatuses": {"a": 1}, "conditions": [1, None, "x"]}},
        {"metadata": {"deletionTimestamp": "yesterday"}, "spec": {"nodeName": 7}},
        {"status": {"containerStatuses": [{"name": "kernel", "state": {"running": None}}]}},
    ],
)
def test_a_malformed_pod_reads_as_not_there_yet(junk: dict[str, Any]) -> None:
    assert read_pod(junk).stage is PodStage.WAITING
