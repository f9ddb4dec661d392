"""Who may use a workspace now, and why not."""

from datetime import timedelta
from typing import Any

import pytest

from carrel.rules.front_door import Refused
from carrel.rules.front_door_access import READINESS, RIGHTS, SIGHT, Seen, Sight, Way, way_to
from carrel.rules.front_door_progress import Stage, StepState, progress_of
from support import samples
from support.door_certificate import CERTIFICATE

GATEWAY = "10.0.0.9"
CONDITIONS = [
    samples.condition(each) for each in ("ViewReady", "HomeReady", "Started", "Locked", "Ready")
]
SERVER = {"address": "10.244.1.7", "certificate": CERTIFICATE}
REPORT = {"podUID": "pod-1", "gateways": [GATEWAY], "server": SERVER}
DELETED = {"deletionTimestamp": "2026-11-22T11:59:00Z"}


def seen(**changes: Any) -> Seen:
    """Return what is known of a workspace that is open to ada."""
    status = {"conditions": CONDITIONS, "podUID": "pod-1", "node": "node-a"}
    whole: dict[str, Any] = {
        "sight": Sight.FRESH,
        "workspace": samples.workspace(status=status),
        "grant": samples.grant(),
        "report": samples.report(**REPORT),
        "gateway": GATEWAY,
        "subject": "ada",
        "now": samples.NOW,
    }
    return Seen(**(whole | changes))


def test_a_person_of_a_grant_in_force_gets_the_way_to_a_ready_workspace():
    way = way_to(seen())
    assert isinstance(way, Way)
    assert (way.pod_uid, way.address, way.certificate) == ("pod-1", "10.244.1.7", CERTIFICATE)


def _waiting(**status: Any) -> Any:
    return samples.workspace(status={"conditions": [], **status})


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing is heard": ({"sight": Sight.STALE}, "sight_is_stale"),
    "no such workspace": ({"workspace": None}, "workspace_is_anothers"),
    "somebody else's": ({"subject": "grace"}, "workspace_is_anothers"),
    "a grant that is gone": ({"grant": None}, "grant_is_gone"),
    "a grant that goes": ({"grant": samples.grant(metadata=DELETED)}, "grant_is_gone"),
    "revoked": ({"grant": samples.grant(state="Revoked")}, "grant_is_revoked"),
    "suspended": ({"grant": samples.grant(state="Suspended")}, "grant_is_suspended"),
    "too early": ({"now": samples.NOW - timedelta(days=60)}, "grant_has_not_begun"),
    "the very end": ({"now": samples.grant().spec.expires}, "grant_is_over"),
    "the workspace's own end": (
        {"workspace": samples.workspace(expires="2026-11-22T12:00:00Z")},
        "grant_is_over",
    ),
    "a person who was taken out": (
        {"grant": samples.grant(researchers=[{"subject": "grace"}])},
        "person_is_not_named",
    ),
    "not in force": ({"workspace": samples.workspace(admission="Closed")}, "grant_is_not_in_force"),
    "a workspace that goes": (
        {"workspace": samples.workspace(metadata=DELETED)},
        "workspace_is_being_deleted",
    ),
    "stopped": ({"workspace": samples.workspace(desired="Stopped")}, "workspace_is_stopped"),
    "starting": ({"workspace": _waiting()}, "workspace_is_not_ready"),
    "no report": ({"report": None}, "node_says_nothing"),
    "no certificate": (
        {"report": samples.report(**(REPORT | {"server": None}))},
        "node_says_nothing",
    ),
    "another gateway": (
        {"report": samples.report(**(REPORT | {"gateways": ["10.0.0.8"]}))},
        "lock_does_not_admit_us",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_everybody_and_everything_else_is_told_why_not(case: str):
    changes, rule = REFUSED[case]
    answer = way_to(seen(**changes))
    assert isinstance(answer, Refused)
    assert answer.rule == rule
    assert answer.sentence.endswith(".")


def test_every_check_has_a_case():
    checks = {each.__name__ for each in (*SIGHT, *RIGHTS, *READINESS)}
    assert checks == {rule for _, rule in REFUSED.values()}


def test_a_page_that_waits_shows_the_first_step_that_is_not_done():
    status = {
        "conditions": [samples.condition("ViewReady"), samples.condition("HomeReady", "False")]
    }
    progress = progress_of(seen(workspace=samples.workspace(status=status)))
    assert progress.stage is Stage.WAITING
    states = [(each.title, each.state) for each in progress.steps[:3]]
    assert states == [
        ("Mount 1 dataset", StepState.DONE),
        ("Prepare your files", StepState.NOW),
        ("Start the notebook", StepState.LATER),
    ]
    assert progress.steps[1].sentence == "HomeReady is False."


@pytest.mark.parametrize(
    ("changes", "stage"),
    [
        ({}, Stage.OPEN),
        ({"workspace": samples.workspace(desired="Stopped")}, Stage.STOPPED),
        ({"grant": samples.grant(state="Revoked")}, Stage.ENDED),
        ({"sight": Sight.STALE}, Stage.ENDED),
        ({"report": None}, Stage.WAITING),
    ],
)
def test_a_page_does_what_the_stage_says(changes: dict[str, Any], stage: Stage):
    assert progress_of(seen(**changes)).stage is stage
