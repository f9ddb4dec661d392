"""The chain of one process: numbers records at once, makes them durable as their class says."""

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from carrel.ledger.errors import LedgerUnavailableError
from carrel.ledger.event import Activity, Event, Receipt, RecordClass
from carrel.ledger.record import chained
from carrel.ledger.store import Found, Store, open_store
from carrel.ledger.writer import Delay, Pending, Writer

HEARTBEAT_SECONDS = 10.0
"""A chain whose last record is older than this was cut off or its process does not run."""
RETRY_SECONDS = 0.2
CLOSING_RETRIES = 10
LARGEST_BACKLOG = 100_000

_SYNC_WITHIN: Mapping[RecordClass, float] = {
    RecordClass.STOP: 0.0,
    RecordClass.BEFORE: 0.0,
    RecordClass.WITH: 0.01,
    RecordClass.AFTER: 1.0,
}
_WAIT_AT_MOST: Mapping[RecordClass, float] = {RecordClass.BEFORE: 10.0, RecordClass.WITH: 1.0}


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Return the present time in UTC."""
        ...


def open_chain(
    directory: Path, *, process: str, clock: Clock, heartbeat: float = HEARTBEAT_SECONDS
) -> "Chain":
    """Open the chain of `process` in `directory/process` and begin to write to it.

    A torn last line is moved aside and becomes a `Gap` record, and so does a process that ended
    without closing its chain. A full disk does not prevent opening: records of class `stop` wait
    in memory until there is room, and acts that need a record before them are refused.

    Raises:
        LedgerBusyError: when another process writes this chain.
        LedgerUnavailableError: when the directory cannot be used.

    """
    store, found = open_store(directory / process)
    return Chain(store, found, process=process, clock=clock, heartbeat=heartbeat)


class Chain:
    """A `Ledger` that is open for writing; safe to use from any thread and event loop."""

    def __init__(
        self, store: Store, found: Found, *, process: str, clock: Clock, heartbeat: float
    ) -> None:
        self._process = process
        self._clock = clock
        self._heartbeat = heartbeat
        self._wake = threading.Condition()
        self._settling = threading.Lock()
        self._last = found.last
        self._queue: list[Pending] = []
        self._closing = False
        self._ended = ""
        self._writer = Writer(store)
        for event in self._opening(found):
            self._enqueue(event, record_class=RecordClass.STOP)
        self._thread = threading.Thread(
            target=self._run, args=(self._writer,), name=f"ledger-{process}", daemon=True
        )
        self._thread.start()

    async def append(self, event: Event, *, record_class: RecordClass) -> Receipt:
        """Record `event`; see `Ledger.append`."""
        patience = _WAIT_AT_MOST.get(record_class)
        if patience is None:
            return self._enqueue(event, record_class=record_class).record.receipt
        loop = asyncio.get_running_loop()
        durable = asyncio.Event()
        pending = self._enqueue(
            event,
            record_class=record_class,
            wake=lambda: loop.call_soon_threadsafe(durable.set),
        )
        try:
            async with asyncio.timeout(patience):
                await durable.wait()
        except asyncio.CancelledError:
            pending.refuse()
            raise
        except TimeoutError:
            if not pending.refuse():
                raise LedgerUnavailableError(
                    f"record_is_not_durable: {event.activity} could not be written within "
                    f"{patience:g} s ({self.trouble or 'the disk is slow'}); the act that waits "
                    "for it does not happen. Make room or mend the disk of the ledger."
                ) from None
        return pending.record.receipt

    @property
    def trouble(self) -> str:
        """Why records cannot be written now; empty when they can."""
        return self._ended or self._writer.trouble

    @property
    def head(self) -> Receipt:
        """The record numbered last, durable or not."""
        return self._last

    def close(self) -> None:
        """Write everything that waits, say so in a last record, and let go of the chain."""
        with self._wake:
            if not self._closing:
                self._enqueue(self._own(Activity.CHAIN_CLOSED), record_class=RecordClass.STOP)
                self._closing = True
                self._wake.notify()
        self._thread.join(timeout=2 * CLOSING_RETRIES * RETRY_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _enqueue(
        self,
        event: Event,
        *,
        record_class: RecordClass,
        wake: Callable[[], object] | None = None,
    ) -> Pending:
        with self._wake:
            if self._closing:
                raise LedgerUnavailableError(
                    f"chain_is_closed: {event.activity} came after the end of {self._process}."
                )
            if len(self._queue) >= LARGEST_BACKLOG and record_class is not RecordClass.STOP:
                raise LedgerUnavailableError(
                    f"backlog_is_full: {LARGEST_BACKLOG:,} records wait ({self.trouble}). Make "
                    "room or mend the disk of the ledger."
                )
            record = chained(event, after=self._last)
            self._last = record.receipt
            due = time.monotonic() + _SYNC_WITHIN[record_class]
            pending = Pending(record, due, wake, self._settling)
            self._queue.append(pending)
            self._wake.notify()
            return pending

    def _opening(self, found: Found) -> list[Event]:
        events = []
        last = found.last.sequence
        if found.aside is not None:
            torn = found.aside.rule == "line_is_torn"
            events.append(
                self._own(
                    Activity.GAP,
                    reason="TornTail" if torn else "Damaged",
                    rule=found.aside.rule,
                    lastSequence=last,
                    aside=found.aside.file,
                    bytes=found.aside.size,
                    sha256=found.aside.digest,
                )
            )
        if last > 0 and found.last_activity != Activity.CHAIN_CLOSED:
            # Records of class stop and after return before they are durable: some may be missing.
            events.append(self._own(Activity.GAP, reason="NotClosed", lastSequence=last))
        # The number tells this run's records from those of any other chain, byte for byte.
        number = secrets.token_hex(16)
        events.append(self._own(Activity.CHAIN_OPENED, process=self._process, chain=number))
        return events

    def _own(self, activity: Activity, **detail: str | int) -> Event:
        return Event(activity=activity, time=self._clock.now(), actor=self._process, detail=detail)

    def _run(self, writer: Writer) -> None:
        try:
            self._write_until_closed(writer)
        finally:
            if not self._closing:
                self._ended = "the writing thread has ended; restart the process"
            writer.close()

    def _write_until_closed(self, writer: Writer) -> None:
        beat = time.monotonic() + self._heartbeat
        retries = CLOSING_RETRIES
        while True:
            closing = self._collect(writer, until=min(beat, writer.due))
            trouble = writer.step(force=closing)
            if trouble:
                retries -= closing
                if retries == 0:
                    return
                with self._wake:
                    # New records must not shorten the wait: a full disk is asked 5 times a second.
                    self._wake.wait_for(lambda: self._closing and not closing, RETRY_SECONDS)  # noqa: B023 - called before the loop goes on
                continue
            if closing:
                return
            delay = writer.pop_delay()
            if delay:
                self._admit(delay)
            if time.monotonic() >= beat:
                beat = time.monotonic() + self._heartbeat
                self._record(self._own(Activity.HEARTBEAT), record_class=RecordClass.AFTER)

    def _collect(self, writer: Writer, *, until: float) -> bool:
        """Wait for records, the end or the moment `until`; return whether this is the end."""
        with self._wake:
            while not self._queue and not self._closing:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._wake.wait(min(left, threading.TIMEOUT_MAX))
            writer.take(self._queue)
            self._queue = []
            return self._closing

    def _admit(self, delay: Delay) -> None:
        self._record(
            self._own(
                Activity.GAP,
                reason="Delayed",
                cause=delay.reason,
                firstSequence=delay.first,
                lastSequence=delay.last,
                refused=delay.refused,
            ),
            record_class=RecordClass.STOP,
        )

    def _record(self, event: Event, *, record_class: RecordClass) -> None:
        with self._wake:
            if not self._closing:
                self._enqueue(event, record_class=record_class)
