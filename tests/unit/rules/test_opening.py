"""What a researcher reads while a workspace comes up."""

import pytest

from carrel.kinds import Workspace
from carrel.kinds.resource import Condition, ConditionStatus
from carrel.kinds.workspace import WorkspaceStatus
from carrel.rules.opening import Failed, Opening, Ready, server_name, way_of
from support.workspaces import workspace

_ORDER = ("ViewReady", "HomeReady", "PolicyEnforced", "Started", "Locked", "Ready")


def _said(
    *truths: str, generation: int = 0, messages: dict[str, str] | None = None, **spec: object
) -> Workspace:
    """Return a workspace of which only `truths` hold."""
    made = workspace(**spec)  # type: ignore[arg-type]  # fields of the specification
    conditions = tuple(
        Condition(
            type=kind,
            status=ConditionStatus.TRUE if kind in truths else ConditionStatus.FALSE,
            reason="Seen",
            message=(messages or {}).get(kind, ""),
            observed_generation=generation,
        )
        for kind in _ORDER
    )
    return made.model_copy(update={"status": WorkspaceStatus(conditions=conditions)})


@pytest.mark.parametrize(
    ("truths", "way"),
    [
        ((), Opening(percent=0, sentence="Mounting 1 dataset.")),
        (_ORDER[:1], Opening(percent=16, sentence="Preparing your files.")),
        (_ORDER[:2], Opening(percent=33, sentence="Closing the network from outside.")),
        (_ORDER[:3], Opening(percent=49, sentence="Waiting for a place to run.")),
        (_ORDER[:4], Opening(percent=66, sentence="Locking the network from inside.")),
        (_ORDER[:5], Opening(percent=82, sentence="Starting the notebook.")),
        (_ORDER, Ready()),
    ],
)
def test_each_step_has_its_sentence(truths: tuple[str, ...], way: Opening | Ready):
    assert way_of(_said(*truths)) == way


def test_what_the_operator_says_of_a_step_is_told_with_it():
    way = way_of(_said(*_ORDER[:3], messages={"Started": "No node has taken the pod yet."}))
    assert way == Opening(
        percent=49, sentence="Waiting for a place to run. No node has taken the pod yet."
    )


def test_what_was_said_of_an_earlier_specification_counts_for_nothing():
    """A stop that the operator has not seen yet must not look like a workspace that is ready."""
    stale = _said(*_ORDER)
    newer = stale.model_copy(
        update={"metadata": stale.metadata.model_copy(update={"generation": 2})}
    )
    assert way_of(newer) == Opening(percent=0, sentence="Mounting 1 dataset.")


def test_a_cluster_that_enforces_no_policy_keeps_nobody_waiting():
    made = _said("ViewReady", "HomeReady")
    conditions = tuple(
        each.model_copy(update={"reason": "NotEnforcedHere"})
        if each.type == "PolicyEnforced"
        else each
        for each in made.status.conditions
    )
    told = way_of(made.model_copy(update={"status": WorkspaceStatus(conditions=conditions)}))
    assert told == Opening(percent=49, sentence="Waiting for a place to run.")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"admission": "Closed"}, "GrantNotInForce"),
        ({"admission": "Closed", "desired": "Stopped"}, "GrantNotInForce"),
        ({"desired": "Stopped"}, "Stopped"),
    ],
)
def test_what_will_not_come_says_why_even_where_it_seems_ready(spec: dict[str, str], reason: str):
    way = way_of(_said(*_ORDER, **spec))
    assert isinstance(way, Failed)
    assert way.reason == reason


def test_a_server_is_named_by_the_digits_that_decide_a_workspace():
    assert server_name(workspace("ws-lung-nodules-0123456789ab")) == "ws-0123456789ab"
    assert server_name(workspace("ws-0123456789ab")) == "ws-0123456789ab"
