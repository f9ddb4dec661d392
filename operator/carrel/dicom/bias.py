"""The bias card: how the subjects of a dataset spread over machine, age, sex, place and disease."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from carrel.dicom.sketch import Sketch
from carrel.rules.dataset_report import BiasCard
from carrel.rules.small_numbers import at_least, spread

SMALLEST_GROUP = 10
_OLDEST = 90
"""Ages from here on are one band: so few people reach them that an age would point at one."""
_SEXES = {"M": "male", "F": "female", "O": "other"}
UNKNOWN = "not stated"


def bias_card(
    sketches: Iterable[Sketch],
    *,
    smallest: int,
    stated: Mapping[str, Mapping[str, frozenset[str]]],
) -> BiasCard:
    """Count subjects by trait.

    Args:
        sketches: All images.
        smallest: Fewer subjects than this are never told.
        stated: What clinical tables state: trait, then subject, then the values.

    """
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    subjects: set[str] = set()
    for each in sketches:
        subjects.add(each.subject)
        for trait, value in _traits(each).items():
            found[trait][each.subject] |= {value} if value else set()
    for trait, by_subject in stated.items():
        for subject, values in by_subject.items():
            found[trait][subject] |= values
    return BiasCard(
        smallest_group=smallest,
        subjects=at_least(len(subjects), smallest=smallest),
        spreads=tuple(
            spread(trait, _counted(by_subject, subjects), smallest=smallest)
            for trait, by_subject in sorted(found.items())
        ),
    )


def age_band(years: int) -> str:
    """Return the band of ten years that an age belongs to."""
    if years >= _OLDEST:
        return f"{_OLDEST} and more"
    start = years // 10 * 10
    return f"{start}-{start + 9}"


def _traits(image: Sketch) -> dict[str, str]:
    return {
        "age": "" if image.age_years is None else age_band(image.age_years),
        "body part": image.body_part.upper(),
        "manufacturer": image.manufacturer.upper(),
        "modality": image.modality,
        "protocol": image.protocol,
        "sex": _SEXES.get(image.sex, ""),
        "site": image.site,
    }


def _counted(by_subject: Mapping[str, set[str]], subjects: set[str]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for subject in subjects:
        for value in by_subject.get(subject) or {UNKNOWN}:
            counts[value] += 1
    return counts
