"""PS3.15 table E.1-1 (2026c): what the Basic Profile does with each attribute, and what excuses.

`confidentiality_profile.tsv` is the table; its first lines name the sources.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from importlib import resources

from carrel.kinds.ingest import DeidentificationOption


class Action(StrEnum):
    """What the table asks; combinations as it writes them."""

    DUMMY = "D"
    EMPTY = "Z"
    REMOVE = "X"
    UID = "U"
    EMPTY_OR_DUMMY = "Z/D"
    REMOVE_OR_EMPTY = "X/Z"
    REMOVE_OR_DUMMY = "X/D"
    REMOVE_EMPTY_OR_DUMMY = "X/Z/D"
    REMOVE_EMPTY_OR_UID = "X/Z/U*"


@dataclass(frozen=True)
class Entry:
    """A row of the table."""

    action: Action
    excuses: frozenset[DeidentificationOption]
    """Options under which the attribute may stay, kept or cleaned."""


DATES = frozenset({DeidentificationOption.FULL_DATES, DeidentificationOption.MODIFIED_DATES})

CODES = {
    "113101": DeidentificationOption.CLEAN_PIXELS,
    "113102": DeidentificationOption.CLEAN_VISUAL_FEATURES,
    "113103": DeidentificationOption.CLEAN_GRAPHICS,
    "113104": DeidentificationOption.CLEAN_STRUCTURED_CONTENT,
    "113105": DeidentificationOption.CLEAN_DESCRIPTORS,
    "113106": DeidentificationOption.FULL_DATES,
    "113107": DeidentificationOption.MODIFIED_DATES,
    "113108": DeidentificationOption.PATIENT_CHARACTERISTICS,
    "113109": DeidentificationOption.DEVICE_IDENTITY,
    "113110": DeidentificationOption.UIDS,
    "113112": DeidentificationOption.INSTITUTION_IDENTITY,
}
"""Codes of (0012,0064) (PS3.16 CID 7050). 113100 is the profile itself."""


def entry(tag: int) -> Entry | None:
    """Return the row of an attribute, repeating groups included; none for the rest."""
    group = tag >> 16
    table = _table()
    if 0x5000 <= group <= 0x50FF:
        return table["50xxxxxx"]
    if 0x6000 <= group <= 0x60FF:
        return table.get(f"60xx{tag & 0xFFFF:04x}")
    return table.get(f"{tag:08x}")


@lru_cache(maxsize=1)
def _table() -> dict[str, Entry]:
    text = (resources.files("carrel.dicom") / "confidentiality_profile.tsv").read_text()
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return {
        tag: Entry(
            Action(action),
            frozenset(DeidentificationOption(each) for each in options.split(",") if each),
        )
        for tag, action, options in rows
    }
