"""When a grant has ended for good, when homes go, and when the grant itself may."""

from typing import Any

import pytest

from carrel.rules import grant_may_go, judge_grant, scope_text
from support.samples import (
    NOW,
    approval,
    condition,
    grant,
    observed_grant,
    scope,
    workspace,
)

DELETING = {"deletionTimestamp": "2026-11-20T00:00:00Z"}
SEEN = {"endedAt": "2026-11-21T00:00:00Z"}
KEPT = {"retention": "Keep", "keepDays": 30}
GONE = {"retention": "Delete"}

ENDS: dict[str, tuple[str | None, str | None, dict[str, Any]]] = {
    "runs": (None, None, {}),
    "is suspended": (None, None, {"state": "Suspended"}),
    "was suspended and runs again": (None, None, {"status": SEEN}),
    "expired": (
        "2026-11-22T00:00:00Z",
        "2026-12-22T00:00:00Z",
        {"expires": "2026-11-22T00:00:00Z"},
    ),
    "expired, its homes not kept": (
        "2026-11-22T00:00:00Z",
        "2026-11-22T00:00:00Z",
        {"expires": "2026-11-22T00:00:00Z", "home": GONE},
    ),
    "is being deleted": (
        "2026-11-20T00:00:00Z",
        "2026-12-20T00:00:00Z",
        {"metadata": DELETING},
    ),
    "is revoked now": ("2026-11-22T12:00:00Z", "2026-12-22T12:00:00Z", {"state": "Revoked"}),
    "was revoked before": (
        "2026-11-21T00:00:00Z",
        "2026-12-21T00:00:00Z",
        {"state": "Revoked", "status": SEEN},
    ),
    "was revoked, then deleted": (
        "2026-11-20T00:00:00Z",
        "2026-12-20T00:00:00Z",
        {"state": "Revoked", "status": SEEN, "metadata": DELETING},
    ),
    "keeps homes longer than approved": (
        "2026-11-22T12:00:00Z",
        "2026-12-22T12:00:00Z",
        {"state": "Revoked", "home": {"retention": "Keep", "keepDays": 3650}},
    ),
    "keeps homes less long than approved": (
        "2026-11-22T12:00:00Z",
        "2026-11-23T12:00:00Z",
        {"state": "Revoked", "home": {"retention": "Keep", "keepDays": 1}},
    ),
}


@pytest.mark.parametrize(("ended", "homes", "change"), ENDS.values(), ids=ENDS.keys())
def test_a_grant_that(ended: str | None, homes: str | None, change: dict[str, Any]) -> None:
    status = judge_grant(observed_grant(grant=grant(**change))).status.to_wire()
    assert (status.get("endedAt"), status.get("homesDeletedAfter")) == (ended, homes)


def test_homes_of_a_grant_that_nobody_approved_follow_the_grant() -> None:
    asked = grant(state="Revoked", home={"retention": "Keep", "keepDays": 3})
    status = judge_grant(observed_grant(grant=asked, approvals=())).status.to_wire()
    assert status["homesDeletedAfter"] == "2026-11-25T12:00:00Z"


def test_every_workspace_is_told_when_its_home_goes() -> None:
    verdict = judge_grant(observed_grant(grant=grant(state="Revoked"), workspaces=(workspace(),)))
    assert [item.spec.home.deleted_after for item in verdict.workspaces] == [
        verdict.status.homes_deleted_after
    ]


def _stopped(status: str = "True", *, seen: int = 1) -> dict[str, Any]:
    return {"conditions": [condition("Stopped", status)], "observedGeneration": seen}


@pytest.mark.parametrize(
    ("may_go", "workspaces"),
    [
        (True, ()),
        (True, (workspace(admission="Closed", status=_stopped()),)),
        (False, (workspace(admission="Open", status=_stopped()),)),
        (False, (workspace(admission="Closed"),)),
        (False, (workspace(admission="Closed", status=_stopped("Unknown")),)),
        (False, (workspace(admission="Closed", status=_stopped(seen=0)),)),
        (
            False,
            (
                workspace(admission="Closed", status=_stopped()),
                workspace(admission="Closed", status=_stopped("False")),
            ),
        ),
    ],
    ids=[
        "no workspace",
        "one that stopped",
        "one that is open",
        "one never looked at",
        "one not proven stopped",
        "one that stopped before it was closed",
        "one of two still runs",
    ],
)
def test_a_deleted_grant_may_go_with(may_go: bool, workspaces: Any) -> None:  # noqa: FBT001 - a table
    assert grant_may_go(workspaces) is may_go


def test_the_grant_says_whether_its_workspaces_have_stopped() -> None:
    asked = grant(state="Suspended")
    going = judge_grant(observed_grant(grant=asked, workspaces=(workspace(),)))
    gone = judge_grant(observed_grant(grant=asked, workspaces=(workspace(status=_stopped()),)))
    reasons = [item.status.conditions[-1].reason for item in (going, gone)]
    assert reasons == ["Stopping", "Stopped"]


def test_the_grant_names_a_workspace_that_is_not_ready() -> None:
    waiting = workspace(status={"conditions": [condition("Ready", "False", "Starting")]})
    said = judge_grant(observed_grant(workspaces=(waiting,))).status.conditions[-1]
    assert (said.reason, said.message) == ("SomeNotReady", "Not Ready: ws-lungs (Starting).")


def test_a_time_is_kept_while_its_condition_does_not_change() -> None:
    first = judge_grant(observed_grant()).status
    later = NOW.replace(hour=13)
    again = judge_grant(observed_grant(grant=grant(status=first.to_wire()), now=later)).status
    assert again == first


def test_an_approval_of_an_old_scope_still_bounds_the_homes() -> None:
    wide = grant(state="Revoked", expires="2026-12-24T00:00:00Z", home=KEPT)
    short = approval(scope_text(scope(grant(home={"retention": "Keep", "keepDays": 7}))))
    status = judge_grant(observed_grant(grant=wide, approvals=(short,))).status.to_wire()
    assert status["homesDeletedAfter"] == "2026-11-29T12:00:00Z"
