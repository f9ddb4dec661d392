"""Checkpoints (C2SP tlog-checkpoint): what a log says of itself at one size."""

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

from carrel.ledger.errors import EvidenceError
from carrel.ledger.merkle import EMPTY_ROOT, HASH_BYTES
from carrel.ledger.note import Note, Verified, VerifierKey, parse_note, verify_note

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a tree."""

    origin: str
    """Which log this is."""
    size: int
    """How many leaves it has."""
    root: bytes
    """Root of its tree, 32 bytes."""

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint whose signatures were verified."""

    checkpoint: Checkpoint
    note: Note
    by: tuple[Verified, ...]
    """Who signed it, of those that were asked for."""


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint; further lines are left alone.

    Raises:
        EvidenceError: when it is none.

    """
    *lines, end = text.split("\n")
    if end or len(lines) < 3 or not all(lines):
        raise EvidenceError("checkpoint_is_malformed", f"{text[:200]!r} has no three full lines")
    origin, size, root = lines[:3]
    try:
        decoded = base64.b64decode(root, validate=True)
    except binascii.Error:
        decoded = b""
    if not _SIZE.fullmatch(size) or len(decoded) != HASH_BYTES:
        raise EvidenceError("checkpoint_is_malformed", f"{text[:200]!r}")
    if int(size) == 0 and decoded != EMPTY_ROOT:
        raise EvidenceError("checkpoint_is_malformed", "an empty log has another root")
    return Checkpoint(origin, int(size), decoded)


def open_checkpoint(data: bytes, *, log: VerifierKey, witnesses: Iterable[VerifierKey]) -> Signed:
    """Read a checkpoint that `log` signed; its origin is the name of that key.

    Raises:
        EvidenceError: when it is malformed, of another log, not signed by `log`, or a
            signature of `log` or of one of `witnesses` does not hold.

    """
    note = parse_note(data)
    by = verify_note(note, (log, *witnesses))
    if all(each.key != log for each in by):
        raise EvidenceError("note_is_not_signed", f"no signature by {log.name}")
    checkpoint = parse_checkpoint(note.text)
    if checkpoint.origin != log.name:
        raise EvidenceError(
            "checkpoint_is_of_another_log", f"{checkpoint.origin!r} instead of {log.name!r}"
        )
    return Signed(checkpoint, note, by)
