"""Real images for the demonstration: published samples that come with two Python packages."""

import importlib.util
import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom

from carrel.dicom.clean import clean

KEY = b"Pseudonyms of published sample images are no secret."
_PATTERNS = (
    ("pydicom", "data/test_files/CT_small.dcm"),
    ("pydicom", "data/test_files/MR_small.dcm"),
    ("pydicom", "data/test_files/dicomdirtests/77654033/CT2/*"),
    ("pydicom", "data/test_files/dicomdirtests/98892001/CT*/*"),
    ("pydicom", "data/test_files/dicomdirtests/98892003/MR*/*"),
    ("pydicom", "data/test_files/J2K_pixelrep_mismatch.dcm"),
    ("data_store", "data/eCT_Supplemental.dcm"),
    ("data_store", "data/693_UNCR.dcm"),
    ("data_store", "data/MR2_UNCR.dcm"),
    ("data_store", "data/MR2_J2KR.dcm"),
    ("data_store", "data/emri_small.dcm"),
)
"""CT and MR: single slices, series of slices, multi-frame, plain and compressed."""


class DemoDataError(Exception):
    """The sample images cannot be had; the message says what to install."""


@dataclass(frozen=True)
class DemoData:
    """What was written."""

    files: int
    subjects: int
    studies: int
    series: int
    bytes: int


def write_demo_data(folder: Path) -> DemoData:
    """Clean the sample images into `folder`, which is made where it is missing.

    Raises:
        DemoDataError: when a package is missing or `folder` holds something already.
        OSError: when `folder` cannot be written.

    """
    if folder.exists() and any(folder.iterdir()):
        raise DemoDataError(f"folder_is_not_empty: {folder} holds files; name an empty folder.")
    subjects, studies, series = set[str](), set[str](), set[str]()
    files = size = 0
    for source in _sources():
        image = _cleaned(source)
        subjects.add(image.PatientID)
        studies.add(image.StudyInstanceUID)
        series.add(image.SeriesInstanceUID)
        number = f"{files:04}.dcm"
        target = folder / image.PatientID / image.StudyInstanceUID / image.SeriesInstanceUID
        target.mkdir(parents=True, exist_ok=True)
        data = io.BytesIO()
        image.save_as(data, enforce_file_format=True)
        (target / number).write_bytes(data.getvalue())
        files, size = files + 1, size + len(data.getvalue())
    return DemoData(files, len(subjects), len(studies), len(series), size)


def _cleaned(source: Path) -> pydicom.FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old samples break rules that cleaning keeps out
        return clean(pydicom.dcmread(source), key=KEY)


def _sources() -> Iterator[Path]:
    for package, pattern in _PATTERNS:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise DemoDataError(
                f"sample_images_are_missing: the package of {package} is not installed; "
                "`make venv` installs it with the other tools of development."
            )
        found = sorted(Path(spec.submodule_search_locations[0]).glob(pattern))
        if not found:
            raise DemoDataError(
                f"sample_images_are_missing: {package} holds no {pattern}; `make venv` installs "
                "the version that does."
            )
        yield from found
