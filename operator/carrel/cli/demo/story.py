"""The story of the demo, stage by stage, on whatever cluster it is told."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from carrel.cli import release
from carrel.cli.demo import desk, front_door
from carrel.cli.demo.desk import DemoError, Proof
from carrel.cli.demo.site import USER_PREFIX, Site
from carrel.cli.demo.stage import Stages
from carrel.cluster import Cluster, KindRef, Ref, connect
from carrel.cluster.refs import JSON
from carrel.embedded import Person
from carrel.embedded.images import ImageName
from carrel.embedded.instance import DEFAULT_NAME
from carrel.embedded.network import arrived
from carrel.flows.approval import approve, read_scope
from carrel.flows.clock import SystemClock
from carrel.kinds import AccessGrant, Dataset, Workspace
from carrel.kinds.dataset import DatasetReference
from carrel.rules import is_true

_MORE_THAN_APPROVED = '{"spec":{"batch":{"gpu":8}}}'
_REVOKED = '{"spec":{"state":"Revoked"}}'


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Where the story ends: a running workspace and what it proved."""

    grant: AccessGrant
    workspace: Workspace
    proof: Proof
    manifest: Path
    """The grant as it was applied."""


def install(stages: Stages, site: Site) -> None:
    """Install or upgrade both charts and wait until every process is ready."""
    with stages.stage("Install Carrel by its charts") as result:
        release.install(
            site.kubeconfig(Person.ADMIN),
            images=release.Images(
                platform=site.images[ImageName.PLATFORM],
                node=site.images[ImageName.NODE],
                workspace=site.images[ImageName.WORKSPACE],
                identity=site.images.get(ImageName.IDENTITY),
            ),
            values={**_people(), **front_door.values(site)},
            helm=site.helm,
            say=lambda text: stages.console.print(f"  {text}", style="dim"),
            # The identity provider's first start imports its realm: minutes on a busy machine.
            timeout=timedelta(minutes=10),
        )
        result("operator, revoker, node agent and ingest are ready")


def _people() -> Mapping[str, Any]:
    def users(*people: Person) -> dict[str, list[str]]:
        return {"users": [USER_PREFIX + person.subject for person in people]}

    return {
        "roleBindings": {
            "researcher": users(Person.RESEARCHER, Person.RESEARCHER_2),
            "grantAdmin": users(Person.GRANT_ADMIN),
            "approver": users(Person.APPROVER, Person.APPROVER_2),
            "dataManager": users(Person.DATA_MANAGER),
            "auditor": users(Person.AUDITOR),
        }
    }


async def grant(stages: Stages, site: Site, *, dataset: Dataset, keep: Path) -> AccessGrant:
    """Apply the grant as the administrator, approve it as the approver, wait until in force."""
    now = SystemClock().now()
    with stages.stage("Apply one grant, as the grant administrator") as result:
        async with connect(site.kubeconfig(Person.GRANT_ADMIN)) as cluster:
            name, present = await desk.usable_grant(cluster, now=now)
            wanted = await _manifest(cluster, site, name=name, dataset=dataset, now=now)
            if present is not None:
                period = {"not_before": present.spec.not_before, "expires": present.spec.expires}
                wanted = wanted.model_copy(update={"spec": wanted.spec.model_copy(update=period)})
            if present is None or present.spec != wanted.spec:
                await cluster.apply(_plain(wanted), manager=desk.MANAGER)
        text = yaml.safe_dump(_plain(wanted), sort_keys=False)
        await asyncio.to_thread(keep.write_text, text, encoding="utf-8")
        result(f"{name}, as written in {keep}")
    with stages.stage("Approve exactly that, as a member of the committee") as result:
        result(await _approve(site, name=name))
        async with connect(site.kubeconfig(Person.ADMIN)) as cluster:
            found = await desk.wait_for(
                cluster,
                Ref(KindRef.of(AccessGrant), name),
                until=_in_force,
                progress=lambda _: "",
                say=lambda _: None,
                seconds=60,
            )
    return AccessGrant.model_validate(found)


async def _manifest(
    cluster: Cluster, site: Site, *, name: str, dataset: Dataset, now: datetime
) -> AccessGrant:
    return desk.grant_manifest(
        name=name,
        requester=USER_PREFIX + Person.GRANT_ADMIN.subject,
        researcher=Person.RESEARCHER.subject,
        dataset=DatasetReference(name=dataset.spec.name, version=dataset.spec.version),
        workspace_class=await desk.newest_class(cluster),
        locks=site.locks,
        now=now.replace(microsecond=0),
    )


def _plain(grant: AccessGrant) -> JSON:
    wire = grant.to_wire()
    return {
        "apiVersion": wire["apiVersion"],
        "kind": wire["kind"],
        "metadata": {"name": wire["metadata"]["name"]},
        "spec": wire["spec"],
    }


async def _approve(site: Site, *, name: str) -> str:
    approver = USER_PREFIX + Person.APPROVER.subject
    async with connect(site.kubeconfig(Person.APPROVER)) as cluster:
        asked = await read_scope(cluster, name)
        if is_true(asked.grant.status.conditions, "Approved") and (
            asked.grant.status.scope_digest == asked.digest
        ):
            return "approved before, and not wider since"
        approval = await approve(cluster, asked, approver=approver)
        return f"{approval.metadata.name}, bound to {asked.digest[:19]}…"


def _in_force(obj: JSON) -> str | None:
    waiting = desk.condition_is_true("InForce")(obj)
    if waiting is None and not obj["status"].get("workspaces"):
        return "the operator has not named a workspace yet."
    return waiting


async def run(stages: Stages, site: Site, *, granted: AccessGrant, manifest: Path) -> Ending:
    """Start the workspace, wait for its own check, and read what it proved."""
    place = granted.status.workspaces[0]
    ref = Ref(KindRef.of(Workspace), place.name, place.namespace)
    # Others may have reached it before, such as the control arm of an escape test.
    before = arrived(site.instance).packets if site.instance else 0
    async with connect(site.kubeconfig(Person.ADMIN)) as cluster:
        with stages.stage("Start the researcher's workspace") as result:

            def say(line: str) -> None:
                stages.console.print(f"  {line}", style="dim")

            await desk.start(cluster, ref, say=say)
            result(f"{place.name} is Ready")
        with stages.stage("Run the notebook inside it") as result:
            found = await desk.wait_for(
                cluster,
                ref,
                until=desk.condition_is_true("SelfChecked"),
                progress=lambda _: "",
                say=lambda _: None,
                seconds=180,
            )
            workspace = Workspace.model_validate(found)
            proof = await desk.read_proof(cluster, workspace)
            result(_sentence(proof))
    with stages.stage("Look at the pretend Internet") as result:
        result(_internet(site, proof, before=before))
    return Ending(grant=granted, workspace=workspace, proof=proof, manifest=manifest)


def _sentence(proof: Proof) -> str:
    figures = proof.figures
    return (
        f"drew a CT series of {figures.get('slices', 0)} slices, "
        f"{figures.get('rows', 0)} x {figures.get('columns', 0)}; a write to the dataset and "
        f"connections to the Internet were refused"
    )


def _internet(site: Site, proof: Proof, *, before: int) -> str:
    if site.instance is None:
        return f"not part of this cluster; the lock refused {proof.denied} packets"
    seen = arrived(site.instance).packets - before
    if seen:
        raise DemoError(
            f"{seen} packets reached the pretend Internet. The lock does not hold: stop "
            "here and report it as SECURITY.md says."
        )
    return f"0 packets arrived there; the lock refused {proof.denied}"


def tell_ending(console: Console, site: Site, ending: Ending) -> None:
    """Say what stands now and what to try next."""
    place = ending.workspace.metadata
    kubeconfig = site.kubeconfig(Person.ADMIN)
    grant_admin = site.kubeconfig(Person.GRANT_ADMIN)
    name = ending.grant.metadata.name
    kubectl = "kubectl" if site.instance is None else str(site.instance.programs / "kubectl")
    console.print(f"\n[bold]The workspace {place.name} is running.[/bold] Try next:\n")
    patch = f"{kubectl} --kubeconfig={grant_admin} patch accessgrant {name} --type=merge -p"
    lines = (
        ("See every object of the story", f"export KUBECONFIG={kubeconfig}"),
        ("", f"{kubectl} get datasets,accessgrants,approvals,workspaces -A"),
        ("Read why the grant is in force", f"carrel grant explain {name}"),
        (
            "Ask for more than was approved, and watch everything stop",
            f"{patch} '{_MORE_THAN_APPROVED}'",
        ),
        ("End the grant", f"{patch} '{_REVOKED}'"),
        ("The grant as it was applied", f"cat {ending.manifest}"),
        ("Take everything away", _away(site)),
    )
    for what, command in lines:
        if what:
            console.print(f"  {what}:", style="dim")
        # A command must stay on one line to be copied, however narrow the window.
        console.print(f"    {command}", soft_wrap=True, highlight=False, markup=False)


def _away(site: Site) -> str:
    if site.instance is None:
        return f"carrel platform uninstall --kubeconfig={site.kubeconfig(Person.ADMIN)}"
    name = site.instance.name
    return "make down" if name == DEFAULT_NAME else f"make down INSTANCE={name}"
