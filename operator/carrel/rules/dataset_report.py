"""What a quality report says, and why each of its findings matters."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from carrel.kinds.resource import Count, Model


class Quality(StrEnum):
    """The findings of a quality report; each says what is not as it should be."""

    ATTRIBUTE_IS_MISSING = "attribute_is_missing"
    SLICE_IS_MISSING = "slice_is_missing"
    SPACING_IS_UNEVEN = "spacing_is_uneven"
    POSITION_IS_REPEATED = "position_is_repeated"
    ORIENTATION_IS_MIXED = "orientation_is_mixed"
    SIZE_IS_MIXED = "size_is_mixed"
    PIXEL_SPACING_IS_MIXED = "pixel_spacing_is_mixed"
    ENCODING_IS_MIXED = "encoding_is_mixed"
    NUMBER_IS_MISSING = "number_is_missing"
    NUMBER_IS_REPEATED = "number_is_repeated"
    NUMBER_IS_SKIPPED = "number_is_skipped"
    PIXELS_ARE_TRUNCATED = "pixels_are_truncated"
    FRAME_DOES_NOT_DECODE = "frame_does_not_decode"
    FRAME_WAS_NOT_DECODED = "frame_was_not_decoded"
    FRAME_IS_CONSTANT = "frame_is_constant"
    PIXELS_LOOK_EQUAL = "pixels_look_equal"
    REFERENCE_IS_UNRESOLVED = "reference_is_unresolved"
    STUDY_HAS_TWO_SUBJECTS = "study_has_two_subjects"
    SERIES_HAS_TWO_STUDIES = "series_has_two_studies"
    SEX_DIFFERS = "sex_differs"
    AGE_DIFFERS = "age_differs"
    HEADER_CANNOT_BE_READ = "header_cannot_be_read"


MEANINGS: Mapping[Quality, str] = {
    Quality.ATTRIBUTE_IS_MISSING: (
        "An attribute that EUCAIM demands of every image is empty; the detail names it."
    ),
    Quality.SLICE_IS_MISSING: "The distance between two slices is a multiple of the usual one.",
    Quality.SPACING_IS_UNEVEN: (
        "Slices do not stand at equal distances: a volume made of them is distorted."
    ),
    Quality.POSITION_IS_REPEATED: (
        "Several images share one position: phases, echoes or directions, or a copy."
    ),
    Quality.ORIENTATION_IS_MIXED: (
        "Images of one series are tilted against each other: they are no single volume."
    ),
    Quality.SIZE_IS_MIXED: "Images of one series have different rows or columns.",
    Quality.PIXEL_SPACING_IS_MIXED: "Images of one series have pixels of different size.",
    Quality.ENCODING_IS_MIXED: "Images of one series have different transfer syntaxes.",
    Quality.NUMBER_IS_MISSING: "An image has no Instance Number (0020,0013).",
    Quality.NUMBER_IS_REPEATED: "Images of one series share an Instance Number.",
    Quality.NUMBER_IS_SKIPPED: "Instance Numbers have gaps: files may be lost.",
    Quality.PIXELS_ARE_TRUNCATED: (
        "There are fewer pixel bytes or fragments than rows, columns and frames ask for."
    ),
    Quality.FRAME_DOES_NOT_DECODE: (
        "A decoder fails on a frame, or the header contradicts itself about it."
    ),
    Quality.FRAME_WAS_NOT_DECODED: (
        "Compressed, and no decoder was run: nobody knows whether it can be shown."
    ),
    Quality.FRAME_IS_CONSTANT: "A frame holds one value throughout: it shows nothing.",
    Quality.PIXELS_LOOK_EQUAL: (
        "Images with different UIDs have the same pixels: one scan may count twice."
    ),
    Quality.REFERENCE_IS_UNRESOLVED: (
        "A segmentation, structure set or plan is about an image that the dataset lacks."
    ),
    Quality.STUDY_HAS_TWO_SUBJECTS: "One Study Instance UID stands under two pseudonyms.",
    Quality.SERIES_HAS_TWO_STUDIES: "One Series Instance UID stands in two studies.",
    Quality.SEX_DIFFERS: "Images of one subject say different sexes.",
    Quality.AGE_DIFFERS: "Images of one study say different ages.",
    Quality.HEADER_CANNOT_BE_READ: "Passed the gate, but geometry and machine cannot be read.",
}
"""What each finding means, in a sentence for people."""


class Finding(Model):
    """How often something is not as it should be."""

    rule: Quality
    """What was found."""
    count: Count
    """Images, pairs or values that it concerns."""
    detail: str = ""
    """Attribute or figure; never a value that could name a person."""


class SeriesFindings(Model):
    """The findings of one series."""

    series: str
    """Series Instance UID; empty for what concerns several series."""
    modality: str
    """Modality (0008,0060)."""
    instances: Count
    """Images in the series."""
    findings: tuple[Finding, ...]
    """What was found, sorted by rule."""


class QualityReport(Model):
    """What was found in a dataset."""

    instances: Count
    """Images that were looked at."""
    series: Count
    """Series among them."""
    flawless: Count
    """Series without a finding."""
    totals: tuple[Finding, ...]
    """Findings of all series together, sorted by rule and detail."""
    found: tuple[SeriesFindings, ...]
    """Series with findings, worst first; at most 1,000."""
    untold: Count
    """Series with findings beyond those."""


class Share(Model):
    """A value that enough subjects share."""

    value: str
    """What they share."""
    subjects: Count
    """How many at least: rounded down to a multiple of the smallest group."""


class Spread(Model):
    """How subjects spread over one trait."""

    trait: str
    """What is counted, such as `sex`."""
    shares: tuple[Share, ...]
    """Values that may be told, most frequent first."""
    withheld: Annotated[str, Field(pattern=r"^(Nothing|Something)$")]
    """Whether values stay untold because fewer subjects than the smallest group have them."""


class BiasCard(Model):
    """Whom and what a dataset shows, in numbers too large to point at anybody."""

    smallest_group: Annotated[int, Field(ge=5, le=1000)]
    """Fewer subjects than this are never told."""
    subjects: Count
    """Subjects, rounded down to a multiple of the smallest group."""
    spreads: tuple[Spread, ...]
    """One for each trait."""


class DatasetReport(Model):
    """Quality report and bias card of a dataset version or a folder."""

    report_format: Annotated[int, Field(ge=1, le=1)] = 1
    """Format of this report."""
    title: str
    """What the report is about."""
    refused: tuple[tuple[str, Count], ...] = ()
    """Files that the gate would refuse, by rule; they are in none of the figures."""
    quality: QualityReport
    """What is not as it should be."""
    bias: BiasCard
    """Whom the dataset shows."""
