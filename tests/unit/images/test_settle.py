"""What the identity provider's first container does to its volume."""

import json
from pathlib import Path
from typing import Any

import pytest
from settle.people import merged
from settle.volume import SettleError, settle

NEW = {
    "realm": "carrel",
    "displayName": "Carrel",
    "users": [{"id": "ada", "enabled": True}, {"serviceAccountClientId": "control"}],
}
# Speaks for kc.sh: writes down its arguments; exports what lies in `realm`, like the real one.
PROGRAM = """#!/bin/sh
home="$(dirname "$0")/.."
echo "$*" >> "$home/calls"
if [ "$1" = export ]; then
    [ -f "$home/fails" ] && { echo "disk is full"; exit 1; }
    [ -f "$home/realm" ] || { echo "ERROR: realm not found by realm name 'carrel'"; exit 1; }
    cp "$home/realm" "$6"
elif [ "$1" = import ]; then
    [ -f "$home/fails" ] && { echo "disk is full"; exit 1; }
    cp "$4" "$home/realm"
fi
"""


class Home:
    """A Keycloak's folder with an empty volume."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("bin", "data", "template"):
            (root / name).mkdir()
        (root / "template" / "keycloakdb.mv.db").write_text("tables")
        program = root / "bin" / "kc.sh"
        program.write_text(PROGRAM)
        program.chmod(0o755)

    def settle(self, realm: dict[str, Any]) -> str:
        """Run the first container with a description."""
        described = self.root / "described.json"
        described.write_text(json.dumps(realm))
        return str(settle(described, home=self.root))

    def serve(self) -> None:
        """Do what `kc.sh start --import-realm` does: import what is not there."""
        if not (self.root / "realm").exists():
            (self.root / "realm").write_text(self.waiting())

    def waiting(self) -> str:
        """Return what the server would import."""
        return (self.root / "data" / "import" / "carrel-realm.json").read_text()

    @property
    def calls(self) -> list[str]:
        """Verbs that Keycloak was called with."""
        calls = self.root / "calls"
        return (
            [line.split()[0] for line in calls.read_text().splitlines()] if calls.exists() else []
        )

    def served(self) -> dict[str, Any]:
        """Return the realm as it stands."""
        found: dict[str, Any] = json.loads((self.root / "realm").read_text())
        return found


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a Keycloak that never ran."""
    return Home(tmp_path)


def test_a_first_start_leaves_tables_and_a_realm_to_import(home: Home):
    assert home.settle(NEW) == "Made the tables; the server imports the realm."
    assert (home.root / "data" / "h2" / "keycloakdb.mv.db").read_text() == "tables"
    assert json.loads(home.waiting()) == NEW
    assert home.calls == []


def test_a_start_with_nothing_new_calls_nothing(home: Home):
    home.settle(NEW)
    home.serve()
    assert home.settle(NEW) == "The realm is as described."
    assert home.calls == []


def test_a_person_who_was_disabled_stays_so_when_the_realm_is_renewed(home: Home):
    home.settle(NEW)
    home.serve()
    changed = home.served()
    changed["users"][0]["enabled"] = False
    (home.root / "realm").write_text(json.dumps(changed))
    newer = {**NEW, "displayName": "Carrel 2", "users": [*NEW["users"], {"id": "eve"}]}
    assert home.settle(newer) == "Renewed the realm; people are as they were."
    assert home.served() == {
        **newer,
        "users": [{"id": "ada", "enabled": False}, NEW["users"][1], {"id": "eve"}],
    }


def test_a_first_import_that_was_cut_short_begins_anew(home: Home):
    home.settle(NEW)
    newer = {**NEW, "displayName": "Carrel 2"}
    assert home.settle(newer) == "Made the tables; the server imports the realm."
    assert json.loads(home.waiting()) == newer


def test_what_fails_for_another_reason_loses_nothing_and_is_tried_again(home: Home):
    home.settle(NEW)
    home.serve()
    before = home.served()
    (home.root / "fails").touch()
    newer = {**NEW, "displayName": "Carrel 2"}
    with pytest.raises(SettleError, match="disk is full"):
        home.settle(newer)
    assert home.served() == before
    (home.root / "fails").unlink()
    assert home.settle(newer) == "Renewed the realm; people are as they were."


def test_files_with_secrets_are_for_their_owner_alone(home: Home):
    home.settle(NEW)
    modes = {oct(path.stat().st_mode & 0o077) for path in (home.root / "data" / "import").iterdir()}
    assert modes == {"0o0"}


def test_accounts_of_services_are_described_anew():
    old = {"users": [{"id": "x", "serviceAccountClientId": "old"}]}
    assert merged(old, {"users": [{"serviceAccountClientId": "control"}]}) == {
        "users": [{"serviceAccountClientId": "control"}]
    }
