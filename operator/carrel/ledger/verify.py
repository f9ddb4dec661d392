"""The checker: reads a chain and says what does not hold, without changing a byte."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from carrel.ledger.event import Activity, Receipt
from carrel.ledger.record import BEGINNING, LARGEST_LINE, LineError, Record, parsed

SEGMENT = "*.jsonl"
"""Files of a chain, named by the sequence of their first record in 20 digits."""


@dataclass(frozen=True)
class Fault:
    """The first thing in a file that does not hold."""

    file: str
    line: int
    rule: str
    detail: str


@dataclass(frozen=True)
class Gap:
    """A loss that the chain itself admits."""

    sequence: int
    time: str
    reason: str


@dataclass(frozen=True)
class Report:
    """What a check of a chain found; it holds when there is no fault."""

    records: int
    first: Receipt | None
    last: Receipt | None
    gaps: tuple[Gap, ...]
    aside: tuple[str, ...]
    """Files with bytes that a start moved out of the chain."""
    faults: tuple[Fault, ...]


def verify(path: Path, *, seen: Receipt | None = None) -> Report:
    """Check one segment, or the directory of a whole chain.

    Args:
        path: A `.jsonl` file, whose first record may follow any other, or the directory of a
            chain, which must begin with record 1.
        seen: A receipt obtained earlier. A chain cut off at its end is whole in itself; only
            what somebody remembers shows that records are missing.

    Raises:
        OSError: when a file cannot be read.

    """
    if not path.is_dir():
        return _checked((path,), after=None, seen=seen, aside=())
    aside = tuple(sorted(file.name for file in path.glob(SEGMENT + ".aside-*")))
    return _checked(segments(path), after=BEGINNING, seen=seen, aside=aside)


def segments(directory: Path) -> tuple[Path, ...]:
    """Files of a chain, oldest first."""
    return tuple(sorted(directory.glob(SEGMENT)))


def lines(path: Path) -> Iterator[bytes]:
    """Lines of a segment with their newlines; one that is too long comes cut off."""
    with path.open("rb") as file:
        while line := file.readline(LARGEST_LINE + 1):
            yield line


def _checked(
    files: tuple[Path, ...],
    *,
    after: Receipt | None,
    seen: Receipt | None,
    aside: tuple[str, ...],
) -> Report:
    records = 0
    first: Receipt | None = None
    gaps: list[Gap] = []
    faults: list[Fault] = []
    recognised = seen is None
    for file in files:
        for number, line in enumerate(lines(file), start=1):
            try:
                record = parsed(line, after=after)
            except LineError as error:
                faults.append(Fault(file.name, number, error.rule, error.detail))
                # What follows cannot be joined to what was checked; the next file may be.
                after = None
                break
            records += 1
            first = first or record.receipt
            after = record.receipt
            gaps.extend(_gaps(record))
            recognised = recognised or record.receipt == seen
    if seen is not None and not recognised:
        faults.append(
            Fault(
                files[-1].name if files else "",
                0,
                "seen_record_is_missing",
                f"record {seen.sequence} was acknowledged earlier and is not in the chain",
            )
        )
    return Report(records, first, after if records else None, tuple(gaps), aside, tuple(faults))


def _gaps(record: Record) -> Iterator[Gap]:
    if record.said.get("activity") == Activity.GAP:
        detail = record.said.get("detail", {})
        yield Gap(
            sequence=record.receipt.sequence,
            time=str(record.said.get("time", "")),
            reason=str(detail.get("reason", "")),
        )
