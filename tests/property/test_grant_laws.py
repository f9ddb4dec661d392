"""What holds of every grant, whatever was approved and whatever is around it."""

from hypothesis import assume, given
from hypothesis import strategies as st

from carrel.kinds.approval import ApprovedScope
from carrel.kinds.workspace import Admission
from carrel.rules import ObservedGrant, judge_grant, scope_text, widenings
from support.laws import grants, narrowed, observed_grants, scope_of

TYPES = ["Approved", "DatasetsReady", "InForce", "WorkspacesReady"]


@given(asked=grants(), data=st.data())
def test_narrowing_a_grant_stays_within_its_approval(asked: object, data: st.DataObject) -> None:
    less = data.draw(narrowed(asked))
    assert widenings(present=scope_of(less), approved=scope_of(asked)) == ()


@given(one=grants(), other=grants())
def test_two_scopes_within_each_other_are_equal(one: object, other: object) -> None:
    first, second = scope_of(one), scope_of(other)
    both = [
        widenings(present=first, approved=second),
        widenings(present=second, approved=first),
    ]
    assert (both == [(), ()]) == (first == second)


@given(asked=grants(), data=st.data())
def test_within_is_handed_down(asked: object, data: st.DataObject) -> None:
    less = data.draw(narrowed(asked))
    least = data.draw(narrowed(less))
    assert widenings(present=scope_of(least), approved=scope_of(asked)) == ()


@given(asked=grants(), data=st.data())
def test_what_was_narrowed_cannot_grow_back_unseen(asked: object, data: st.DataObject) -> None:
    less = data.draw(narrowed(asked))
    assume(scope_of(less) != scope_of(asked))
    assert widenings(present=scope_of(asked), approved=scope_of(less)) != ()


@given(asked=grants())
def test_a_scope_reads_back_as_itself(asked: object) -> None:
    whole = scope_of(asked)
    assert ApprovedScope.model_validate_json(scope_text(whole)) == whole


@given(observed=observed_grants())
def test_the_same_facts_give_the_same_verdict(observed: ObservedGrant) -> None:
    assert judge_grant(observed) == judge_grant(observed)


@given(observed=observed_grants())
def test_every_condition_is_always_there(observed: ObservedGrant) -> None:
    conditions = judge_grant(observed).status.conditions
    assert [item.type for item in conditions] == TYPES
    assert all(item.last_transition_time for item in conditions)


@given(observed=observed_grants())
def test_a_grant_out_of_force_leaves_no_workspace_open_and_makes_none(
    observed: ObservedGrant,
) -> None:
    verdict = judge_grant(observed)
    if verdict.admission is Admission.CLOSED:
        assert {item.spec.admission for item in verdict.workspaces} <= {Admission.CLOSED}
        assert sorted(item.name for item in verdict.workspaces) == sorted(
            item.metadata.name for item in observed.workspaces
        )


@given(observed=observed_grants())
def test_an_open_workspace_belongs_to_a_researcher_of_a_grant_that_was_approved(
    observed: ObservedGrant,
) -> None:
    verdict = judge_grant(observed)
    people = {person.subject for person in observed.grant.spec.researchers}
    for item in verdict.workspaces:
        if item.spec.admission is Admission.OPEN:
            assert item.spec.researcher in people
            assert item.spec.expires <= observed.grant.spec.expires
            assert observed.now < item.spec.expires
            assert [counts.status for counts in verdict.counts.values()] == ["True"]


@given(observed=observed_grants())
def test_no_existing_workspace_is_forgotten(observed: ObservedGrant) -> None:
    wanted = {item.name for item in judge_grant(observed).workspaces}
    assert {item.metadata.name for item in observed.workspaces} <= wanted


@given(observed=observed_grants())
def test_homes_are_dated_only_when_the_grant_has_ended_for_good(observed: ObservedGrant) -> None:
    status = judge_grant(observed).status
    assert (status.ended_at is None) == (status.homes_deleted_after is None)
    if status.ended_at and status.homes_deleted_after:
        assert status.ended_at <= status.homes_deleted_after


@given(observed=observed_grants())
def test_the_verdict_never_asks_to_be_looked_at_in_the_past(observed: ObservedGrant) -> None:
    again = judge_grant(observed).next_change
    assert again is None or again > observed.now
