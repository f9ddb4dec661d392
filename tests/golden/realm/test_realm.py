"""The realm as Keycloak gets it, whole, for a person to read.

Rewrite it with CARREL_REWRITE_GOLDENS=1 and review the difference.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from carrel.render.realm import Client, RealmAddresses, RealmPerson, realm

Rendered = dict[str, Any]
GOLDEN = Path(__file__).parent / "realm.json"
FIRST = "first-password"
ADDRESSES = RealmAddresses(
    portal="https://carrel.localhost:8443",
    hub="https://hub.carrel.localhost:8443",
    gateway="https://carrel-gateway.carrel-system.svc:8443",
)
PEOPLE = (
    RealmPerson(username="researcher", subject="demo-researcher", password=FIRST),
    RealmPerson(
        username="identity-admin",
        subject="demo-identity-admin",
        password=FIRST,
        administers=True,
    ),
)


@pytest.fixture
def rendered() -> Rendered:
    """Return the realm of a front door on this machine."""
    secrets = {each: f"secret-of-{each.value}" for each in Client}
    return realm(ADDRESSES, secrets=secrets, people=PEOPLE)


def test_the_realm_is_what_was_reviewed(rendered: Rendered):
    """A difference lets somebody in or keeps somebody out."""
    text = json.dumps(rendered, indent=1) + "\n"
    if os.environ.get("CARREL_REWRITE_GOLDENS"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_every_login_is_by_code_with_proof_of_its_asker(rendered: Rendered):
    """A stolen code is worth nothing, and no client takes passwords."""
    flows = {
        each["clientId"]: (
            each["implicitFlowEnabled"],
            each["directAccessGrantsEnabled"],
            not each["standardFlowEnabled"]
            or each["attributes"]["pkce.code.challenge.method"] == "S256",
        )
        for each in rendered["clients"]
    }
    assert set(flows.values()) == {(False, False, True)}


def test_no_redirect_is_a_pattern(rendered: Rendered):
    """Codes go to one address each."""
    redirects = [uri for each in rendered["clients"] for uri in each["redirectUris"]]
    assert redirects
    assert not [uri for uri in redirects if "*" in uri]


def test_only_overseers_and_the_control_account_may_touch_people(rendered: Rendered):
    """Nobody else of the realm can disable or become somebody."""
    mighty = [each["username"] for each in rendered["users"] if each["clientRoles"]]
    assert mighty == ["identity-admin", "service-account-carrel-control"]
