"""Names are valid and told apart, whatever people, grants and nodes are called."""

import re

import pytest

from carrel.rules import (
    approval_name,
    grant_label,
    home_name,
    home_volume_name,
    ingest_job_name,
    node_report_name,
    view_volume_name,
    workspace_name,
)

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
OBJECT = re.compile(r"(?=.{1,253}$)[a-z0-9]([-.a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"(?=.{1,63}$)[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?")

GRANTS = {
    "short": "g",
    "plain": "ct-lungs",
    "with dots": "ct.lungs.2026",
    "253 characters": "a" * 253,
    "cut at a hyphen": "a" * 19 + "-" + "b" * 20,
    "cut at a dot, at 50": "a" * 50 + "." + "b" * 100,
    "digits": "2026",
}
SUBJECTS = {
    "plain": "ada",
    "uuid": "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    "255 characters": "s" * 255,
    "unicode": "Ålesund-李雷-🧠",
    "turns the direction of writing": "a\u202eb",
    "spaces and slashes": "../../etc/passwd or 1=1",
    "looks like a name of ours": "ws-lungs-000000000000",
    "not valid Unicode": "a\ud800b",
}


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS.keys())
@pytest.mark.parametrize("grant", GRANTS.values(), ids=GRANTS.keys())
def test_names_of_a_workspace_are_valid(grant: str, subject: str) -> None:
    name = workspace_name(grant_name=grant, grant_uid="u-1", subject=subject)
    assert LABEL.fullmatch(name)
    assert OBJECT.fullmatch(view_volume_name(name))
    assert OBJECT.fullmatch(home_volume_name(name))
    assert LABEL.fullmatch(home_name(name))


@pytest.mark.parametrize("grant", GRANTS.values(), ids=GRANTS.keys())
def test_names_after_a_grant_are_valid(grant: str) -> None:
    assert LABEL_VALUE.fullmatch(grant_label(grant))
    assert OBJECT.fullmatch(
        approval_name(grant_name=grant, approver="oidc:Ålesund", scope_digest="sha256:0")
    )
    assert LABEL.fullmatch(ingest_job_name(grant))


@pytest.mark.parametrize("node", ["n", "n" * 253, ("n" * 60 + ".") * 3 + "n" * 60])
def test_names_of_reports_are_valid_and_end_with_the_workspace(node: str) -> None:
    name = node_report_name(node=node, workspace="ws-lungs-0123456789ab")
    assert OBJECT.fullmatch(name)
    assert name.endswith(".ws-lungs-0123456789ab")


def test_a_name_reads_as_the_grant_and_decides_by_its_hash() -> None:
    name = workspace_name(grant_name="CT.Lungs", grant_uid="u-1", subject="ada")
    assert re.fullmatch(r"ws-ct-lungs-[0-9a-f]{12}", name)


@pytest.mark.parametrize(
    ("uid", "subject"),
    [("u-2", "ada"), ("u-1", "Ada"), ("u-1", "ada "), ("u-1\na", "da"), ("u-", "1\nada")],
)
def test_another_grant_or_person_has_another_name(uid: str, subject: str) -> None:
    one = workspace_name(grant_name="lungs", grant_uid="u-1", subject="ada")
    assert workspace_name(grant_name="lungs", grant_uid=uid, subject=subject) != one


def test_long_names_that_differ_at_the_end_stay_apart() -> None:
    assert grant_label("a" * 100 + "b") != grant_label("a" * 100 + "c")
    assert node_report_name(node="n" * 252 + "a", workspace="w") != node_report_name(
        node="n" * 252 + "b", workspace="w"
    )
