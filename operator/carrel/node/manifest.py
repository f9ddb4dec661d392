"""Reading the manifest of a dataset version and choosing what a grant selects of it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from carrel.kinds.dataset import Selection
from carrel.kinds.workspace import ViewedDataset
from carrel.rules.view_path import view_path

LARGEST_MANIFEST = 1 << 30
_COLUMNS = ("subject", "study_uid", "series_uid", "sop_uid", "size", "sha256", "path")
_HEX = frozenset("0123456789abcdef")


class ViewError(Exception):
    """A view cannot be built; `reason` is one CamelCase word, the message a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Entry:
    """One file of a view."""

    path: str
    """Below the dataset's folder: subject/study/series/instance.dcm."""
    sha256: str
    """Content, in hexadecimal."""
    size: int
    """Bytes."""


def read_entries(datasets: Path, dataset: ViewedDataset) -> tuple[Entry, ...]:
    """Return the files of a dataset version that a grant selects, sorted by path.

    The manifest is believed only when its bytes have the digest that the Workspace names, its
    lines have the dataset's content digest, and every path is the one that its identifiers give.
    Raises ViewError.
    """
    rows = list(_rows(dataset, _read(datasets, dataset)))
    lines = sorted(f"{row[5]} {row[4]} {row[6]}\n" for row in rows)
    content = hashlib.sha256("".join(lines).encode()).hexdigest()
    if dataset.digest != f"sha256:{content}":
        raise ViewError(
            "ContentDiffers",
            f"The manifest of {dataset.object_name} does not have the dataset's content digest.",
        )
    chosen = sorted(
        (
            Entry(path=path, sha256=sha256, size=size)
            for subject, study, series, _, size, sha256, path in rows
            if _selected(dataset.selection, subject, study, series)
        ),
        key=lambda entry: entry.path,
    )
    if not chosen:
        raise ViewError(
            "SelectionEmpty",
            f"The grant's selection of {dataset.object_name} names nothing that it holds.",
        )
    return tuple(chosen)


def object_path(datasets: Path, sha256: str) -> Path:
    """Return where the store keeps a content."""
    return datasets / "objects" / sha256[:2] / sha256[2:]


def _read(datasets: Path, dataset: ViewedDataset) -> bytes:
    digest = dataset.manifest_digest.removeprefix("sha256:")
    path = datasets / "manifests" / f"{digest}.parquet"
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_MANIFEST + 1)
    except FileNotFoundError as error:
        raise ViewError(
            "ManifestMissing",
            f"This node's store does not hold the manifest of {dataset.object_name}.",
        ) from error
    if hashlib.sha256(data).hexdigest() != digest:
        raise ViewError(
            "ManifestDiffers",
            f"The manifest of {dataset.object_name} in this node's store was altered or damaged.",
        )
    return data


_Row = tuple[str, str, str, str, int, str, str]


def _rows(dataset: ViewedDataset, data: bytes) -> Iterator[_Row]:
    try:
        table = pq.read_table(pa.BufferReader(data), columns=list(_COLUMNS))
        columns = [table.column(name).to_pylist() for name in _COLUMNS]
    except (pa.ArrowException, KeyError) as error:
        raise ViewError(
            "ManifestUnreadable", f"The manifest of {dataset.object_name} is no such table."
        ) from error
    for row in zip(*columns, strict=True):
        subject, study, series, instance, size, sha256, path = row
        safe = view_path(subject=subject, study=study, series=series, instance=instance)
        if path != safe or len(sha256) != 64 or not _HEX.issuperset(sha256) or size < 0:
            raise ViewError(
                "ManifestUnsafe",
                f"The manifest of {dataset.object_name} holds a path that its identifiers do "
                "not give.",
            )
        yield subject, study, series, instance, size, sha256, path


def _selected(selection: Selection | None, subject: str, study: str, series: str) -> bool:
    return selection is None or (
        subject in selection.subjects or study in selection.studies or series in selection.series
    )
