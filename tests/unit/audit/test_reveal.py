"""Sealed fields are read in clear only for a reason, and only after that was recorded."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from carrel.cli.main import app
from carrel.ledger import Activity, Keyring
from carrel.ledger.verify import lines, segments
from support.audit_log import event, write_chain

WHY = "incident 12: which server"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    sealed = Keyring(tmp_path / "keys").make("lung").seal("\x1b[2Jevil.example", field="name")
    write_chain(tmp_path / "log" / "node", [event(Activity.TRAFFIC_DENIED, sealed=sealed)])
    return tmp_path


def reveal(place: Path, why: str, *, records: str = "mine") -> Result:
    words = ["--log", "log", "--keys", "keys", "--records", records, "--index", "index"]
    paths = [str(place / each) if number % 2 else each for number, each in enumerate(words)]
    return CliRunner().invoke(app, ["audit", "reveal", *paths, "--as", "aud-1", "--why", why])


def recorded(place: Path) -> list[dict[str, object]]:
    found = [
        json.loads(line)["event"]["carrel"]
        for file in segments(place / "mine" / "auditor")
        for line in lines(file)
    ]
    return [each for each in found if each["activity"] == "SealedRead"]


def test_a_name_is_shown_inert_and_its_reading_recorded(place: Path) -> None:
    done = reveal(place, WHY)
    assert done.exit_code == 0
    assert "name: \\x1b[2Jevil.example" in done.output
    (record,) = recorded(place)
    assert (record["actor"], record["detail"]) == (
        "aud-1",
        {"why": WHY, "project": "lung", "records": 1},
    )


def test_without_a_reason_nothing_is_opened(place: Path) -> None:
    done = reveal(place, "  because  ")
    assert (done.exit_code, recorded(place)) == (2, [])
    assert "reason_is_missing" in done.output
    assert "evil" not in done.output


def test_what_cannot_be_recorded_is_not_opened(place: Path) -> None:
    (place / "full").write_text("a file stands in the way")
    done = reveal(place, WHY, records="full")
    assert done.exit_code == 2
    assert "evil" not in done.output


def test_a_deleted_key_opens_nothing_and_the_log_holds(place: Path) -> None:
    Keyring(place / "keys").delete("lung")
    done = reveal(place, WHY)
    assert (done.exit_code, recorded(place)) == (2, [])
    assert "key_is_not_here" in done.output
    verified = CliRunner().invoke(app, ["audit", "verify", str(place / "log")])
    assert verified.exit_code == 0
