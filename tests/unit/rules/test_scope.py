"""What an approver says yes to, and every way in which a grant can grow beyond it."""

from typing import Any

import pytest

from carrel.kinds.approval import ApprovedScope
from carrel.rules import approved_scope, scope_text, widenings
from carrel.rules.scope import COMPARISONS
from support.samples import (
    DIGEST,
    OTHER_DIGEST,
    dataset,
    egress_policy,
    grant,
    grant_spec,
    scope,
    workspace_class,
)

PART = {"subjects": ["p1", "p2"], "studies": ["1.2"], "series": ["1.2.3"]}


def selected(**heads: list[str]) -> ApprovedScope:
    """Return the scope of a grant that asks for a part of the dataset."""
    reference = {"name": "chest-ct", "version": 1, "selection": PART | heads}
    return scope(grant(datasets=[reference]))


def with_wire(approved: ApprovedScope, **fields: Any) -> ApprovedScope:
    """Return a scope with some fields, in wire names, replaced."""
    return ApprovedScope.model_validate(approved.to_wire() | fields)


BASE = scope()
WIDER: dict[str, tuple[str, ApprovedScope, ApprovedScope]] = {
    "another grant": ("spec.grantUID", BASE, with_wire(BASE, grantUID="other")),
    "another requester": ("spec.requester", BASE, with_wire(BASE, requester="oidc:x")),
    "one more researcher": (
        "spec.researchers",
        BASE,
        with_wire(BASE, researchers=["ada", "grace", "zoe"]),
    ),
    "another researcher": ("spec.researchers", BASE, with_wire(BASE, researchers=["Ada"])),
    "another project": ("spec.project", BASE, with_wire(BASE, project="hearts")),
    "another purpose": (
        "spec.purpose",
        BASE,
        scope(grant(purpose={"statement": "Sell it.", "codes": ["DUO:0000007"]})),
    ),
    "one more purpose code": (
        "spec.purpose",
        BASE,
        scope(
            grant(purpose={"statement": "Find nodules.", "codes": ["DUO:0000007", "DUO:0000042"]})
        ),
    ),
    "one purpose code less": (
        "spec.purpose",
        BASE,
        scope(grant(purpose={"statement": "Find nodules.", "codes": []})),
    ),
    "another dataset": (
        "spec.datasets",
        BASE,
        with_wire(BASE, datasets=[{"name": "head-mr", "version": 1, "digest": DIGEST}]),
    ),
    "another version": (
        "spec.datasets",
        BASE,
        with_wire(BASE, datasets=[{"name": "chest-ct", "version": 2, "digest": DIGEST}]),
    ),
    "other content": (
        "spec.datasets",
        BASE,
        with_wire(BASE, datasets=[{"name": "chest-ct", "version": 1, "digest": OTHER_DIGEST}]),
    ),
    "all instead of a part": ("spec.datasets", selected(), BASE),
    "one more subject": ("spec.datasets", selected(), selected(subjects=["p1", "p3"])),
    "one more study": ("spec.datasets", selected(), selected(studies=["1.2", "1.3"])),
    "one more series": ("spec.datasets", selected(), selected(series=["1.2.4"])),
    "an earlier start": (
        "spec.notBefore",
        BASE,
        scope(grant(notBefore="2026-10-31T23:59:59Z")),
    ),
    "a later end": ("spec.expires", BASE, scope(grant(expires="2026-12-01T00:00:01Z"))),
    "another class": (
        "spec.workspaceClass",
        BASE,
        with_wire(BASE, workspaceClass={"name": "large", "digest": DIGEST}),
    ),
    "another content of the class": (
        "spec.workspaceClass",
        BASE,
        with_wire(BASE, workspaceClass={"name": "small", "digest": OTHER_DIGEST}),
    ),
    "another policy": (
        "spec.egressPolicy",
        BASE,
        with_wire(BASE, egressPolicy={"name": "nothing", "digest": OTHER_DIGEST}),
    ),
    "one lock less": ("spec.locks", BASE, scope(grant(locks="InPod"))),
    "no end when recording fails": (
        "spec.onRecorderLoss",
        scope(grant(onRecorderLoss="Terminate")),
        scope(grant(onRecorderLoss="Freeze")),
    ),
    "no standstill when recording fails": (
        "spec.onRecorderLoss",
        scope(grant(onRecorderLoss="Freeze")),
        BASE,
    ),
    "batch as well": ("spec.mode", scope(grant(mode="Interactive")), BASE),
    "one core more": (
        "spec.batch",
        BASE,
        scope(grant(batch={"cpu": 9, "memoryGiB": 32, "gpu": 1})),
    ),
    "more memory": (
        "spec.batch",
        BASE,
        scope(grant(batch={"cpu": 8, "memoryGiB": 33, "gpu": 1})),
    ),
    "one GPU more": ("spec.batch", BASE, scope(grant(batch={"cpu": 8, "memoryGiB": 32, "gpu": 2}))),
    "homes kept a day longer": (
        "spec.home",
        BASE,
        scope(grant(home={"retention": "Keep", "keepDays": 31})),
    ),
    "homes kept instead of deleted": (
        "spec.home",
        scope(grant(home={"retention": "Delete"})),
        scope(grant(home={"retention": "Keep", "keepDays": 1})),
    ),
}

NARROWER: dict[str, tuple[ApprovedScope, ApprovedScope]] = {
    "the same": (BASE, scope()),
    "one researcher less": (BASE, scope(grant(researchers=[{"subject": "ada"}]))),
    "a part instead of all": (BASE, selected()),
    "a smaller part": (selected(), selected(subjects=["p2"], series=[])),
    "a later start": (BASE, scope(grant(notBefore="2026-11-02T00:00:00Z"))),
    "an earlier end": (BASE, scope(grant(expires="2026-11-30T00:00:00Z"))),
    "one lock more": (scope(grant(locks="InPod")), BASE),
    "an end when recording fails": (
        scope(grant(onRecorderLoss="Freeze")),
        scope(grant(onRecorderLoss="Terminate")),
    ),
    "a standstill when recording fails": (BASE, scope(grant(onRecorderLoss="Freeze"))),
    "the notebook only": (BASE, scope(grant(mode="Interactive"))),
    "less batch": (BASE, scope(grant(batch={}))),
    "homes deleted": (BASE, scope(grant(home={"retention": "Delete"}))),
    "homes kept less long": (BASE, scope(grant(home={"retention": "Keep", "keepDays": 1}))),
    "a suspended grant": (BASE, scope(grant(state="Suspended"))),
    "days beside Delete, which mean nothing": (
        scope(grant(home={"retention": "Delete"})),
        scope(grant(home={"retention": "Delete", "keepDays": 99})),
    ),
}


@pytest.mark.parametrize(("field", "approved", "present"), WIDER.values(), ids=WIDER.keys())
def test_this_is_wider_than_approved(
    field: str, approved: ApprovedScope, present: ApprovedScope
) -> None:
    assert [item.field for item in widenings(present=present, approved=approved)] == [field]


@pytest.mark.parametrize(("approved", "present"), NARROWER.values(), ids=NARROWER.keys())
def test_this_is_within_what_was_approved(approved: ApprovedScope, present: ApprovedScope) -> None:
    assert widenings(present=present, approved=approved) == ()


def test_every_field_of_a_scope_is_compared_and_has_a_row_here() -> None:
    compared = {ApprovedScope.model_fields[name].alias for name in COMPARISONS}
    fields = {field.alias for field in ApprovedScope.model_fields.values()}
    tried = {field.removeprefix("spec.") for field, _, _ in WIDER.values()}
    assert compared == fields == tried


def test_every_field_of_a_grant_is_part_of_its_scope() -> None:
    in_scope = {field.alias for field in ApprovedScope.model_fields.values()}
    assert set(grant_spec()) - in_scope == {"state"}


def test_order_and_repetition_do_not_change_a_scope() -> None:
    one = grant(researchers=[{"subject": "ada"}, {"subject": "grace"}])
    other = grant(
        researchers=[{"subject": "grace"}, {"subject": "ada"}],
        purpose={"statement": "Find nodules.", "codes": ["DUO:0000007", "DUO:0000007"]},
    )
    assert scope_text(scope(one)) == scope_text(scope(other))


def test_fractions_of_a_second_are_cut_to_the_narrower_side() -> None:
    cut = scope(grant(notBefore="2026-11-01T00:00:00.1Z", expires="2026-11-30T23:59:59.9Z"))
    assert (cut.not_before.isoformat(), cut.expires.isoformat()) == (
        "2026-11-01T00:00:01+00:00",
        "2026-11-30T23:59:59+00:00",
    )


def test_times_are_compared_as_times_not_as_texts() -> None:
    elsewhere = grant(notBefore="2026-11-01T02:00:00+02:00", expires="2026-11-30T19:00:00-05:00")
    assert scope_text(scope(elsewhere)) == scope_text(BASE)


def test_the_text_of_a_scope_reads_back_as_the_same_scope() -> None:
    part = selected()
    assert ApprovedScope.model_validate_json(scope_text(part)) == part


def test_the_digest_of_a_menu_entry_is_of_its_content_not_its_name() -> None:
    renamed = approved_scope(
        grant(),
        datasets={"chest-ct.v1": dataset()},
        workspace_class=workspace_class(name="tiny"),
        egress_policy=egress_policy(),
    )
    assert renamed.workspace_class.digest == BASE.workspace_class.digest
    assert renamed.workspace_class.name == "tiny"
