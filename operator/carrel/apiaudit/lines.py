"""Reading the audit log file: over rotations, torn and huge lines, from any byte on."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

LARGEST_LINE = 16 * 1024 * 1024
"""An object has at most about 1.5 MiB, and an audit line holds it twice."""
HEAD = 4096
_BLOCK = 256 * 1024


class Trouble(StrEnum):
    """Why a part of the log is not known."""

    TORN = "Torn"
    """The server died within the line; no more of it will come."""
    TOO_LONG = "TooLong"
    NOT_JSON = "NotJSON"
    NOT_AN_EVENT = "NotAnEvent"
    ROTATED_AWAY = "RotatedAway"
    """The file that was being read is gone: what was left in it is lost to us."""


@dataclass(frozen=True)
class Position:
    """How far the log was read: a file known by its first bytes, and a byte in it.

    Neither names nor inodes tell files apart: rotation renames, and numbers come back.
    """

    offset: int = 0
    head_bytes: int = 0
    head: str = ""
    """SHA-256 of the first `head_bytes` bytes."""


@dataclass(frozen=True)
class Line:
    """A line of the log, or what should have been one."""

    data: bytes
    """Empty where there is trouble."""
    after: Position
    """Where to go on once this line is dealt with."""
    file: str
    offset: int
    trouble: Trouble | None = None
    size: int = 0
    digest: str = ""


def read_lines(log: Path, position: Position) -> Iterator[Line]:
    """Yield every whole line from `position` to the present end, over rotated files.

    Args:
        log: The file that the server writes now; rotated ones stand beside it as
            `<stem>-<time><suffix>`.
        position: Where an earlier reading ended.

    Raises:
        OSError: when the log cannot be read.

    """
    files = _files(log)
    begin = _found(files, position)
    if begin is None:
        gone = Position()
        yield Line(b"", gone, "", position.offset, Trouble.ROTATED_AWAY)
        begin, position = 0, gone
    for number in range(begin, len(files)):
        last = number == len(files) - 1
        yield from _lines(files[number], position, last=last)
        position = Position()


def _files(log: Path) -> list[Path]:
    """Return the files, oldest first; their names hold the time of rotation."""
    rotated = sorted(log.parent.glob(f"{log.stem}-*{log.suffix}"))
    return [*rotated, *([log] if log.exists() else [])]


def _found(files: list[Path], position: Position) -> int | None:
    if position.offset == 0:
        return 0
    for number, path in enumerate(files):
        try:
            with path.open("rb") as file:
                head = file.read(position.head_bytes)
                size = os.fstat(file.fileno()).st_size
        except FileNotFoundError:
            continue  # rotated between the listing and now; its new name is in no list yet
        whole = len(head) == position.head_bytes and size >= position.offset
        if whole and hashlib.sha256(head).hexdigest() == position.head:
            return number
    return None


def _lines(path: Path, position: Position, *, last: bool) -> Iterator[Line]:
    with path.open("rb") as file:
        head = file.read(HEAD)
        at = position.offset
        file.seek(at)
        while True:
            found = _line(file.readline(LARGEST_LINE + 1), file.readline)
            if found.size == 0:
                return
            end = at + found.size
            whole = found.ended
            if not whole and last:
                return  # the server is still writing it
            head_bytes = min(end, HEAD, len(head))
            after = Position(end, head_bytes, hashlib.sha256(head[:head_bytes]).hexdigest())
            trouble = found.trouble if whole else Trouble.TORN
            yield Line(
                b"" if trouble else found.data,
                after,
                path.name,
                at,
                trouble,
                found.size,
                found.digest,
            )
            at = end


@dataclass(frozen=True)
class _Read:
    data: bytes
    size: int
    digest: str
    ended: bool
    trouble: Trouble | None


def _line(first: bytes, more: Callable[[int], bytes]) -> _Read:
    """Take in one line whatever its length, holding no more than the largest in memory."""
    if first.endswith(b"\n") or len(first) <= LARGEST_LINE:
        digest = "" if first.endswith(b"\n") else hashlib.sha256(first).hexdigest()
        return _Read(first, len(first), digest, first.endswith(b"\n"), None)
    running, size, block = hashlib.sha256(first), len(first), first
    ended = False
    while not ended and (block := more(_BLOCK)):
        running.update(block)
        size += len(block)
        ended = block.endswith(b"\n")
    return _Read(b"", size, running.hexdigest(), ended, Trouble.TOO_LONG)
