"""Entries on their way into tiles: one file, appended to, flushed once for all that waited.

A frame is a header (`crl1`, number of entries, index of the first, bytes, SHA-256 over these
and the content) and its entries in the form of a bundle.
"""

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from carrel.ledger.errors import EvidenceError
from carrel.ledger.tiles import decode_bundle, encode_bundle
from carrel.ledgerd.errors import LogDamagedError
from carrel.ledgerd.files import sync_directory, write_durable

_MAGIC = b"crl1"
_HEADER = struct.Struct(">4sIQI32s")


@dataclass(frozen=True, slots=True)
class Frame:
    """What was made durable in one go."""

    first: int
    """Index of its first entry in the log."""
    entries: list[bytes]


class Journal:
    """An open journal; used by one thread. After `OSError` call `rewind` and try again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._durable = self._size = os.fstat(self._descriptor).st_size

    @classmethod
    def begun(cls, directory: Path, *, base: int) -> "Journal":
        """Begin a journal whose first entry has the index `base`."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        journal = cls(directory / f"{base:020}")
        sync_directory(directory)
        return journal

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._size

    def append(self, entries: Sequence[bytes], *, first: int) -> None:
        """Write a frame and make it survive a power cut."""
        content = encode_bundle(entries)
        view = memoryview(_header(len(entries), first, content) + content)
        while view:
            written = os.pwrite(self._descriptor, view, self._size)
            self._size += written
            view = view[written:]
        os.fdatasync(self._descriptor)
        self._durable = self._size

    def rewind(self) -> None:
        """Take back what is not durable."""
        if self._size != self._durable:
            os.ftruncate(self._descriptor, self._durable)
            self._size = self._durable

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


def journals(directory: Path) -> list[Path]:
    """Return the journals in a directory, oldest first."""
    return sorted(path for path in directory.glob("[0-9]*") if len(path.name) == 20)


def replayed(path: Path, *, covered: int | None) -> Iterator[Frame]:
    """Yield the frames of a journal.

    A frame at the very end of the last journal that is not whole is moved into a file beside
    it: whoever wrote it died before anybody was told that it is durable.

    Args:
        path: The journal, named by the index of its first entry.
        covered: How many entries were signed for, for the last journal; None for others,
            which must be whole.

    Raises:
        LogDamagedError: when a frame is damaged, torn where it must not be, or missing.

    """
    data = path.read_bytes()
    at, following = 0, int(path.name)
    while at < len(data):
        found = _frame(data, at)
        if isinstance(found, Frame) and found.first == following:
            yield found
            following += len(found.entries)
            at += _HEADER.size + int.from_bytes(data[at + 16 : at + 20], "big")
            continue
        if found is not _TORN or covered is None or following < covered or _more(data, at + 1):
            raise LogDamagedError(
                f"journal_is_damaged: {path.name} at byte {at:,} of {len(data):,}, entry "
                f"{following:,}. What was acknowledged cannot be read; restore the file from a "
                "copy of the volume. Nothing was changed."
            )
        digest = hashlib.sha256(data[at:]).hexdigest()[:12]
        write_durable(path.with_name(f"{path.name}.aside-{at}-{digest}"), data[at:])
        with path.open("r+b") as file:
            file.truncate(at)
            os.fsync(file.fileno())
        return


def _more(data: bytes, at: int) -> bool:
    """Tell whether a whole frame stands somewhere after `at`: then no end is torn."""
    while (at := data.find(_MAGIC, at)) >= 0:
        if isinstance(_frame(data, at), Frame):
            return True
        at += 1
    return False


class _Broken(Enum):
    TORN = auto()
    """Not whole, and nothing follows."""
    DAMAGED = auto()


_TORN, _DAMAGED = _Broken.TORN, _Broken.DAMAGED


def _frame(data: bytes, at: int) -> Frame | _Broken:
    head = data[at : at + _HEADER.size]
    if len(head) < _HEADER.size:
        return _TORN
    magic, count, first, length, _ = _HEADER.unpack(head)
    content = data[at + _HEADER.size : at + _HEADER.size + length]
    if magic != _MAGIC:
        # Zeroes up to the end are a file that grew before its content came.
        return _DAMAGED if any(data[at:]) else _TORN
    if head != _header(count, first, content):
        return _TORN if at + _HEADER.size + length >= len(data) else _DAMAGED
    try:
        return Frame(first, decode_bundle(content, width=count))
    except EvidenceError:
        return _DAMAGED


def _header(count: int, first: int, content: bytes) -> bytes:
    head = struct.pack(">IQI", count, first, len(content))
    digest = hashlib.sha256(head)
    digest.update(content)
    return _HEADER.pack(_MAGIC, count, first, len(content), digest.digest())
