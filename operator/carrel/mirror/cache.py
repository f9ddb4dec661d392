"""What the mirror keeps: pages by their package, files by their content.

pages/<index>/<project>.json    what an index last said, and when
files/ab/cdef...                a whole file, named by its SHA-256
incoming/                       files on their way; emptied at start, so a kill leaves nothing

A file gets its name only when all of it is on disk and has the right content. So whatever
stands under a name is whole, whenever the process was killed.
"""

import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from carrel.mirror.listing import Listing


@dataclass(frozen=True, kw_only=True)
class Page:
    """What is known of a package."""

    fetched: datetime
    """When the index was asked last."""
    listing: Listing | None
    """Its files; None where the index does not have the package."""


class Cache:
    """A folder of pages and files; one process writes it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._incoming = root / "incoming"
        shutil.rmtree(self._incoming, ignore_errors=True)
        for name in ("pages", "files", "incoming"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def free_bytes(self) -> int:
        """Bytes that may still be written."""
        usage = os.statvfs(self._root)
        return usage.f_bavail * usage.f_frsize

    def page(self, index: str, project: str) -> Page | None:
        """Return what is known of a package; None where that is nothing, or damaged."""
        try:
            held = json.loads(self._page(index, project).read_bytes())
            listing = held["listing"]
            return Page(
                fetched=datetime.fromtimestamp(held["fetched"], UTC),
                listing=None if listing is None else Listing.model_validate(listing),
            )
        except (OSError, ValueError, KeyError, TypeError, ValidationError):
            return None

    def put_page(self, index: str, project: str, page: Page) -> None:
        """Keep what an index said; OSError where the volume is full."""
        target = self._page(index, project)
        target.parent.mkdir(exist_ok=True)
        listing = None if page.listing is None else page.listing.model_dump(exclude_none=True)
        held = {"fetched": page.fetched.timestamp(), "listing": listing}
        arriving = self.arriving()
        try:
            arriving.write_text(json.dumps(held))
            self._settle(arriving, target)
        finally:
            arriving.unlink(missing_ok=True)

    def file(self, sha256: str) -> Path | None:
        """Return the whole file of this content, where it is here."""
        path = self._file(sha256)
        return path if path.is_file() else None

    def arriving(self) -> Path:
        """Return a new place for something on its way."""
        return self._incoming / os.urandom(16).hex()

    def settle(self, arriving: Path, sha256: str) -> Path:
        """Give a file whose content was checked its name; OSError where that fails."""
        target = self._file(sha256)
        target.parent.mkdir(exist_ok=True)
        self._settle(arriving, target)
        return target

    @staticmethod
    def _settle(arriving: Path, target: Path) -> None:
        with arriving.open("rb") as file:
            os.fsync(file.fileno())
        arriving.rename(target)
        descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _page(self, index: str, project: str) -> Path:
        return self._root / "pages" / index / f"{project}.json"

    def _file(self, sha256: str) -> Path:
        return self._root / "files" / sha256[:2] / sha256[2:]
