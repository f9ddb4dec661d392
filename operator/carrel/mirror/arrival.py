"""A file on its way: written once, read by as many as ask for it meanwhile.

Readers are given bytes as they come, but the last part only when the whole has the content that
the index's page promised. So nobody can take a file for complete that is not what it should be.
"""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from carrel.mirror.errors import MirrorError

HELD_BACK = 64 * 1024
"""Bytes at the end that wait for the check; smaller files are given whole or not at all."""
_CHUNK = 256 * 1024


class WrongContentError(Exception):
    """What came is not what the page promised; the message says how it differs."""


class Arrival:
    """One file while it is fetched."""

    def __init__(self, path: Path, *, sha256: str, size: int | None, largest: int) -> None:
        self.path = path
        self.size = size
        """Bytes that the page promised, where it did."""
        self._sha256 = sha256
        self._most = min(largest, size if size is not None else largest)
        self._digest = hashlib.sha256()
        self._received = 0
        self._end: MirrorError | None = None
        self._whole = False
        self._more = asyncio.Event()
        self._file = path.open("xb", buffering=0)

    def take(self, part: bytes) -> None:
        """Write the next bytes; WrongContentError when there are too many, OSError when full."""
        if self._received + len(part) > self._most:
            raise WrongContentError(f"it is larger than {self._most:,} bytes")
        view = memoryview(part)
        while view:
            view = view[self._file.write(view) :]
        self._digest.update(part)
        self._received += len(part)
        self._tell()

    def check(self) -> None:
        """Compare the whole with what was promised; WrongContentError where it differs."""
        found = self._digest.hexdigest()
        if found != self._sha256:
            raise WrongContentError(
                f"{self._received:,} bytes came with SHA-256 {found[:12]}, promised is "
                f"{self._sha256[:12]}"
            )

    def finish(self) -> None:
        """Say that the whole is checked and stands under its name."""
        self._whole = True
        self._close()

    def fail(self, error: MirrorError) -> None:
        """Say that it will not come."""
        self._end = error
        self._close()

    @contextmanager
    def reader(self) -> Iterator[AsyncIterator[bytes]]:
        """Open the file for reading from its start, while it grows."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield self._parts(descriptor)
        finally:
            os.close(descriptor)

    async def _parts(self, descriptor: int) -> AsyncIterator[bytes]:
        position = 0
        while True:
            given = self._received if self._whole else max(0, self._received - HELD_BACK)
            if position < given:
                part = os.pread(descriptor, min(_CHUNK, given - position), position)
                position += len(part)
                yield part
            elif self._end is not None:
                raise self._end
            elif self._whole:
                return
            else:
                await self._more.wait()

    def _tell(self) -> None:
        self._more.set()
        self._more = asyncio.Event()

    def _close(self) -> None:
        self._file.close()
        self._tell()
