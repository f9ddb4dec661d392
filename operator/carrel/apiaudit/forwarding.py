"""Audit events in, records out: each once, whatever dies in between."""

import hashlib
import json
import logging
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from carrel.apiaudit.lines import Line, Trouble, read_lines
from carrel.apiaudit.progress import Progress, ProgressFile, Told, key_of, recorded_since
from carrel.apiaudit.selection import NotAnEventError, Selected, Skipped, Stage, select
from carrel.flows.clock import Clock, wait_until
from carrel.ledger import Activity, Chain, Event, LedgerError, RecordClass
from carrel.ledger.text import plain

_log = logging.getLogger(__name__)

ACTOR = "carrel-apiaudit"
BATCH = 500
STORE_LINES = 10_000
"""How many lines that need no record may be read again after a crash."""
QUIET = timedelta(minutes=5)
"""An API server without a single request for so long does not write its log."""


@dataclass(frozen=True)
class Recorded:
    """Whether administrators' acts are being recorded now: `AdministratorsRecorded`."""

    reason: str
    """Recorded, or why not, as a word."""
    message: str

    @property
    def holds(self) -> bool:
        """Whether they are."""
        return self.reason == "Recorded"


class Forwarder:
    """Follows one audit log into one chain."""

    def __init__(
        self,
        log: Path,
        chain: Chain,
        *,
        chain_dir: Path,
        progress: ProgressFile,
        platform: str,
        clock: Clock,
        registry: CollectorRegistry,
    ) -> None:
        self._path = log
        self._chain = chain
        self._file = progress
        self._platform = platform
        self._clock = clock
        stored = progress.load()
        self._position = stored.position
        self._told = Told(stored.opened)
        # Records that were written after the position was stored must not be written again.
        for key in recorded_since(chain_dir, sequence=stored.sequence):
            self._told.add(key)
        self._sequence = stored.sequence
        self._unstored = 0
        self._unsettled = False
        self._moved = clock.now()
        self._trouble: Recorded | None = Recorded("NotReadYet", "The log has not been read yet.")
        self._records = Counter(
            "carrel_apiaudit_records", "Records written", ["activity"], registry=registry
        )
        self._lines = Counter("carrel_apiaudit_lines", "Lines read", registry=registry)
        self._unreadable = Counter(
            "carrel_apiaudit_unreadable", "Parts that could not be read", ["why"], registry=registry
        )
        Gauge(
            "carrel_administrators_recorded",
            "1 while administrators' acts are recorded",
            registry=registry,
        ).set_function(lambda: float(self.recorded().holds))

    def recorded(self) -> Recorded:
        """Say whether administrators' acts are recorded now, and if not, why."""
        if self._chain.trouble:
            return Recorded(
                "LedgerUnavailable", f"Records cannot be written: {self._chain.trouble}."
            )
        if self._trouble is not None:
            return self._trouble
        silent = self._clock.now() - self._moved
        if silent > QUIET:
            minutes = int(silent.total_seconds() // 60)
            return Recorded(
                "LogIsSilent",
                f"Nothing was written to {self._path} for {minutes} min; check --audit-log-path "
                "of the API server.",
            )
        return Recorded("Recorded", "Administrators' acts are recorded.")

    async def forward(self) -> int:
        """Take in what is there; return how many lines that were.

        Raises:
            LedgerError: when records cannot be written; nothing is lost, call again.

        """
        taken = 0
        try:
            lines = read_lines(self._path, self._position)
            while batch := list(islice(lines, BATCH)):
                await self._take(batch)
                taken += len(batch)
            missing = not self._path.exists()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._trouble = Recorded("LogUnreadable", f"{self._path} cannot be read: {reason}.")
            _log.warning("%s", self._trouble.message)
            return taken
        self._trouble = (
            Recorded(
                "LogIsMissing", f"There is no {self._path}; the API server writes no audit log."
            )
            if missing
            else None
        )
        if taken:
            self._moved = self._clock.now()
        return taken

    async def _take(self, batch: list[Line]) -> None:
        records = 0
        for line in batch:
            records += await self._tell(line)
            # In memory line by line, so that a batch that fails in its middle goes on there.
            self._position = line.after
        self._lines.inc(len(batch))
        self._unstored += len(batch)
        self._unsettled = self._unsettled or records > 0
        if not self._unsettled and self._unstored < STORE_LINES:
            return  # read again after a crash, and skipped again
        if self._unsettled:
            # The wait for this mark is a wait for all before: a chain becomes durable in order.
            mark = self._event(
                Activity.AUDIT_LOG_FORWARDED,
                records=records,
                lines=len(batch),
                offset=self._position.offset,
            )
            receipt = await self._chain.append(mark, record_class=RecordClass.BEFORE)
            self._sequence, self._unsettled = receipt.sequence, False
        self._store()

    async def _tell(self, line: Line) -> int:
        """Write the record for a line, where it needs one and has none; return how many."""
        found = self._selected(line)
        if isinstance(found, Skipped):
            return 0
        event = found.event if isinstance(found, Selected) else found
        key = key_of(event.activity, event.detail)
        written = 0
        if key not in self._told:
            await self._chain.append(event, record_class=RecordClass.AFTER)
            self._told.add(key)
            self._records.labels(event.activity.value).inc()
            written = 1
        if isinstance(found, Selected):
            # Only now: what is remembered before it is written would be lost with a full disk.
            remember = self._told.open if found.stage is Stage.STARTED else self._told.end
            remember(key)
        return written

    def _store(self) -> None:
        try:
            self._file.store(Progress(self._position, self._sequence, self._told.opened))
        except OSError as error:
            # The chain knows what was told: the next start reads more than it must, no worse.
            _log.warning("progress not stored: %s", error)
            return
        self._unstored = 0

    def _selected(self, line: Line) -> Selected | Skipped | Event:
        if line.trouble is not None:
            return self._unread(line, line.trouble)
        try:
            return select(json.loads(line.data), platform=self._platform, now=self._clock.now())
        except NotAnEventError:
            return self._unread(line, Trouble.NOT_AN_EVENT)
        except (ValueError, RecursionError):
            return self._unread(line, Trouble.NOT_JSON)

    def _unread(self, line: Line, trouble: Trouble) -> Event:
        self._unreadable.labels(trouble.value).inc()
        digest = line.digest or hashlib.sha256(line.data).hexdigest()
        return self._event(
            Activity.AUDIT_LOG_UNREADABLE,
            reason=trouble.value,
            file=plain(line.file, at_most=255),
            offset=line.offset,
            bytes=line.size,
            sha256=digest,
        )

    def _event(self, activity: Activity, **detail: str | int) -> Event:
        return Event(activity=activity, time=self._clock.now(), actor=ACTOR, detail=detail)


async def follow(forwarder: Forwarder, *, clock: Clock, every: timedelta) -> None:
    """Forward for ever."""
    while True:
        try:
            await forwarder.forward()
        except LedgerError as error:
            _log.error("put off: %s", error)
        await wait_until(clock.now() + every, clock=clock)
