"""Which approvals count, and the reason shown for those that do not."""

from typing import Any

import pytest

from carrel.rules import digest_of, judge_grant, scope_text
from support.samples import NOW, UID, approval, grant, observed_grant, scope

SAMPLE = scope_text(scope())
TWICE = SAMPLE.replace('"locks":"Both"', '"locks":"Both","locks":"Both"')
FOREIGN = SAMPLE.replace(UID, "another-uid")

DISCOUNTED: dict[str, tuple[str, dict[str, Any]]] = {
    "one being deleted": ("Withdrawn", {"metadata": {"deletionTimestamp": NOW.isoformat()}}),
    "one for an earlier grant of the name": ("GrantUIDDiffers", {"grantUID": "another-uid"}),
    "one whose scope is of an earlier grant": (
        "GrantUIDDiffers",
        {"scope": FOREIGN, "scopeDigest": digest_of(FOREIGN)},
    ),
    "one whose digest is another": ("ScopeDigestWrong", {"scopeDigest": digest_of("else")}),
    "one that is no scope": (
        "ScopeUnreadable",
        {"scope": '{"a":1}', "scopeDigest": digest_of('{"a":1}')},
    ),
    "one that is no JSON": ("ScopeUnreadable", {"scope": "{{", "scopeDigest": digest_of("{{")}),
    "one that is nested without end": (
        "ScopeUnreadable",
        {"scope": "[" * 100_000, "scopeDigest": digest_of("[" * 100_000)},
    ),
    "one that says a thing twice": (
        "ScopeUnreadable",
        {"scope": TWICE, "scopeDigest": digest_of(TWICE)},
    ),
    "one with spaces in between": (
        "ScopeUnreadable",
        {"scope": SAMPLE.replace(",", ", "), "scopeDigest": digest_of(SAMPLE.replace(",", ", "))},
    ),
    "one with a token as evidence": (
        "EvidenceNotSupported",
        {"evidence": {"type": "IDToken", "idToken": "a.b.c"}},
    ),
    "one by a user without the prefix": ("NotAnIssuerUser", {"approver": "kubernetes-admin"}),
    "one by the bare prefix": ("NotAnIssuerUser", {"approver": "oidc:"}),
    "one by the requester": ("ApproverIsRequester", {"approver": "oidc:requester"}),
    "one by a researcher": ("ApproverIsResearcher", {"approver": "oidc:ada"}),
}


@pytest.mark.parametrize(("reason", "change"), DISCOUNTED.values(), ids=DISCOUNTED.keys())
def test_an_approval_with_this_fault_does_not_count(reason: str, change: dict[str, Any]) -> None:
    verdict = judge_grant(observed_grant(approvals=(approval(**change),)))
    said = verdict.counts["yes"]
    assert (said.type, said.status.value, said.reason) == ("Counts", "False", reason)


def test_an_approval_of_the_present_scope_counts() -> None:
    said = judge_grant(observed_grant()).counts["yes"]
    assert (said.type, said.status.value, said.reason) == ("Counts", "True", "Counted")


def test_the_same_person_counts_once() -> None:
    later = approval(name="again", metadata={"creationTimestamp": "2026-11-02T00:00:00Z"})
    counts = judge_grant(observed_grant(approvals=(later, approval()))).counts
    assert {name: item.reason for name, item in counts.items()} == {
        "yes": "Counted",
        "again": "ApproverAlreadyCounts",
    }


def test_somebody_who_was_a_researcher_when_it_was_approved_does_not_count() -> None:
    with_ada = approval(approver="oidc:ada")
    narrowed = grant(researchers=[{"subject": "grace"}])
    said = judge_grant(observed_grant(grant=narrowed, approvals=(with_ada,))).counts["yes"]
    assert said.reason == "ApproverIsResearcher"


def test_no_approval_counts_where_no_prefix_is_configured() -> None:
    observed = observed_grant()
    nameless = type(observed.site)(
        user_prefix="",
        network_policy=observed.site.network_policy,
        homes=observed.site.homes,
    )
    said = judge_grant(observed_grant(site=nameless)).counts["yes"]
    assert said.reason == "NotAnIssuerUser"


def test_the_message_names_what_is_wider() -> None:
    wider = grant(expires="2026-12-24T00:00:00Z", locks="InPod")
    said = judge_grant(observed_grant(grant=wider)).counts["yes"]
    assert said.message == (
        "The grant is wider than approved: spec.expires: 2026-12-24T00:00:00Z is later than "
        "2026-12-01T00:00:00Z; spec.locks: one lock (InPod) is asked for, approved are Both. "
        "Narrow it, or approve again."
    )
