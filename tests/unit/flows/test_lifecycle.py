"""A grant from its approval to its end, step by step, on the fake cluster."""

from datetime import timedelta

import pytest

from carrel.cluster.errors import Forbidden
from carrel.cluster.refs import (
    JSON,
    LIMIT_RANGE,
    NAMESPACE,
    NETWORK_POLICY,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    RESOURCE_QUOTA,
    SERVICE_ACCOUNT,
    Ref,
    ref_of,
)
from carrel.flows.store import APPROVALS, DATASETS, GRANTS, REPORTS, WORKSPACES
from carrel.flows.workspace import reconcile_workspace
from carrel.ledger import RecordClass
from carrel.rules.facts import FINALIZER
from support import examples
from support.operator_world import World, conditions


async def test_an_approved_grant_gives_each_researcher_a_desk_behind_its_lock():
    """The deny-all policy is written before the pod, and the pod waits for a node."""
    world = World()
    await world.approved_grant(researchers=("anna", "ben"))
    writes = [write for write in world.cluster.writes if write.startswith("create")]
    for workspace in world.all(WORKSPACES):
        name = workspace["metadata"]["name"]
        policy = writes.index(f"create NetworkPolicy {name}/deny-all")
        assert policy < writes.index(f"create Pod {name}/desk")
        pod = world.pod(name)
        assert pod is not None
        assert pod["spec"]["schedulingGates"] == [{"name": "carrel.dev/view"}]
    assert len(world.all(POD)) == 2


async def test_the_start_of_a_pod_waits_for_its_record():
    """What allows something is recorded, durably, before it happens."""
    world = World()
    await world.approved_grant()
    classes = {event.activity.value: kind for kind, event in world.ledger.records}
    assert classes == {
        "GrantAdmitted": RecordClass.BEFORE,
        "WorkspaceStarted": RecordClass.BEFORE,
    }


async def test_a_second_pass_over_an_unchanged_world_writes_nothing():
    """Also after a restart, which remembers nothing."""
    world = World()
    await world.running()
    written = len(world.cluster.writes)
    world.restart()
    await world.settle()
    await world.pass_time(timedelta(hours=1))
    assert world.cluster.writes[written:] == []


async def test_the_gate_opens_only_to_the_node_that_acknowledged():
    """Affinity and gate change in one write, so that no scheduler sees one without the other."""
    world = World()
    await world.approved_grant()
    workspace = world.one(WORKSPACES)["metadata"]["name"]
    await world.acknowledge()
    pod = world.pod(workspace)
    assert pod is not None
    assert "schedulingGates" not in pod["spec"]
    affinity = pod["spec"]["affinity"]["nodeAffinity"]
    assert affinity["requiredDuringSchedulingIgnoredDuringExecution"] == {
        "nodeSelectorTerms": [
            {
                "matchFields": [
                    {"key": "metadata.name", "operator": "In", "values": ["node-1"]},
                ]
            }
        ]
    }


async def test_a_node_that_speaks_of_another_view_does_not_open_the_gate():
    """A view that was built for an earlier selection is not this one."""
    world = World()
    await world.approved_grant()
    workspace = world.one(WORKSPACES)
    report = examples.node_report(workspace)
    report["status"]["viewDigest"] = "sha256:" + "e" * 64
    await world.report(report)
    pod = world.pod(workspace["metadata"]["name"])
    assert pod is not None
    assert pod["spec"]["schedulingGates"]


ENDS = {
    "suspended": lambda world: world.patch_grant(state="Suspended"),
    "revoked": lambda world: world.patch_grant(state="Revoked"),
    "expired": lambda world: world.pass_time(timedelta(days=7)),
    "deleted": lambda world: _delete(world, Ref(GRANTS, "lung-nodules")),
    "approval withdrawn": lambda world: _delete(world, Ref(APPROVALS, "lung-nodules-approval")),
    "widened": lambda world: world.patch_grant(
        researchers=[{"subject": "demo-researcher"}, {"subject": "another"}]
    ),
    "dataset gone": lambda world: _delete(world, Ref(DATASETS, "chest-ct.v1")),
    "torn away with its finalizer": lambda world: world.tear_away(),
}


@pytest.mark.parametrize("end", ENDS)
async def test_whatever_ends_a_grant_closes_the_desk_and_deletes_the_pod(end: str):
    """Closed for the node, deleted for the kubelet; the volumes stay until it is quiet."""
    world = World()
    await world.running()
    await ENDS[end](world)
    workspace = world.one(WORKSPACES)
    assert workspace["spec"]["admission"] == "Closed"
    pod = world.pod(workspace["metadata"]["name"])
    assert pod is not None
    assert "deletionTimestamp" in pod["metadata"]
    assert len(world.all(PERSISTENT_VOLUME)) == 2
    assert {"WorkspaceClosed", "PodDeleted"} <= set(world.ledger.said)


@pytest.mark.parametrize("end", ENDS)
async def test_volumes_go_only_after_the_node_said_that_nothing_runs(end: str):
    """The pod object's end does not prove that its processes ended."""
    world = World()
    await world.running()
    workspace = world.one(WORKSPACES)
    uid = world.one(POD)["metadata"]["uid"]
    await ENDS[end](world)
    await world.kubelet_ends_pods()
    assert len(world.all(PERSISTENT_VOLUME_CLAIM)) == 2
    await world.report(examples.node_report(workspace, pod_uid=uid, CgroupEmpty=True))
    claims = {each["metadata"]["name"] for each in world.all(PERSISTENT_VOLUME_CLAIM)}
    assert "view" not in claims


async def test_a_revoked_grant_that_keeps_nothing_leaves_nothing():
    """Namespace, volumes, Workspace: all gone once the node let go of the home."""
    world = World()
    await world.running()
    workspace = world.one(WORKSPACES)
    uid = world.one(POD)["metadata"]["uid"]
    await world.patch_grant(state="Revoked")
    await world.kubelet_ends_pods()
    await world.report(
        examples.node_report(workspace, pod_uid=uid, CgroupEmpty=True, HomeReleased=True)
    )
    left = {ref.kind.kind for ref in world.cluster.objects}
    assert left == {
        "AccessGrant",
        "Approval",
        "ConfigMap",
        "Dataset",
        "EgressPolicy",
        "Namespace",
        "Node",
        "WorkspaceClass",
    }
    assert [each["metadata"]["name"] for each in world.all(NAMESPACE)] == ["carrel-system"]


async def test_a_deleted_grant_goes_when_nothing_of_it_runs():
    """Its finalizer holds it until then, so that no grant vanishes under a running pod."""
    world = World()
    await world.running()
    workspace = world.one(WORKSPACES)
    uid = world.one(POD)["metadata"]["uid"]
    await _delete(world, Ref(GRANTS, "lung-nodules"))
    assert world.one(GRANTS)["metadata"]["finalizers"] == [FINALIZER]
    await world.kubelet_ends_pods()
    await world.report(examples.node_report(workspace, pod_uid=uid, CgroupEmpty=True))
    assert world.all(GRANTS) == []


async def test_a_kept_home_outlives_its_grant_until_its_date():
    """The date stands in status and in the Workspace, which survives the grant."""
    world = World()
    await world.approved_grant(home={"retention": "Keep", "keepDays": 30})
    await world.acknowledge()
    await world.patch_grant(state="Revoked")
    await world.acknowledge()
    assert world.one(GRANTS)["status"]["homesDeletedAfter"] == "2026-04-01T09:00:00Z"
    workspace = world.one(WORKSPACES)
    assert workspace["spec"]["home"]["deletedAfter"] == "2026-04-01T09:00:00Z"
    claims = [each["metadata"]["name"] for each in world.all(PERSISTENT_VOLUME_CLAIM)]
    assert claims == ["home"]
    await world.pass_time(timedelta(days=30))
    await world.acknowledge(HomeReleased=True)
    assert world.all(WORKSPACES) == []
    assert world.all(PERSISTENT_VOLUME) == []


async def test_a_suspended_grant_that_becomes_active_again_gets_its_desk_back():
    """The home is the same; the pod is new."""
    world = World()
    await world.running()
    workspace = world.one(WORKSPACES)
    uid = world.one(POD)["metadata"]["uid"]
    await world.patch_grant(state="Suspended")
    await world.kubelet_ends_pods()
    await world.report(examples.node_report(workspace, pod_uid=uid, CgroupEmpty=True))
    await world.patch_grant(state="Active")
    again = world.one(WORKSPACES)
    assert again["spec"]["admission"] == "Open"
    assert again["spec"]["home"] == workspace["spec"]["home"]
    assert world.one(POD)["metadata"]["uid"] != uid
    claims = sorted(each["metadata"]["name"] for each in world.all(PERSISTENT_VOLUME_CLAIM))
    assert claims == ["home", "view"]


async def test_a_desk_deleted_while_its_grant_is_suspended_is_there_again_when_it_resumes():
    """Until then it is held: it alone remembers its home."""
    world = World()
    await world.running()
    workspace, uid = world.one(WORKSPACES), world.one(POD)["metadata"]["uid"]
    await world.patch_grant(state="Suspended")
    await world.kubelet_ends_pods()
    await world.report(examples.node_report(workspace, pod_uid=uid, CgroupEmpty=True))
    await world.cluster.delete(ref_of(workspace))
    await world.settle()
    assert "deletionTimestamp" in world.one(WORKSPACES)["metadata"]
    await world.patch_grant(state="Active")
    again = world.one(WORKSPACES)
    assert again["metadata"]["uid"] != workspace["metadata"]["uid"]
    assert again["spec"] == workspace["spec"]
    assert "deletionTimestamp" not in world.one(POD)["metadata"]


async def test_a_desk_deleted_while_it_may_still_run_is_held_however_its_grant_changes():
    """The node's word comes first, also when the grant is in force again before it."""
    world = World()
    await world.running()
    workspace = world.one(WORKSPACES)
    await world.patch_grant(state="Suspended")
    await world.kubelet_ends_pods()
    await world.cluster.delete(ref_of(workspace))
    await world.patch_grant(state="Active")
    assert world.one(WORKSPACES)["metadata"]["uid"] == workspace["metadata"]["uid"]
    assert world.all(POD) == []


DRIFT = {
    "NetworkPolicy deleted": (NETWORK_POLICY, None),
    "NetworkPolicy with a rule": (NETWORK_POLICY, {"spec": {"egress": [{}]}}),
    "NetworkPolicy for few pods": (
        NETWORK_POLICY,
        {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}},
    ),
    "quota deleted": (RESOURCE_QUOTA, None),
    "quota raised": (RESOURCE_QUOTA, {"spec": {"hard": {"pods": "9"}}}),
    "limits deleted": (LIMIT_RANGE, None),
    "token mounted": (SERVICE_ACCOUNT, {"automountServiceAccountToken": True}),
    "pod deleted": (POD, None),
    "view claim deleted": (PERSISTENT_VOLUME_CLAIM, None),
}


@pytest.mark.parametrize("drift", DRIFT)
async def test_drift_is_corrected(drift: str):
    """What somebody changed by hand is as rendered again after one round."""
    world = World()
    await world.approved_grant()
    await world.acknowledge()
    kind, patch = DRIFT[drift]
    before = world.all(kind)
    if patch is None:
        await world.cluster.delete(ref_of(before[0]))
    else:
        await world.cluster.patch(ref_of(before[0]), patch, manager="somebody")
    await world.settle()
    assert _contents(world.all(kind)) == _contents(before)


async def test_a_foreign_policy_in_a_workspace_is_removed():
    """NetworkPolicies add up: one that allows would undo the one that denies."""
    world = World()
    await world.approved_grant()
    name = world.one(WORKSPACES)["metadata"]["name"]
    await world.cluster.create(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "open", "namespace": name},
            "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
        }
    )
    await world.settle()
    assert [each["metadata"]["name"] for each in world.all(NETWORK_POLICY)] == ["deny-all"]


async def test_a_deleted_namespace_comes_back_with_the_same_home():
    """Nobody is asked for help: the pod ends, the namespace goes, and is made again."""
    world = World()
    await world.running()
    workspace = world.one(WORKSPACES)
    name, uid = workspace["metadata"]["name"], world.one(POD)["metadata"]["uid"]
    await world.cluster.delete(Ref(NAMESPACE, name))
    await world.settle()
    await world.kubelet_ends_pods()
    await world.report(examples.node_report(workspace, pod_uid=uid, CgroupEmpty=True))
    again = world.one(WORKSPACES)
    assert again["metadata"]["uid"] != workspace["metadata"]["uid"]
    assert again["spec"] == workspace["spec"]
    assert world.all(REPORTS) == []
    assert f"{name}-home" in {each["metadata"]["name"] for each in world.all(PERSISTENT_VOLUME)}
    assert conditions(world.one(GRANTS))["InForce"] == ("True", "InForce")


async def test_a_pod_is_stopped_whatever_else_is_refused():
    """Tidying up comes after the stop: its failure must not delay what ends a grant."""
    world = World()
    await world.running()
    workspace = world.one(WORKSPACES)
    earlier = examples.node_report(workspace)
    earlier["metadata"]["name"] = "node-1.earlier"
    earlier["spec"]["workspaceUID"] = "uid-of-an-earlier-one"
    world.cluster.undeletable = {REPORTS}
    await world.cluster.create(earlier)
    closed = {"spec": {"admission": "Closed"}}
    await world.cluster.patch(ref_of(workspace), closed, manager="carrel-operator")
    with pytest.raises(Forbidden):
        await reconcile_workspace(workspace["metadata"]["name"], world.around())
    assert "deletionTimestamp" in world.one(POD)["metadata"]


@pytest.mark.parametrize(("empty", "left"), [(False, 1), (True, 0)])
async def test_a_report_that_something_may_run_outlives_its_workspace(empty: bool, left: int):  # noqa: FBT001 - a row of the table
    """It is the only word of what may still run; an uninstall waits for it."""
    world = World()
    await world.running()
    workspace = world.one(WORKSPACES)
    earlier = examples.node_report(workspace, CgroupEmpty=empty)
    earlier["metadata"]["name"] = "node-1.earlier"
    earlier["spec"]["workspaceUID"] = "uid-of-an-earlier-one"
    await world.report(earlier)
    await reconcile_workspace(workspace["metadata"]["name"], world.around())
    names = [each["metadata"]["name"] for each in world.all(REPORTS)]
    assert names.count("node-1.earlier") == left


async def _delete(world: World, ref: Ref) -> None:
    await world.cluster.delete(ref)
    await world.settle()


def _contents(objects: list[JSON]) -> list[dict[str, object]]:
    return [
        {key: value for key, value in obj.items() if key not in {"metadata", "status"}}
        for obj in sorted(objects, key=lambda obj: obj["metadata"]["name"])
    ]
