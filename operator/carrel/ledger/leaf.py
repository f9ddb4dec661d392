"""An entry of the central log: a record of some chain, whose it is, and when it arrived."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from carrel.ledger.errors import EvidenceError
from carrel.ledger.record import LineError, Record, canonical, parsed


@dataclass(frozen=True, slots=True)
class Source:
    """The chain from which a record came."""

    writer: str
    """Process that wrote it, as its chain is named; proven by its token."""
    node: str
    """Node on which a node's process runs, proven by its token; empty for others."""
    chain: str
    """Digest of the first record of the chain, and for a fork `.` and its number."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry, taken apart."""

    source: Source
    logged: str
    """When it arrived: UTC, milliseconds, by the clock of the central log."""
    record: Record


def arrival(now: datetime) -> str:
    """Write a moment as entries carry it."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def encode_leaf(line: bytes, *, source: Source, logged: str) -> bytes:
    """Return the entry for a line of a chain, newline included, which has been checked."""
    return b'{"chain":%b,"logged":%b,"node":%b,"record":%b,"writer":%b}' % (
        canonical(source.chain),
        canonical(logged),
        canonical(source.node),
        line[:-1],
        canonical(source.writer),
    )


def parse_leaf(entry: bytes) -> Leaf:
    """Read an entry and check that its record is whole and unaltered.

    Raises:
        EvidenceError: when it is no entry of this form.

    """
    try:
        match json.loads(entry):
            case {
                "chain": str(chain),
                "logged": str(logged),
                "node": str(node),
                "record": dict(found),
                "writer": str(writer),
            }:
                line = canonical(found) + b"\n"
                leaf = Leaf(Source(writer, node, chain), logged, parsed(line, after=None))
            case _:
                raise EvidenceError("entry_is_no_leaf", "it lacks a field")
    except LineError as error:
        raise EvidenceError(error.rule, error.detail) from error
    except (ValueError, RecursionError) as error:
        raise EvidenceError("entry_is_no_leaf", type(error).__name__) from error
    if encode_leaf(leaf.record.line, source=leaf.source, logged=logged) != entry:
        raise EvidenceError("entry_is_not_canonical", "its bytes are not the one form of it")
    return leaf
