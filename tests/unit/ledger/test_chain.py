"""What a process may rely on when it appends."""

import asyncio
import hashlib
import json
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import ValidationError

from carrel.flows.clock import FixedClock
from carrel.ledger import (
    Activity,
    Event,
    LedgerBusyError,
    LedgerUnavailableError,
    Receipt,
    RecordClass,
    RecordTooLargeError,
    open_chain,
    verify,
)
from carrel.ledger import writer as writing
from carrel.ledger.verify import lines, segments

CLOCK = FixedClock(datetime(2026, 3, 1, 9, 30, 0, 125000, tzinfo=UTC))


def pod_deleted(number: int = 0) -> Event:
    return Event(
        activity=Activity.POD_DELETED,
        time=CLOCK.now(),
        actor="revoker",
        grant="lung-2026",
        grant_uid="0f0f",
        pod_uid="aaaa",
        detail={"number": number},
    )


def recorded(directory: Path) -> list[dict[str, object]]:
    return [
        json.loads(line)["event"]["carrel"] for file in segments(directory) for line in lines(file)
    ]


def activities(directory: Path) -> list[object]:
    return [event["activity"] for event in recorded(directory)]


async def eventually(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():  # noqa: ASYNC110 - a file has no event to wait for
            await asyncio.sleep(0.01)


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Make the kernel refuse larger files, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


async def test_a_record_reads_as_it_was_appended(tmp_path: Path) -> None:
    with open_chain(tmp_path, process="revoker", clock=CLOCK) as chain:
        await chain.append(pod_deleted(7), record_class=RecordClass.BEFORE)
    assert recorded(tmp_path / "revoker")[1] == {
        "activity": "PodDeleted",
        "time": "2026-03-01T09:30:00.125Z",
        "actor": "revoker",
        "grant": "lung-2026",
        "grantUID": "0f0f",
        "podUID": "aaaa",
        "detail": {"number": 7},
    }


@pytest.mark.parametrize("record_class", [RecordClass.BEFORE, RecordClass.WITH])
async def test_a_record_that_is_waited_for_stands_in_the_file(
    tmp_path: Path, record_class: RecordClass
) -> None:
    with open_chain(tmp_path, process="node", clock=CLOCK) as chain:
        receipt = await chain.append(pod_deleted(), record_class=record_class)
        assert verify(tmp_path / "node", seen=receipt).faults == ()


@pytest.mark.parametrize("record_class", [RecordClass.STOP, RecordClass.AFTER])
async def test_an_act_that_does_not_wait_is_recorded_soon(
    tmp_path: Path, record_class: RecordClass
) -> None:
    with open_chain(tmp_path, process="node", clock=CLOCK) as chain:
        receipt = await chain.append(pod_deleted(), record_class=record_class)
        await eventually(lambda: verify(tmp_path / "node").records >= receipt.sequence)
        assert verify(tmp_path / "node", seen=receipt).faults == ()


async def test_many_writers_get_one_sequence_without_holes(tmp_path: Path) -> None:
    with open_chain(tmp_path, process="node", clock=CLOCK) as chain:
        receipts = await asyncio.gather(
            *(
                chain.append(pod_deleted(number), record_class=record_class)
                for number in range(50)
                for record_class in RecordClass
            )
        )
        head = chain.head
    assert [receipt.sequence for receipt in receipts] == list(range(2, 202))
    report = verify(tmp_path / "node", seen=head)
    assert (report.records, report.faults, report.gaps) == (202, (), ())


async def test_a_chain_continues_where_it_was_closed(tmp_path: Path) -> None:
    for _ in range(2):
        with open_chain(tmp_path, process="node", clock=CLOCK) as chain:
            await chain.append(pod_deleted(), record_class=RecordClass.BEFORE)
    assert activities(tmp_path / "node") == ["ChainOpened", "PodDeleted", "ChainClosed"] * 2


def test_a_quiet_chain_beats(tmp_path: Path) -> None:
    with open_chain(tmp_path, process="node", clock=CLOCK, heartbeat=0.01):
        asyncio.run(eventually(lambda: activities(tmp_path / "node").count("Heartbeat") >= 2))


def test_a_chain_has_one_writer(tmp_path: Path) -> None:
    with (
        open_chain(tmp_path, process="node", clock=CLOCK),
        pytest.raises(LedgerBusyError, match="chain_has_another_writer"),
    ):
        open_chain(tmp_path, process="node", clock=CLOCK)


async def test_a_closed_chain_refuses(tmp_path: Path) -> None:
    chain = open_chain(tmp_path, process="node", clock=CLOCK)
    chain.close()
    with pytest.raises(LedgerUnavailableError, match="chain_is_closed"):
        await chain.append(pod_deleted(), record_class=RecordClass.STOP)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "node").write_text("a file stands in the way")
    with pytest.raises(LedgerUnavailableError, match=f"chain_cannot_be_opened: {tmp_path}/node"):
        open_chain(tmp_path, process="node", clock=CLOCK)


async def test_a_full_segment_is_followed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SEGMENT_BYTES", 1000)
    for _ in range(2):
        with open_chain(tmp_path, process="node", clock=CLOCK) as chain:
            for number in range(10):
                await chain.append(pod_deleted(number), record_class=RecordClass.BEFORE)
    report = verify(tmp_path / "node")
    assert (report.records, report.faults, report.gaps) == (24, (), ())
    names = [file.stem for file in segments(tmp_path / "node")]
    assert len(names) > 3
    first = [json.loads(next(lines(file)))["sequence"] for file in segments(tmp_path / "node")]
    assert [int(name) for name in names] == first


async def test_a_full_disk_refuses_what_waits_and_loses_no_stop(tmp_path: Path) -> None:
    with open_chain(tmp_path, process="node", clock=CLOCK) as chain:
        await chain.append(pod_deleted(1), record_class=RecordClass.BEFORE)
        size = segments(tmp_path / "node")[0].stat().st_size
        with files_limited_to(size + 100):
            stop = await chain.append(pod_deleted(2), record_class=RecordClass.STOP)
            with pytest.raises(LedgerUnavailableError, match="File too large"):
                await chain.append(pod_deleted(3), record_class=RecordClass.WITH)
            assert chain.trouble == "File too large"
        later = await chain.append(pod_deleted(4), record_class=RecordClass.BEFORE)
        assert chain.trouble == ""
        head = chain.head
    for receipt in (stop, later, head):
        assert verify(tmp_path / "node", seen=receipt).faults == ()
    gaps = [event for event in recorded(tmp_path / "node") if event["activity"] == "Gap"]
    assert [gap["detail"] for gap in gaps] == [
        {
            "reason": "Delayed",
            "cause": "File too large",
            "firstSequence": 3,
            "lastSequence": 5,
            "refused": 1,
        }
    ]


async def test_a_record_larger_than_a_leaf_is_refused_and_leaves_no_hole(tmp_path: Path) -> None:
    with open_chain(tmp_path, process="node", clock=CLOCK) as chain:
        # A model that was not validated: the last line of defence is the encoder's.
        huge = pod_deleted().model_copy(update={"detail": {"text": "x" * 70_000}})
        with pytest.raises(RecordTooLargeError, match="record_is_too_large"):
            await chain.append(huge, record_class=RecordClass.BEFORE)
        receipt = await chain.append(pod_deleted(), record_class=RecordClass.BEFORE)
    assert receipt.sequence == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"detail": {"key with spaces": 1}},
        {"detail": {"a": 2**53}},
        {"detail": {"a": 1.5}},
        {"detail": {"a": True}},
        {"detail": {"a": "x" * 1025}},
        {"detail": {f"a{number}": 1 for number in range(33)}},
        {"detail": {"a": "\ud800"}},
        {"time": datetime(2026, 1, 1)},  # noqa: DTZ001 - a time without zone is the bad input
        {"actor": ""},
        {"activity": "SomethingElse"},
        {"name": "Jane"},
    ],
)
def test_an_event_that_is_not_bounded_is_refused(wrong: dict[str, object]) -> None:
    right = {"activity": Activity.POD_DELETED, "time": CLOCK.now(), "actor": "revoker"}
    with pytest.raises(ValidationError):
        Event.model_validate({**right, **wrong})


def test_a_torn_last_line_is_kept_aside_and_admitted(tmp_path: Path) -> None:
    open_chain(tmp_path, process="node", clock=CLOCK).close()
    segment = segments(tmp_path / "node")[0]
    with segment.open("ab") as file:
        file.write(b'{"digest":"sha256:12')
    open_chain(tmp_path, process="node", clock=CLOCK).close()
    report = verify(tmp_path / "node")
    assert (report.records, report.faults) == (5, ())
    assert [gap.reason for gap in report.gaps] == ["TornTail"]
    assert [(tmp_path / "node" / name).read_bytes() for name in report.aside] == [
        b'{"digest":"sha256:12'
    ]


async def test_an_altered_record_is_kept_aside_with_all_that_follows(tmp_path: Path) -> None:
    with open_chain(tmp_path, process="node", clock=CLOCK) as chain:
        for number in range(3):
            await chain.append(pod_deleted(number), record_class=RecordClass.BEFORE)
    segment = segments(tmp_path / "node")[0]
    data = segment.read_bytes()
    segment.write_bytes(data.replace(b'"number":1', b'"number":9'))
    open_chain(tmp_path, process="node", clock=CLOCK).close()
    (aside,) = verify(tmp_path / "node").aside
    data_aside = data[data.index(b"\n", data.index(b'"number":0')) + 1 :]
    damaged, not_closed = (
        event["detail"] for event in recorded(tmp_path / "node") if event["activity"] == "Gap"
    )
    assert damaged == {
        "reason": "Damaged",
        "rule": "digest_does_not_match",
        "lastSequence": 2,
        "aside": aside,
        "bytes": len(data_aside),
        "sha256": "sha256:"
        + hashlib.sha256(data_aside.replace(b'"number":1', b'"number":9')).hexdigest(),
    }
    assert not_closed == {"reason": "NotClosed", "lastSequence": 2}
    assert verify(tmp_path / "node").faults == ()
    assert verify(tmp_path / "node", seen=chain.head).faults[0].rule == "seen_record_is_missing"


def test_a_process_that_did_not_close_its_chain_is_admitted(tmp_path: Path) -> None:
    open_chain(tmp_path, process="node", clock=CLOCK).close()
    segment = segments(tmp_path / "node")[0]
    opened = segment.read_bytes().splitlines(keepends=True)[0]
    os.truncate(segment, len(opened))
    open_chain(tmp_path, process="node", clock=CLOCK).close()
    assert activities(tmp_path / "node") == ["ChainOpened", "Gap", "ChainOpened", "ChainClosed"]


def test_a_receipt_of_another_chain_is_not_found(tmp_path: Path) -> None:
    open_chain(tmp_path, process="node", clock=CLOCK).close()
    stranger = Receipt(sequence=2, digest="sha256:" + "1" * 64)
    report = verify(tmp_path / "node", seen=stranger)
    assert [fault.rule for fault in report.faults] == ["seen_record_is_missing"]
