"""Whatever is done to a chain shows; whatever was acknowledged is there."""

import os
import random
import signal
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carrel.ledger import Activity, Event, Receipt, open_chain, verify
from carrel.ledger.record import BEGINNING, canonical, chained, parsed
from carrel.ledger.verify import segments
from carrel.rules.canonical import canonical_json

NOW = datetime(2026, 3, 1, tzinfo=UTC)

events = st.builds(
    Event,
    activity=st.sampled_from(Activity),
    time=st.datetimes(timezones=st.just(UTC)),
    actor=st.text(min_size=1, max_size=20),
    detail=st.dictionaries(
        st.sampled_from(["reason", "lastSequence", "sha256", "a"]),
        st.text(max_size=40) | st.integers(-(2**53) + 1, 2**53 - 1),
        max_size=3,
    ),
)


def written(happened: list[Event]) -> tuple[bytes, Receipt]:
    """Return the lines of a chain and its head."""
    last, data = BEGINNING, b""
    for event in happened:
        record = chained(event, after=last)
        last, data = record.receipt, data + record.line
    return data, last


def faults(data: bytes, *, seen: Receipt) -> int:
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / f"{1:020}.jsonl").write_bytes(data)
        return len(verify(Path(directory), seen=seen).faults)


@given(events)
def test_a_record_reads_back_as_it_was_written(event: Event) -> None:
    record = chained(event, after=BEGINNING)
    assert parsed(record.line, after=BEGINNING) == record


@given(events)
def test_the_fast_encoder_writes_canonical_json(event: Event) -> None:
    assert canonical(event.to_wire()).decode() == canonical_json(event.to_wire())


@settings(max_examples=40, deadline=None)
@given(st.lists(events, max_size=6))
def test_an_untouched_chain_holds(happened: list[Event]) -> None:
    data, head = written(happened)
    assert faults(data, seen=head) == (0 if happened else 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(events, min_size=1, max_size=4), st.data())
def test_any_flipped_byte_is_found(happened: list[Event], data: st.DataObject) -> None:
    chain, head = written(happened)
    at = data.draw(st.integers(0, len(chain) - 1))
    flip = data.draw(st.integers(1, 255))
    altered = chain[:at] + bytes([chain[at] ^ flip]) + chain[at + 1 :]
    assert faults(altered, seen=head) > 0


@settings(max_examples=40, deadline=None)
@given(st.lists(events, min_size=1, max_size=6), st.data())
def test_any_removed_line_is_found(happened: list[Event], data: st.DataObject) -> None:
    chain, head = written(happened)
    lines = chain.splitlines(keepends=True)
    del lines[data.draw(st.integers(0, len(lines) - 1))]
    assert faults(b"".join(lines), seen=head) > 0


@settings(max_examples=40, deadline=None)
@given(st.lists(events, min_size=2, max_size=6), st.data())
def test_any_two_swapped_lines_are_found(happened: list[Event], data: st.DataObject) -> None:
    chain, head = written(happened)
    lines = chain.split(b"\n")[:-1]
    one, other = data.draw(st.permutations(range(len(lines))))[:2]
    lines[one], lines[other] = lines[other], lines[one]
    assert faults(b"\n".join(lines) + b"\n", seen=head) > 0


@settings(max_examples=40, deadline=None)
@given(st.lists(events, min_size=1, max_size=6), st.data())
def test_any_slipped_in_line_is_found(happened: list[Event], data: st.DataObject) -> None:
    chain, head = written(happened)
    lines = chain.splitlines(keepends=True)
    # At the very end it would be a record like any other: only what follows can tell.
    at = data.draw(st.integers(0, len(lines) - 1))
    after = parsed(lines[at - 1], after=None).receipt if at else BEGINNING
    lines.insert(at, chained(data.draw(events), after=after).line)
    assert faults(b"".join(lines), seen=head) > 0


@settings(max_examples=40, deadline=None)
@given(st.lists(events, min_size=1, max_size=6), st.data())
def test_any_truncation_is_found_by_who_saw_the_head(
    happened: list[Event], data: st.DataObject
) -> None:
    chain, head = written(happened)
    kept = data.draw(st.integers(0, len(chain) - 1))
    assert faults(chain[:kept], seen=head) > 0


@settings(max_examples=40, deadline=None)
@given(st.lists(events, min_size=1, max_size=4), st.data())
def test_a_chain_torn_anywhere_opens_again_and_admits_it(
    happened: list[Event], data: st.DataObject
) -> None:
    chain, _ = written(happened)
    kept = data.draw(st.integers(1, len(chain)))
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory) / "node"
        folder.mkdir()
        (folder / f"{1:020}.jsonl").write_bytes(chain[:kept])
        whole = chain[:kept].count(b"\n")
        open_chain(Path(directory), process="node", clock=_Clock()).close()
        report = verify(folder)
    assert report.faults == ()
    torn = bool(chain[:kept].rpartition(b"\n")[2])
    assert ("TornTail" in [gap.reason for gap in report.gaps]) >= torn
    assert report.records >= whole + 2


class _Clock:
    def now(self) -> datetime:
        return NOW


_APPENDER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from carrel.ledger import Activity, Event, RecordClass, open_chain

class Clock:
    def now(self):
        return datetime(2026, 3, 1, tzinfo=UTC)

async def worker(chain, record_class):
    while True:
        event = Event(activity=Activity.POD_DELETED, time=Clock().now(), actor="test")
        receipt = await chain.append(event, record_class=record_class)
        sys.stdout.write(f"{receipt.sequence} {receipt.digest}\\n")
        sys.stdout.flush()

async def main():
    chain = open_chain(Path(sys.argv[1]), process="node", clock=Clock())
    classes = [RecordClass.BEFORE, RecordClass.WITH] * 4
    await asyncio.gather(*(worker(chain, record_class) for record_class in classes))

asyncio.run(main())
"""


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_a_kill_at_any_moment_loses_no_acknowledged_record(tmp_path: Path, seed: int) -> None:
    stop_after = random.Random(seed).randrange(1, 400)  # noqa: S311 - a moment, no secret
    acknowledged: list[Receipt] = []
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", _APPENDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        for line, _ in zip(process.stdout, range(stop_after), strict=False):
            sequence, digest = line.split()
            acknowledged.append(Receipt(int(sequence), digest))
        os.kill(process.pid, signal.SIGKILL)
        for line in process.stdout:
            if line.endswith("\n"):
                sequence, digest = line.split()
                acknowledged.append(Receipt(int(sequence), digest))
        process.wait()
        process.stdout.close()
    report = verify(tmp_path / "node")
    assert {fault.rule for fault in report.faults} <= {"line_is_torn"}
    chain = b"".join(file.read_bytes() for file in segments(tmp_path / "node"))
    present = {
        parsed(line, after=None).receipt
        for line in chain.splitlines(keepends=True)
        if line.endswith(b"\n")
    }
    assert set(acknowledged) <= present
    assert len(set(acknowledged)) == len(acknowledged) >= 2
