"""What follows for a pod from what the API server says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from carrel.kinds.workspace import Admission
from carrel.node.watched import (
    GateStage,
    Identity,
    MalformedError,
    Order,
    Presence,
    Ruling,
    WatchedPod,
    WatchedWorkspace,
    read_pod,
    read_workspace,
    rule,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
END = NOW + timedelta(hours=1)
WORKSPACE = WatchedWorkspace(
    identity=Identity("ws-a", "ws-a", "uid-w"),
    grant="stroke",
    grant_uid="uid-g",
    admission=Admission.OPEN,
    expires=END,
    nodes=frozenset({"node-1"}),
    generation=3,
    pod_uid="uid-p",
    pod_node="node-1",
)
POD = WatchedPod(
    uid="uid-p",
    namespace="ws-a",
    workspace="ws-a",
    grant_uid="uid-g",
    gate=GateStage.AHEAD,
    presence=Presence.THERE,
    deleted_by=None,
)
RAW: dict[str, Any] = {
    "metadata": {"namespace": "ws-a", "name": "ws-a", "uid": "uid-w", "generation": 3},
    "spec": {
        "grant": {"name": "stroke", "uid": "uid-g"},
        "admission": "Open",
        "expires": "2026-03-01T13:00:00Z",
        "nodes": ["node-1"],
        "aFieldOfTheFuture": True,
    },
    "status": {"podUID": "uid-p", "node": "node-1"},
}


@pytest.mark.parametrize(
    ("pod", "workspace", "ruling"),
    [
        (POD, WORKSPACE, Ruling(Order.HOLD, "InForce", due=END)),
        (POD, None, Ruling(Order.CLOSE, "WorkspaceGone")),
        (
            POD,
            replace(WORKSPACE, admission=Admission.CLOSED),
            Ruling(Order.CLOSE, "AdmissionClosed"),
        ),
        (POD, replace(WORKSPACE, grant_uid="another"), Ruling(Order.CLOSE, "ForeignGrant")),
        (POD, replace(WORKSPACE, expires=NOW), Ruling(Order.CLOSE, "Expired")),
        (replace(POD, presence=Presence.GONE), WORKSPACE, Ruling(Order.CLOSE, "PodGone")),
        (
            replace(POD, deleted_by=NOW),
            WORKSPACE,
            Ruling(Order.HOLD, "Stopping", due=NOW + timedelta(seconds=5)),
        ),
        (
            replace(POD, deleted_by=NOW - timedelta(seconds=5)),
            WORKSPACE,
            Ruling(Order.CLOSE, "Overdue"),
        ),
    ],
    ids=lambda value: value.reason if isinstance(value, Ruling) else "",
)
def test_each_pod_is_held_or_closed_for_a_reason(
    pod: WatchedPod, workspace: WatchedWorkspace | None, ruling: Ruling
) -> None:
    assert rule(pod, workspace, now=NOW) == ruling


def test_a_workspace_with_fields_of_the_future_is_read() -> None:
    assert read_workspace(RAW) == WORKSPACE


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {**RAW["spec"], "admission": "Ajar"},
        {**RAW["spec"], "expires": "soon"},
        {**RAW["spec"], "expires": 5},
        {**RAW["spec"], "grant": None},
    ],
)
def test_a_workspace_that_lacks_what_decides_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        read_workspace({**RAW, "spec": spec})


@pytest.mark.parametrize(
    ("status", "stage"),
    [
        ({}, GateStage.AHEAD),
        ({"initContainerStatuses": [{"name": "lock-gate", "state": {"running": {}}}]}, "Ahead"),
        (
            {
                "initContainerStatuses": [
                    {"name": "lock-gate", "state": {"terminated": {"exitCode": 10}}}
                ]
            },
            "Ahead",
        ),
        (
            {
                "initContainerStatuses": [
                    {"name": "lock-gate", "state": {"terminated": {"exitCode": 0}}}
                ]
            },
            "Passed",
        ),
        ({"containerStatuses": [{"name": "kernel", "state": {"running": {}}}]}, "Passed"),
        ({"containerStatuses": [{"name": "kernel", "state": {"waiting": {}}}]}, "Ahead"),
    ],
)
def test_the_gate_is_past_only_when_a_container_says_so(status: dict[str, Any], stage: str) -> None:
    raw = {"metadata": {"uid": "u", "namespace": "ws-a"}, "status": status}
    assert read_pod(raw).gate == stage
