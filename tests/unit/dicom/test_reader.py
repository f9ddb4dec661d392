"""What a file must be to become an instance, and which rule refuses it otherwise."""

import importlib.util
import io
import random
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import FileDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from carrel.dicom import READER_LIMITS, Accepted, Instance, Outcome, Refused, Rule, read_instance
from support.dicom_image import bare_image, written


def image(syntax: str = ExplicitVRLittleEndian) -> FileDataset:
    """Return a small image that passes."""
    body = bare_image(syntax)
    body.PatientIdentityRemoved = "YES"
    body.DeidentificationMethod = "By hand"
    return body


GOOD = [written(image(syntax)) for syntax in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)]


def looked_at(data: bytes, **limits: int) -> Outcome:
    changed = replace(READER_LIMITS, **limits)
    return read_instance(io.BytesIO(data), size=len(data), limits=changed)


def refused(data: bytes, **limits: int) -> Refused:
    """Return the first rule that refuses and its detail, without all findings."""
    outcome = looked_at(data, **limits)
    assert isinstance(outcome, Refused)
    return replace(outcome, findings=())


def samples() -> list[Path]:
    found: list[Path] = []
    for package in ("pydicom", "data_store"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations
        data = Path(spec.submodule_search_locations[0]) / "data"
        found += [path for path in sorted(data.rglob("*")) if path.is_file()]
    return [path for path in found if path.suffix not in {".py", ".pyc"}]


PASSES = Instance(
    subject="SUBJ-1",
    study_uid="2.25.2",
    series_uid="2.25.3",
    sop_uid="2.25.4",
    sop_class=CTImageStorage,
    modality="CT",
    instance_number=7,
    rows=2,
    columns=2,
    frames=1,
    transfer_syntax=ExplicitVRLittleEndian,
)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_an_image_is_read_in_every_plain_encoding(syntax: str) -> None:
    assert looked_at(written(image(syntax))) == Accepted(replace(PASSES, transfer_syntax=syntax))


def test_an_encapsulated_image_is_read() -> None:
    body = image(JPEG2000Lossless)
    body.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f" * 20])
    body["PixelData"].is_undefined_length = True
    assert looked_at(written(body)) == Accepted(replace(PASSES, transfer_syntax=JPEG2000Lossless))


def _without(keyword: str) -> Callable[[FileDataset], None]:
    return lambda body: delattr(body, keyword)


def _with(keyword: str, value: object) -> Callable[[FileDataset], None]:
    return lambda body: setattr(body, keyword, value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_without("StudyInstanceUID"), Refused(Rule.UID_IS_MISSING, "(0020,000d)")),
        (_without("SeriesInstanceUID"), Refused(Rule.UID_IS_MISSING, "(0020,000e)")),
        (_with("StudyInstanceUID", ""), Refused(Rule.UID_IS_MISSING, "(0020,000d)")),
        (_with("SeriesInstanceUID", "../../etc"), Refused(Rule.UID_IS_NOT_VALID, "(0020,000e)")),
        (_with("StudyInstanceUID", "1." * 40 + "1"), Refused(Rule.UID_IS_NOT_VALID, "(0020,000d)")),
        (_without("PatientID"), Refused(Rule.SUBJECT_IS_MISSING, "(0010,0020)")),
        (_with("PatientID", "  "), Refused(Rule.SUBJECT_IS_MISSING, "(0010,0020)")),
        (_with("PatientID", "a/b"), Refused(Rule.SUBJECT_IS_NOT_VALID, "(0010,0020)")),
        (_with("PatientID", "x" * 65), Refused(Rule.SUBJECT_IS_NOT_VALID, "(0010,0020)")),
        (_without("Modality"), Refused(Rule.MODALITY_IS_NOT_VALID, "(0008,0060)")),
        (_with("Modality", "ct"), Refused(Rule.MODALITY_IS_NOT_VALID, "(0008,0060)")),
        (_without("PixelData"), Refused(Rule.INSTANCE_HAS_NO_PIXELS)),
        (
            _without("PatientIdentityRemoved"),
            Refused(Rule.IDENTITY_IS_NOT_REMOVED, "(0012,0062)"),
        ),
        (
            _with("PatientIdentityRemoved", "NO"),
            Refused(Rule.IDENTITY_IS_NOT_REMOVED, "(0012,0062)"),
        ),
    ],
)
@pytest.mark.filterwarnings("ignore")  # pydicom warns of the very values under test
def test_what_is_missing_or_wrong_is_named(
    change: Callable[[FileDataset], None], expected: Refused
) -> None:
    body = image()
    change(body)
    assert refused(written(body)) == expected


@pytest.mark.parametrize(
    ("data", "refused"),
    [
        (b"", Refused(Rule.FILE_IS_EMPTY)),
        (b"\x89PNG", Refused(Rule.FILE_IS_NOT_DICOM, "no DICM mark at byte 128")),
        (bytes(128) + b"DICM", Refused(Rule.FILE_IS_NOT_DICOM, "(0002,0010) is missing")),
        (
            written(image())[:-1],
            Refused(Rule.FILE_IS_CORRUPT, "(7fe0,0010): reaches beyond the end of the file"),
        ),
        (
            written(image()) + b"\0\0\0",
            Refused(Rule.FILE_IS_CORRUPT, "top level: the file ends inside an element"),
        ),
        (
            written(image()) + bytes(8),
            Refused(Rule.FILE_IS_CORRUPT, "(0000,0000): has no value representation"),
        ),
    ],
)
def test_what_is_no_whole_dicom_file_is_refused(data: bytes, refused: Refused) -> None:
    assert looked_at(data) == refused


def test_a_directory_record_is_refused() -> None:
    record = next(path for path in samples() if path.name == "DICOMDIR")
    assert looked_at(record.read_bytes()) == Refused(Rule.FILE_IS_A_DIRECTORY_RECORD)


def test_deflated_data_is_read() -> None:
    syntax = DeflatedExplicitVRLittleEndian
    assert looked_at(written(image(syntax))) == Accepted(replace(PASSES, transfer_syntax=syntax))


@pytest.mark.long
def test_deflated_data_that_grow_too_large_are_refused() -> None:
    body = image(DeflatedExplicitVRLittleEndian)
    body.PixelData = bytes(50_000_000)
    data = written(body)
    assert len(data) < 60_000
    assert looked_at(data, inflated_bytes=2**20) == Refused(
        Rule.HEADER_IS_TOO_LARGE, "deflated data of more than 1,048,576 bytes"
    )


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        (b"PK\3\4 an archive", "bytes follow the deflated data"),
        (None, "the deflated data do not end"),
    ],
)
def test_deflated_data_end_where_the_file_ends(more: bytes | None, detail: str) -> None:
    data = written(image(DeflatedExplicitVRLittleEndian))
    data = data[:-20] if more is None else data + more
    assert looked_at(data) == Refused(Rule.FILE_IS_CORRUPT, detail)


def nested(depth: int) -> bytes:
    """Return an image whose header holds sequences within sequences."""
    opened = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    opened += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    closed = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    whole = written(image())
    study = whole.index(struct.pack("<HH2s", 0x0010, 0x0020, b"LO"))
    return whole[:study] + opened * depth + closed * depth + whole[study:]


def test_sequences_may_be_nested_a_little() -> None:
    assert looked_at(nested(10)) == Accepted(PASSES)


@pytest.mark.parametrize("depth", [17, 1000, 100_000])
def test_sequences_nested_deeper_are_refused(depth: int) -> None:
    assert looked_at(nested(depth)) == Refused(
        Rule.HEADER_IS_TOO_LARGE, "sequences are nested more than 16 deep"
    )


@pytest.mark.parametrize(
    ("limits", "refused"),
    [
        (
            {"file_bytes": 100},
            Refused(
                Rule.FILE_IS_TOO_LARGE, f"{len(written(image()))} bytes, at most 100 are taken"
            ),
        ),
        ({"elements": 3}, Refused(Rule.HEADER_IS_TOO_LARGE, "more than 3 elements")),
        (
            {"header_bytes": 400},
            Refused(Rule.HEADER_IS_TOO_LARGE, "more than 400 bytes outside of pixels"),
        ),
    ],
)
def test_a_file_that_asks_too_much_is_refused(limits: dict[str, int], refused: Refused) -> None:
    assert looked_at(written(image()), **limits) == refused


@pytest.mark.long
@settings(max_examples=400, deadline=None)
@given(st.sampled_from(GOOD), st.data())
def test_no_mutation_of_a_header_raises(good: bytes, data: st.DataObject) -> None:
    changed = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(128, len(changed) - 1))
        changed[at] = data.draw(st.integers(0, 255))
    assert isinstance(looked_at(bytes(changed)), Accepted | Refused)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(GOOD), st.integers(0, 2**16))
def test_no_truncation_is_accepted(good: bytes, at: int) -> None:
    assert isinstance(looked_at(good[: at % len(good)]), Refused)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_no_garbage_behind_the_mark_raises(garbage: bytes) -> None:
    assert isinstance(looked_at(bytes(128) + b"DICM" + garbage), Refused)


@pytest.mark.long
def test_no_detail_tells_a_value_from_the_file() -> None:
    seeded = random.Random(1)  # noqa: S311 - a repeatable choice, no secret
    body = image()
    body.PatientName = body.PatientID = secret = "Hedwig-Muster"  # noqa: S105 - no secret
    good = written(body)
    for _ in range(2000):
        changed = bytearray(good)
        changed[seeded.randrange(132, len(changed))] = seeded.randrange(256)
        match looked_at(bytes(changed)):
            case Refused(_, detail):
                assert secret[:6] not in detail
