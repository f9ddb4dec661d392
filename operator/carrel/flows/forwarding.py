"""Sends a process's chain to the central log: in order, each record once, however long it takes.

It reads the chain's files and nothing else, so it delays no act of the process. It keeps no
state: the log says what it holds, and the files say what comes after that.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from carrel.flows.clock import Clock, wait_until
from carrel.ledger.errors import LedgerError
from carrel.ledger.event import Receipt
from carrel.ledger.record import LARGEST_LINE, LineError, parsed
from carrel.ledger.verify import segments

BATCH_RECORDS = 1024
BATCH_BYTES = 2 * 1024 * 1024
LOOK = timedelta(milliseconds=500)
AGAIN = timedelta(seconds=2)
MOST_FORKS = 1000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """The last record of a chain that the central log holds."""

    sequence: int
    digest: str


class AwayError(LedgerError):
    """The central log cannot be reached, or does not take this; tried again later."""


class Door(Protocol):
    """The way to the central log."""

    async def place(self, *, process: str, chain: str) -> Place | None:
        """Return the last record of a chain that the log holds, None for an unknown chain."""
        ...

    async def send(self, lines: Sequence[bytes], *, process: str, chain: str) -> Place:
        """Send records; return the last record that the log holds durably now."""
        ...


@dataclass(frozen=True)
class Backlog:
    """How far the central log is behind a chain."""

    sent: int
    """Sequence of the last record that the log holds."""
    trouble: str
    """Why it does not get on; empty when it does."""


class Forwarder:
    """Forwards the chain of one process."""

    def __init__(self, directory: Path, *, process: str, door: Door, clock: Clock) -> None:
        self._directory = directory / process
        self._process = process
        self._door = door
        self._clock = clock
        self._chain = ""
        self._reader: _Reader | None = None
        self.backlog = Backlog(0, "")

    async def run(self) -> None:
        """Forward until cancelled."""
        while True:
            pause = LOOK
            try:
                if await self.step():
                    continue
            except (LedgerError, OSError) as error:
                self._reader = None
                pause = AGAIN
                if str(error) != self.backlog.trouble:
                    _log.warning("%s is not forwarded: %s", self._process, error)
                self.backlog = Backlog(self.backlog.sent, str(error))
            await wait_until(self._clock.now() + pause, clock=self._clock)

    async def step(self) -> bool:
        """Send one batch; return whether there was one.

        Raises:
            LedgerError: when the log is away or refuses, or the chain is damaged.
            OSError: when the chain cannot be read.

        """
        if self._reader is None:
            self._reader = await self._begun()
        if self._reader is None:
            return False
        lines = self._reader.batch()
        if not lines:
            return False
        place = await self._door.send(lines, process=self._process, chain=self._chain)
        self.backlog = Backlog(place.sequence, "")
        if place != self._reader.place:
            self._reader = None  # the log holds more or less than we thought: ask again
        return True

    async def _begun(self) -> "_Reader | None":
        """Find where the log stands; a chain that is not what the log holds goes beside it."""
        files = segments(self._directory)
        first = next(_whole_lines(files[0], 0), None) if files else None
        if first is None:
            return None
        beginning = _parsed(first, after=None, file=files[0].name).digest
        for number in range(MOST_FORKS):
            chain = f"{beginning}.{number}" if number else beginning
            place = await self._door.place(process=self._process, chain=chain)
            reader = _Reader(self._directory, after=place)
            if place is None or reader.found:
                self._chain = chain
                return reader
        raise AwayError(f"chain_has_too_many_forks: {self._process} was altered {MOST_FORKS} times")


class _Reader:
    """Reads a chain onwards from a place, file by file."""

    def __init__(self, directory: Path, *, after: Place | None) -> None:
        self._directory = directory
        files = segments(directory)
        self._file = files[0]
        self._at = 0
        self._last: Receipt | None = None
        self.found = after is None
        if after is not None:
            self._seek(files, after)

    @property
    def place(self) -> Place | None:
        """The last record that was read."""
        return Place(self._last.sequence, self._last.digest) if self._last else None

    def batch(self) -> list[bytes]:
        """Return the next records; they are on the disk, not only in its cache."""
        lines: list[bytes] = []
        size = 0
        self._turn_page()
        for line in _whole_lines(self._file, self._at):
            if len(lines) == BATCH_RECORDS or size + len(line) > BATCH_BYTES:
                break
            self._last = _parsed(line, after=self._last, file=self._file.name)
            lines.append(line)
            size += len(line)
        if lines:
            # A record that a power cut could still take would be one that only the log has.
            _flush(self._file)
            self._at += size
        return lines

    def _turn_page(self) -> None:
        if self._last is None or self._at < self._file.stat().st_size:
            return
        following = self._directory / f"{self._last.sequence + 1:020}.jsonl"
        if following.exists():
            self._file, self._at = following, 0

    def _seek(self, files: Sequence[Path], after: Place) -> None:
        earlier = [file for file in files if int(file.stem) <= after.sequence]
        if not earlier:
            return
        self._file = earlier[-1]
        for line in _whole_lines(self._file, 0):
            self._last = _parsed(line, after=self._last, file=self._file.name)
            self._at += len(line)
            if self._last.sequence >= after.sequence:
                self.found = self.place == after
                return


def _parsed(line: bytes, *, after: Receipt | None, file: str) -> Receipt:
    try:
        return parsed(line, after=after).receipt
    except LineError as error:
        raise AwayError(f"chain_is_damaged: {file}: {error}; a restart sets it aside.") from error


def _whole_lines(path: Path, at: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        file.seek(at)
        while (line := file.readline(LARGEST_LINE + 1)).endswith(b"\n"):
            yield line


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
