"""A copy of the log for somebody else to keep and to check."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from carrel.audit.proof import CHECKPOINT
from carrel.audit.source import SourceError
from carrel.ledger.checkpoint import parse_checkpoint
from carrel.ledger.note import parse_note
from carrel.ledger.tiles import tiles_of


@dataclass(frozen=True)
class Copied:
    """What a copy took."""

    files: int
    held: int
    """Files that were there already."""
    size: int
    """Records of the copy."""


def copied(
    source: Path, target: Path, *, told: Callable[[int, int], object] | None = None
) -> Copied:
    """Copy what the present checkpoint covers; the checkpoint comes last, so a copy is whole.

    The checkpoint is read first: what the log takes meanwhile is left for the next copy.

    Args:
        source: Folder of the log.
        target: Folder of the copy; an older copy there is continued.
        told: Called with the number of files copied, and of all.

    Raises:
        SourceError: when the copy there is newer, or of another log.
        EvidenceError: when the checkpoint cannot be read.
        OSError: when a file cannot be read or written.

    """
    note = (source / CHECKPOINT).read_bytes()
    present = parse_checkpoint(parse_note(note).text)
    since = 0
    if (target / CHECKPOINT).exists():
        before = parse_checkpoint(parse_note((target / CHECKPOINT).read_bytes()).text)
        if before.origin != present.origin or before.size > present.size:
            raise SourceError(
                f"copy_is_of_another_log: {target} holds {before.size:,} records of "
                f"{before.origin}, the log has {present.size:,} of {present.origin}; keep that "
                "copy as evidence and copy into a new folder."
            )
        since = before.size
    wanted = list(tiles_of(present.size, since=since))
    held = 0
    for number, tile in enumerate(wanted, start=1):
        path = target / tile.path
        data = (source / tile.path).read_bytes()
        if path.is_file() and path.read_bytes() == data:
            held += 1
        else:
            _write(path, data)
        if told:
            told(number, len(wanted))
    _write(target / CHECKPOINT, note)
    return Copied(len(wanted) - held, held, present.size)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arriving = path.with_name(f".{path.name}.arriving")
    with arriving.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    arriving.replace(path)
