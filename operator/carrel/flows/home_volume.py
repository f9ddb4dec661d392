"""Volumes and their claims, and a home that outlives its claim wherever it was provisioned.

A home on a node is a volume of ours. A home of a StorageClass is a volume that a provisioner
makes for the claim and, with most classes, deletes with it: a namespace deleted by hand would
take months of work along. So it is kept as soon as it is known, found again by its label, and
given back to its class only on the home's own date.
"""

from carrel.cluster.errors import NotFound
from carrel.cluster.refs import JSON, PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, Ref, ref_of
from carrel.flows.surroundings import MANAGER, Surroundings
from carrel.flows.writing import remove
from carrel.kinds import Workspace
from carrel.render.difference import differs
from carrel.render.labels import GRANT_UID
from carrel.render.volumes import HOME_CLAIM, given_back_volume, kept_volume
from carrel.rules import POD_NAME, HomeProvision, home_volume_name


async def make_volume(volume: JSON | None, claim: JSON, around: Surroundings) -> None:
    """Make a volume and its claim once; most of what they say cannot change afterwards."""
    known = None if volume is None else around.store.get(ref_of(volume))
    claimed = around.store.get(ref_of(claim)) is not None
    if volume is not None and (known is None or not claimed):
        # What is remembered of a volume may be a minute old: ask, before it is claimed anew.
        live = None if known is None else await around.cluster.get(ref_of(volume))
        live = live or await around.cluster.apply(volume, manager=MANAGER)
        await _free(live, around)
    if not claimed:
        around.learn(await around.cluster.apply(claim, manager=MANAGER))


async def make_home(workspace: Workspace, claim: JSON, around: Surroundings) -> None:
    """Claim a home of a StorageClass: the volume that was kept, or a new one of the class."""
    if around.store.get(ref_of(claim)) is not None:
        return
    for kept in _kept(workspace, around):
        live = await around.cluster.get(ref_of(kept))
        if live is not None and "deletionTimestamp" not in live["metadata"]:
            await _free(live, around)
            spec = {**claim["spec"], "volumeName": live["metadata"]["name"]}
            claim = {**claim, "spec": spec}
            break
    around.learn(await around.cluster.apply(claim, manager=MANAGER))


async def keep_home(workspace: Workspace, around: Surroundings) -> None:
    """Have the volume that a provisioner made for the home stay when its claim goes.

    Classes that wait for a consumer make it for the scheduled pod, so the claim is asked for
    its volume only then; until its program starts the home is empty, and nothing can be lost.
    """
    if around.facts.homes is not HomeProvision.STORAGE_CLASS:
        return
    name = workspace.metadata.name
    claim = around.store.get(Ref(PERSISTENT_VOLUME_CLAIM, HOME_CLAIM, name))
    pod = around.store.get(Ref(POD, POD_NAME, name))
    if claim is None or (pod is None or "nodeName" not in pod["spec"]):
        return
    if "volumeName" not in claim["spec"]:
        claim = await around.cluster.get(ref_of(claim))
        if claim is None or "volumeName" not in claim["spec"]:
            return
        around.learn(claim)
    wanted = kept_volume(workspace, volume=claim["spec"]["volumeName"])
    known = around.store.get(ref_of(wanted))
    if known is None or differs(wanted, known):
        around.learn(await around.cluster.patch(ref_of(wanted), wanted, manager=MANAGER))


async def release_home(workspace: Workspace, around: Surroundings) -> bool:
    """Let go of volume and claim of a home whose time has come; tell whether a claim went.

    The policy is changed first: killed in between, a claim that is still there leads back to it.
    """
    name = workspace.metadata.name
    ref = Ref(PERSISTENT_VOLUME_CLAIM, HOME_CLAIM, name)
    if around.facts.homes is HomeProvision.STORAGE_CLASS:
        volumes = {each["metadata"]["name"] for each in _kept(workspace, around)}
        claim = around.store.get(ref) and await around.cluster.get(ref)
        if claim and "volumeName" in claim["spec"]:
            volumes.add(claim["spec"]["volumeName"])
        for volume in sorted(volumes):
            await _give_back(volume, around)
    went = await remove(ref, around)
    await remove(Ref(PERSISTENT_VOLUME, home_volume_name(name)), around)
    return went


async def _give_back(volume: str, around: Surroundings) -> None:
    wanted = given_back_volume(volume)
    known = around.store.get(ref_of(wanted))
    if known is not None and not differs(wanted, known):
        return
    try:
        around.learn(await around.cluster.patch(ref_of(wanted), wanted, manager=MANAGER))
    except NotFound:
        return  # its provisioner was faster


def _kept(workspace: Workspace, around: Surroundings) -> list[JSON]:
    found = around.store.find(PERSISTENT_VOLUME, by="home", value=workspace.spec.home.name)
    # The name is made of grant and person; a volume that somebody relabelled is nobody's home.
    ours = workspace.spec.grant.uid
    return [each for each in found if each["metadata"]["labels"].get(GRANT_UID) == ours]


async def _free(live: JSON, around: Surroundings) -> None:
    """Let a volume bind to a new claim of its name, if the one it was bound to is gone."""
    if live.get("status", {}).get("phase") == "Released":
        # Its claim went with a namespace that somebody deleted.
        free: JSON = {"spec": {"claimRef": {"uid": None, "resourceVersion": None}}}
        live = await around.cluster.patch(ref_of(live), free, manager=MANAGER)
    around.learn(live)
