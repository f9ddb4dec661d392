"""Strategies for the laws of grants: any grant, any narrowing of it, any pile of facts."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from carrel.kinds import AccessGrant, Dataset
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
from support.samples import (
    NOW,
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
FAMILIES = ("chest-ct", "head-mr", "knee-mr")
DATASETS: dict[str, Dataset] = {f"{name}.v1": dataset(name=name) for name in FAMILIES}
PEOPLE = ("ada", "grace", "zoe")
SITES = st.builds(
    SiteFacts,
    user_prefix=st.just("oidc:"),
    network_policy=st.sampled_from(PolicyEnforcement),
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
    end = draw(st.integers(start + 1, 40))
    return grant(
        researchers=[{"subject": name} for name in draw(some(PEOPLE, least=1))],
        datasets=draw(references()),
        notBefore=(START + timedelta(days=start)).isoformat(),
        expires=(START + timedelta(days=end)).isoformat(),
        locks=draw(st.sampled_from(("Both", "InPod"))),
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
    desired=st.sampled_from(("Running", "Stopped")),
    admission=st.sampled_from(("Open", "Closed")),
    after=st.sampled_from((None, "2026-11-21T00:00:00Z", "2026-11-23T00:00:00Z")),
    nodes=some(("node-a", "node-b")),
    status=st.sampled_from((None, {"podUID": "p-1", "node": "node-a"})),
)
"""Workspaces in any state that the API server lets exist."""


@st.composite
def observed_grants(draw: st.DrawFn) -> ObservedGrant:
    """Draw a grant with approvals, workspaces and surroundings that need not fit."""
    asked = draw(grants())
    approved = draw(grants() | st.just(asked))
    state = draw(st.sampled_from(("Active", "Active", "Active", "Suspended", "Revoked")))
    deleting = draw(st.sampled_from((None, None, NOW.isoformat())))
    whole = grant(
        **(asked.spec.to_wire() | {"state": state}),
        metadata={"deletionTimestamp": deleting} if deleting else None,
    )
    names = {item.object_name for item in whole.spec.datasets}
    found = draw(st.just(sorted(names)) | some(sorted(names)))
    return observed_grant(
        grant=whole,
        datasets={name: DATASETS[name] for name in found},
        approvals=draw(st.sampled_from(((), (approval(scope_text(scope_of(approved))),)))),
        workspaces=tuple(
            draw(st.lists(WORKSPACES, max_size=3, unique_by=lambda w: w.metadata.name))
        ),
        nodes=tuple(
            draw(
                st.lists(
                    st.builds(
                        ReadyNode,
                        name=st.sampled_from(("node-a", "node-b")),
                        workspaces=st.integers(0, 3),
                    ),
                    max_size=2,
                    unique_by=lambda n: n.name,
                )
            )
        ),
        site=draw(SITES),
        now=draw(st.datetimes(datetime(2026, 10, 20), datetime(2027, 1, 20))).replace(tzinfo=UTC),  # noqa: DTZ001 - hypothesis wants naive bounds
    )


@st.composite
def observed_workspaces(draw: st.DrawFn) -> ObservedWorkspace:
    """Draw a workspace with reports and a pod that need not fit."""
    statuses = st.sampled_from(("True", "False", "Unknown"))
    kinds = some(
        ("ViewReady", "HomeReady", "LockLoaded", "GateProven", "CgroupEmpty", "HomeReleased")
    )
    reports = [
        report(
            *(condition(kind, draw(statuses)) for kind in draw(kinds)),
            node=node,
            **({"podUID": uid} if (uid := draw(st.sampled_from((None, "p-1", "p-2")))) else {}),
            **(
                {"viewDigest": view}
                if (view := draw(st.sampled_from((None, "sha256:" + "a" * 64))))
                else {}
            ),
        )
        for node in draw(some(("node-a", "node-b")))
    ]
    pods = st.builds(
        ObservedPod,
        uid=st.sampled_from(("p-1", "p-2")),
        stage=st.sampled_from(PodStage),
        node=st.sampled_from((None, "node-a", "node-b")),
        view_digest=st.sampled_from(("", "sha256:" + "a" * 64)),
        class_digest=st.just("sha256:" + "a" * 64),
        deletion_asked=st.sampled_from((None, NOW)),
        finished_at=st.sampled_from((None, NOW)),
        obstacle=st.just(""),
        times=st.just({}),
    )
    return ObservedWorkspace(
        workspace=draw(WORKSPACES),
        reports=tuple(reports),
        pod=draw(st.none() | pods),
        policy=draw(st.sampled_from(PolicyPresence)),
        known_nodes=frozenset(draw(some(("node-a", "node-b")))),
        site=draw(SITES),
        now=draw(st.sampled_from((NOW, END, END + timedelta(days=1)))),
    )
