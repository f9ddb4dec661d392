"""What the reference cleaner keeps and what it never lets through."""

import io
import warnings
from pathlib import Path

import pydicom
import pytest

from carrel.dicom import READER_LIMITS, Accepted, read_instance
from carrel.dicom.clean import clean, mapped_uid, pseudonym
from carrel.flows.demo_data import DemoDataError, write_demo_data

KEY = b"a key of this test"
_NAMED = ("PatientName", "PatientBirthDate", "ReferringPhysicianName", "AccessionNumber",
          "StudyDate", "StudyTime", "StudyID")  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clean") / "sample"
    write_demo_data(folder)
    return sorted(folder.rglob("*.dcm"))


def test_every_sample_passes_the_reader(sample: list[Path]) -> None:
    for path in sample:
        with path.open("rb") as file:
            outcome = read_instance(file, size=path.stat().st_size, limits=READER_LIMITS)
        assert isinstance(outcome, Accepted), path


def test_no_sample_keeps_a_name_a_date_or_a_private_element(sample: list[Path]) -> None:
    for path in sample:
        for element in pydicom.dcmread(path).iterall():
            assert not element.tag.is_private
            assert element.keyword not in _NAMED or not element.value
            assert element.VR not in {"PN", "DA", "DT", "TM"} or not element.value


def test_the_samples_hold_series_of_several_ct_slices(sample: list[Path]) -> None:
    slices: dict[str, int] = {}
    for path in sample:
        read = pydicom.dcmread(path, stop_before_pixels=True)
        if read.Modality == "CT" and "ImagePositionPatient" in read:
            slices[read.SeriesInstanceUID] = slices.get(read.SeriesInstanceUID, 0) + 1
    assert max(slices.values()) >= 5


def test_pixels_stay_as_they_are() -> None:
    source = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm", download=False))
    assert clean(source, key=KEY).PixelData == source.PixelData


def test_every_identifier_put_in_at_any_depth_is_gone() -> None:
    source = pydicom.dcmread(pydicom.data.get_testdata_file("MR_small.dcm", download=False))
    hidden = pydicom.Dataset()
    hidden.PatientName = hidden.OtherPatientNames = "HEDWIG^MUSTER"
    hidden.StudyInstanceUID = "1.2.3.4.5"
    source.PatientComments = source.StudyDescription = "HEDWIG^MUSTER"
    source.InstitutionName = source.OperatorsName = "HEDWIG^MUSTER"
    source.SharedFunctionalGroupsSequence = [hidden]
    source.RequestAttributesSequence = [hidden]
    source.private_block(0x0099, "HEDWIG", create=True).add_new(1, "LO", "HEDWIG^MUSTER")
    source.preamble = b"HEDWIG".ljust(128, b"\0")
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old sample breaks rules of its own
        clean(source, key=KEY).save_as(data, enforce_file_format=True)
    assert b"HEDWIG" not in data.getvalue()
    assert b"1.2.3.4.5" not in data.getvalue()


def test_one_key_keeps_a_study_together_and_another_key_gives_other_names() -> None:
    assert pseudonym(" 4711 ", key=KEY) == pseudonym("4711", key=KEY)
    assert pseudonym("4711", key=KEY) != pseudonym("4711", key=b"another")
    assert (
        mapped_uid("1.2.3", key=KEY) == mapped_uid("1.2.3", key=KEY) != mapped_uid("1.2.4", key=KEY)
    )
    assert mapped_uid("1.2.840.10008.1.2", key=KEY) == "1.2.840.10008.1.2"
    assert len(mapped_uid("1.2.3", key=KEY)) <= 64


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DemoDataError, match="folder_is_not_empty"):
        write_demo_data(tmp_path)
