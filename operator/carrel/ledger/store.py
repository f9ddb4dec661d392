"""The files of a chain: one directory, one writer, segments that are only ever appended to."""

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from carrel.ledger.errors import LedgerBusyError, LedgerUnavailableError
from carrel.ledger.event import Receipt
from carrel.ledger.record import BEGINNING, LineError, Record, parsed
from carrel.ledger.verify import lines, segments


@dataclass(frozen=True)
class Aside:
    """Bytes at the end of a chain that are no valid continuation; kept beside the segment."""

    file: str
    rule: str
    size: int
    digest: str


@dataclass(frozen=True)
class Found:
    """What a directory held when it was opened."""

    last: Receipt
    last_activity: str
    """Activity of the last record; empty when there is none."""
    aside: Aside | None


class Store:
    """An open segment. Used by one thread at a time; `OSError` means: call `rewind`, try again."""

    def __init__(self, directory: Path, *, lock: int, segment: Path) -> None:
        self._directory = directory
        self._lock = lock
        self._descriptor = _opened(segment)
        self._durable = os.fstat(self._descriptor).st_size
        self._size = self._durable

    @property
    def size(self) -> int:
        """Bytes written to the present segment."""
        return self._size

    def write(self, data: bytes) -> None:
        """Append `data`; after `kill -9` it is there, after a power cut perhaps not."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, self._size)
            self._size += written
            view = view[written:]

    def sync(self) -> None:
        """Make everything written so far survive a power cut."""
        os.fdatasync(self._descriptor)
        self._durable = self._size

    def rewind(self) -> None:
        """Take back what is not durable: a failed fsync may have dropped any page of it."""
        os.ftruncate(self._descriptor, self._durable)
        self._size = self._durable

    def roll(self, *, first: int) -> None:
        """Go on in a new segment that begins with record `first`; all before it is durable."""
        descriptor = _opened(_segment(self._directory, first))
        try:
            _sync_directory(self._directory)
        except OSError:
            os.close(descriptor)
            raise
        os.close(self._descriptor)
        self._descriptor, self._durable, self._size = descriptor, 0, 0

    def close(self) -> None:
        """Let go of the chain."""
        os.close(self._descriptor)
        os.close(self._lock)


def open_store(directory: Path) -> tuple[Store, Found]:
    """Take the chain in `directory`, check its last segment and move aside what does not hold.

    Raises:
        LedgerBusyError: when another process writes this chain.
        LedgerUnavailableError: when the directory cannot be used.

    """
    with _translated(directory):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _locked(directory)
    try:
        with _translated(directory):
            found, segment = _recovered(directory)
            store = Store(directory, lock=lock, segment=segment)
            _sync_directory(directory)
    except BaseException:
        os.close(lock)
        raise
    return store, found


def _recovered(directory: Path) -> tuple[Found, Path]:
    files = segments(directory)
    if not files:
        return Found(BEGINNING, "", None), _segment(directory, 1)
    before = _last_of(files[-2]) if len(files) > 1 else None
    after = before.receipt if before else (BEGINNING if len(files) == 1 else None)
    last, good, problem = before, 0, None
    for line in lines(files[-1]):
        try:
            last = parsed(line, after=after)
        except LineError as error:
            problem = error
            break
        after = last.receipt
        good += len(line)
    aside = _moved_aside(files[-1], keep=good, rule=problem.rule) if problem else None
    activity = str(last.said.get("activity", "")) if last else ""
    return Found(after or BEGINNING, activity, aside), files[-1]


def _last_of(segment: Path) -> Record | None:
    last: Record | None = None
    for line in lines(segment):
        try:
            last = parsed(line, after=None)
        except LineError:
            return None
    return last


def _moved_aside(segment: Path, *, keep: int, rule: str) -> Aside:
    data = segment.read_bytes()[keep:]
    digest = hashlib.sha256(data).hexdigest()
    # Named by content: a start that dies between copy and cut writes the same file again.
    copy = segment.with_name(f"{segment.name}.aside-{keep}-{digest[:12]}")
    with copy.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _sync_directory(segment.parent)
    with segment.open("r+b") as file:
        file.truncate(keep)
        os.fsync(file.fileno())
    return Aside(copy.name, rule, len(data), "sha256:" + digest)


def _segment(directory: Path, first: int) -> Path:
    return directory / f"{first:020}.jsonl"


def _opened(segment: Path) -> int:
    return os.open(segment, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locked(directory: Path) -> int:
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise LedgerBusyError(
            f"chain_has_another_writer: {directory} is held by another process; a chain has one "
            "writer, so wait until that process has ended."
        ) from None
    return descriptor


@contextmanager
def _translated(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LedgerUnavailableError(
            f"chain_cannot_be_opened: {directory}: {error.strerror}; nothing that needs a record "
            "may start until the directory can be written."
        ) from error
