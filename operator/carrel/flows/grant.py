"""One grant: gather what is known of it, decide, make it so, write its status once."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeVar

from pydantic import ValidationError

from carrel.cluster.errors import NotFound
from carrel.cluster.refs import JSON, NAMESPACE, NODE, Ref, ref_of
from carrel.flows.malformed import malformed_status
from carrel.flows.records import workspace_event
from carrel.flows.store import (
    APPROVALS,
    CLASSES,
    DATASETS,
    GRANTS,
    POLICIES,
    WORKSPACES,
)
from carrel.flows.surroundings import MANAGER, Surroundings
from carrel.flows.writing import ensure, hold, let_go, parsed, patch_spec, write_status
from carrel.kinds import AccessGrant, Approval, Dataset, EgressPolicy, Workspace, WorkspaceClass
from carrel.kinds.resource import API_VERSION, Condition, ConditionStatus
from carrel.kinds.workspace import Admission, GrantReference
from carrel.ledger import Activity, RecordClass, plain
from carrel.render.labels import VIEWS, grant_labels
from carrel.render.namespace import namespace
from carrel.rules import (
    DesiredWorkspace,
    GrantVerdict,
    ObservedGrant,
    ReadyNode,
    condition,
    grant_may_go,
    has_stopped,
    judge_grant,
    settle,
)
from carrel.rules.facts import FINALIZER

K = TypeVar("K", Approval, Workspace)

GRANT_CONDITIONS = ("Approved", "DatasetsReady", "InForce", "WorkspacesReady")

_SOON = timedelta(seconds=1)

_OWNED_BY_OTHERS = ("desired", "selfCheck")
"""Fields of a Workspace that people and the portal set after creation."""


async def reconcile_grant(name: str, around: Surroundings) -> datetime | None:
    """Make everything so that one grant asks for; return when to look again without any event.

    Raises ClusterError and LedgerUnavailableError: nothing is half done that a second call
    would not complete.
    """
    stored = around.store.get(Ref(GRANTS, name))
    if stored is None:
        await _forget(name, around)
        return None
    try:
        grant = AccessGrant.model_validate(stored)
    except ValidationError as error:
        await _close(_workspaces_of(name, around), around, reason="GrantMalformed")
        status = malformed_status(stored, error, types=GRANT_CONDITIONS, now=around.clock.now())
        await write_status(stored, status, around)
        return None
    observed = _observe(grant, around)
    verdict = judge_grant(observed)
    await _close(_orphans(grant, around), around, reason="GrantReplaced")
    if grant.metadata.deletion_timestamp is None and verdict.workspaces:
        await hold(stored, around)
    made = await _make_workspaces(observed, verdict, around)
    await _answer_approvals(observed, verdict, around)
    if made:
        # The status tells of workspaces: it is written once they are there to be told of.
        return around.clock.now() + _SOON
    await write_status(stored, verdict.status.to_wire(), around)
    if grant.metadata.deletion_timestamp is not None and grant_may_go(observed.workspaces):
        await let_go(ref_of(stored), around)
    return verdict.next_change


def _observe(grant: AccessGrant, around: Surroundings) -> ObservedGrant:
    store, spec = around.store, grant.spec
    named = [parsed(Dataset, store.get(Ref(DATASETS, each.object_name))) for each in spec.datasets]
    shape = store.get(Ref(CLASSES, spec.workspace_class))
    policy = store.get(Ref(POLICIES, spec.egress_policy))
    approvals = store.find(APPROVALS, by="grant", value=grant.metadata.name)
    return ObservedGrant(
        grant=grant,
        datasets={each.metadata.name: each for each in named if each is not None},
        workspace_class=parsed(WorkspaceClass, shape),
        egress_policy=parsed(EgressPolicy, policy),
        approvals=tuple(_each(Approval, approvals)),
        workspaces=tuple(
            each
            for each in _workspaces_of(grant.metadata.name, around)
            if each.spec.grant.uid == grant.uid
        ),
        nodes=_ready_nodes(around),
        site=around.facts,
        now=around.clock.now(),
    )


def _workspaces_of(name: str, around: Surroundings) -> list[Workspace]:
    return list(_each(Workspace, around.store.find(WORKSPACES, by="grant", value=name)))


def _orphans(grant: AccessGrant, around: Surroundings) -> list[Workspace]:
    return [
        each
        for each in _workspaces_of(grant.metadata.name, around)
        if each.spec.grant.uid != grant.uid
    ]


def _each(kind: type[K], objects: Iterable[JSON]) -> Iterable[K]:
    return (found for found in (parsed(kind, obj) for obj in objects) if found is not None)


def _ready_nodes(around: Surroundings) -> tuple[ReadyNode, ...]:
    return tuple(
        ReadyNode(
            name=ref.name, workspaces=around.store.count(WORKSPACES, by="node", value=ref.name)
        )
        for ref in sorted(around.store.refs(NODE), key=str)
        if _is_ready(around.store.get(ref))
    )


def _is_ready(node: JSON | None) -> bool:
    return node is not None and node["metadata"].get("labels", {}).get(VIEWS) == "ready"


async def _make_workspaces(
    observed: ObservedGrant, verdict: GrantVerdict, around: Surroundings
) -> bool:
    """Make them so; tell whether a new one was made."""
    made = False
    # What ends comes first: a failure among the others must not delay it.
    in_order = sorted(verdict.workspaces, key=lambda each: each.spec.admission is Admission.OPEN)
    for desired in in_order:
        if desired.spec.admission is Admission.OPEN:
            made |= await _open(desired, observed.grant, around)
        else:
            await _update(desired, around)
    return made


def _named(desired: DesiredWorkspace) -> str:
    return plain(" ".join(each.name for each in desired.spec.datasets))


async def _open(desired: DesiredWorkspace, grant: AccessGrant, around: Surroundings) -> bool:
    live = around.store.get(Ref(WORKSPACES, desired.name, desired.name))
    if live is not None and live["metadata"].get("deletionTimestamp"):
        await _let_go_of_closed(live, around)
        return False  # deleted by hand: made anew once it is gone
    if live is None or live["spec"].get("admission") != Admission.OPEN:
        event = workspace_event(
            Activity.GRANT_ADMITTED,
            name=desired.name,
            grant=desired.spec.grant,
            now=around.clock.now(),
            researcher=desired.spec.researcher,
            datasets=_named(desired),
            scopeExpires=desired.spec.to_wire()["expires"],
            viewDigest=desired.spec.view_digest,
        )
        await around.ledger.append(event, record_class=RecordClass.BEFORE)
    if live is not None:
        await _update(desired, around)
        return False
    labels = grant_labels(
        grant_name=grant.metadata.name, grant_uid=grant.uid, workspace=desired.name
    )
    place = around.store.get(Ref(NAMESPACE, desired.name))
    if place is not None and place["metadata"].get("deletionTimestamp"):
        return False  # its end will be told, and then a new one is made
    await ensure(namespace(desired.name, labels=labels), around)
    created = await around.cluster.create(
        {
            "apiVersion": API_VERSION,
            "kind": "Workspace",
            "metadata": {
                "name": desired.name,
                "namespace": desired.name,
                "labels": labels,
                "finalizers": [FINALIZER],
            },
            "spec": desired.spec.to_wire(),
        }
    )
    around.learn(created)
    return True


async def _let_go_of_closed(live: JSON, around: Surroundings) -> None:
    """Let a Workspace go that was deleted by hand while its grant was not in force.

    It was held because it alone remembered when its home is to be deleted; the grant is in
    force again, and its next Workspace finds the home.
    """
    workspace = parsed(Workspace, live)
    if workspace is not None and has_stopped(workspace):
        await let_go(ref_of(live), around)


async def _update(desired: DesiredWorkspace, around: Surroundings) -> None:
    live = around.store.get(Ref(WORKSPACES, desired.name, desired.name))
    if live is None:
        return
    was_open = live["spec"].get("admission") == Admission.OPEN
    await patch_spec(live, desired.spec.to_wire(), kept=_OWNED_BY_OTHERS, around=around)
    if was_open and desired.spec.admission is Admission.CLOSED:
        await _record_closing(desired.spec.grant, desired.name, around, reason="")


async def _close(workspaces: Iterable[Workspace], around: Surroundings, *, reason: str) -> None:
    """Close workspaces whose grant cannot be judged; their homes stay, with no date."""
    for each in workspaces:
        if each.spec.admission is Admission.CLOSED:
            continue
        ref = Ref(WORKSPACES, each.metadata.name, each.metadata.namespace)
        patch = {"metadata": {"uid": each.uid}, "spec": {"admission": Admission.CLOSED.value}}
        try:
            around.learn(await around.cluster.patch(ref, patch, manager=MANAGER))
        except NotFound:
            continue
        await _record_closing(each.spec.grant, each.metadata.name, around, reason=reason)


async def _record_closing(
    grant: GrantReference, name: str, around: Surroundings, *, reason: str
) -> None:
    event = workspace_event(
        Activity.WORKSPACE_CLOSED,
        name=name,
        grant=grant,
        now=around.clock.now(),
        reason=reason or _reason(grant.name, around),
    )
    await around.ledger.append(event, record_class=RecordClass.STOP)


def _reason(grant: str, around: Surroundings) -> str:
    stored = around.store.get(Ref(GRANTS, grant)) or {}
    if stored.get("metadata", {}).get("deletionTimestamp"):
        return "GrantDeleted"
    return str(stored.get("spec", {}).get("state", "GrantUnknown"))


async def _forget(name: str, around: Surroundings) -> None:
    """End what a grant left behind that is gone without its finalizer, and answer approvals."""
    await _close(_workspaces_of(name, around), around, reason="GrantMissing")
    for stored in around.store.find(APPROVALS, by="grant", value=name):
        message = f"There is no grant {name}; apply it, or delete this approval."
        counts = condition("Counts", ConditionStatus.FALSE, "GrantUnknown", message)
        await _answer(stored, counts, around)


async def _answer_approvals(
    observed: ObservedGrant, verdict: GrantVerdict, around: Surroundings
) -> None:
    for approval in observed.approvals:
        stored = around.store.get(Ref(APPROVALS, approval.metadata.name))
        counts = verdict.counts.get(approval.metadata.name)
        if stored is not None and counts is not None:
            await _answer(stored, counts, around)


async def _answer(stored: JSON, counts: Condition, around: Surroundings) -> None:
    approval = parsed(Approval, stored)
    if approval is None:
        return
    settled = settle((counts,), present=approval.status.conditions, now=around.clock.now())
    status = approval.status.model_copy(
        update={
            "conditions": settled,
            "observed_generation": approval.metadata.generation or 0,
        }
    )
    await write_status(stored, status.to_wire(), around)
