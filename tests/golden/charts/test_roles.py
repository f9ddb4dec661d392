"""The table of role, kind and verb: what it says is what people and processes may do.

Rewrite table and page with CARREL_REWRITE_GOLDENS=1 and review the difference.
"""

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from carrel.render.roles import HUMAN_ROLES, RoleTable, role_table, roles_page

TABLE = Path(__file__).parent / "roles.yaml"
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "roles.md"
Render = Callable[[str], list[dict[str, Any]]]
READING = {"get", "list", "watch"}


@pytest.fixture
def table(render: Render) -> RoleTable:
    """Roles of the fullest rendering."""
    return role_table(render("everything"))


def test_roles_are_those_that_were_reviewed(table: RoleTable):
    """A difference widens or narrows somebody."""
    text = yaml.safe_dump(table, sort_keys=False, default_flow_style=None, width=1000)
    if os.environ.get("CARREL_REWRITE_GOLDENS"):
        TABLE.write_text(text)
        PAGE.write_text(roles_page(table))
    assert text == TABLE.read_text()
    assert roles_page(table) == PAGE.read_text()


@pytest.mark.parametrize("name", ["minimal", "embedded"])
def test_values_change_no_role(name: str, render: Render, table: RoleTable):
    """Values choose who holds a role, never what it is."""
    assert role_table(render(name)) == table


def test_no_role_has_a_wildcard(table: RoleTable):
    """What a later release serves is not given away today."""
    text = yaml.safe_dump(table)
    assert "*" not in text


def test_no_human_role_includes_another(table: RoleTable):
    """Duties are separated: what one may write, no other may write."""
    writes = {
        name: {
            (subject, verb)
            for subject, verbs in table[name].items()
            for verb in set(verbs) - READING
        }
        for name in HUMAN_ROLES
    }
    shared = {
        (one, other): writes[one] & writes[other]
        for one, other in itertools.combinations(HUMAN_ROLES, 2)
        if writes[one] & writes[other]
    }
    assert shared == {}


def test_people_hold_nothing_that_leads_into_a_workspace(table: RoleTable):
    """No person reads pods, logs, volumes or secrets, or opens a shell."""
    ours = {
        (name, subject)
        for name in HUMAN_ROLES
        for subject in table[name]
        if not subject.partition(" ")[0].endswith("carrel.dev")
    }
    assert ours == set()


def test_only_the_operator_creates_pods_and_only_trust_touches_secrets(table: RoleTable):
    """Whoever creates pods in a namespace reads its secrets."""
    creating = {
        name
        for name, rows in table.items()
        for subject, verbs in rows.items()
        if subject.partition(" ")[0]
        in {"pods", "jobs.batch", "cronjobs.batch", "deployments.apps", "statefulsets.apps"}
        and "create" in verbs
    }
    secrets = {name for name, rows in table.items() for each in rows if each.startswith("secrets")}
    assert (creating, secrets) == ({"carrel-operator"}, {"carrel-trust", "carrel-trust-setup"})


def test_the_revoker_creates_and_changes_nothing(table: RoleTable):
    """It can only stop."""
    verbs = {verb for each in table["carrel-revoker"].values() for verb in each}
    assert verbs == {"list", "watch", "delete"}


def test_the_auditor_may_ask_the_ledger_and_nothing_else(table: RoleTable):
    """A resource that no API server serves."""
    assert table["carrel-auditor"] == {"records.ledger.carrel.dev": ["get"]}
