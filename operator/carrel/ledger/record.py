"""The form of a record: one line of canonical JSON whose digest covers all lines before it."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from carrel.ledger.errors import RecordTooLargeError
from carrel.ledger.event import Event, Receipt
from carrel.ledger.ocsf import ocsf_event, record_uid

LARGEST_LINE = 65_000
"""Bytes of a line with its newline: an entry of the central log holds 65,535, and says whose."""

BEGINNING = Receipt(sequence=0, digest="sha256:" + "0" * 64)
"""What the first record of a chain names as its predecessor."""


@dataclass(frozen=True)
class Record:
    """A record with its place in the chain."""

    receipt: Receipt
    previous: str
    event: dict[str, Any]
    line: bytes
    """The record as it stands in the file, newline included."""

    @property
    def said(self) -> dict[str, Any]:
        """What the process said: the object `carrel` with `activity`, `actor`, `grant` and so on.

        Empty where a chain holds something that no process of the platform writes.
        """
        said = self.event.get("carrel")
        return said if isinstance(said, dict) else {}


class LineError(ValueError):
    """A line is not the record that should stand there; `rule` names the check that failed."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule
        self.detail = detail


def canonical(value: Any) -> bytes:
    """Encode `value` so that equal values are equal bytes.

    For events the same bytes as `carrel.rules.canonical` (RFC 8785), at the speed of C.
    """
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def chained(event: Event, *, after: Receipt) -> Record:
    """Return `event` as the record that follows `after`."""
    body, sequence = event.to_wire(), after.sequence + 1
    uid = record_uid(canonical(body), time=event.time, previous=after.digest)
    whole = ocsf_event(event, body=body, sequence=sequence, uid=uid)
    record = _sealed(whole, previous=after.digest, sequence=sequence)
    if len(record.line) > LARGEST_LINE:
        raise RecordTooLargeError(
            f"record_is_too_large: a {event.activity} record has {len(record.line):,} bytes, at "
            f"most {LARGEST_LINE:,} are allowed; put a digest into `detail` and the rest into a "
            "file."
        )
    return record


def parsed(line: bytes, *, after: Receipt | None) -> Record:
    """Read one line and check that it is whole, unaltered and follows `after`.

    `after` of None accepts any predecessor, for a piece of a chain.

    Raises:
        LineError: with the rule that does not hold.

    """
    if not line.endswith(b"\n"):
        raise LineError("line_is_torn", f"{len(line):,} bytes without a newline")
    if len(line) > LARGEST_LINE:
        raise LineError("line_is_too_long", f"{len(line):,} bytes")
    claimed, record = _shaped(line)
    sequence = record.receipt.sequence
    if record.receipt.digest != claimed:
        raise LineError("digest_does_not_match", f"record {sequence} was altered")
    if record.line != line:
        raise LineError("line_is_not_canonical", "its bytes are not the one form of its content")
    if after is not None and sequence != after.sequence + 1:
        raise LineError("sequence_jumps", f"record {sequence} follows record {after.sequence}")
    if after is not None and record.previous != after.digest:
        raise LineError(
            "previous_does_not_match", f"record {sequence} was written after another record"
        )
    return record


def _sealed(event: dict[str, Any], *, previous: str, sequence: int) -> Record:
    # Both forms are canonical because their keys stand in order: digest, event, previous, sequence.
    body = b'"event":%b,"previous":%b,"sequence":%d}' % (
        canonical(event),
        canonical(previous),
        sequence,
    )
    digest = "sha256:" + hashlib.sha256(b"{" + body).hexdigest()
    line = b'{"digest":"%b",%b\n' % (digest.encode(), body)
    return Record(Receipt(sequence, digest), previous, event, line)


def _shaped(line: bytes) -> tuple[str, Record]:
    try:
        match json.loads(line):
            case {
                "sequence": int(sequence),
                "previous": str(previous),
                "digest": str(digest),
                "event": dict(event),
                **rest,
            } if not rest and type(sequence) is int:
                return digest, _sealed(event, previous=previous, sequence=sequence)
    except (ValueError, RecursionError) as error:
        raise LineError("line_is_not_json", type(error).__name__) from error
    raise LineError("line_is_not_a_record", "it lacks or adds a field")
