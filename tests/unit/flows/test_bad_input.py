"""Bad input: a condition that says so, recovery without help, nothing widened, nothing lost."""

from datetime import timedelta

import pytest

from carrel.cluster import JSON, Ref
from carrel.cluster.errors import Conflict, Forbidden
from carrel.cluster.refs import NETWORK_POLICY, POD, RESOURCE_QUOTA, ref_of
from carrel.flows.quota import count_anew
from carrel.flows.store import APPROVALS, DATASETS, GRANTS, WORKSPACES
from carrel.flows.workspace import reconcile_workspace
from support import examples
from support.operator_world import World, conditions

REFUSED: dict[str, tuple[JSON, str]] = {
    "unknown dataset": ({"datasets": [{"name": "nothing", "version": 1}]}, "DatasetUnknown"),
    "unknown version": ({"datasets": [{"name": "chest-ct", "version": 2}]}, "DatasetUnknown"),
    "unknown class": ({"workspaceClass": "huge"}, "ClassUnknown"),
    "unknown policy": ({"egressPolicy": "everything"}, "PolicyUnknown"),
    "expired": (
        {"notBefore": "2026-01-01T00:00:00Z", "expires": "2026-02-01T00:00:00Z"},
        "Expired",
    ),
    "suspended": ({"state": "Suspended"}, "Suspended"),
    "not approved": ({}, "ApprovalsMissing"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_a_grant_that_cannot_be_in_force_makes_nothing_and_says_why(what: str):
    """No desk beside the one that is there, and a reason and a sentence in InForce."""
    spec, reason = REFUSED[what]
    world = World()
    await world.approved_grant()
    await world.cluster.create(examples.grant("bad", **spec))
    await world.settle()
    grant = world.cluster.objects[Ref(GRANTS, "bad")]
    assert conditions(grant)["InForce"] == ("False", reason)
    assert all(each["message"] for each in grant["status"]["conditions"])
    assert len(world.all(WORKSPACES)) == 1


async def test_two_grants_for_one_researcher_are_two_desks():
    """Nothing of the one is seen in the other."""
    world = World()
    await world.approved_grant()
    second = await world.cluster.create(examples.grant("second"))
    await world.cluster.create(examples.approval(second))
    await world.settle()
    desks = world.all(WORKSPACES)
    assert len({desk["metadata"]["namespace"] for desk in desks}) == 2
    assert len({desk["spec"]["home"]["name"] for desk in desks}) == 2


@pytest.mark.parametrize("field", ["state", "expires", "researchers"])
async def test_a_grant_that_cannot_be_read_ends_what_it_started(field: str):
    """Malformed is not in force, says which field, and heals when it is mended."""
    world = World()
    grant = await world.running()
    await world.patch_grant(**{field: "§"})
    said = world.one(GRANTS)["status"]["conditions"]
    assert {each["reason"] for each in said} == {"Malformed"}
    assert all(field in each["message"] and "§" not in each["message"] for each in said)
    assert world.one(WORKSPACES)["spec"]["admission"] == "Closed"
    assert "deletionTimestamp" in world.one(POD)["metadata"]
    await world.patch_grant(**{field: grant["spec"][field]})
    assert conditions(world.one(GRANTS))["InForce"] == ("True", "InForce")
    assert world.one(WORKSPACES)["spec"]["admission"] == "Open"


async def test_a_workspace_that_cannot_be_read_runs_nothing():
    """Its pod goes, and every condition says what is wrong."""
    world = World()
    await world.running()
    ref = Ref(WORKSPACES, *[world.one(WORKSPACES)["metadata"]["name"]] * 2)
    await world.cluster.patch(ref, {"spec": {"desired": "Perhaps"}}, manager="somebody")
    await world.settle()
    assert "deletionTimestamp" in world.one(POD)["metadata"]
    assert {reason for _, reason in conditions(world.one(WORKSPACES)).values()} == {"Malformed"}


async def test_a_dataset_signed_by_another_key_is_not_ready_and_ends_its_grants():
    """Somebody replaced a published version: what it names did not pass the gate."""
    world = World()
    await world.running()
    await world.cluster.delete(Ref(DATASETS, "chest-ct.v1"))
    await world.cluster.create(examples.dataset(key=examples.OTHER_KEY))
    await world.settle()
    assert conditions(world.one(DATASETS))["Ready"] == ("False", "SignatureInvalid")
    assert conditions(world.one(GRANTS))["InForce"][0] == "False"
    assert world.one(WORKSPACES)["spec"]["admission"] == "Closed"


async def test_a_dataset_is_not_ready_while_no_key_is_known():
    """Unknown, and not True: nobody can say that it passed."""
    world = World()
    await world.cluster.create(examples.dataset())
    await world.settle()
    assert conditions(world.one(DATASETS))["Ready"] == ("Unknown", "NoPublicKey")


async def test_an_approval_of_an_unknown_grant_counts_for_nothing():
    """And says so, instead of waiting in silence."""
    world = World()
    approval = examples.approval(examples.stored(examples.grant("ghost")))
    await world.cluster.create(approval)
    await world.settle()
    assert conditions(world.one(APPROVALS))["Counts"] == ("False", "GrantUnknown")


async def test_a_grant_made_again_under_its_name_inherits_nothing():
    """Another UID: no approval, no desk and no home of the first count for it."""
    world = World()
    await world.running()
    await world.tear_away()
    await world.cluster.create(examples.grant())
    await world.settle()
    assert conditions(world.one(GRANTS))["InForce"][0] == "False"
    assert world.one(WORKSPACES)["spec"]["admission"] == "Closed"
    assert "deletionTimestamp" in world.one(POD)["metadata"]


async def test_a_pod_that_the_cluster_refuses_shows_in_the_status(
    monkeypatch: pytest.MonkeyPatch,
):
    """With the cluster's own words, and the rest of the bundle is in place."""
    world = World()
    create = world.cluster.create

    async def refusing(obj: JSON) -> JSON:
        if obj["kind"] == "Pod":
            raise Forbidden("no PriorityClass with name x was found", call="create Pod")
        return await create(obj)

    monkeypatch.setattr(world.cluster, "create", refusing)
    with pytest.raises(Forbidden):
        await world.approved_grant()
    desk = world.one(WORKSPACES)
    assert conditions(desk)["Started"] == ("False", "PodRefused")
    ready = next(e for e in desk["status"]["conditions"] if e["type"] == "Ready")
    assert "no PriorityClass with name x was found" in ready["message"]
    assert len(world.all(NETWORK_POLICY)) == 1


async def test_a_pod_that_a_quota_could_not_count_is_tried_again(monkeypatch: pytest.MonkeyPatch):
    """Such a Conflict is no word of a pod that is there: waiting for its event lost the start.

    The quota's admission writes the new count into the quota, and answers Conflict where its
    controller wrote there first, as it does just after the quota was made.
    """
    world = World()
    create = world.cluster.create
    uncounted = ["the first pod"]

    async def counting(obj: JSON) -> JSON:
        if obj["kind"] == "Pod" and uncounted:
            uncounted.clear()
            raise Conflict("the quota has been modified; please try again", call="create Pod")
        return await create(obj)

    monkeypatch.setattr(world.cluster, "create", counting)
    with pytest.raises(Conflict):
        await world.approved_grant()
    assert world.all(POD) == []
    await reconcile_workspace(world.one(WORKSPACES)["metadata"]["name"], world.around())
    assert len(world.all(POD)) == 1


async def test_a_pod_that_is_there_and_was_never_told_of_is_learned():
    """The watch may have lost it: its name is taken, so it is asked for."""
    world = World()
    await world.approved_grant()
    desk = world.one(WORKSPACES)["metadata"]["name"]
    world.store.remove(world.one(POD))
    await world.settle()
    assert world.store.get(Ref(POD, "desk", desk)) is not None
    assert len(world.all(POD)) == 1


async def test_a_quota_that_counts_what_is_not_there_is_counted_anew(
    monkeypatch: pytest.MonkeyPatch,
):
    """The operator was killed while a claim was admitted: counted, and never stored."""
    world = World()
    apply = world.cluster.apply

    async def counting(obj: JSON, *, manager: str) -> JSON:
        if obj["kind"] == "PersistentVolumeClaim" and not _counted_anew(world):
            world.cluster.set_status(_quota(world), {"used": {"persistentvolumeclaims": "2"}})
            raise Forbidden("exceeded quota: persistentvolumeclaims=2", call="apply claim")
        return await apply(obj, manager=manager)

    monkeypatch.setattr(world.cluster, "apply", counting)
    with pytest.raises(Forbidden):
        await world.approved_grant()
    assert _counted_anew(world)
    await reconcile_workspace(world.one(WORKSPACES)["metadata"]["name"], world.around())
    assert len(world.all(POD)) == 1


async def test_a_quota_that_counts_what_is_there_is_left_alone():
    """Else a pod that is refused for ever would have it written for ever."""
    world = World()
    await world.approved_grant()
    desk = world.one(WORKSPACES)["metadata"]["name"]
    used = {"pods": "1", "persistentvolumeclaims": "2"}
    world.cluster.set_status(_quota(world), {"used": used})
    assert not await count_anew(desk, world.around())
    assert not _counted_anew(world)


def _quota(world: World) -> Ref:
    return ref_of(world.one(RESOURCE_QUOTA))


def _counted_anew(world: World) -> bool:
    """Tell whether the specification changed: then the controller counts."""
    return world.one(RESOURCE_QUOTA)["metadata"]["generation"] > 1


async def test_narrowing_a_grant_takes_the_dataset_out_of_the_desk():
    """The pod with the wider view goes; the next one is made for the narrower."""
    world = World()
    await world.running()
    before = world.one(WORKSPACES)["spec"]["viewDigest"]
    narrower = [{"name": "chest-ct", "version": 1, "selection": {"subjects": ["P1"]}}]
    await world.patch_grant(datasets=narrower)
    desk = world.one(WORKSPACES)
    assert desk["spec"]["admission"] == "Open"
    assert desk["spec"]["viewDigest"] != before
    assert desk["spec"]["datasets"][0]["selection"]["subjects"] == ["P1"]
    assert "deletionTimestamp" in world.one(POD)["metadata"]


async def test_a_researcher_who_is_taken_out_loses_the_desk_and_nobody_else_does():
    """The others go on."""
    world = World()
    await world.approved_grant(researchers=("anna", "ben"))
    await world.patch_grant(researchers=[{"subject": "anna"}])
    open_desks = {d["spec"]["researcher"]: d["spec"]["admission"] for d in world.all(WORKSPACES)}
    assert open_desks == {"anna": "Open", "ben": "Closed"}
    await world.pass_time(timedelta(minutes=1))
    assert len(world.all(POD)) == 1
