"""Every DICOM file that the installed packages of published samples carry."""

import importlib.util
import io
import warnings
from functools import lru_cache
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset

_PACKAGES = ("pydicom", "data_store", "nibabel", "pynetdicom")
"""pydicom, pydicom-data, nibabel and pynetdicom; what is not installed is left out."""


@lru_cache(maxsize=1)
def public_files() -> tuple[Path, ...]:
    """Return the files with a DICM mark, sorted."""
    found: list[Path] = []
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            continue
        for root in spec.submodule_search_locations:
            found += [path for path in Path(root).rglob("*") if path.is_file() and _marked(path)]
    return tuple(sorted(found))


def read_public(path: Path) -> FileDataset | None:
    """Return what pydicom makes of a file, nothing where it gives up."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old samples break many rules
        try:
            return pydicom.dcmread(io.BytesIO(path.read_bytes()))
        except Exception:  # noqa: BLE001 - pydicom raises anything on broken samples
            return None


def written(image: FileDataset) -> bytes:
    """Return an image as the bytes of a file."""
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image.save_as(data, enforce_file_format=True)
    return data.getvalue()


def _marked(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"
