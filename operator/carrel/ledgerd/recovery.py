"""What a start finds: tiles up to some size, journals after it, a checkpoint over both."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from carrel.ledger.checkpoint import Checkpoint, open_checkpoint
from carrel.ledger.errors import EvidenceError
from carrel.ledger.inspection import tiles_in
from carrel.ledger.leaf import parse_leaf
from carrel.ledger.note import SigningKey
from carrel.ledger.tiles import WIDTH, Tile, decode_bundle, width_at
from carrel.ledgerd.errors import LogDamagedError
from carrel.ledgerd.journal import journals, replayed
from carrel.ledgerd.shelf import CHECKPOINT, Shelf

HEADS = "heads.json"
JOURNAL = "journal"


class Head(NamedTuple):
    """The last record of a chain that the log holds."""

    sequence: int
    digest: str
    writer: str
    """Process that writes the chain."""
    node: str
    """Its node; empty where it has none."""


@dataclass(frozen=True)
class Recovered:
    """A log that can be written."""

    shelf: Shelf
    heads: dict[str, Head]
    journals: tuple[Path, ...]
    """Journals whose entries the tiles on disk may not yet have for good."""


def recovered(directory: Path, key: SigningKey) -> Recovered:
    """Bring the log in `directory` up to what was acknowledged.

    What a checkpoint covers is never changed: it must come out again from tiles and journals.

    Raises:
        LogDamagedError: when it does not, or a file cannot be read as what it is.
        OSError: when a file cannot be read or written.

    """
    signed = _signed(directory, key)
    found = journals(directory / JOURNAL)
    base = int(found[0].name) if found else (signed.size if signed else 0)
    if base > (signed.size if signed else 0):
        raise LogDamagedError(
            f"checkpoint_is_missing: journals begin at entry {base:,}, and the checkpoint covers "
            "less. Restore the file `checkpoint` from a copy; without it nobody can tell what "
            "was signed for."
        )
    heads = _Heads(directory)
    try:
        shelf = Shelf(directory, key, size=base)
        heads.read_tiles(base)
        _replay(shelf, found, signed, heads)
    except (EvidenceError, FileNotFoundError) as error:
        raise LogDamagedError(
            f"tiles_are_damaged: {error}. Restore the folder `tile` from a copy of the volume or "
            "from the object store; nothing was changed."
        ) from error
    return Recovered(shelf, heads.found, tuple(found))


class _Heads:
    """The last record of each chain: from a file, and from the entries that came after it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.found: dict[str, Head] = {}
        self._known = 0
        try:
            match json.loads((directory / HEADS).read_bytes()):
                case {"size": int(size), "heads": dict(heads)}:
                    self.found = {name: Head(*head) for name, head in heads.items()}
                    self._known = size
                case _:
                    pass
        except (OSError, ValueError, TypeError):
            pass  # the file only saves reading every entry

    def read_tiles(self, base: int) -> None:
        """Read the entries before `base` that the file does not cover."""
        read = tiles_in(self._directory)
        at = self._known
        while at < base:
            index, offset = divmod(at, WIDTH)
            width = width_at(0, index, size=base)
            self.see(decode_bundle(read(Tile(None, index, width)), width=width)[offset:], at)
            at = index * WIDTH + width

    def see(self, entries: Sequence[bytes], first: int) -> None:
        """Take in entries that follow each other, the first of which has the index `first`."""
        for entry in entries[max(0, self._known - first) :]:
            leaf = parse_leaf(entry)
            receipt, source = leaf.record.receipt, leaf.source
            head = Head(receipt.sequence, receipt.digest, source.writer, source.node)
            self.found[source.chain] = head


def _signed(directory: Path, key: SigningKey) -> Checkpoint | None:
    try:
        data = (directory / CHECKPOINT).read_bytes()
    except FileNotFoundError:
        # An empty log is signed for before it takes its first entry.
        held = any(path.stat().st_size for path in journals(directory / JOURNAL))
        if held or (directory / "tile").exists():
            raise LogDamagedError(
                "checkpoint_is_missing: there are entries and no checkpoint, so nobody can tell "
                "what was signed for. Restore the file `checkpoint` from a copy."
            ) from None
        return None
    try:
        return open_checkpoint(data, log=key.verifier, witnesses=()).checkpoint
    except EvidenceError as error:
        raise LogDamagedError(
            f"checkpoint_is_not_ours: {error}. Either the key was replaced or the file was "
            "altered; restore the pair from a copy."
        ) from error


def _replay(shelf: Shelf, found: Sequence[Path], signed: Checkpoint | None, heads: _Heads) -> None:
    covered = signed.size if signed else 0
    _compare(shelf, signed)
    for path in found:
        last = path == found[-1]
        if int(path.name) != shelf.size:
            raise LogDamagedError(
                f"journal_is_missing: {path.name} does not follow entry {shelf.size:,}. Restore "
                "the folder `journal` from a copy of the volume; nothing was changed."
            )
        for frame in replayed(path, covered=covered if last else None):
            heads.see(frame.entries, frame.first)
            until = max(0, covered - shelf.size)
            shelf.grow(frame.entries[:until])
            _compare(shelf, signed)
            shelf.grow(frame.entries[until:])
    if shelf.size < covered:
        raise LogDamagedError(
            f"log_is_truncated: the checkpoint covers {covered:,} entries, and tiles and journals "
            f"hold {shelf.size:,}. Restore the folder `journal` from a copy of the volume."
        )


def _compare(shelf: Shelf, signed: Checkpoint | None) -> None:
    if signed and shelf.size == signed.size and shelf.root() != signed.root:
        raise LogDamagedError(
            f"log_is_not_what_was_signed: {signed.size:,} entries give another root than the "
            "checkpoint. An entry or a tile was altered; `carrel audit verify` names it."
        )
