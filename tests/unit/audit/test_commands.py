"""What `carrel audit` tells a person, and by its exit code a program."""

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from carrel.cli.main import app
from carrel.ledger import Activity
from support.audit_log import LOG_KEY, BuiltLog, event, write_chain

HOSTILE = '=cmd|"/c calc"!A1<script>alert(1)</script>\x1b[2J'


@pytest.fixture
def chains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_chain(
        tmp_path / "chains" / "operator",
        [
            event(Activity.GRANT_ADMITTED, researcher="jane-7f", datasets="lung@1.0"),
            event(Activity.TRAFFIC_DENIED, minute=1, address="192.0.2.1", name=HOSTILE),
            event(
                Activity.ADMINISTRATOR_ACTED,
                minute=2,
                actor=HOSTILE,
                verb="delete",
                resource="accessgrants",
                name="lung-2026",
                code=200,
            ),
        ],
    )
    return tmp_path / "chains"


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["audit", *(str(word) for word in words)])


def test_a_search_prints_who_what_and_where(chains: Path) -> None:
    done = run("search", "--log", chains, "--person", "jane-7f", "--decision", "Allowed")
    assert done.exit_code == 0
    assert done.output == (
        "2026-03-02T09:00:00Z  Allowed jane-7f  The grant took effect for jane-7f: lung@1.0, "
        "until (scopeExpires not said).  [operator 1]\n"
    )


def test_a_search_is_data_for_programs(chains: Path) -> None:
    done = run("search", "--log", chains, "--grant", "lung-2026", "--limit", "1", "-o", "json")
    found = json.loads(done.output)
    assert [each["sequence"] for each in found["records"]] == [3]
    assert found["records"][0]["event"]["carrel"]["actor"] == HOSTILE
    again = run("search", "--log", chains, "-o", "json", "--cursor", found["cursor"])
    assert [each["sequence"] for each in json.loads(again.output)["records"]] == [2, 1]


def test_a_hostile_name_is_inert_in_every_form(chains: Path, tmp_path: Path) -> None:
    for words in (("search",), ("search", "-o", "csv"), ("timeline", "lung-2026")):
        done = run(*words, "--log", chains)
        assert done.exit_code == 0
        assert "\x1b" not in done.output
        assert "\\x1b[2J" in done.output
    page, table = tmp_path / "week.html", tmp_path / "week.csv"
    done = run("report", "--log", chains, "--html", page, "--csv", table, "--until", "2026-03-03")
    assert done.exit_code == 0
    text = page.read_text()
    assert "<script" not in text
    assert "&lt;script&gt;" in text
    assert "\x1b" not in text
    assert "default-src 'none'" in text
    rows = list(csv.reader(io.StringIO(table.read_text())))
    assert [row[0][:16] for row in rows[1:]] == [
        "2026-03-02T09:00",
        "2026-03-02T09:01",
        "2026-03-02T09:02",
    ]
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "@", "-"))]


def test_a_timeline_of_a_grant_that_is_not_there_says_so(chains: Path) -> None:
    done = run("timeline", "no\x1bne", "--log", chains)
    assert done.exit_code == 1
    assert "grant_is_not_in_the_records: nothing is said about no\\x1bne." in done.output


def test_chains_are_verified_and_receipts_kept(chains: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert run("verify", chains, "--keep", kept).exit_code == 0
    assert run("verify", chains, "--checkpoint", kept).exit_code == 0
    segment = chains / "operator" / f"{1:020}.jsonl"
    segment.write_bytes(b"".join(segment.read_bytes().splitlines(keepends=True)[:2]))
    done = run("verify", chains, "--checkpoint", kept)
    assert done.exit_code == 1
    assert "FAULT  seen_record_is_missing: operator" in done.output
    assert "proven" not in done.output


@pytest.mark.long
def test_a_log_is_exported_verified_and_reported(tmp_path: Path) -> None:
    log = BuiltLog(tmp_path / "log")
    log.append([event(Activity.POD_DELETED, minute=n) for n in range(300)])
    copy, key = tmp_path / "copy", tmp_path / "log.key"
    key.write_text(LOG_KEY.verifier.text)
    assert run("export", log.folder, "--tiles", copy).exit_code == 0
    done = run("verify", copy, "--log-key", key, "--json")
    assert (done.exit_code, json.loads(done.stdout)["records"]) == (0, 300)
    assert run("verify", copy).exit_code == 2
    bundle = copy / "tile/entries/000"
    bundle.write_bytes(bundle.read_bytes().replace(b"PodDeleted", b"PodDeletes", 1))
    page = tmp_path / "week.html"
    done = run(
        *("report", "--log", copy, "--log-key", key, "--until", "2026-03-03"),
        *("--html", page, "--csv", tmp_path / "week.csv", "--index", tmp_path / "index"),
    )
    assert done.exit_code == 1
    assert "entry_does_not_match: leaf 0 (tile/entries/000)" in page.read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("search", "--log", "/nowhere/at/all"), "folder_is_missing"),
        (("verify", "/nowhere/at/all"), "folder_is_missing"),
        (("export", "/nowhere/at/all", "--tiles", "/nowhere/x"), "No such file"),
    ],
)
def test_what_cannot_be_read_is_said(words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert said in done.output
