"""Strategies for the laws of grants: any grant, any narrowing of it, any pile of facts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from carrel.kinds import AccessGrant, Dataset, NodeReport
from carrel.kinds.approval import ApprovedScope
from carrel.rules import (
    HomeProvision,
    ObservedGrant,
    ObservedPod,
    ObservedWorkspace,
    PodStage,
    PolicyEnforcement,
    PolicyPresence,
    ReadyNode,
    SiteFacts,
    approved_scope,
    scope_text,
)
from carrel.rules.policy_proof import UNPROVEN
from support.samples import (
    DIGEST,
    NOW,
    PROVEN,
    approval,
    condition,
    dataset,
    egress_policy,
    grant,
    observed_grant,
    report,
    workspace,
    workspace_class,
)

START, END = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
DURING = START + timedelta(days=10, seconds=1)
"""After the start of every grant that is drawn, before the end of most."""
FAMILIES = ("chest-ct", "head-mr", "knee-mr")
DATASETS: dict[str, Dataset] = {f"{name}.v1": dataset(name=name) for name in FAMILIES}
PEOPLE = ("ada", "grace", "zoe")
SITES = st.builds(
    SiteFacts,
    user_prefix=st.just("oidc:"),
    network_policy=st.sampled_from((PolicyEnforcement.ENFORCED, *PolicyEnforcement)),
    homes=st.sampled_from(HomeProvision),
)


def some(values: Any, *, least: int = 0) -> st.SearchStrategy[list[Any]]:
    """Return a strategy for sorted parts of `values`."""
    return st.lists(st.sampled_from(values), unique=True, min_size=least).map(sorted)


SELECTIONS = st.none() | st.fixed_dictionaries(
    {
        "subjects": some(("p1", "p2", "p3")),
        "studies": some(("1.1", "1.2")),
        "series": some(("1.1.1", "1.2.1")),
    }
)


@st.composite
def references(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw what a grant names of the three datasets."""
    names = draw(some(FAMILIES, least=1))
    drawn = [{"name": name, "version": 1, "selection": draw(SELECTIONS)} for name in names]
    return [{key: value for key, value in item.items() if value is not None} for item in drawn]


HOMES = st.just({"retention": "Delete"}) | st.integers(1, 90).map(
    lambda days: {"retention": "Keep", "keepDays": days}
)
BATCHES = st.fixed_dictionaries(
    {"cpu": st.integers(0, 9), "memoryGiB": st.integers(0, 9), "gpu": st.integers(0, 9)}
)


@st.composite
def grants(draw: st.DrawFn) -> AccessGrant:
    """Draw a grant of some of three datasets for some of three people."""
    start = draw(st.integers(0, 10))
    end = draw(st.integers(start + 1, 20) | st.integers(11, 40))
    return grant(
        researchers=[{"subject": name} for name in draw(some(PEOPLE, least=1))],
        datasets=draw(references()),
        notBefore=(START + timedelta(days=start)).isoformat(),
        expires=(START + timedelta(days=end)).isoformat(),
        locks=draw(st.sampled_from(("Both", "InPod"))),
        onRecorderLoss=draw(st.sampled_from(("CloseEgress", "Freeze", "Terminate"))),
        mode=draw(st.sampled_from(("Interactive", "InteractiveAndBatch"))),
        batch=draw(BATCHES),
        home=draw(HOMES),
    )


def scope_of(asked: AccessGrant) -> ApprovedScope:
    """Return the scope of a drawn grant."""
    return approved_scope(
        asked,
        datasets=DATASETS,
        workspace_class=workspace_class(),
        egress_policy=egress_policy(),
    )


@st.composite
def narrowed(draw: st.DrawFn, asked: AccessGrant) -> AccessGrant:
    """Draw a grant that asks for nothing that `asked` does not ask for."""
    wire = asked.spec.to_wire()
    people = [item["subject"] for item in wire["researchers"]]
    kept = draw(
        st.lists(st.sampled_from(wire["datasets"]), min_size=1, unique_by=lambda d: d["name"])
    )
    span = int((asked.spec.expires - asked.spec.not_before).total_seconds())
    later = draw(st.integers(0, span - 1))
    earlier = draw(st.integers(0, span - later - 1))
    days = wire["home"].get("keepDays", 0)
    return grant(
        researchers=[{"subject": name} for name in draw(some(people, least=1))],
        datasets=[draw(_less(item)) for item in kept],
        notBefore=(asked.spec.not_before + timedelta(seconds=later)).isoformat(),
        expires=(asked.spec.expires - timedelta(seconds=earlier)).isoformat(),
        locks=draw(st.sampled_from(sorted({"Both", wire["locks"]}))),
        onRecorderLoss=draw(st.sampled_from(_at_least_as_stern(wire["onRecorderLoss"]))),
        mode=draw(st.sampled_from(sorted({"Interactive", wire["mode"]}))),
        batch={key: draw(st.integers(0, most)) for key, most in wire["batch"].items()},
        home={"retention": "Keep", "keepDays": draw(st.integers(1, days))}
        if days and draw(st.booleans())
        else {"retention": "Delete"},
    )


@st.composite
def _less(draw: st.DrawFn, item: dict[str, Any]) -> dict[str, Any]:
    if "selection" not in item:
        part = draw(SELECTIONS)
    else:
        part = {
            head: draw(some(tuple(values)) if values else st.just([]))
            for head, values in item["selection"].items()
        }
    bare = {"name": item["name"], "version": 1}
    return bare if part is None else bare | {"selection": part}


WORKSPACES = st.builds(
    lambda name, desired, admission, after, nodes, status: workspace(
        metadata={"name": name, "namespace": name},
        researcher=name,
        desired=desired,
        admission=admission,
        home={"name": name, "sizeMiB": 64} | ({"deletedAfter": after} if after else {}),
        nodes=nodes,
        status=status,
    ),
    name=st.sampled_from(("ada", "grace", "gone")),
    desired=st.sampled_from(("Running", "Running", "Stopped")),
    admission=st.sampled_from(("Open", "Open", "Closed")),
    after=st.sampled_from((None, "2026-11-21T00:00:00Z", "2026-11-23T00:00:00Z")),
    nodes=some(("node-a", "node-b")),
    status=st.sampled_from((None, {"podUID": "p-1", "node": "node-a"})),
)
"""Workspaces in any state that the API server lets exist."""


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """Return a strategy that draws `usual` about five times in six."""
    return st.sampled_from((*[usual] * 5 * max(1, len(others)), *others))


NODES = st.lists(
    st.builds(ReadyNode, name=st.sampled_from(("node-a", "node-b")), workspaces=st.integers(0, 3)),
    max_size=2,
    unique_by=lambda node: node.name,
)
TIMES = (DURING, START - timedelta(days=1), END + timedelta(days=60))


@st.composite
def observed_grants(draw: st.DrawFn) -> ObservedGrant:
    """Draw a grant with approvals, workspaces and surroundings that mostly fit."""
    asked = draw(grants())
    approved = asked if draw(mostly(True, False)) else draw(grants())
    deleting = draw(mostly(None, NOW.isoformat()))
    state = draw(mostly("Active", "Suspended", "Revoked"))
    whole = grant(
        **(asked.spec.to_wire() | {"state": state}),
        metadata={"deletionTimestamp": deleting} if deleting else None,
    )
    names = sorted({item.object_name for item in whole.spec.datasets})
    found = names if draw(mostly(True, False)) else draw(some(names))
    yes = approval(scope_text(scope_of(approved)))
    return observed_grant(
        grant=whole,
        datasets={name: DATASETS[name] for name in found},
        approvals=draw(mostly((yes,), ())),
        workspaces=tuple(
            draw(st.lists(WORKSPACES, max_size=3, unique_by=lambda item: item.metadata.name))
        ),
        nodes=tuple(draw(NODES)),
        site=draw(SITES),
        now=draw(mostly(*TIMES)),
    )


CONDITIONS = ("ViewReady", "HomeReady", "LockLoaded", "GateProven", "CgroupEmpty", "HomeReleased")
PODS = st.builds(
    ObservedPod,
    uid=mostly("p-1", "p-2"),
    stage=mostly(PodStage.READY, *PodStage),
    node=mostly("node-a", "node-b", None),
    view_digest=mostly(DIGEST, ""),
    class_digest=st.just(DIGEST),
    deletion_asked=mostly(None, NOW),
    finished_at=st.sampled_from((None, NOW)),
    obstacle=st.just(""),
    times=st.just({}),
)


@st.composite
def reports(draw: st.DrawFn, node: str) -> NodeReport:
    """Draw what a node says of the workspace."""
    said = CONDITIONS if draw(mostly(True, False)) else draw(some(CONDITIONS))
    about = {"podUID": draw(mostly("p-1", "p-2", None)), "viewDigest": draw(mostly(DIGEST, None))}
    return report(
        *(condition(kind, draw(mostly("True", "False", "Unknown"))) for kind in said),
        node=node,
        **{key: value for key, value in about.items() if value is not None},
    )


@st.composite
def observed_workspaces(draw: st.DrawFn) -> ObservedWorkspace:
    """Draw a workspace with reports and a pod that mostly fit."""
    return ObservedWorkspace(
        workspace=draw(WORKSPACES),
        reports=tuple(
            draw(reports(node)) for node in draw(mostly(("node-a",), (), ("node-a", "node-b")))
        ),
        pod=draw(st.none() | PODS),
        policy=draw(mostly(*PolicyPresence)),
        policy_proof=draw(mostly(PROVEN, UNPROVEN)),
        known_nodes=frozenset(draw(mostly(("node-a", "node-b"), ("node-b",), ()))),
        site=draw(SITES),
        now=draw(mostly(NOW, END, END + timedelta(days=1))),
    )


def _at_least_as_stern(order: str) -> tuple[str, ...]:
    orders = ("CloseEgress", "Freeze", "Terminate")
    return orders[orders.index(order) :]
