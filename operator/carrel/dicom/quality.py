"""The quality report: what a researcher should know before trusting a series. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from carrel.dicom.frames import Decoding
from carrel.dicom.geometry import same, stack
from carrel.dicom.sketch import Sketch
from carrel.rules.dataset_report import Finding, Quality, QualityReport, SeriesFindings

LARGEST_FOUND = 1000
_PIXELS = {
    Decoding.TRUNCATED: Quality.PIXELS_ARE_TRUNCATED,
    Decoding.BROKEN: Quality.FRAME_DOES_NOT_DECODE,
    Decoding.NOT_TRIED: Quality.FRAME_WAS_NOT_DECODED,
}
_Found = Iterator[tuple[Quality, int, str]]


def quality_report(sketches: Iterable[Sketch], *, unreadable: int) -> QualityReport:
    """Look at all images of a dataset together.

    Args:
        sketches: What is known of each image.
        unreadable: Images that passed the gate but could not be described.

    """
    images = list(sketches)
    by_series: dict[str, list[Sketch]] = defaultdict(list)
    for image in images:
        by_series[image.series_uid].append(image)
    found = [_series(uid, same_series) for uid, same_series in by_series.items()]
    common = _findings(_across(images, unreadable=unreadable))
    with_findings = sorted(
        (each for each in found if each.findings),
        key=lambda each: (-sum(one.count for one in each.findings), each.series),
    )
    if common:
        whole = SeriesFindings(series="", modality="", instances=len(images), findings=common)
        with_findings.insert(0, whole)
    return QualityReport(
        instances=len(images) + unreadable,
        series=len(by_series),
        flawless=sum(not each.findings for each in found),
        totals=_findings(
            (one.rule, one.count, one.detail) for each in with_findings for one in each.findings
        ),
        found=tuple(with_findings[:LARGEST_FOUND]),
        untold=max(0, len(with_findings) - LARGEST_FOUND),
    )


def _series(uid: str, images: Sequence[Sketch]) -> SeriesFindings:
    return SeriesFindings(
        series=uid,
        modality=images[0].modality,
        instances=len(images),
        findings=_findings(
            each
            for look in (_attributes, _numbers, _mixtures, _stacks, _pixels)
            for each in look(images)
        ),
    )


def _attributes(images: Sequence[Sketch]) -> _Found:
    for keyword, count in Counter(each for image in images for each in image.missing).items():
        yield Quality.ATTRIBUTE_IS_MISSING, count, keyword


def _numbers(images: Sequence[Sketch]) -> _Found:
    numbers = Counter(
        image.instance_number for image in images if image.instance_number is not None
    )
    yield Quality.NUMBER_IS_MISSING, len(images) - numbers.total(), ""
    yield Quality.NUMBER_IS_REPEATED, numbers.total() - len(numbers), ""
    if numbers:
        yield Quality.NUMBER_IS_SKIPPED, max(numbers) - min(numbers) + 1 - len(numbers), ""


def _mixtures(images: Sequence[Sketch]) -> _Found:
    first = images[0]
    tilted = sum(not same(first.orientation, each.orientation) for each in images)
    yield Quality.ORIENTATION_IS_MIXED, tilted, ""
    sized = sum((first.rows, first.columns) != (each.rows, each.columns) for each in images)
    yield Quality.SIZE_IS_MIXED, sized, ""
    spaced = sum(not same(first.spacing, each.spacing) for each in images)
    yield Quality.PIXEL_SPACING_IS_MIXED, spaced, ""
    coded = sum(first.transfer_syntax != each.transfer_syntax for each in images)
    yield Quality.ENCODING_IS_MIXED, coded, ""


def _stacks(images: Sequence[Sketch]) -> _Found:
    placed = [each for each in images if each.position and each.orientation]
    # A localizer holds a few slices of each orientation: each stands for itself.
    stacks: list[list[Sketch]] = []
    for image in placed:
        for group in stacks:
            if same(group[0].orientation, image.orientation):
                group.append(image)
                break
        else:
            stacks.append([image])
    for group in stacks:
        found = stack((each.position for each in group), orientation=group[0].orientation)
        yield Quality.POSITION_IS_REPEATED, found.repeated, ""
        yield Quality.SLICE_IS_MISSING, found.missing, ""
        yield Quality.SPACING_IS_UNEVEN, found.uneven, ""


def _pixels(images: Sequence[Sketch]) -> _Found:
    for image in images:
        rule = _PIXELS.get(image.pixels.decoding)
        if rule is not None:
            yield rule, 1, ""
        yield Quality.FRAME_IS_CONSTANT, image.pixels.constant, ""


def _across(images: Sequence[Sketch], *, unreadable: int) -> _Found:
    yield Quality.HEADER_CANNOT_BE_READ, unreadable, ""
    # A frame of one value has the same pixels as any other: that is told as constant.
    samples = Counter(each.pixels.sample for each in images
                      if each.pixels.sample and not each.pixels.constant)  # fmt: skip
    yield Quality.PIXELS_LOOK_EQUAL, samples.total() - len(samples), ""
    known = {each.sop_uid for each in images}
    lost = {uid for each in images for uid in each.references} - known
    yield Quality.REFERENCE_IS_UNRESOLVED, len(lost), ""
    yield Quality.STUDY_HAS_TWO_SUBJECTS, _torn((i.study_uid, i.subject) for i in images), ""
    yield Quality.SERIES_HAS_TWO_STUDIES, _torn((i.series_uid, i.study_uid) for i in images), ""
    yield Quality.SEX_DIFFERS, _torn((i.subject, i.sex) for i in images if i.sex), ""
    ages = ((i.study_uid, str(i.age_years)) for i in images if i.age_years is not None)
    yield Quality.AGE_DIFFERS, _torn(ages), ""


def _torn(pairs: Iterable[tuple[str, str]]) -> int:
    """Count keys that come with more than one value."""
    values: dict[str, set[str]] = defaultdict(set)
    for key, value in pairs:
        values[key].add(value)
    return sum(len(each) > 1 for each in values.values())


def _findings(found: Iterable[tuple[Quality, int, str]]) -> tuple[Finding, ...]:
    counts: Mapping[tuple[Quality, str], int] = _summed(found)
    return tuple(
        Finding(rule=rule, count=count, detail=detail)
        for (rule, detail), count in sorted(counts.items())
    )


def _summed(found: Iterable[tuple[Quality, int, str]]) -> dict[tuple[Quality, str], int]:
    counts: dict[tuple[Quality, str], int] = defaultdict(int)
    for rule, count, detail in found:
        if count > 0:
            counts[rule, detail] += count
    return counts
