"""The tree of hard links that a workspace sees as /datasets.

A view costs no space: each file is another name of the store's own file. It is built aside and
then takes its place in one rename, so that nobody ever sees half of it.
"""

import ctypes
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from carrel.kinds.resource import Digest, Label
from carrel.kinds.workspace import ViewedDataset
from carrel.node.manifest import Entry, ViewError, object_path, read_entries
from carrel.rules.facts import DATASETS_FOLDER

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_FOLDER = 0o755
_KEPT_MANIFESTS = 8

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Built:
    """What a view holds."""

    files: int
    bytes: int


class Views:
    """The views of one node."""

    def __init__(self, store_root: Path) -> None:
        self._datasets = store_root / DATASETS_FOLDER
        self._root = store_root / "views"
        self._read: dict[str, tuple[Entry, ...]] = {}

    def prepare(self) -> None:
        """Make the folder of views and try that links into it work. Raises OSError."""
        self._root.mkdir(mode=_FOLDER, parents=True, exist_ok=True)
        (self._datasets / "objects").mkdir(mode=0o700, parents=True, exist_ok=True)
        origin, link = self._datasets / "objects" / ".probe", self._root / ".probe"
        origin.touch(mode=0o400)
        try:
            link.unlink(missing_ok=True)
            os.link(origin, link)
        finally:
            link.unlink(missing_ok=True)
            origin.unlink(missing_ok=True)

    def present(self) -> frozenset[Label]:
        """Return the workspaces that have a view."""
        with os.scandir(self._root) as entries:
            return frozenset(
                e.name for e in entries if e.is_dir(follow_symlinks=False) and "." not in e.name
            )

    def digest(self, workspace: Label) -> Digest | None:
        """Return the digest that the present view was built for."""
        try:
            return self._digest_file(workspace).read_text().strip()
        except OSError:
            return None

    def build(
        self, workspace: Label, datasets: tuple[ViewedDataset, ...], *, digest: Digest
    ) -> Built:
        """Build the view of a workspace; it takes the place of the one before it.

        Raises ViewError when the store lacks something or holds something else.
        """
        wanted = self._entries(datasets)
        aside = self._root / f".arriving.{workspace}"
        if aside.exists():
            shutil.rmtree(aside)
        aside.mkdir(mode=_FOLDER)
        try:
            for name, entries in wanted.items():
                self._link(aside / name, entries)
            self._digest_file(workspace).unlink(missing_ok=True)
            _put(aside, self._root / workspace)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        _write(self._digest_file(workspace), digest)
        return _size(wanted)

    def verify(self, workspace: Label, datasets: tuple[ViewedDataset, ...]) -> Built:
        """Hold the present view against manifests and store. Raises ViewError if they differ."""
        wanted = self._entries(datasets)
        base = self._root / workspace
        expected = {
            f"{name}/{entry.path}": entry for name, entries in wanted.items() for entry in entries
        }
        found = {
            os.path.relpath(os.path.join(folder, file), base)  # noqa: PTH118 - 8,000 times
            for folder, _, files in os.walk(base)
            for file in files
        }
        if found != set(expected):
            raise ViewError("ViewDiffers", "The view does not hold what its manifests say.")
        for path, entry in expected.items():
            kept = object_path(self._datasets, entry.sha256)
            try:
                if not os.path.samefile(base / path, kept):  # noqa: PTH121 - 8,000 times
                    raise ViewError("ViewDiffers", "A file of the view is not the store's own.")
            except FileNotFoundError as error:
                raise _missing(entry) from error
        return _size(wanted)

    def remove(self, workspace: Label) -> None:
        """Remove a view; fine where there is none."""
        self._digest_file(workspace).unlink(missing_ok=True)
        leaving = self._root / f".leaving.{workspace}"
        with suppress(FileNotFoundError):
            # Out of sight at once: a pod that starts meanwhile finds nothing rather than half.
            (self._root / workspace).rename(leaving)
        with suppress(FileNotFoundError):
            shutil.rmtree(leaving)

    def _entries(self, datasets: tuple[ViewedDataset, ...]) -> Mapping[Label, tuple[Entry, ...]]:
        return {dataset.name: self._known(dataset) for dataset in datasets}

    def _known(self, dataset: ViewedDataset) -> tuple[Entry, ...]:
        # A manifest is named by its content: what was once read and checked stays true, and the
        # second researcher of a dataset does not wait for it.
        key = dataset.model_dump_json()
        if key not in self._read:
            while len(self._read) >= _KEPT_MANIFESTS:
                del self._read[next(iter(self._read))]
            self._read[key] = read_entries(self._datasets, dataset)
        return self._read[key]

    def _link(self, base: Path, entries: tuple[Entry, ...]) -> None:
        # Plain strings: 8,000 path objects take longer than 8,000 links.
        root, objects = str(base), f"{self._datasets}/objects"
        made: set[str] = set()
        for entry in entries:
            target = f"{root}/{entry.path}"
            folder = target.rpartition("/")[0]
            if folder not in made:
                os.makedirs(folder, mode=_FOLDER, exist_ok=True)  # noqa: PTH103 - as above
                made.add(folder)
            kept = f"{objects}/{entry.sha256[:2]}/{entry.sha256[2:]}"
            try:
                size = os.stat(kept).st_size  # noqa: PTH116 - as above
                if size != entry.size:
                    raise _different(entry, size)
                os.link(kept, target)
            except FileNotFoundError as error:
                raise _missing(entry) from error

    def _digest_file(self, workspace: Label) -> Path:
        return self._root / f"{workspace}.digest"


def _different(entry: Entry, size: int) -> ViewError:
    return ViewError(
        "ObjectDiffers",
        f"Object {entry.sha256[:12]} has {size:,} bytes, the manifest says {entry.size:,}: the "
        "store is damaged; ingest the dataset again.",
    )


def _missing(entry: Entry) -> ViewError:
    return ViewError(
        "ObjectMissing",
        f"This node's store lacks object {entry.sha256[:12]}: ingest the dataset again.",
    )


def _size(wanted: Mapping[Label, tuple[Entry, ...]]) -> Built:
    entries = [entry for each in wanted.values() for entry in each]
    return Built(files=len(entries), bytes=sum(entry.size for entry in entries))


def _put(aside: Path, place: Path) -> None:
    try:
        aside.rename(place)
    except OSError:
        # There is a view already: the two change places, and the old one is removed aside.
        done = _libc.renameat2(
            _AT_FDCWD, os.fsencode(aside), _AT_FDCWD, os.fsencode(place), _RENAME_EXCHANGE
        )
        if done != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(place)) from None


def _write(path: Path, text: str) -> None:
    arriving = path.with_name(f".{path.name}")
    with arriving.open("w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    arriving.replace(path)
