"""When a grant is in force, and the reason shown when it is not.

One row per check; the sample grant is in force, and each row changes one thing.
"""

from datetime import timedelta
from typing import Any

import pytest

from carrel.kinds.workspace import Admission
from carrel.rules import PolicyEnforcement, SiteFacts, find, judge_grant, scope_text
from carrel.rules.grant_checks import IN_FORCE_CHECKS
from support.samples import (
    NOW,
    OTHER_DIGEST,
    SITE,
    approval,
    dataset,
    grant,
    observed_grant,
    scope,
    workspace_class,
)

NOT_ENFORCED = SiteFacts(
    user_prefix="oidc:", network_policy=PolicyEnforcement.NOT_ENFORCED, homes=SITE.homes
)
EMPTY = {"subjects": [], "studies": [], "series": []}

DENIED: dict[str, tuple[str, dict[str, Any]]] = {
    "a grant that is being deleted": (
        "Deleted",
        {"grant": grant(metadata={"deletionTimestamp": "2026-11-22T11:00:00Z"})},
    ),
    "a revoked grant": ("Revoked", {"grant": grant(state="Revoked")}),
    "a suspended grant": ("Suspended", {"grant": grant(state="Suspended")}),
    "a grant at the second of its end": ("Expired", {"grant": grant(expires=NOW.isoformat())}),
    "a grant one second before its start": (
        "NotYetValid",
        {"now": scope().not_before - timedelta(seconds=1)},
    ),
    "an unknown dataset": ("DatasetUnknown", {"datasets": {}}),
    "a dataset that is not Ready": (
        "DatasetNotReady",
        {"datasets": {"chest-ct.v1": dataset(ready="False")}},
    ),
    "a dataset of which nothing is known": (
        "DatasetNotReady",
        {"datasets": {"chest-ct.v1": dataset(ready="Unknown")}},
    ),
    "a selection of nothing": (
        "SelectionEmpty",
        {"grant": grant(datasets=[{"name": "chest-ct", "version": 1, "selection": EMPTY}])},
    ),
    "an unknown class": ("ClassUnknown", {"workspace_class": None}),
    "an unknown policy": ("PolicyUnknown", {"egress_policy": None}),
    "a purpose without the dataset's term": (
        "PurposeLacksUseCode",
        {"grant": grant(purpose={"statement": "Find nodules.", "codes": []})},
    ),
    "two locks where NetworkPolicy is not enforced": (
        "NetworkPolicyNotEnforced",
        {"site": NOT_ENFORCED},
    ),
    "no approval": ("ApprovalsMissing", {"approvals": ()}),
    "one approval where the dataset needs two": (
        "ApprovalsMissing",
        {"datasets": {"chest-ct.v1": dataset(approvals=2)}},
    ),
    "a grant that grew after approval": (
        "ScopeWider",
        {"grant": grant(expires="2026-12-02T00:00:00Z")},
    ),
    "a dataset whose content is not the approved one": (
        "ScopeWider",
        {"datasets": {"chest-ct.v1": dataset(digest=OTHER_DIGEST)}},
    ),
    "a class whose content is not the approved one": (
        "ScopeWider",
        {"workspace_class": workspace_class(cpuMillis=4000)},
    ),
}


def test_the_sample_grant_is_in_force() -> None:
    verdict = judge_grant(observed_grant())
    said = {item.type: (item.status.value, item.reason) for item in verdict.status.conditions}
    assert verdict.admission is Admission.OPEN
    assert said == {
        "Approved": ("True", "Approved"),
        "DatasetsReady": ("True", "AllReady"),
        "InForce": ("True", "InForce"),
        "WorkspacesReady": ("True", "NoneWanted"),
    }


@pytest.mark.parametrize(("reason", "change"), DENIED.values(), ids=DENIED.keys())
def test_a_grant_with_this_fault_is_not_in_force(reason: str, change: dict[str, Any]) -> None:
    verdict = judge_grant(observed_grant(**change))
    in_force = find(verdict.status.conditions, "InForce")
    assert in_force is not None
    assert (verdict.admission, in_force.status.value, in_force.reason) == (
        Admission.CLOSED,
        "False",
        reason,
    )
    assert verdict.workspaces == ()


def test_every_check_has_a_row_here() -> None:
    tripped = {reason for reason, _ in DENIED.values()}
    assert len(tripped) == len(IN_FORCE_CHECKS)


def test_every_check_says_what_must_hold() -> None:
    assert [check.__name__ for check in IN_FORCE_CHECKS if not check.__doc__] == []


def test_a_grant_without_any_scope_says_so_under_approved() -> None:
    verdict = judge_grant(observed_grant(datasets={}))
    approved = find(verdict.status.conditions, "Approved")
    assert approved is not None
    assert approved.reason == "ScopeUnknown"
    assert (verdict.scope, verdict.status.scope_digest) == (None, None)
    assert {name: item.status.value for name, item in verdict.counts.items()} == {"yes": "Unknown"}


def test_two_approvers_satisfy_a_dataset_that_needs_two() -> None:
    verdict = judge_grant(
        observed_grant(
            datasets={"chest-ct.v1": dataset(approvals=2)},
            approvals=(approval(), approval(approver="oidc:second", name="also-yes")),
        )
    )
    assert verdict.admission is Admission.OPEN


def test_a_grant_with_one_lock_is_in_force_where_policies_are_not_enforced() -> None:
    asked = grant(locks="InPod")
    verdict = judge_grant(
        observed_grant(
            grant=asked, site=NOT_ENFORCED, approvals=(approval(scope_text(scope(asked))),)
        )
    )
    assert verdict.admission is Admission.OPEN


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-10-31T00:00:00+00:00", "2026-11-01T00:00:00+00:00"),
        ("2026-11-22T00:00:00+00:00", "2026-12-01T00:00:00+00:00"),
        ("2026-12-01T00:00:00+00:00", "2026-12-31T00:00:00+00:00"),
        ("2027-01-01T00:00:00+00:00", None),
    ],
    ids=["before the start", "while it runs", "after the end", "after the homes are gone"],
)
def test_the_verdict_says_when_to_look_again(now: str, expected: str | None) -> None:
    at = type(NOW).fromisoformat(now)
    verdict = judge_grant(observed_grant(now=at))
    assert verdict.next_change == (type(NOW).fromisoformat(expected) if expected else None)
