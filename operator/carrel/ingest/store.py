"""The node store: objects named by their content, and the working papers of an ingest.

objects/ab/cdef...          one file per content, root's, 0444
manifests/<sha256>.parquet  one per dataset version; beside it .report.json and .report.html
ingests/<uid>/              chunks and report of one ingest
"""

import os
from contextlib import suppress
from pathlib import Path


class Store:
    """Paths below the root of the store, and how files come to stand there."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def object(self, digest: str) -> Path:
        """Return where the content with this SHA-256 (hexadecimal) stands."""
        return self._root / "objects" / digest[:2] / digest[2:]

    def manifest(self, digest: str) -> Path:
        """Return where the manifest with this SHA-256 (hexadecimal) stands."""
        return self._root / "manifests" / f"{digest}.parquet"

    def report(self, digest: str, form: str) -> Path:
        """Return where the report (`json` or `html`) beside a manifest stands."""
        return self._root / "manifests" / f"{digest}.report.{form}"

    def work(self, uid: str) -> Path:
        """Return the folder of one ingest, made where it is missing."""
        return make_folders(self._root / "ingests" / uid)

    def prepare(self) -> None:
        """Make the folders of the store; nobody but root may list them."""
        self._root.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name in ("objects", "manifests", "ingests"):
            make_folders(self._root / name)


def make_folders(folder: Path) -> Path:
    """Make a folder for root alone and return it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def settle(arriving: Path, target: Path) -> None:
    """Give durable content its name; where it is held already the copy goes.

    Linked, not renamed: views hold hard links to the file that stands there.
    """
    make_folders(target.parent)
    with suppress(FileExistsError):
        os.link(arriving, target)
    arriving.unlink()


def write_whole(path: Path, data: bytes, *, mode: int = 0o400) -> None:
    """Write a file that is either absent or complete, whatever happens meanwhile."""
    arriving = path.with_name(f".{path.name}.arriving")
    with arriving.open("wb") as file:
        file.write(data)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    arriving.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
