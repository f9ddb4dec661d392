"""What the witness saw last of each log; on disk before anybody hears of it."""

import hashlib
import os
from pathlib import Path

from carrel.ledger.checkpoint import Checkpoint, parse_checkpoint
from carrel.ledger.errors import EvidenceError, LedgerError
from carrel.ledger.note import Note, parse_note


class MemoryDamagedError(LedgerError):
    """The witness cannot know what it signed, so it signs nothing."""


class Memory:
    """One file for each log: the checkpoint that was cosigned last, with its signatures."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def last(self, origin: str) -> Checkpoint | None:
        """Return the checkpoint cosigned last.

        Raises:
            MemoryDamagedError: when the file is not what this witness wrote.

        """
        note = self.note(origin)
        return None if note is None else self._checkpoint(note, origin)

    def note(self, origin: str) -> Note | None:
        """Return the note cosigned last, with the signatures of log and witness."""
        try:
            return parse_note(self._file(origin).read_bytes())
        except FileNotFoundError:
            return None
        except EvidenceError as error:
            raise MemoryDamagedError(self._sentence(origin)) from error

    def keep(self, origin: str, note: Note) -> None:
        """Remember a note; when this returns, a power cut does not take it."""
        path = self._file(origin)
        fresh = path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(note.data)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _checkpoint(self, note: Note, origin: str) -> Checkpoint:
        try:
            found = parse_checkpoint(note.text)
        except EvidenceError as error:
            raise MemoryDamagedError(self._sentence(origin)) from error
        if found.origin != origin:
            raise MemoryDamagedError(self._sentence(origin))
        return found

    def _sentence(self, origin: str) -> str:
        return (
            f"memory_is_damaged: {self._file(origin).name} is not what was kept of {origin}. "
            "Restore it; a witness that forgets would sign for a log that was rolled back."
        )

    def _file(self, origin: str) -> Path:
        return self._folder / hashlib.sha256(origin.encode()).hexdigest()
