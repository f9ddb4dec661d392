"""What a workspace's conditions say, one row per reason."""

from typing import Any

import pytest

from carrel.rules import (
    HomeProvision,
    ObservedPod,
    PodStage,
    PolicyEnforcement,
    PolicyPresence,
    SiteFacts,
    judge_workspace,
    read_pod,
)
from carrel.rules.policy_proof import UNPROVEN, PolicyProof, Standing
from support.samples import (
    NOW,
    SITE,
    condition,
    observed_workspace,
    prepared,
    report,
    workspace,
)

ALL = (
    "ViewReady",
    "HomeReady",
    "PolicyEnforced",
    "Locked",
    "EgressRecorded",
    "Started",
    "Ready",
    "SelfChecked",
    "Stopped",
)
RUNNING = {
    "metadata": {"uid": "p-1"},
    "spec": {"nodeName": "node-a"},
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "kernel", "state": {"running": {}}}],
    },
}
GATED = read_pod({"spec": {"schedulingGates": [{"name": "carrel.dev/view"}]}})


def running(**changes: Any) -> ObservedPod:
    """Return a pod that runs and answers."""
    made = read_pod(RUNNING)
    return ObservedPod(**({**vars(made)} | changes))


def locked(*more: dict[str, Any], loaded: str = "True", proven: str = "True") -> Any:
    """Return the node's report on that pod."""
    said = (condition("LockLoaded", loaded, "Tampered"), condition("GateProven", proven, "Open"))
    return report(*said, *more, podUID="p-1")


CASES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "a node holds the view": ("ViewReady", "True", "Acknowledged", {}),
    "no node can": ("ViewReady", "False", "NoNode", {"workspace": workspace(nodes=[])}),
    "the node is silent": ("ViewReady", "Unknown", "NotReported", {"reports": ()}),
    "the node failed": (
        "ViewReady",
        "False",
        "ObjectMissing",
        {"reports": (report(condition("ViewReady", "False", "ObjectMissing")),)},
    ),
    "the grant is not in force": (
        "ViewReady",
        "False",
        "GrantNotInForce",
        {"workspace": workspace(admission="Closed")},
    ),
    "the node of the home is gone": (
        "HomeReady",
        "False",
        "NodeGone",
        {"known_nodes": frozenset({"node-b"})},
    ),
    "the home is a claim": (
        "HomeReady",
        "True",
        "StorageClass",
        {
            "site": SiteFacts(
                user_prefix="oidc:",
                network_policy=SITE.network_policy,
                homes=HomeProvision.STORAGE_CLASS,
            )
        },
    ),
    "the policy is there": ("PolicyEnforced", "True", "DenyAll", {}),
    "no canary proved the policy": (
        "PolicyEnforced",
        "Unknown",
        "NotProven",
        {"policy_proof": UNPROVEN},
    ),
    "a canary got out from under the policy": (
        "PolicyEnforced",
        "False",
        "CanaryGotThrough",
        {"policy_proof": PolicyProof(Standing.CONTRADICTED, NOW, NOW)},
    ),
    "the policy is missing": (
        "PolicyEnforced",
        "False",
        "PolicyMissing",
        {"policy": PolicyPresence.MISSING},
    ),
    "the policy is not enforced": (
        "PolicyEnforced",
        "False",
        "NotEnforcedHere",
        {
            "site": SiteFacts(
                user_prefix="oidc:",
                network_policy=PolicyEnforcement.NOT_ENFORCED,
                homes=SITE.homes,
            )
        },
    ),
    "nothing to lock": ("Locked", "False", "NoPod", {}),
    "the node did not speak of this pod": (
        "Locked",
        "Unknown",
        "NotReported",
        {"pod": running(uid="p-2"), "reports": (locked(),)},
    ),
    "another node spoke of this pod": (
        "Locked",
        "Unknown",
        "NotReported",
        {"pod": running(node="node-b"), "reports": (locked(),)},
    ),
    "the lock is not proven yet": (
        "Locked",
        "Unknown",
        "NotProven",
        {"pod": running(), "reports": (report(condition("LockLoaded"), podUID="p-1"),)},
    ),
    "the lock was tampered with": (
        "Locked",
        "False",
        "Tampered",
        {"pod": running(), "reports": (locked(loaded="False"),)},
    ),
    "the gate found it open": (
        "Locked",
        "False",
        "Open",
        {"pod": running(), "reports": (locked(proven="False"),)},
    ),
    "the lock is proven": (
        "Locked",
        "True",
        "Proven",
        {"pod": running(), "reports": (locked(),)},
    ),
    "the pod waits for a node to prepare": (
        "Started",
        "False",
        "WaitsForNode",
        {"pod": GATED, "reports": ()},
    ),
    "the pod waits for the policy": (
        "Started",
        "False",
        "PolicyMissing",
        {"pod": GATED, "policy": PolicyPresence.MISSING},
    ),
    "no node took the pod": (
        "Started",
        "False",
        "NotScheduled",
        {"pod": running(stage=PodStage.WAITING, node=None)},
    ),
    "the pod starts": (
        "Started",
        "False",
        "Starting",
        {"pod": running(stage=PodStage.STARTING)},
    ),
    "the pod ended": ("Started", "False", "Ended", {"pod": running(stage=PodStage.FINISHED)}),
    "the pod runs": ("Started", "True", "Started", {"pod": running(stage=PodStage.RUNNING)}),
    "nobody asks it to run": (
        "Started",
        "False",
        "Stopped",
        {"workspace": workspace(desired="Stopped")},
    ),
    "the pod is about to be made": ("Ready", "False", "NoPod", {}),
    "the end has come": (
        "Ready",
        "False",
        "Expired",
        {"workspace": workspace(expires=NOW.isoformat()), "pod": running()},
    ),
    "the workspace is being deleted": (
        "Ready",
        "False",
        "Deleted",
        {"workspace": workspace(metadata={"deletionTimestamp": NOW.isoformat()})},
    ),
    "the pod is going": (
        "Ready",
        "False",
        "Stopping",
        {"pod": running(deletion_asked=NOW), "reports": (locked(),)},
    ),
    "it answers without a lock": (
        "Ready",
        "False",
        "NotLocked",
        {"pod": running(), "reports": ()},
    ),
    "it does not answer": (
        "Ready",
        "False",
        "NotAnswering",
        {"pod": running(stage=PodStage.RUNNING), "reports": (locked(),)},
    ),
    "it answers and is locked": (
        "Ready",
        "True",
        "Ready",
        {"pod": running(), "reports": (locked(),)},
    ),
    "no check is asked for": ("SelfChecked", "Unknown", "NotAsked", {}),
    "the check has not reported": (
        "SelfChecked",
        "Unknown",
        "NotReported",
        {"workspace": workspace(selfCheck="Imaging"), "pod": running()},
    ),
    "the check passed": (
        "SelfChecked",
        "True",
        "Passed",
        {
            "workspace": workspace(selfCheck="Imaging"),
            "pod": running(),
            "reports": (locked(condition("SelfChecked", "True", "Passed")),),
        },
    ),
    "a pod is there": ("Stopped", "False", "PodExists", {"pod": running()}),
    "nothing ever ran": ("Stopped", "True", "NeverRan", {}),
    "the node says empty": (
        "Stopped",
        "True",
        "CgroupEmpty",
        {"reports": (report(condition("CgroupEmpty"), podUID="p-1"),)},
    ),
    "the node has not said so": (
        "Stopped",
        "Unknown",
        "NotProven",
        {"workspace": workspace(status={"podUID": "p-1", "node": "node-a"})},
    ),
}


@pytest.mark.parametrize(("kind", "status", "reason", "change"), CASES.values(), ids=CASES.keys())
def test_the_condition_says_that(
    kind: str, status: str, reason: str, change: dict[str, Any]
) -> None:
    verdict = judge_workspace(observed_workspace(**change))
    said = {item.type: (item.status.value, item.reason) for item in verdict.status.conditions}
    assert tuple(said) == ALL
    assert said[kind] == (status, reason)


def test_a_nodes_own_words_reach_the_administrator() -> None:
    failed = report(condition("ViewReady", "False", "ObjectMissing"))
    verdict = judge_workspace(observed_workspace(reports=(failed,)))
    assert verdict.status.conditions[0].message == "node-a: ViewReady is False."


def test_a_prepared_node_is_named() -> None:
    verdict = judge_workspace(observed_workspace(reports=(prepared(),)))
    assert verdict.status.conditions[0].message == "In place on node-a."
