"""What is known of one image beyond its identifiers."""

import io
from collections.abc import Callable
from dataclasses import replace

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from carrel.dicom.frames import Decoding, Pixels
from carrel.dicom.sketch import Depth, Sketch, sketch
from support.dicom_image import bare_image, written


def image(syntax: str = ExplicitVRLittleEndian) -> FileDataset:
    """Return an image of which everything is known."""
    body = bare_image(syntax)
    body.PatientSex = "F"
    body.PatientAge, body.Manufacturer, body.BodyPartExamined = "061Y", "ACME", "CHEST"
    body.AcquisitionDate, body.ProtocolName, body.InstitutionName = "20200101", "Lung", "Site A"
    body.ImagePositionPatient, body.PixelSpacing = [1, 2, 3.5], [0.5, 0.25]
    body.ImageOrientationPatient, body.SliceThickness = [1, 0, 0, 0, 1, 0], 2.5
    body.PhotometricInterpretation = "MONOCHROME2"
    return body


def sketched(data: bytes, *, depth: Depth = Depth.DECODED) -> Sketch | None:
    return sketch(io.BytesIO(data), depth=depth)


KNOWN = Sketch(
    subject="SUBJ-1", study_uid="2.25.2", series_uid="2.25.3", sop_uid="2.25.4",
    sop_class=CTImageStorage, modality="CT", transfer_syntax=ExplicitVRLittleEndian,
    instance_number=7, rows=2, columns=2, frames=1, position=(1.0, 2.0, 3.5),
    orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), spacing=(0.5, 0.25), thickness=2.5,
    manufacturer="ACME", body_part="CHEST", sex="F", age_years=61, protocol="Lung", site="Site A",
    pixels=Pixels(Decoding.WHOLE, constant=0, tried=1, sample=""),
)  # fmt: skip


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_an_image_is_described_in_every_plain_encoding(syntax: str) -> None:
    found = sketched(written(image(syntax)))
    assert found is not None
    pixels = replace(KNOWN.pixels, sample=found.pixels.sample)
    assert found == replace(KNOWN, transfer_syntax=syntax, pixels=pixels)


@pytest.mark.parametrize(
    ("age", "years"),
    [
        ("090Y", 90),
        ("018M", 1),
        ("003W", 0),
        ("400D", 1),
        ("61Y", None),
        ("0610", None),
        ("", None),
    ],
)
@pytest.mark.filterwarnings("ignore")  # pydicom warns of the very values under test
def test_ages_are_whole_years(age: str, years: int | None) -> None:
    body = image()
    body.PatientAge = age
    found = sketched(written(body))
    assert found is not None
    assert found.age_years == years


def test_what_eucaim_demands_and_the_image_lacks_is_named() -> None:
    body = image()
    del body.Manufacturer
    body.AcquisitionDate = ""
    found = sketched(written(body))
    assert found is not None
    assert found.missing == ("Manufacturer", "AcquisitionDate")


def test_a_segmentation_tells_what_it_is_about_at_any_depth() -> None:
    body = image()
    body.Modality = "SEG"
    inner, outer = Dataset(), Dataset()
    inner.ReferencedSOPInstanceUID = "2.25.77"
    outer.ReferencedInstanceSequence = Sequence([inner])
    body.ReferencedSeriesSequence = Sequence([outer])
    found = sketched(written(body))
    assert found is not None
    assert found.references == ("2.25.77",)


def _set(**changes: object) -> Callable[[FileDataset], None]:
    def change(body: FileDataset) -> None:
        for keyword, value in changes.items():
            setattr(body, keyword, value)

    return change


@pytest.mark.parametrize(
    ("change", "pixels"),
    [
        (_set(PixelData=b"\1\2" * 4), (Decoding.WHOLE, 1, 1)),
        (_set(PixelData=b"\1\2\3\4\5\6"), (Decoding.TRUNCATED, 0, 0)),
        (_set(NumberOfFrames=2), (Decoding.TRUNCATED, 0, 0)),
        (_set(Rows=65535, Columns=65535), (Decoding.TRUNCATED, 0, 0)),
        (
            _set(NumberOfFrames=3, PixelData=b"\1\2" * 4 + bytes(range(8)) + b"\0" * 8),
            (Decoding.WHOLE, 2, 3),
        ),
        (_set(BitsAllocated=1, Rows=4, Columns=3), (Decoding.WHOLE, 0, 0)),
    ],
)
def test_pixels_are_counted_and_constant_frames_found(
    change: Callable[[FileDataset], None], pixels: tuple[Decoding, int, int]
) -> None:
    body = image()
    change(body)
    found = sketched(written(body))
    assert found is not None
    assert (found.pixels.decoding, found.pixels.constant, found.pixels.tried) == pixels


def test_a_header_without_rows_leaves_the_rest_known() -> None:
    body = image()
    del body.Rows
    found = sketched(written(body))
    assert found is not None
    assert (found.subject, found.pixels.decoding) == ("SUBJ-1", Decoding.BROKEN)


def compressed(frames: list[bytes], *, claimed: int) -> bytes:
    body = image(JPEG2000Lossless)
    body.NumberOfFrames = claimed
    body.PixelData = encapsulate(frames)
    body["PixelData"].is_undefined_length = True
    return written(body)


def real_frame() -> tuple[FileDataset, bytes]:
    path = pydicom.data.get_testdata_file("J2K_pixelrep_mismatch.dcm")
    assert isinstance(path, str)
    source = pydicom.dcmread(path)
    return source, pydicom.encaps.get_frame(source.PixelData, 0, number_of_frames=1)


def test_a_compressed_frame_goes_through_a_decoder() -> None:
    source, frame = real_frame()
    for data, decoding in ((frame, Decoding.WHOLE), (frame[:200], Decoding.BROKEN)):
        source.PixelData = encapsulate([data])
        found = sketched(written(source))
        assert found is not None
        assert found.pixels.decoding is decoding


def test_no_decoder_runs_where_only_structure_is_asked() -> None:
    found = sketched(compressed([b"\xff\x4f broken "], claimed=1), depth=Depth.STRUCTURE)
    assert found is not None
    assert found.pixels.decoding is Decoding.NOT_TRIED


def test_fewer_fragments_than_frames_are_too_few() -> None:
    found = sketched(compressed([b"\xff\x4f one "], claimed=2), depth=Depth.STRUCTURE)
    assert found is not None
    assert found.pixels.decoding is Decoding.TRUNCATED


GOOD = [written(image(each)) for each in (ExplicitVRLittleEndian, ImplicitVRLittleEndian)]


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*GOOD, compressed([b"\xff\x4f one "], claimed=1)]), st.data())
def test_no_mutation_raises(good: bytes, data: st.DataObject) -> None:
    changed = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(132, len(changed) - 1))] = data.draw(st.integers(0, 255))
    found = sketched(bytes(changed))
    assert found is None or all(each.isprintable() for each in found.subject)
