"""What quality report and bias card need to know of one image: geometry, machine, pixels.

Read after the gate has let the file pass, so that the header is known to be whole, shallow and
small. Nothing here refuses: what cannot be read is absent.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from carrel.dicom.frames import NO_PIXELS, Decoding, PixelCheck, Pixels, checked_pixels

MANDATORY = ("PatientID", "Modality", "BodyPartExamined", "Manufacturer", "AcquisitionDate")
"""Attributes that EUCAIM asks of every image (data handbook, minimum DICOM tags)."""

_TEXTS = {
    "SOPClassUID": "sop_class",
    "SOPInstanceUID": "sop_uid",
    "StudyInstanceUID": "study_uid",
    "SeriesInstanceUID": "series_uid",
    "PatientID": "subject",
    "Modality": "modality",
    "Manufacturer": "manufacturer",
    "BodyPartExamined": "body_part",
    "PatientSex": "sex",
    "ProtocolName": "protocol",
    "InstitutionName": "site",
}
_REFERRING = frozenset({"SEG", "RTSTRUCT", "RTDOSE", "RTPLAN", "SR", "PR", "KO", "REG"})
"""Modalities whose objects are about other objects."""
_REFERENCED = Tag(0x0008, 0x1155)
_WANTED = (
    *_TEXTS, *MANDATORY, "SpecificCharacterSet", "PatientAge", "InstanceNumber", "NumberOfFrames",
    "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PixelSpacing", "SliceThickness",
    "ImagePositionPatient", "ImageOrientationPatient", "PhotometricInterpretation",
    "PlanarConfiguration", "PixelRepresentation", "BitsStored", "HighBit",
)  # fmt: skip
_LARGEST_REFERENCES = 100_000
_AGE_DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}


class Depth(StrEnum):
    """How much of the pixels is looked at."""

    STRUCTURE = "Structure"
    """Lengths, fragments and marks; no decoder runs."""
    DECODED = "Decoded"
    """First, middle and last frame go through a decoder where one is installed."""


@dataclass(frozen=True, kw_only=True)
class Sketch:
    """One image as quality report and bias card see it; absent is None or empty."""

    subject: str
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    modality: str
    transfer_syntax: str
    instance_number: int | None
    rows: int | None
    columns: int | None
    frames: int
    position: tuple[float, ...] = ()
    """(0020,0032), three numbers in mm."""
    orientation: tuple[float, ...] = ()
    """(0020,0037), six cosines."""
    spacing: tuple[float, ...] = ()
    """(0028,0030), between rows and between columns, in mm."""
    thickness: float | None = None
    """(0018,0050) in mm."""
    manufacturer: str = ""
    body_part: str = ""
    sex: str = ""
    age_years: int | None = None
    """(0010,1010) in whole years."""
    protocol: str = ""
    site: str = ""
    missing: tuple[str, ...] = ()
    """Which of `MANDATORY` hold nothing."""
    references: tuple[str, ...] = ()
    """SOP Instance UIDs of other objects that this one is about."""
    pixels: Pixels = NO_PIXELS


def sketch(file: BinaryIO, *, depth: Depth) -> Sketch | None:
    """Describe an image that is open for reading; None when its header cannot be read."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom quotes values in its warnings
            return _sketched(file, depth=depth)
    except Exception:  # noqa: BLE001 - pydicom may raise anything on hostile bytes
        return None


def _sketched(file: BinaryIO, *, depth: Depth) -> Sketch:
    file.seek(0)
    header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(_WANTED))
    pixels_at = file.tell()
    texts = {name: _text(header, keyword) for keyword, name in _TEXTS.items()}
    texts["modality"] = texts["modality"] or "OT"
    frames = _number(header, "NumberOfFrames") or 1
    return Sketch(
        **texts,
        transfer_syntax=str(header.file_meta.TransferSyntaxUID),
        instance_number=_number(header, "InstanceNumber"),
        rows=_number(header, "Rows"),
        columns=_number(header, "Columns"),
        frames=frames,
        position=_numbers(header, "ImagePositionPatient", count=3),
        orientation=_numbers(header, "ImageOrientationPatient", count=6),
        spacing=_numbers(header, "PixelSpacing", count=2),
        thickness=next(iter(_numbers(header, "SliceThickness", count=1)), None),
        age_years=_age(_text(header, "PatientAge")),
        missing=tuple(keyword for keyword in MANDATORY if not _text(header, keyword)),
        references=_references(file) if texts["modality"] in _REFERRING else (),
        pixels=_pixels(file, header, at=pixels_at, depth=depth),
    )


def _pixels(file: BinaryIO, header: Dataset, *, at: int, depth: Depth) -> Pixels:
    check = PixelCheck.DECODE if depth is Depth.DECODED else PixelCheck.STRUCTURE
    try:
        return checked_pixels(file, header, at=at, check=check)
    except Exception:  # noqa: BLE001 - a header that contradicts itself raises anything
        return Pixels(Decoding.BROKEN)


def _references(file: BinaryIO) -> tuple[str, ...]:
    file.seek(0)
    whole = pydicom.dcmread(file, stop_before_pixels=True)
    return tuple(dict.fromkeys(_referenced(whole)))


def _referenced(dataset: Dataset) -> Iterator[str]:
    waiting, told = [dataset], 0
    while waiting:
        for element in waiting.pop():
            if element.VR == "SQ":
                waiting.extend(element.value)
            elif element.tag == _REFERENCED and element.value and told < _LARGEST_REFERENCES:
                told += 1
                yield str(element.value)


def _value(header: Dataset, keyword: str) -> Any:
    try:
        return header.get(keyword)
    except Exception:  # noqa: BLE001 - values are decoded late, and hostile ones raise anything
        return None


def _text(header: Dataset, keyword: str) -> str:
    value = _value(header, keyword)
    if isinstance(value, MultiValue):
        value = next(iter(value), None)
    text = "" if value is None else str(value).strip(" \0")
    return "".join(each for each in text[:64] if each.isprintable())


def _number(header: Dataset, keyword: str) -> int | None:
    value = _value(header, keyword)
    return int(value) if isinstance(value, int) and -(2**31) <= value < 2**31 else None


def _numbers(header: Dataset, keyword: str, *, count: int) -> tuple[float, ...]:
    value = _value(header, keyword)
    try:
        found = tuple(float(each) for each in (value if count > 1 else [value]))
    except (TypeError, ValueError):
        return ()
    whole = len(found) == count and all(abs(each) < 1e9 for each in found)
    return found if whole else ()


def _age(text: str) -> int | None:
    """Return whole years of an age string (PS3.5 table 6.2-1: `nnnD`, `nnnW`, `nnnM`, `nnnY`)."""
    if len(text) != 4 or not text[:3].isascii() or not text[:3].isdigit():
        return None
    days = _AGE_DAYS.get(text[3])
    return None if days is None else int(int(text[:3]) * days / _AGE_DAYS["Y"])
