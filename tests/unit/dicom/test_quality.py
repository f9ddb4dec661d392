"""What a quality report finds in images, and what it leaves alone."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carrel.dicom.bias import age_band, bias_card
from carrel.dicom.frames import Decoding, Pixels
from carrel.dicom.geometry import Stack, stack
from carrel.dicom.quality import quality_report
from carrel.dicom.sketch import Sketch
from carrel.rules.dataset_report import MEANINGS, Quality, Share

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def one(number: int, **changes: object) -> Sketch:
    """Return the image of a good series with this number."""
    whole = Sketch(
        subject="S1", study_uid="1.1", series_uid="1.1.1", sop_uid=f"1.1.1.{number}",
        sop_class="1.2", modality="CT", transfer_syntax="1.2.840.10008.1.2.1",
        instance_number=number, rows=512, columns=512, frames=1, position=(0, 0, 2.5 * number),
        orientation=AXIAL, spacing=(0.7, 0.7), manufacturer="ACME", sex="F", age_years=61,
        pixels=Pixels(Decoding.WHOLE, tried=1, sample=str(number)),
    )  # fmt: skip
    return replace(whole, **changes)  # type: ignore[arg-type]  # named like the fields


SERIES = [one(number) for number in range(1, 11)]


def found(images: list[Sketch], *, unreadable: int = 0) -> dict[Quality, int]:
    report = quality_report(images, unreadable=unreadable)
    return {each.rule: each.count for each in report.totals}


def test_a_whole_series_has_no_finding() -> None:
    report = quality_report(SERIES, unreadable=0)
    assert (report.instances, report.series, report.flawless) == (10, 1, 1)
    assert (report.totals, report.found) == ((), ())


@pytest.mark.parametrize(
    ("images", "findings"),
    [
        (
            SERIES[:4] + SERIES[6:],
            {Quality.SLICE_IS_MISSING: 2, Quality.NUMBER_IS_SKIPPED: 2},
        ),
        ([*SERIES, one(11, position=(0, 0, 27.2))], {Quality.SPACING_IS_UNEVEN: 1}),
        (
            [*SERIES, one(10, sop_uid="1.1.1.99", pixels=Pixels(Decoding.WHOLE, sample="x"))],
            {Quality.POSITION_IS_REPEATED: 1, Quality.NUMBER_IS_REPEATED: 1},
        ),
        ([*SERIES, one(11, orientation=(1, 0, 0, 0, 0.7, 0.7))], {Quality.ORIENTATION_IS_MIXED: 1}),
        ([*SERIES, one(11, rows=256)], {Quality.SIZE_IS_MIXED: 1}),
        ([*SERIES, one(11, spacing=(0.8, 0.7))], {Quality.PIXEL_SPACING_IS_MIXED: 1}),
        ([*SERIES, one(11, transfer_syntax="1.2.840.10008.1.2")], {Quality.ENCODING_IS_MIXED: 1}),
        ([*SERIES, one(11, instance_number=None)], {Quality.NUMBER_IS_MISSING: 1}),
        (
            [*SERIES, one(11, missing=("Manufacturer",))],
            {Quality.ATTRIBUTE_IS_MISSING: 1},
        ),
        (
            [*SERIES, one(11, pixels=Pixels(Decoding.TRUNCATED))],
            {Quality.PIXELS_ARE_TRUNCATED: 1},
        ),
        ([*SERIES, one(11, pixels=Pixels(Decoding.BROKEN))], {Quality.FRAME_DOES_NOT_DECODE: 1}),
        (
            [*SERIES, one(11, pixels=Pixels(Decoding.NOT_TRIED))],
            {Quality.FRAME_WAS_NOT_DECODED: 1},
        ),
        (
            [*SERIES, one(11, pixels=Pixels(Decoding.WHOLE, constant=1, sample="1"))],
            {Quality.FRAME_IS_CONSTANT: 1},
        ),
        (
            [*SERIES, one(11, pixels=Pixels(Decoding.WHOLE, sample="1"))],
            {Quality.PIXELS_LOOK_EQUAL: 1},
        ),
        (
            [*SERIES, one(11, references=("1.1.1.3", "9.9"))],
            {Quality.REFERENCE_IS_UNRESOLVED: 1},
        ),
        (
            [
                *SERIES,
                one(11, series_uid="1.1.2", subject="S2"),
            ],
            {Quality.STUDY_HAS_TWO_SUBJECTS: 1},
        ),
        ([*SERIES, one(11, study_uid="1.2")], {Quality.SERIES_HAS_TWO_STUDIES: 1}),
        ([*SERIES, one(11, sex="M")], {Quality.SEX_DIFFERS: 1}),
        ([*SERIES, one(11, age_years=62)], {Quality.AGE_DIFFERS: 1}),
    ],
)
def test_each_flaw_is_found_and_nothing_else(
    images: list[Sketch], findings: dict[Quality, int]
) -> None:
    assert found(images) == findings


def test_what_could_not_be_read_is_counted() -> None:
    assert found(SERIES, unreadable=3) == {Quality.HEADER_CANNOT_BE_READ: 3}


def test_of_very_many_series_the_worst_are_told() -> None:
    images = [one(1, series_uid=str(series), sop_uid=str(series), instance_number=None,
                  pixels=Pixels()) for series in range(1200)]  # fmt: skip
    report = quality_report(images, unreadable=0)
    assert (len(report.found), report.untold, report.series) == (1000, 200, 1200)


def test_every_finding_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Quality)


@settings(deadline=None)
@given(st.permutations(range(12)), st.floats(0.5, 5))
def test_a_shuffled_even_stack_is_even(order: list[int], step: float) -> None:
    positions = [(0.0, 0.0, step * at) for at in order]
    assert stack(positions, orientation=AXIAL) == Stack(repeated=0, missing=0, uneven=0)


@settings(deadline=None)
@given(st.sets(st.integers(1, 18), max_size=6), st.floats(0.5, 5))
def test_every_slice_that_is_taken_out_is_missed(gone: set[int], step: float) -> None:
    positions = [(0.0, step * at, 0.0) for at in range(20) if at not in gone]
    coronal = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    assert stack(positions, orientation=coronal).missing == len(gone)


def test_two_slices_have_no_usual_distance() -> None:
    assert stack([(0, 0, 0), (0, 0, 9)], orientation=AXIAL) == Stack(0, 0, 0)


@pytest.mark.parametrize(
    ("years", "band"), [(0, "0-9"), (61, "60-69"), (89, "80-89"), (90, "90 and more")]
)
def test_ages_are_told_in_bands(years: int, band: str) -> None:
    assert age_band(years) == band


def test_a_bias_card_counts_persons_not_images() -> None:
    images = [
        one(number, subject=f"S{number % 12}", sex="F" if number % 12 < 11 else "M")
        for number in range(240)
    ]
    card = bias_card(images, smallest=5, stated={"condition": {"S1": frozenset({"C34"})}})
    spreads = {each.trait: each for each in card.spreads}
    assert card.subjects == 10
    assert spreads["sex"].shares == (Share(value="female", subjects=10),)
    assert spreads["sex"].withheld == "Something"
    assert spreads["condition"].shares == (Share(value="not stated", subjects=10),)
