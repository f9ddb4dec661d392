"""What holds of every workspace, whatever nodes report and pods do."""

from hypothesis import given

from carrel.kinds.workspace import Admission, Desired
from carrel.rules import (
    ObservedWorkspace,
    PodDecision,
    PodStage,
    PolicyPresence,
    Release,
    is_true,
    judge_workspace,
)
from support.laws import observed_workspaces

TYPES = [
    "ViewReady",
    "HomeReady",
    "PolicyEnforced",
    "Locked",
    "EgressRecorded",
    "Started",
    "Ready",
    "SelfChecked",
    "Stopped",
]
MAKING = {PodDecision.GATED, PodDecision.UNGATED}


@given(observed=observed_workspaces())
def test_every_condition_is_always_there(observed: ObservedWorkspace) -> None:
    conditions = judge_workspace(observed).status.conditions
    assert [item.type for item in conditions] == TYPES


@given(observed=observed_workspaces())
def test_a_pod_is_wanted_only_while_the_grant_is_in_force(observed: ObservedWorkspace) -> None:
    spec = observed.workspace.spec
    if judge_workspace(observed).pod in MAKING:
        assert spec.admission is Admission.OPEN
        assert spec.desired is Desired.RUNNING
        assert observed.now < spec.expires


@given(observed=observed_workspaces())
def test_a_gate_opens_only_onto_a_prepared_node_and_under_the_policy(
    observed: ObservedWorkspace,
) -> None:
    verdict = judge_workspace(observed)
    gated = observed.pod is not None and observed.pod.stage is PodStage.GATED
    if gated and verdict.pod is PodDecision.UNGATED:
        assert verdict.acknowledged != ()
        assert set(verdict.acknowledged) <= set(observed.workspace.spec.nodes)
        assert observed.policy is PolicyPresence.AS_RENDERED


@given(observed=observed_workspaces())
def test_nothing_is_released_while_anything_may_run(observed: ObservedWorkspace) -> None:
    verdict = judge_workspace(observed)
    released = {verdict.view, verdict.home, verdict.workspace, verdict.finalizer}
    if Release.RELEASE in released:
        assert observed.pod is None
        assert is_true(verdict.status.conditions, "Stopped")


@given(observed=observed_workspaces())
def test_a_home_goes_only_after_its_date_in_a_closed_workspace(
    observed: ObservedWorkspace,
) -> None:
    verdict = judge_workspace(observed)
    home = observed.workspace.spec.home
    if verdict.home is Release.RELEASE:
        assert observed.workspace.spec.admission is Admission.CLOSED
        assert home.deleted_after is not None
        assert home.deleted_after <= observed.now
    if verdict.workspace is Release.RELEASE:
        assert verdict.home is Release.RELEASE


@given(observed=observed_workspaces())
def test_ready_means_locked_started_and_in_force(observed: ObservedWorkspace) -> None:
    conditions = judge_workspace(observed).status.conditions
    if is_true(conditions, "Ready"):
        assert is_true(conditions, "Locked")
        assert is_true(conditions, "Started")
        assert observed.workspace.spec.admission is Admission.OPEN


@given(observed=observed_workspaces())
def test_the_same_facts_give_the_same_verdict(observed: ObservedWorkspace) -> None:
    assert judge_workspace(observed) == judge_workspace(observed)


@given(observed=observed_workspaces())
def test_it_never_asks_to_be_looked_at_in_the_past(observed: ObservedWorkspace) -> None:
    again = judge_workspace(observed).next_change
    assert again is None or again > observed.now
