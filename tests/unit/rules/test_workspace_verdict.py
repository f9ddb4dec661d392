"""What becomes of a workspace's pod and volumes, over everything that may be observed."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from carrel.rules import (
    HomeProvision,
    ObservedPod,
    PodDecision,
    PodStage,
    PolicyPresence,
    Release,
    SiteFacts,
    find,
    judge_workspace,
)
from carrel.rules.policy_proof import UNPROVEN
from support.samples import (
    DIGEST,
    NOW,
    OTHER_DIGEST,
    SITE,
    condition,
    observed_workspace,
    prepared,
    report,
    workspace,
)

STORAGE_CLASS = SiteFacts(
    user_prefix="oidc:", network_policy=SITE.network_policy, homes=HomeProvision.STORAGE_CLASS
)
LOCKED = (condition("LockLoaded"), condition("GateProven"))


def pod(stage: PodStage = PodStage.READY, **changes: Any) -> ObservedPod:
    """Return the sample workspace's pod."""
    on_node = stage not in {PodStage.GATED, PodStage.WAITING}
    whole: dict[str, Any] = {
        "uid": "p-1",
        "stage": stage,
        "node": "node-a" if on_node else None,
        "view_digest": DIGEST,
        "class_digest": DIGEST,
        "deletion_asked": None,
        "finished_at": NOW if stage is PodStage.FINISHED else None,
        "obstacle": "",
        "times": {},
    }
    return ObservedPod(**(whole | changes))


CLOSED = workspace(admission="Closed")
STOPPED = workspace(desired="Stopped")
OVER = workspace(expires=NOW.isoformat())
DELETED = workspace(metadata={"deletionTimestamp": NOW.isoformat()})
GATED = pod(PodStage.GATED)

PODS: dict[str, tuple[PodDecision, dict[str, Any]]] = {
    "wanted, and none is there": (PodDecision.GATED, {}),
    "wanted, and no node is prepared": (PodDecision.GATED, {"reports": ()}),
    "none, in a closed workspace": (PodDecision.ABSENT, {"workspace": CLOSED}),
    "none, in a stopped workspace": (PodDecision.ABSENT, {"workspace": STOPPED}),
    "none, after the end": (PodDecision.ABSENT, {"workspace": OVER}),
    "none, in a workspace being deleted": (PodDecision.ABSENT, {"workspace": DELETED}),
    "gated, on a prepared node": (PodDecision.UNGATED, {"pod": GATED}),
    "gated, before any report": (PodDecision.GATED, {"pod": GATED, "reports": ()}),
    "gated, and the view is an older one": (
        PodDecision.GATED,
        {"pod": GATED, "reports": (prepared(viewDigest=OTHER_DIGEST),)},
    ),
    "gated, and the view failed": (
        PodDecision.GATED,
        {
            "pod": GATED,
            "reports": (
                report(condition("ViewReady", "False"), condition("HomeReady"), viewDigest=DIGEST),
            ),
        },
    ),
    "gated, and the home is missing": (
        PodDecision.GATED,
        {"pod": GATED, "reports": (report(condition("ViewReady"), viewDigest=DIGEST),)},
    ),
    "gated, and the home is a claim": (
        PodDecision.UNGATED,
        {
            "pod": GATED,
            "site": STORAGE_CLASS,
            "reports": (report(condition("ViewReady"), viewDigest=DIGEST),),
        },
    ),
    "gated, and a node speaks that was not asked": (
        PodDecision.GATED,
        {
            "pod": GATED,
            "reports": (
                report(
                    *prepared().status.to_wire()["conditions"], node="node-b", viewDigest=DIGEST
                ),
            ),
        },
    ),
    "gated, and the node was deleted": (
        PodDecision.GATED,
        {"pod": GATED, "known_nodes": frozenset({"node-b"})},
    ),
    "gated, without the deny-all policy": (
        PodDecision.GATED,
        {"pod": GATED, "policy": PolicyPresence.MISSING},
    ),
    "waiting for a node": (PodDecision.UNGATED, {"pod": pod(PodStage.WAITING)}),
    "running": (PodDecision.UNGATED, {"pod": pod()}),
    "running while the node is silent": (PodDecision.UNGATED, {"pod": pod(), "reports": ()}),
    "running in a closed workspace": (PodDecision.DELETE, {"pod": pod(), "workspace": CLOSED}),
    "running in a stopped workspace": (PodDecision.DELETE, {"pod": pod(), "workspace": STOPPED}),
    "running at the end": (PodDecision.DELETE, {"pod": pod(), "workspace": OVER}),
    "running in a deleted workspace": (PodDecision.DELETE, {"pod": pod(), "workspace": DELETED}),
    "running with another view": (
        PodDecision.DELETE,
        {"pod": pod(view_digest=OTHER_DIGEST)},
    ),
    "running from another class": (
        PodDecision.DELETE,
        {"pod": pod(class_digest=OTHER_DIGEST)},
    ),
    "gated in a closed workspace": (PodDecision.DELETE, {"pod": GATED, "workspace": CLOSED}),
    "already going": (PodDecision.ABSENT, {"pod": pod(deletion_asked=NOW), "workspace": CLOSED}),
    "ended a moment ago": (PodDecision.ABSENT, {"pod": pod(PodStage.FINISHED)}),
    "ended a while ago": (
        PodDecision.DELETE,
        {"pod": pod(PodStage.FINISHED, finished_at=NOW - timedelta(seconds=10))},
    ),
    "ended at a time nobody knows": (
        PodDecision.DELETE,
        {"pod": pod(PodStage.FINISHED, finished_at=None)},
    ),
    "ended a moment ago, unwanted": (
        PodDecision.DELETE,
        {"pod": pod(PodStage.FINISHED), "workspace": STOPPED},
    ),
}


@pytest.mark.parametrize(("decision", "change"), PODS.values(), ids=PODS.keys())
def test_a_pod_that_is(decision: PodDecision, change: dict[str, Any]) -> None:
    assert judge_workspace(observed_workspace(**change)).pod is decision


PAST = (NOW - timedelta(days=1)).isoformat()
FUTURE = (NOW + timedelta(days=1)).isoformat()
RAN = {"podUID": "p-1", "node": "node-a"}
EMPTY = report(condition("CgroupEmpty"), podUID="p-1")
GONE = report(condition("CgroupEmpty"), condition("HomeReleased"), podUID="p-1")
HOLD, FREE = Release.HOLD, Release.RELEASE


def ended(*, after: str | None, deleting: str = "", **spec: Any) -> Any:
    """Return a closed workspace that ran, whose home is deleted after a time."""
    home = {"name": "ws-lungs", "sizeMiB": 2048} | ({"deletedAfter": after} if after else {})
    metadata = {"deletionTimestamp": NOW.isoformat()} if deleting else None
    return workspace(admission="Closed", home=home, status=RAN, metadata=metadata, **spec)


RELEASES: dict[str, tuple[tuple[Release, Release, Release, Release], dict[str, Any]]] = {
    "open and running": ((HOLD, HOLD, HOLD, HOLD), {"pod": pod()}),
    "open and stopped": ((HOLD, HOLD, HOLD, HOLD), {"workspace": STOPPED}),
    "closed while the pod is there": (
        (HOLD, HOLD, HOLD, HOLD),
        {"workspace": ended(after=PAST), "pod": pod(), "reports": (EMPTY,)},
    ),
    "closed, the pod gone, the node silent": (
        (HOLD, HOLD, HOLD, HOLD),
        {"workspace": ended(after=PAST), "reports": ()},
    ),
    "closed, and the node speaks of another pod": (
        (HOLD, HOLD, HOLD, HOLD),
        {
            "workspace": ended(after=PAST),
            "reports": (report(condition("CgroupEmpty"), podUID="p-0"),),
        },
    ),
    "closed, and another node says empty": (
        (HOLD, HOLD, HOLD, HOLD),
        {
            "workspace": ended(after=PAST),
            "reports": (report(condition("CgroupEmpty"), node="node-b", podUID="p-1"),),
        },
    ),
    "closed, and the node is not sure": (
        (HOLD, HOLD, HOLD, HOLD),
        {
            "workspace": ended(after=PAST),
            "reports": (report(condition("CgroupEmpty", "Unknown"), podUID="p-1"),),
        },
    ),
    "closed, and a pod nobody remembers is not proven empty": (
        (HOLD, HOLD, HOLD, HOLD),
        {
            "workspace": workspace(admission="Closed"),
            "reports": (report(*LOCKED, podUID="p-9"),),
        },
    ),
    "suspended and proven empty": (
        (FREE, HOLD, HOLD, HOLD),
        {"workspace": ended(after=None), "reports": (EMPTY,)},
    ),
    "ended, and the home is kept": (
        (FREE, HOLD, HOLD, HOLD),
        {"workspace": ended(after=FUTURE), "reports": (EMPTY,)},
    ),
    "ended, and the home is due": (
        (FREE, FREE, HOLD, HOLD),
        {"workspace": ended(after=PAST), "reports": (EMPTY,)},
    ),
    "ended, and the home is gone": (
        (FREE, FREE, FREE, HOLD),
        {"workspace": ended(after=PAST), "reports": (GONE,)},
    ),
    "ended, the home gone, the object being deleted": (
        (FREE, FREE, FREE, FREE),
        {"workspace": ended(after=PAST, deleting="yes"), "reports": (GONE,)},
    ),
    "ended, deleted by hand while the home is kept": (
        (FREE, HOLD, HOLD, HOLD),
        {"workspace": ended(after=FUTURE, deleting="yes"), "reports": (EMPTY,)},
    ),
    "ended, and the home is a claim": (
        (FREE, FREE, FREE, HOLD),
        {"workspace": ended(after=PAST), "reports": (EMPTY,), "site": STORAGE_CLASS},
    ),
    "ended, and the node was deleted": (
        (FREE, FREE, FREE, HOLD),
        {"workspace": ended(after=PAST), "reports": (), "known_nodes": frozenset[str]()},
    ),
    "closed before it ever ran": (
        (FREE, HOLD, HOLD, HOLD),
        {"workspace": workspace(admission="Closed"), "reports": ()},
    ),
    "open again, with a date left over": (
        (HOLD, HOLD, HOLD, HOLD),
        {
            "workspace": workspace(
                home={"name": "ws-lungs", "sizeMiB": 2048, "deletedAfter": PAST}
            ),
            "reports": (GONE,),
        },
    ),
    "open, deleted by hand, running": (
        (HOLD, HOLD, HOLD, HOLD),
        {"workspace": DELETED, "pod": pod()},
    ),
    "open, deleted by hand, proven empty": (
        (FREE, HOLD, HOLD, FREE),
        {"workspace": DELETED, "reports": (EMPTY,)},
    ),
}


@pytest.mark.parametrize(("released", "change"), RELEASES.values(), ids=RELEASES.keys())
def test_of_a_workspace_that_is(
    released: tuple[Release, Release, Release, Release], change: dict[str, Any]
) -> None:
    verdict = judge_workspace(observed_workspace(**change))
    assert (verdict.view, verdict.home, verdict.workspace, verdict.finalizer) == released


def test_the_last_pod_is_remembered_until_its_node_says_that_it_is_empty() -> None:
    silent = judge_workspace(observed_workspace(workspace=ended(after=None), reports=()))
    told = judge_workspace(observed_workspace(workspace=ended(after=None), reports=(EMPTY,)))
    assert (silent.status.pod_uid, silent.status.node) == ("p-1", "node-a")
    assert (told.status.pod_uid, told.status.node) == (None, None)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"policy_proof": UNPROVEN}, "2026-12-01T00:00:00+00:00"),
        ({}, "2026-11-22T12:21:00+00:00"),
        ({"pod": pod(PodStage.FINISHED)}, "2026-11-22T12:00:10+00:00"),
        (
            {"workspace": ended(after=FUTURE), "policy_proof": UNPROVEN},
            "2026-11-23T12:00:00+00:00",
        ),
    ],
    ids=[
        "its end",
        "when the proof of its policy is too old",
        "the rest of a pod that ended",
        "the end of its home",
    ],
)
def test_it_is_looked_at_again_at(change: dict[str, Any], expected: str) -> None:
    verdict = judge_workspace(observed_workspace(**change))
    assert verdict.next_change == datetime.fromisoformat(expected)


def test_steps_of_pod_and_node_are_told_in_order() -> None:
    times = {"Created": "2026-11-22T11:59:00Z", "Started": "2026-11-22T11:59:05Z"}
    loaded = {"step": "LockLoaded", "at": "2026-11-22T11:59:03.250Z"}
    node = report(*LOCKED, podUID="p-1", steps=[loaded])
    verdict = judge_workspace(observed_workspace(pod=pod(times=times), reports=(node,)))
    assert [step.step for step in verdict.status.steps] == ["Created", "LockLoaded", "Started"]


def test_a_ready_and_locked_workspace_is_ready() -> None:
    node = report(*LOCKED, podUID="p-1")
    verdict = judge_workspace(observed_workspace(pod=pod(), reports=(node,)))
    ready = find(verdict.status.conditions, "Ready")
    assert ready is not None
    assert (ready.status.value, ready.reason) == ("True", "Ready")
