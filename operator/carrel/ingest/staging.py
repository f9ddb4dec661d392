"""The staging area: files come in by number, whole and checked, and only the job looks at them."""

import asyncio
import errno
import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

_UID = re.compile(r"[-0-9a-zA-Z]{1,64}\Z")
_NAME = re.compile(r"(?P<index>[0-9]{8})\.(?P<digest>[0-9a-f]{64})\Z")
_SHELF = 1000
LARGEST_INDEX = 9_999_999
FILE_MODE, FOLDER_MODE = 0o640, 0o750
"""The job's group may read; nobody else may look."""


class StagingError(Exception):
    """A file was not taken; the message says what to do."""


class FileTooLargeError(StagingError):
    """The file is larger than the platform takes."""


class DigestDiffersError(StagingError):
    """What arrived is not what was announced."""


class NoSpaceError(StagingError):
    """The staging volume is full."""


class Put(StrEnum):
    """What became of an upload of one file."""

    STORED = "Stored"
    HELD = "Held"
    """The same bytes were there already."""


@dataclass(frozen=True)
class StagedFile:
    """A file in staging."""

    index: int
    digest: str
    """SHA-256 in hexadecimal, as announced and checked on arrival."""
    path: Path


class Staging:
    """All uploads on one volume, one folder for each ingest, named by its UID."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def area(self, uid: str) -> "Area":
        """Return the folder of one ingest; it need not exist yet."""
        if not _UID.match(uid):
            raise ValueError(f"{uid!r} is no UID of an object")
        return Area(self._root / uid)

    def uids(self) -> tuple[str, ...]:
        """UIDs of all ingests that have a folder."""
        return tuple(sorted(path.name for path in self._root.iterdir() if _UID.match(path.name)))

    def free_bytes(self) -> int:
        """Bytes that may still be written."""
        usage = os.statvfs(self._root)
        return usage.f_bavail * usage.f_frsize


class Area:
    """The files of one ingest."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = folder / "files"
        self._incoming = folder / "incoming"

    async def put(
        self, index: int, *, digest: str, content: AsyncIterable[bytes], largest: int, now: datetime
    ) -> Put:
        """Store one file durably under its number; what stood there before is replaced.

        Args:
            index: Number of the file in the upload, from 0 to 9,999,999.
            digest: SHA-256 in hexadecimal that the content must have.
            content: The bytes.
            largest: Bytes that are taken at most.
            now: When it came; a folder that nothing comes to is swept one day.

        """
        target = self._place(index, digest)
        if target.exists():
            self._touch(now)
            return Put.HELD
        self._make(target.parent)
        arriving = self._incoming / f"{index:08}.{os.urandom(8).hex()}"
        try:
            await _received(arriving, digest=digest, content=content, largest=largest)
            await asyncio.to_thread(self._settled, arriving, target)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise NoSpaceError(_full(index)) from error
            raise
        finally:
            arriving.unlink(missing_ok=True)
        self._touch(now)
        return Put.STORED

    def files(self, *, start: int = 0) -> Iterator[StagedFile]:
        """Files that are held, by number, from `start`."""
        if not self._files.is_dir():
            return
        for shelf in sorted(self._files.iterdir()):
            if int(shelf.name) < start // _SHELF:
                continue
            for path in sorted(shelf.iterdir()):
                name = _NAME.match(path.name)
                if name and int(name["index"]) >= start:
                    yield StagedFile(int(name["index"]), name["digest"], path)

    def touched(self) -> datetime:
        """When a file came last."""
        return datetime.fromtimestamp(self._folder.stat().st_mtime, UTC)

    def remove(self) -> None:
        """Delete everything; what a crash leaves behind is deleted by the next call."""
        shutil.rmtree(self._folder)

    def _place(self, index: int, digest: str) -> Path:
        if not 0 <= index <= LARGEST_INDEX:
            raise ValueError(f"{index} is no number of a file")
        return self._files / f"{index // _SHELF:05}" / f"{index:08}.{digest}"

    def _make(self, shelf: Path) -> None:
        for folder in (self._folder, self._incoming, self._files, shelf):
            folder.mkdir(mode=FOLDER_MODE, exist_ok=True)

    def _touch(self, now: datetime) -> None:
        os.utime(self._folder, (now.timestamp(), now.timestamp()))

    @staticmethod
    def _settled(arriving: Path, target: Path) -> None:
        with arriving.open("rb") as file:
            os.fsync(file.fileno())
        arriving.rename(target)
        # One number, one file: an earlier version of it goes when the new one stands.
        for other in target.parent.glob(f"{target.name.partition('.')[0]}.*"):
            if other != target:
                other.unlink()
        _sync_folder(target.parent)


async def _received(
    path: Path, *, digest: str, content: AsyncIterable[bytes], largest: int
) -> None:
    size, found = 0, hashlib.sha256()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with open(descriptor, "wb") as file:  # noqa: ASYNC230, PTH123 - writes go to the page cache
        async for part in content:
            size += len(part)
            if size > largest:
                raise FileTooLargeError(
                    f"file_is_too_large: at most {largest:,} bytes are taken; leave the file out, "
                    "or ask the platform's administrator for a higher limit."
                )
            found.update(part)
            file.write(part)
    if found.hexdigest() != digest:
        raise DigestDiffersError(
            f"content_differs: {size:,} bytes arrived with another SHA-256 than announced; send "
            "the file again. If it repeats, the file changes while it is read."
        )


def _full(index: int) -> str:
    return (
        f"staging_is_full: file {index} was not stored and nothing is lost; run the same command "
        "again when other ingests have ended, or ask the administrator for a larger volume."
    )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
