"""What the gate finds in published files, in cleaned ones, and in each identifier put back."""

import io
import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import pydicom
import pytest
from pydicom.dataset import Dataset, FileDataset

from carrel.dicom import READER_LIMITS, STRICT, Accepted, Gate, Outcome, Refused, Rule
from carrel.dicom.clean import CleaningError, clean
from carrel.dicom.dictionary import (
    Dictionary,
    DictionaryError,
    decoded,
    encoded,
    make_dictionary,
)
from carrel.dicom.identity_text import looks_identifying
from carrel.dicom.profile import Action, entry
from carrel.kinds.ingest import DeidentificationOption as Option
from support.public_dicom import public_files, read_public, written

PUBLISHED = replace(STRICT, allowed=frozenset({Option.CLEAN_PIXELS}))
KEY = b"a key of this test"


def looked_at(data: bytes, gate: Gate) -> Outcome:
    return gate.look(io.BytesIO(data), size=len(data))


def findings(image: FileDataset, **policy: object) -> set[tuple[Rule, str]]:
    gate = Gate(policy=replace(PUBLISHED, **policy), limits=READER_LIMITS)  # type: ignore[arg-type]  # fields of the policy
    outcome = looked_at(written(image), gate)
    found = outcome.findings if isinstance(outcome, Refused) else outcome.warnings
    return {(each.rule, each.path) for each in found}


@lru_cache(maxsize=1)
def cleaned_bytes() -> bytes:
    source = pydicom.dcmread(pydicom.data.get_testdata_file("CT_small.dcm", download=False))
    return written(clean(source, key=KEY))


def cleaned() -> FileDataset:
    return pydicom.dcmread(io.BytesIO(cleaned_bytes()))


def test_no_published_file_passes_as_it_is() -> None:
    gate = Gate(policy=PUBLISHED, limits=READER_LIMITS)
    passed = [
        path.name
        for path in public_files()
        if isinstance(looked_at(path.read_bytes(), gate), Accepted)
    ]
    assert passed == []
    assert len(public_files()) > 200


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # pydicom warns of old samples
def test_every_published_instance_passes_once_cleaned() -> None:
    gate = Gate(policy=PUBLISHED, limits=READER_LIMITS)
    refused: dict[str, Rule] = {}
    left_out: set[str] = set()
    passed = 0
    for path in public_files():
        image = read_public(path)
        if image is None:
            continue
        try:
            outcome = looked_at(written(clean(image, key=KEY)), gate)
        except CleaningError as error:
            left_out.add(re.sub(r" and no .*", "", str(error)))
            continue
        if isinstance(outcome, Refused):
            refused[path.name] = outcome.rule
        passed += isinstance(outcome, Accepted)
    assert refused == {}
    assert passed > 170
    assert (
        left_out
        == {
            "it has no SOPClassUID",
            "it has no SOPInstanceUID",
            "its class is none that enters a dataset without pixels",
        }
        & left_out
    )


def nested(image: FileDataset, keyword: str, value: object) -> None:
    item = Dataset()
    setattr(item, keyword, value)
    image.DerivationCodeSequence = [item]


Change = Callable[[FileDataset], None]


def puts(keyword: str, value: object) -> Change:
    return lambda image: setattr(image, keyword, value)


def private(image: FileDataset) -> None:
    image.private_block(0x0029, "A MAKER", create=True).add_new(1, "LO", "anything")


IDENTIFIERS: list[tuple[Change, tuple[Rule, str]]] = [
    (puts("PatientName", "Muster^Hedwig"), (Rule.PERSON_IS_NAMED, "(0010,0010)")),
    (puts("ReferringPhysicianName", "Who^Dr"), (Rule.PERSON_IS_NAMED, "(0008,0090)")),
    (puts("PatientID", "4711470"), (Rule.SUBJECT_IS_NO_PSEUDONYM, "(0010,0020)")),
    (puts("PatientID", "A19450312"), (Rule.SUBJECT_IS_NO_PSEUDONYM, "(0010,0020)")),
    (puts("PatientBirthDate", "19450312"), (Rule.ATTRIBUTE_IS_TO_BE_REMOVED, "(0010,0030)")),
    (puts("InstitutionName", "A Hospital"), (Rule.ATTRIBUTE_IS_TO_BE_REMOVED, "(0008,0080)")),
    (puts("StudyDescription", "Knee"), (Rule.ATTRIBUTE_IS_TO_BE_REMOVED, "(0008,1030)")),
    (puts("PatientSex", "F"), (Rule.ATTRIBUTE_IS_TO_BE_REMOVED, "(0010,0040)")),
    (puts("AccessionNumber", "12"), (Rule.ATTRIBUTE_IS_TO_BE_REMOVED, "(0008,0050)")),
    (puts("RTPlanLabel", "Muster"), (Rule.ATTRIBUTE_IS_NOT_REPLACED, "(300a,0002)")),
    (puts("StudyDate", "20040119"), (Rule.DATE_IS_PRESENT, "(0008,0020)")),
    (puts("DateOfSecondaryCapture", "20040119"), (Rule.DATE_IS_PRESENT, "(0018,1012)")),
    (puts("StudyInstanceUID", "1.2.840.113619.2"), (Rule.UID_IS_NOT_REMAPPED, "(0020,000d)")),
    (puts("ConvolutionKernel", "a@b.example"), (Rule.TEXT_LOOKS_IDENTIFYING, "(0018,1210)")),
    (puts("Manufacturer", "For Mr. Muster"), (Rule.TEXT_LOOKS_IDENTIFYING, "(0008,0070)")),
    (puts("Manufacturer", "seen 12.03.2004"), (Rule.TEXT_LOOKS_IDENTIFYING, "(0008,0070)")),
    (puts("BurnedInAnnotation", "YES"), (Rule.BURNED_IN_TEXT_IS_DECLARED, "(0028,0301)")),
    (puts("Modality", "US"), (Rule.PIXELS_MAY_SHOW_TEXT, "(0028,0301)")),
    (puts("ImageType", ["DERIVED", "SECONDARY", "SCREEN SAVE"]),
     (Rule.PIXELS_MAY_SHOW_TEXT, "(0028,0301)")),
    (puts("PatientIdentityRemoved", "NO"), (Rule.IDENTITY_IS_NOT_REMOVED, "(0012,0062)")),
    (puts("preamble", b"II*\0".ljust(128, b"x")), (Rule.PREAMBLE_IS_NOT_ZERO, "preamble")),
    (puts("DataSetTrailingPadding", b"Muster"), (Rule.TRAILING_PADDING_IS_PRESENT, "(fffc,fffc)")),
    (lambda image: setattr(image.file_meta, "SourceApplicationEntityTitle", "WARD3"),
     (Rule.FILE_META_TELLS_ORIGIN, "(0002,0016)")),
    (lambda image: nested(image, "PatientName", "Muster^Hedwig"),
     (Rule.PERSON_IS_NAMED, "(0008,9215)>(0010,0010)")),
    (lambda image: nested(image, "CodeMeaning", "born 1945-03-12"),
     (Rule.TEXT_LOOKS_IDENTIFYING, "(0008,9215)>(0008,0104)")),
    (private, (Rule.PRIVATE_ELEMENT_IS_PRESENT, "(0029,1001)")),
    (lambda image: image.add_new(0x60003000, "OW", b"\1\2"),
     (Rule.ATTRIBUTE_IS_TO_BE_REMOVED, "(6000,3000)")),
    (lambda image: image.add_new(0x50000010, "US", 1),
     (Rule.ATTRIBUTE_IS_TO_BE_REMOVED, "(5000,0010)")),
    (lambda image: image.add_new(0x00080007, "LO", "who knows"),
     (Rule.ELEMENT_IS_UNKNOWN, "(0008,0007)")),
    (lambda image: image.add_new(0x00181210, "PN", "Muster^Hedwig"),
     (Rule.VR_IS_WRONG, "(0018,1210)")),
    (puts("AcquisitionDateTime", "20040119"), (Rule.DATE_IS_PRESENT, "(0008,002a)")),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # pydicom warns of the very values under test
@pytest.mark.parametrize(("change", "expected"), IDENTIFIERS)
def test_each_identifier_put_back_is_found(change: Change, expected: tuple[Rule, str]) -> None:
    image = cleaned()
    assert findings(image) == set()
    change(image)
    assert expected in findings(image)


def declares(image: FileDataset, code: str) -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator = code, "DCM"
    image.DeidentificationMethodCodeSequence.append(item)


@pytest.mark.parametrize(
    ("keyword", "value", "code", "option"),
    [
        ("PatientSex", "F", "113108", Option.PATIENT_CHARACTERISTICS),
        ("PatientAge", "089Y", "113108", Option.PATIENT_CHARACTERISTICS),
        ("StudyDescription", "Knee", "113105", Option.CLEAN_DESCRIPTORS),
        ("StudyDate", "20040119", "113107", Option.MODIFIED_DATES),
        ("StudyInstanceUID", "1.2.3", "113110", Option.UIDS),
    ],
)
def test_an_option_excuses_where_the_file_declares_it_and_the_dataset_allows_it(
    keyword: str, value: str, code: str, option: Option
) -> None:
    image = cleaned()
    image.LongitudinalTemporalInformationModified = "MODIFIED"
    setattr(image, keyword, value)
    allowed = frozenset({option})
    assert findings(image, allowed=allowed) != set()
    declares(image, code)
    assert findings(image) != set()
    assert findings(image, allowed=allowed) == set()


def test_a_claim_that_the_content_belies_excuses_nothing() -> None:
    image = cleaned()
    image.StudyDate = "20040119"
    declares(image, "113107")
    assert findings(image, allowed=frozenset({Option.MODIFIED_DATES})) == {
        (Rule.DATE_IS_PRESENT, "(0008,0020)"),
        (Rule.ATTRIBUTE_IS_TO_BE_REMOVED, "(0008,0020)"),
        (Rule.CLAIM_IS_NOT_KEPT, "(0028,0303)"),
    }


def test_a_head_without_word_of_its_face_is_a_warning() -> None:
    image = cleaned()
    image.BodyPartExamined = "HEAD"
    assert findings(image) == {(Rule.HEAD_MAY_SHOW_A_FACE, "(0028,0302)")}
    outcome = looked_at(written(image), Gate(policy=STRICT, limits=READER_LIMITS))
    assert isinstance(outcome, Accepted)


def test_a_name_of_the_dictionary_is_found_wherever_it_stands() -> None:
    known = make_dictionary(["Muster^Hédwig", "0047114"], key=bytes(32))
    element = replace(STRICT.element, dictionary=known)
    for keyword, value in (
        ("Manufacturer", "for HEDWIG"),
        ("ConvolutionKernel", "MUSTER_2"),
        ("ScanOptions", "HEDWIG"),
        ("AcquisitionNumber", "47114"),
    ):
        image = cleaned()
        setattr(image, keyword, value)
        assert Rule.TEXT_IS_IN_THE_DICTIONARY in {
            rule for rule, _ in findings(image, element=element)
        }, keyword
    image = cleaned()
    image.PatientID = "SUBJ-047114"
    assert (Rule.SUBJECT_IS_NO_PSEUDONYM, "(0010,0020)") in findings(image, element=element)


def test_a_dictionary_reads_back_and_holds_no_name() -> None:
    made = make_dictionary(["Hedwig Muster"], key=bytes(range(32)))
    assert decoded(encoded(made)) == made
    assert "hedwig" not in encoded(made).lower()
    assert made.holds("MUSTER, HEDWIG")
    assert not made.holds("somebody else")


@pytest.mark.parametrize(
    "text", ["", "names", f"carrel-dictionary-1 {'0' * 64}\n", "carrel-dictionary-1 xyz\n"]
)
def test_what_is_no_dictionary_is_refused(text: str) -> None:
    with pytest.raises(DictionaryError):
        decoded(text)


@pytest.mark.parametrize(
    "text",
    ["call +49 89 123456", "19450312", "12/03/1945", "3. March 1945", "078-05-1120", "MRN: 7",
     "Dr. Who", "Doe^John", "1234567", "patient id=3", "x.y@example.org"],
)  # fmt: skip
def test_shapes_of_identifiers_are_seen(text: str) -> None:
    assert looks_identifying(text.replace("3. March", "03 March"))


@pytest.mark.parametrize(
    "text", ["SIEMENS", "B30f", "GE MEDICAL SYSTEMS", "VB17A 3.10.12", "T1 512x512", "e1234"]
)
def test_words_of_machines_have_no_such_shape(text: str) -> None:
    assert not looks_identifying(text)


def test_the_table_is_that_of_the_standard() -> None:
    assert entry(0x00100010) is not None
    assert entry(0x00080080).action is Action.REMOVE_EMPTY_OR_DUMMY  # type: ignore[union-attr]  # it is there
    assert entry(0x00280010) is None


def test_a_file_looked_at_twice_is_judged_the_same() -> None:
    gate = Gate(policy=PUBLISHED, limits=READER_LIMITS)
    for path in public_files()[::7]:
        data = path.read_bytes()
        fresh = Gate(policy=PUBLISHED, limits=READER_LIMITS)
        assert looked_at(data, gate) == looked_at(data, gate) == looked_at(data, fresh), path.name


def test_an_empty_dictionary_cannot_be_built_by_mistake() -> None:
    assert decoded(encoded(Dictionary(bytes(32), frozenset({bytes(16)})))).digests == {bytes(16)}
