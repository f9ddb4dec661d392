"""The part of a chain that runs in its own thread: writes at once, makes durable when due."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from carrel.ledger.record import Record
from carrel.ledger.store import Store

SEGMENT_BYTES = 16 * 1024 * 1024
"""A start reads the last segment whole: about a second at this size."""


@dataclass
class Pending:
    """A record on its way to the disk."""

    record: Record
    due: float
    """When it must be durable, by the monotonic clock."""
    wake: Callable[[], object] | None
    """Tells the one who waits for it."""
    lock: threading.Lock
    durable: bool = False
    refused: bool = False

    def refuse(self) -> bool:
        """Give up waiting; return whether the record became durable in the meantime."""
        with self.lock:
            self.refused = not self.durable
            return self.durable

    def settle(self) -> bool:
        """Mark as durable; return whether somebody gave up before."""
        with self.lock:
            self.durable = True
            refused = self.refused
        if self.wake:
            with suppress(RuntimeError):  # the loop of the one who waited has been closed
                self.wake()
        return refused


@dataclass(frozen=True)
class Trouble:
    """Why writing fails now."""

    reason: str
    first: int
    """The first record that is kept waiting."""


@dataclass(frozen=True)
class Delay:
    """Records that became durable later than their class promises."""

    reason: str
    first: int
    last: int
    refused: int
    """Records whose act did not happen because nobody waited that long."""


class Writer:
    """Owns what is not yet durable; used by one thread alone."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unwritten: list[Pending] = []
        self._unsynced: list[Pending] = []
        self._trouble: Trouble | None = None
        self._delay: Delay | None = None

    @property
    def due(self) -> float:
        """When the disk must be asked next, by the monotonic clock."""
        return min((pending.due for pending in self._unsynced), default=float("inf"))

    def take(self, pending: Sequence[Pending]) -> None:
        """Accept records to write, in order."""
        self._unwritten.extend(pending)

    @property
    def trouble(self) -> str:
        """What prevents writing, from any thread; it ends before anybody's wait does."""
        trouble = self._trouble
        return trouble.reason if trouble else ""

    def pop_delay(self) -> Delay | None:
        """Return the delay that ended since the last call."""
        delay, self._delay = self._delay, None
        return delay

    def step(self, *, force: bool) -> Trouble | None:
        """Write what came and make durable what is due; return what prevents it."""
        try:
            if self._trouble:
                self._store.rewind()
            self._write()
            # After trouble the next sync must not wait: `rewind` would drop what it does not hold.
            if self._unsynced and (force or self._trouble or self.due <= time.monotonic()):
                self._sync()
        except OSError as error:
            self._unwritten = self._unsynced + self._unwritten
            self._unsynced = []
            reason = error.strerror or type(error).__name__
            first = self._unwritten[0].record.receipt.sequence if self._unwritten else 0
            self._trouble = Trouble(reason, self._trouble.first if self._trouble else first)
        return self._trouble

    def close(self) -> None:
        """Let go of the files."""
        self._store.close()

    def _write(self) -> None:
        if not self._unwritten:
            return
        if not self._unsynced and self._store.size >= SEGMENT_BYTES:
            self._store.roll(first=self._unwritten[0].record.receipt.sequence)
        self._store.write(b"".join(pending.record.line for pending in self._unwritten))
        self._unsynced += self._unwritten
        self._unwritten = []

    def _sync(self) -> None:
        self._store.sync()
        done, self._unsynced = self._unsynced, []
        trouble, self._trouble = self._trouble, None
        refused = sum(pending.settle() for pending in done)
        if trouble or refused:
            self._delay = Delay(
                reason=trouble.reason if trouble else "the disk was slow",
                first=trouble.first if trouble else done[0].record.receipt.sequence,
                last=done[-1].record.receipt.sequence,
                refused=refused,
            )
