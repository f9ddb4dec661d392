"""One workspace: stop what must stop, make what must be, write its status once."""

from datetime import datetime

from pydantic import ValidationError

from carrel.cluster.errors import ClusterError, Forbidden, Invalid
from carrel.cluster.refs import (
    JSON,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    PERSISTENT_VOLUME,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    Ref,
    ref_of,
)
from carrel.flows.home_volume import keep_home, make_home, make_volume, release_home
from carrel.flows.malformed import malformed_status
from carrel.flows.policy_canary import proof_now
from carrel.flows.quota import count_anew
from carrel.flows.records import workspace_event
from carrel.flows.store import CLASSES, REPORTS, WORKSPACES
from carrel.flows.surroundings import MANAGER, Surroundings
from carrel.flows.writing import create, ensure, let_go, parsed, remove, write_status
from carrel.kinds import NodeReport, Workspace, WorkspaceClass
from carrel.kinds.resource import ConditionStatus
from carrel.kinds.workspace import Admission, WorkspaceStatus
from carrel.ledger import Activity, RecordClass
from carrel.render.bundle import Bundle, bundle
from carrel.render.difference import differs
from carrel.render.namespace import network_policies
from carrel.render.pod import ungated
from carrel.render.volumes import VIEW_CLAIM
from carrel.rules import (
    POD_NAME,
    ObservedWorkspace,
    PodDecision,
    PolicyPresence,
    Release,
    WorkspaceVerdict,
    condition,
    digest,
    judge_workspace,
    read_pod,
    settle,
    view_volume_name,
)

WORKSPACE_CONDITIONS = (
    "ViewReady",
    "HomeReady",
    "PolicyEnforced",
    "Locked",
    "Started",
    "Ready",
    "SelfChecked",
    "Stopped",
)

_GRACE_SECONDS = 1
"""Not 0: that would take the object away without knowing that the container stopped."""


async def reconcile_workspace(name: str, around: Surroundings) -> datetime | None:
    """Make one workspace what it should be; return when to look again without any event."""
    stored = around.store.get(Ref(WORKSPACES, name, name))
    if stored is None:
        await _forget_reports(name, uid=None, around=around)
        return None
    try:
        workspace = Workspace.model_validate(stored)
    except ValidationError as error:
        await _stop_unreadable(name, around)
        status = malformed_status(stored, error, types=WORKSPACE_CONDITIONS, now=around.clock.now())
        await write_status(stored, status, around)
        return None
    # First of all: no refusal of anything else may keep a pod that must stop.
    await _stop(workspace, judge_workspace(_observe(workspace, around)), around)
    await _forget_reports(name, uid=workspace.uid, around=around)
    whole = _bundle(workspace, around)
    try:
        await _surround(workspace, whole, around)
    except Forbidden:
        await count_anew(name, around)
        raise
    verdict = judge_workspace(_observe(workspace, around))
    try:
        if whole is not None:
            await _start(workspace, verdict, whole, around)
    except (Forbidden, Invalid) as refusal:
        told = _with_refusal(verdict.status, refusal, workspace, now=around.clock.now())
        await write_status(stored, told.to_wire(), around)
        await count_anew(name, around)
        raise
    await _release(workspace, verdict, around)
    await write_status(stored, verdict.status.to_wire(), around)
    if verdict.finalizer is Release.RELEASE:
        await let_go(ref_of(stored), around)
    return verdict.next_change


async def _forget_reports(name: str, *, uid: str | None, around: Surroundings) -> None:
    """Delete reports on an earlier workspace of this name: whom a report is on never changes.

    A report that says something may still run stays: it is the only word of it, and an
    uninstall waits for it. The node ends what runs and then says so.
    """
    for report in around.store.find(REPORTS, by="name", value=name):
        if report["spec"].get("workspaceUID") != uid and not _may_run(report):
            await remove(ref_of(report), around)


def _may_run(report: JSON) -> bool:
    conditions = report.get("status", {}).get("conditions", [])
    return any(
        each.get("type") == "CgroupEmpty" and each.get("status") == "False" for each in conditions
    )


def _observe(workspace: Workspace, around: Surroundings) -> ObservedWorkspace:
    store, name = around.store, workspace.metadata.name
    pod = store.get(Ref(POD, POD_NAME, name))
    reports = store.find(REPORTS, by="workspace", value=workspace.uid)
    return ObservedWorkspace(
        workspace=workspace,
        reports=tuple(
            report for report in (parsed(NodeReport, each) for each in reports) if report
        ),
        pod=None if pod is None else read_pod(pod),
        policy=_policy_presence(workspace, around),
        policy_proof=proof_now(around),
        known_nodes=frozenset(ref.name for ref in store.refs(NODE)),
        site=around.facts,
        now=around.clock.now(),
    )


def _policy_presence(workspace: Workspace, around: Surroundings) -> PolicyPresence:
    for desired in network_policies(workspace, around.site):
        live = around.store.get(ref_of(desired))
        if live is None or differs(desired, live):
            return PolicyPresence.MISSING
    if _foreign_policies(workspace, around):
        return PolicyPresence.MISSING
    return PolicyPresence.AS_RENDERED


def _foreign_policies(workspace: Workspace, around: Surroundings) -> list[Ref]:
    ours = {ref_of(each) for each in network_policies(workspace, around.site)}
    found = around.store.find(NETWORK_POLICY, by="namespace", value=workspace.metadata.name)
    return [ref for ref in map(ref_of, found) if ref not in ours]


def _bundle(workspace: Workspace, around: Surroundings) -> Bundle | None:
    menu = workspace.spec.workspace_class
    shape = parsed(WorkspaceClass, around.store.get(Ref(CLASSES, menu.name)))
    # A class that was deleted and made again under its name is another class.
    if shape is None or digest(shape.spec) != menu.digest:
        return None
    return bundle(workspace, shape, around.site)


async def _stop(workspace: Workspace, verdict: WorkspaceVerdict, around: Surroundings) -> None:
    if verdict.pod is PodDecision.DELETE:
        await _delete_pod(workspace, around)


async def _delete_pod(workspace: Workspace, around: Surroundings) -> None:
    ref = Ref(POD, POD_NAME, workspace.metadata.name)
    live = around.store.get(ref)
    if live is None or not await remove(ref, around, grace=_GRACE_SECONDS):
        return
    event = workspace_event(
        Activity.POD_DELETED,
        name=workspace.metadata.name,
        grant=workspace.spec.grant,
        now=around.clock.now(),
        pod_uid=live["metadata"]["uid"],
        admission=workspace.spec.admission.value,
        desired=workspace.spec.desired.value,
    )
    await around.ledger.append(event, record_class=RecordClass.STOP)


async def _stop_unreadable(name: str, around: Surroundings) -> None:
    await remove(Ref(POD, POD_NAME, name), around, grace=_GRACE_SECONDS)


async def _surround(workspace: Workspace, whole: Bundle | None, around: Surroundings) -> None:
    """Make everything that must stand before a pod may; the deny-all policy is the first."""
    if _is_going(Ref(NAMESPACE, workspace.metadata.name), around):
        return
    for policy in network_policies(workspace, around.site):
        await ensure(policy, around)
    for ref in _foreign_policies(workspace, around):
        await remove(ref, around)
    if (
        whole is None
        or workspace.spec.admission is Admission.CLOSED
        or workspace.metadata.deletion_timestamp is not None
    ):
        return
    await ensure(whole.namespace, around)
    for desired in (whole.resource_quota, whole.limit_range, whole.service_account):
        await ensure(desired, around)
    await make_volume(whole.view_volume, whole.view_claim, around)
    if whole.home_volume is None:
        await make_home(workspace, whole.home_claim, around)
    else:
        await make_volume(whole.home_volume, whole.home_claim, around)


def _is_going(ref: Ref, around: Surroundings) -> bool:
    live = around.store.get(ref)
    return live is not None and "deletionTimestamp" in live["metadata"]


async def _start(
    workspace: Workspace, verdict: WorkspaceVerdict, whole: Bundle, around: Surroundings
) -> None:
    ref = Ref(POD, POD_NAME, workspace.metadata.name)
    if _is_going(Ref(NAMESPACE, workspace.metadata.name), around):
        return
    live = around.store.get(ref)
    if live is None:
        if verdict.pod is PodDecision.GATED:
            await _create_pod(workspace, whole, around)
    elif verdict.pod is PodDecision.UNGATED and live["spec"].get("schedulingGates"):
        patch = ungated(verdict.acknowledged, uid=live["metadata"]["uid"])
        around.learn(await around.cluster.patch(ref, patch, manager=MANAGER))


async def _create_pod(workspace: Workspace, whole: Bundle, around: Surroundings) -> None:
    event = workspace_event(
        Activity.WORKSPACE_STARTED,
        name=workspace.metadata.name,
        grant=workspace.spec.grant,
        now=around.clock.now(),
        viewDigest=workspace.spec.view_digest,
        classDigest=workspace.spec.workspace_class.digest,
        policyDigest=workspace.spec.egress_policy.digest,
    )
    await around.ledger.append(event, record_class=RecordClass.BEFORE)
    await create(whole.pod, around)


def _with_refusal(
    status: WorkspaceStatus, refusal: ClusterError, workspace: Workspace, *, now: datetime
) -> WorkspaceStatus:
    """Say in Started and Ready that the server does not take the pod, and why."""
    message = f"The cluster refuses the pod ({refusal}). It is tried again each minute."
    said = tuple(
        condition(
            each.type,
            ConditionStatus.FALSE,
            "PodRefused",
            message,
            generation=each.observed_generation,
        )
        if each.type in {"Started", "Ready"}
        else each
        for each in status.conditions
    )
    settled = settle(said, present=workspace.status.conditions, now=now)
    return status.model_copy(update={"conditions": settled})


async def _release(workspace: Workspace, verdict: WorkspaceVerdict, around: Surroundings) -> None:
    name = workspace.metadata.name
    gone: list[str] = []
    if verdict.view is Release.RELEASE:
        if await remove(Ref(PERSISTENT_VOLUME_CLAIM, VIEW_CLAIM, name), around):
            gone.append("view")
        await remove(Ref(PERSISTENT_VOLUME, view_volume_name(name)), around)
    if verdict.home is Release.HOLD:
        await keep_home(workspace, around)
    elif await release_home(workspace, around):
        gone.append("home")
    for what in gone:
        event = workspace_event(
            Activity.VOLUME_RELEASED,
            name=name,
            grant=workspace.spec.grant,
            now=around.clock.now(),
            volume=what,
        )
        await around.ledger.append(event, record_class=RecordClass.AFTER)
    if verdict.workspace is Release.RELEASE:
        # The namespace takes the Workspace with it, which our finalizer still holds: killed
        # here, the next pass finds both and goes on.
        await remove(Ref(NAMESPACE, name), around)
