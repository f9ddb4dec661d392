"""What `carrel ledger verify` tells a person, and by its exit code a program."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from carrel.cli.main import app
from carrel.flows.clock import FixedClock
from carrel.ledger import open_chain
from carrel.ledger.verify import segments

CLOCK = FixedClock(datetime(2026, 3, 1, 9, 30, tzinfo=UTC))


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    open_chain(tmp_path, process="node", clock=CLOCK).close()
    return tmp_path / "node"


def test_a_chain_that_holds_ends_with_its_receipt(chain: Path) -> None:
    done = CliRunner().invoke(app, ["ledger", "verify", str(chain)])
    assert done.exit_code == 0
    assert done.output.startswith("2 records; the chain holds; receipt of the last: 2:sha256:")


def test_an_altered_chain_is_named_line_by_line(chain: Path) -> None:
    segment = segments(chain)[0]
    segment.write_bytes(segment.read_bytes().replace(b"ChainClosed", b"GrantEnded."))
    done = CliRunner().invoke(app, ["ledger", "verify", str(chain)])
    assert done.exit_code == 1
    assert done.output.startswith(
        f"digest_does_not_match: {segment.name} line 2: record 2 was altered\n"
    )


def test_a_receipt_noted_earlier_shows_a_cut_off_end(chain: Path) -> None:
    told = CliRunner().invoke(app, ["ledger", "verify", str(chain)]).output
    receipt = told.strip().rpartition(" ")[2]
    assert (
        CliRunner().invoke(app, ["ledger", "verify", str(chain), "--seen", receipt]).exit_code == 0
    )
    segment = segments(chain)[0]
    segment.write_bytes(segment.read_bytes().splitlines(keepends=True)[0])
    done = CliRunner().invoke(app, ["ledger", "verify", str(chain), "--seen", receipt, "--json"])
    assert done.exit_code == 1
    assert [fault["rule"] for fault in json.loads(done.output)["faults"]] == [
        "seen_record_is_missing"
    ]


def test_a_chain_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["ledger", "verify", str(tmp_path / "nothing")])
    assert done.exit_code == 2
    assert "chain_cannot_be_read" in done.output


def test_a_folder_without_a_chain_does_not_hold(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["ledger", "verify", str(tmp_path)])
    assert done.exit_code == 1
    assert "chain_is_empty" in done.output
