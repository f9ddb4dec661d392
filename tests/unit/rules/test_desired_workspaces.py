"""Which Workspace objects a grant wants, in force and afterwards."""

from typing import Any

from carrel.kinds import Workspace
from carrel.kinds.workspace import Admission, Desired, SelfCheck
from carrel.rules import (
    DesiredWorkspace,
    HomeProvision,
    ReadyNode,
    SiteFacts,
    judge_grant,
    scope_text,
    workspace_name,
)
from support.samples import (
    DIGEST,
    SITE,
    approval,
    grant,
    observed_grant,
    scope,
)

NODES = (ReadyNode(name="node-b", workspaces=0), ReadyNode(name="node-a", workspaces=1))
EVERYWHERE = SiteFacts(
    user_prefix="oidc:", network_policy=SITE.network_policy, homes=HomeProvision.STORAGE_CLASS
)


def stored(made: DesiredWorkspace, **spec: Any) -> Workspace:
    """Return a desired workspace as the API server would hold it."""
    return Workspace.model_validate(
        {
            "metadata": {"name": made.name, "namespace": made.name, "uid": "w"},
            "spec": made.spec.to_wire() | spec,
        }
    )


def test_each_researcher_gets_one_whole_workspace() -> None:
    verdict = judge_grant(observed_grant())
    ada = workspace_name(grant_name="lungs", grant_uid=grant().uid, subject="ada")
    approved = scope()
    assert [item.spec.researcher for item in verdict.workspaces] == ["ada", "grace"]
    assert verdict.workspaces[0].name == ada
    assert verdict.workspaces[0].spec.to_wire() == {
        "grant": {"name": "lungs", "uid": grant().uid},
        "researcher": "ada",
        "desired": "Stopped",
        "selfCheck": "None",
        "admission": "Open",
        "expires": "2026-12-01T00:00:00Z",
        "workspaceClass": approved.workspace_class.to_wire(),
        "egressPolicy": approved.egress_policy.to_wire(),
        "locks": "Both",
        "onRecorderLoss": "CloseEgress",
        "datasets": [
            {"name": "chest-ct", "version": 1, "digest": DIGEST, "manifestDigest": DIGEST}
        ],
        "viewDigest": verdict.workspaces[1].spec.view_digest,
        "home": {"name": ada, "sizeMiB": 2048},
        "nodes": ["node-a"],
    }


def test_the_status_lists_where_each_researcher_works() -> None:
    verdict = judge_grant(observed_grant())
    assert {item.subject: item.name for item in verdict.status.workspaces} == {
        item.spec.researcher: item.name for item in verdict.workspaces
    }


def test_two_grants_for_the_same_researcher_are_two_workspaces() -> None:
    one = judge_grant(observed_grant()).workspaces[0]
    second = grant(metadata={"name": "lungs", "uid": "another", "generation": 1})
    approved = approval(scope_text(scope(second)), grantUID="another")
    other = judge_grant(observed_grant(grant=second, approvals=(approved,))).workspaces[0]
    assert one.spec.researcher == other.spec.researcher
    assert one.name != other.name
    assert one.spec.home.name != other.spec.home.name


def test_only_the_annotation_lets_workspaces_start_at_once() -> None:
    asked = grant(metadata={"annotations": {"carrel.dev/start": "Running"}})
    verdict = judge_grant(observed_grant(grant=asked))
    assert {item.spec.desired for item in verdict.workspaces} == {Desired.RUNNING}


def test_what_people_chose_is_left_as_it_is() -> None:
    made = judge_grant(observed_grant()).workspaces
    chosen = tuple(stored(item, desired="Running", selfCheck="Imaging") for item in made)
    verdict = judge_grant(observed_grant(workspaces=chosen))
    assert {(item.spec.desired, item.spec.self_check) for item in verdict.workspaces} == {
        (Desired.RUNNING, SelfCheck.IMAGING)
    }


def test_a_second_pass_wants_what_is_there() -> None:
    made = judge_grant(observed_grant()).workspaces
    again = judge_grant(observed_grant(workspaces=tuple(stored(item) for item in made)))
    assert again.workspaces == made


def test_new_homes_go_to_the_node_with_fewest_workspaces() -> None:
    verdict = judge_grant(observed_grant(nodes=NODES))
    assert [item.spec.nodes for item in verdict.workspaces] == [("node-b",), ("node-a",)]


def test_a_home_on_a_node_binds_its_workspace_also_while_the_node_is_away() -> None:
    made = judge_grant(observed_grant(nodes=NODES)).workspaces
    present = tuple(stored(item) for item in made)
    verdict = judge_grant(observed_grant(nodes=(), workspaces=present))
    assert [item.spec.nodes for item in verdict.workspaces] == [("node-b",), ("node-a",)]


def test_homes_of_a_storage_class_let_every_ready_node_prepare_the_view() -> None:
    verdict = judge_grant(observed_grant(nodes=NODES, site=EVERYWHERE))
    assert {item.spec.nodes for item in verdict.workspaces} == {("node-a", "node-b")}


def test_a_workspace_without_any_ready_node_is_made_and_waits() -> None:
    verdict = judge_grant(observed_grant(nodes=()))
    assert {item.spec.nodes for item in verdict.workspaces} == {()}


def test_a_smaller_class_keeps_the_larger_home() -> None:
    made = judge_grant(observed_grant()).workspaces
    present = tuple(
        stored(item, home={"name": item.spec.home.name, "sizeMiB": 4096}) for item in made
    )
    verdict = judge_grant(observed_grant(workspaces=present))
    assert {item.spec.home.size_mib for item in verdict.workspaces} == {4096}


def test_a_grant_out_of_force_closes_what_exists_and_makes_nothing() -> None:
    made = stored(judge_grant(observed_grant()).workspaces[0])
    verdict = judge_grant(observed_grant(grant=grant(state="Suspended"), workspaces=(made,)))
    closed = made.spec.model_copy(update={"admission": Admission.CLOSED})
    assert verdict.workspaces == (DesiredWorkspace(name=made.metadata.name, spec=closed),)


def test_closing_needs_nothing_that_the_grant_names() -> None:
    made = stored(judge_grant(observed_grant()).workspaces[0])
    verdict = judge_grant(
        observed_grant(datasets={}, workspace_class=None, egress_policy=None, workspaces=(made,))
    )
    assert [item.spec.admission for item in verdict.workspaces] == [Admission.CLOSED]


def test_a_researcher_who_left_is_closed_and_the_home_waits_for_the_grants_end() -> None:
    made = judge_grant(observed_grant()).workspaces
    verdict = judge_grant(
        observed_grant(
            grant=grant(researchers=[{"subject": "grace"}]),
            workspaces=tuple(stored(item) for item in made),
        )
    )
    assert [
        (item.spec.researcher, item.spec.admission, item.spec.home.deleted_after)
        for item in verdict.workspaces
    ] == [("grace", Admission.OPEN, None), ("ada", Admission.CLOSED, None)]


def test_a_resumed_grant_opens_again_and_takes_the_deletion_back() -> None:
    made = judge_grant(observed_grant()).workspaces
    ended = tuple(
        stored(
            item,
            admission="Closed",
            home={
                "name": item.spec.home.name,
                "sizeMiB": 2048,
                "deletedAfter": "2027-01-01T00:00:00Z",
            },
        )
        for item in made
    )
    assert judge_grant(observed_grant(workspaces=ended)).workspaces == made


def test_a_changed_view_has_another_digest() -> None:
    whole = judge_grant(observed_grant()).workspaces[0]
    part = grant(datasets=[{"name": "chest-ct", "version": 1, "selection": {"subjects": ["p1"]}}])
    narrowed = judge_grant(observed_grant(grant=part)).workspaces[0]
    assert whole.spec.view_digest != narrowed.spec.view_digest
