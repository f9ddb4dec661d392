"""The log: one writing thread that makes entries durable together, lays them out and signs."""

import asyncio
import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from carrel.ledger import LedgerBusyError, LedgerUnavailableError
from carrel.ledger.checkpoint import Checkpoint
from carrel.ledger.note import SigningKey
from carrel.ledgerd.errors import LogDamagedError
from carrel.ledgerd.files import sync_directory, write_durable
from carrel.ledgerd.journal import Journal
from carrel.ledgerd.recovery import HEADS, JOURNAL, Head, recovered
from carrel.ledgerd.shelf import Shelf

CHECKPOINT_SECONDS = 1.0
CHECKPOINT_RECORDS = 1024
LEAST_SECONDS = 0.1
"""Under load the log signs for more at a time, not more often than this."""
JOURNAL_BYTES = 64 * 1024 * 1024
"""A start reads journals whole: some seconds at this size."""
LARGEST_QUEUE = 64 * 1024 * 1024
"""Bytes that may wait for the disk; more are refused, and their writers keep them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a batch stands."""

    first: int
    """Index of its first entry."""
    count: int


@dataclass(slots=True)
class _Waiting:
    entries: Sequence[bytes]
    chain: str
    head: Head
    size: int
    told: Callable[[Placed | LedgerUnavailableError], None]


def open_log(directory: Path, key: SigningKey) -> "Log":
    """Open the log in `directory`, or begin one, and bring its tiles up to its journal.

    Raises:
        LedgerBusyError: when another process writes this log.
        LogDamagedError: when what is there is not what was signed for.
        LedgerUnavailableError: when the directory cannot be used.

    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _hold(lock, directory)
            return Log(directory, key, lock=lock)
        except BaseException:
            os.close(lock)
            raise
    except OSError as error:
        raise LedgerUnavailableError(
            f"log_cannot_be_opened: {error.filename or directory}: {error.strerror}. Writers keep "
            "their records until it can."
        ) from error


class Log:
    """An open log; `append` may be called from any thread and event loop."""

    def __init__(self, directory: Path, key: SigningKey, *, lock: int) -> None:
        self._directory = directory
        self._lock = lock
        found = recovered(directory, key)
        self._shelf: Shelf = found.shelf
        self._heads: dict[str, Head] = dict(found.heads)
        self._old: list[Path] = list(found.journals)
        self._journal = self._begun()
        self._wake = threading.Condition()
        self._queue: list[_Waiting] = []
        self._queued = 0
        self._closing = False
        self._undone: set[Path] = set()
        self._settling: threading.Thread | None = None
        self._published = time.monotonic()
        self._signed = self._shelf.publish()
        self.trouble = ""
        self._settle()
        self._thread = threading.Thread(target=self._run, name="ledgerd-log", daemon=True)
        self._thread.start()

    @property
    def checkpoint(self) -> Checkpoint:
        """What the log signed for last."""
        return self._signed

    @property
    def folder(self) -> Path:
        """Where tiles and checkpoint stand."""
        return self._directory

    def head(self, chain: str) -> Head | None:
        """Return the last durable record of a chain, None for a chain that is not known."""
        return self._heads.get(chain)

    def heads(self) -> Mapping[str, Head]:
        """Return the last durable record of every chain."""
        return dict(self._heads)

    async def append(self, entries: Sequence[bytes], *, chain: str, head: Head) -> Placed:
        """Make entries durable as one piece, after which `head` is the last of `chain`.

        Raises:
            LedgerUnavailableError: when the disk cannot be written or too much waits. Nothing
                of the batch is in the log then.

        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Placed] = loop.create_future()

        def settle(outcome: Placed | LedgerUnavailableError) -> None:
            if done.done():
                return  # whoever waited has gone; the entries stand all the same
            if isinstance(outcome, Placed):
                done.set_result(outcome)
            else:
                done.set_exception(outcome)

        def told(outcome: Placed | LedgerUnavailableError) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, outcome)

        self._enqueue(_Waiting(entries, chain, head, sum(map(len, entries)), told))
        return await done

    def close(self) -> None:
        """Finish what waits, sign for it, and let go of the log."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join()
        if self._settling:
            self._settling.join()
        self._journal.close()
        os.close(self._lock)

    def _enqueue(self, waiting: _Waiting) -> None:
        with self._wake:
            if self._closing:
                raise LedgerUnavailableError("log_is_closed: the log has ended; try again later.")
            if self._queued + waiting.size > LARGEST_QUEUE:
                raise LedgerUnavailableError(
                    f"log_is_behind: {self._queued:,} bytes wait ({self.trouble or 'slow disk'}); "
                    "keep the records and try again."
                )
            self._queue.append(waiting)
            self._queued += waiting.size
            self._wake.notify()

    def _run(self) -> None:
        try:
            while not self._turn():
                pass
        except BaseException:
            self.trouble = "the writing thread has ended; restart the process"
            _log.exception("the log's thread ends")
            raise
        finally:
            self._refuse(self._taken(), "log_has_ended: its thread is gone.")

    def _turn(self) -> bool:
        """Do what is due; return whether this was the end."""
        with self._wake:
            self._wake.wait_for(lambda: self._queue or self._closing, self._until_due())
            closing = self._closing
        batch = self._taken()
        if batch:
            self._commit(batch)
        behind = self._shelf.size - self._signed.size
        age = time.monotonic() - self._published
        much = behind >= CHECKPOINT_RECORDS and age >= LEAST_SECONDS
        if behind and (closing or much or age >= CHECKPOINT_SECONDS):
            self._publish()
        return closing and not self._queue

    def _until_due(self) -> float | None:
        if self._shelf.size == self._signed.size:
            return None
        return max(0.0, self._published + CHECKPOINT_SECONDS - time.monotonic())

    def _taken(self) -> list[_Waiting]:
        with self._wake:
            batch, self._queue = self._queue, []
            self._queued = 0
            return batch

    def _commit(self, batch: list[_Waiting]) -> None:
        entries = [entry for waiting in batch for entry in waiting.entries]
        first = self._shelf.size
        try:
            self._journal.rewind()
            self._journal.append(entries, first=first)
        except OSError as error:
            self.trouble = error.strerror or type(error).__name__
            self._refuse(batch, f"log_cannot_be_written: {self.trouble}; keep the records.")
            return
        self.trouble = ""
        for waiting in batch:
            self._heads[waiting.chain] = waiting.head
            waiting.told(Placed(first, len(waiting.entries)))
            first += len(waiting.entries)
        self._shelf.grow(entries)

    def _refuse(self, batch: list[_Waiting], sentence: str) -> None:
        for waiting in batch:
            waiting.told(LedgerUnavailableError(sentence))

    def _publish(self) -> None:
        self._published = time.monotonic()
        try:
            self._signed = self._shelf.publish()
            if self._journal.size >= JOURNAL_BYTES and not self._is_settling():
                fresh = self._begun()
                self._journal.close()
                self._old = [*self._old, self._journal.path]
                self._journal = fresh
                self._settle()
        except OSError as error:
            # Entries are durable in the journal; tiles and checkpoint follow when there is room.
            self.trouble = error.strerror or type(error).__name__
            _log.warning("checkpoint put off: %s", error)

    def _begun(self) -> Journal:
        return Journal.begun(self._directory / JOURNAL, base=self._shelf.size)

    def _is_settling(self) -> bool:
        return self._settling is not None and self._settling.is_alive()

    def _settle(self) -> None:
        """Let tiles become durable beside the work; then older journals are not needed."""
        size, heads = self._shelf.size, dict(self._heads)
        old, self._old = self._old, []
        dirty = self._shelf.take_dirty() | self._undone
        self._undone = set()

        def work() -> None:
            try:
                self._shelf.settle(dirty)
                snapshot = json.dumps({"size": size, "heads": heads})
                write_durable(self._directory / HEADS, snapshot.encode())
                while old:
                    if old[0] != self._journal.path:
                        old[0].unlink(missing_ok=True)
                    del old[0]
                sync_directory(self._directory / JOURNAL)
            except OSError as error:
                # The journals stay for the next time, or for the next start, which replays them.
                self._old, self._undone = old, dirty
                _log.warning("tiles are not settled yet: %s", error)

        self._settling = threading.Thread(target=work, name="ledgerd-settle", daemon=True)
        self._settling.start()


def _hold(lock: int, directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LedgerBusyError(
            f"log_has_another_writer: {directory} is held by another process; a log has one "
            "writer, so wait until that process has ended."
        ) from None


__all__ = ["Log", "LogDamagedError", "Placed", "open_log"]
