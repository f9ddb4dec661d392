"""What a whole file says of a person: claims against content, classes, pixels that show text."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from carrel.dicom.element_rules import ElementPolicy
from carrel.dicom.instance import Finding, Rule
from carrel.dicom.profile import CODES
from carrel.kinds.ingest import DeidentificationOption as Option

IDENTITY_REMOVED, METHOD, METHOD_CODES = 0x00120062, 0x00120063, 0x00120064
TEMPORAL, BURNED_IN, FEATURES = 0x00280303, 0x00280301, 0x00280302
IMAGE_TYPE, BODY_PART, CONVERSION = 0x00080008, 0x00180015, 0x00080064
CODE_VALUE = 0x00080100
RANK = {rule: number for number, rule in enumerate(Rule)}
"""Rules in the order in which they are told."""

_WARNINGS = frozenset({Rule.HEAD_MAY_SHOW_A_FACE, Rule.NAME_LOOKS_IDENTIFYING})
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_RISKY = frozenset({"US", "IVUS", "XA", "RF", "SC", "OT", "CR", "DX", "MG", "ES", "XC", "GM", "SM",
                    "OP", "OPT", "IO", "PX", "DG", "TG", "BDUS", "LS", "DOC", "HC"})  # fmt: skip
"""Modalities whose images often show text, or are photographs of people."""
_HEADS = frozenset({"HEAD", "BRAIN", "SKULL", "FACE", "HEADNECK", "NECK", "SINUS", "ORBIT", "EAR"})
_WITHOUT_PIXELS = (
    "1.2.840.10008.5.1.4.1.1.481.",  # radiotherapy: structure sets, plans, records
    "1.2.840.10008.5.1.4.1.1.88.",  # structured reports, key objects
    "1.2.840.10008.5.1.4.1.1.9.",  # waveforms
    "1.2.840.10008.5.1.4.1.1.11.",  # presentation states
    "1.2.840.10008.5.1.4.1.1.66.",  # registration, segmentation, fiducials
)
"""Classes without pixels that are taken; their text is judged element by element."""


@dataclass(frozen=True)
class GatePolicy:
    """What may stand in an image of this dataset."""

    element: ElementPolicy
    allowed: frozenset[Option]
    """Options that the data manager allows; a file must declare them as well."""


STRICT = GatePolicy(
    element=ElementPolicy(
        # A letter, a digit, no blank, no caret: neither a name nor a record number.
        pseudonym=re.compile(r"(?=.*[A-Za-z])(?=.*\d)[A-Za-z0-9][A-Za-z0-9._-]{3,63}"),
        uid_roots=(),
        dictionary=None,
    ),
    allowed=frozenset(),
)
"""The Basic Profile and nothing beside it: what holds where nobody says otherwise."""


@dataclass(frozen=True)
class Sighting:
    """What was seen of one file."""

    facts: Mapping[int, str]
    """Texts of the top-level elements that the rules ask for."""
    meta: Mapping[int, bytes]
    """File meta information: raw values by element number of group 2."""
    preamble: bytes
    codes: frozenset[str]
    """Code values of (0012,0064)."""
    has_pixels: bool


def is_class_taken(sop_class: str, *, has_pixels: bool) -> bool:
    """Whether objects of this class may enter at all."""
    return has_pixels or sop_class.startswith(_WITHOUT_PIXELS)


def excused(sighting: Sighting, *, policy: GatePolicy) -> frozenset[Option]:
    """Return the options that the file declares, the policy allows, and the content bears out."""
    declared = _declared(sighting)
    return (declared & policy.allowed) - _broken_claims(sighting, declared)


def file_findings(sighting: Sighting, *, excused: frozenset[Option]) -> tuple[Finding, ...]:
    """Return what the rules of the whole file find."""
    return (*_claims(sighting), *_meta(sighting), *_pixels(sighting, excused))


def merged(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings sorted by rule, those of one rule and place as one."""
    counts: Counter[tuple[Rule, str]] = Counter()
    for each in found:
        counts[each.rule, each.path] += each.count
    ordered = sorted(counts.items(), key=lambda item: (RANK[item[0][0]], item[0][1]))
    return tuple(Finding(rule, path, count) for (rule, path), count in ordered)


def is_warning(finding: Finding) -> bool:
    """Whether a finding refuses nothing."""
    return finding.rule in _WARNINGS


def shows_text(facts: Mapping[int, str], *, modality: str, sop_class: str) -> bool:
    """Whether images of this kind often show text in their pixels."""
    kinds = {each.strip().upper() for each in facts.get(IMAGE_TYPE, "").split("\\")}
    return (
        modality in _RISKY
        or sop_class.startswith(_CAPTURE)
        or bool(facts.get(CONVERSION, ""))
        or any("SCREEN" in each or "CAPTURE" in each for each in kinds)
    )


def _declared(sighting: Sighting) -> frozenset[Option]:
    return frozenset(CODES[code] for code in sighting.codes if code in CODES)


def _claims(sighting: Sighting) -> list[Finding]:
    facts, found = sighting.facts, list[Finding]()
    if facts.get(IDENTITY_REMOVED, "").strip() != "YES":
        found.append(Finding(Rule.IDENTITY_IS_NOT_REMOVED, "(0012,0062)", 1))
    if not facts.get(METHOD, "").strip() and not sighting.codes:
        found.append(Finding(Rule.METHOD_IS_NOT_STATED, "(0012,0063)", 1))
    broken = _broken_claims(sighting, _declared(sighting))
    if broken & {Option.FULL_DATES, Option.MODIFIED_DATES}:
        found.append(Finding(Rule.CLAIM_IS_NOT_KEPT, "(0028,0303)", 1))
    if Option.CLEAN_PIXELS in broken:
        found.append(Finding(Rule.CLAIM_IS_NOT_KEPT, "(0028,0301)", 1))
    return found


def _broken_claims(sighting: Sighting, declared: frozenset[Option]) -> frozenset[Option]:
    temporal = sighting.facts.get(TEMPORAL, "").strip()
    burned = sighting.facts.get(BURNED_IN, "").strip()
    kept = {
        Option.MODIFIED_DATES: temporal == "MODIFIED",
        Option.FULL_DATES: temporal == "UNMODIFIED",
        Option.CLEAN_PIXELS: burned != "YES",
    }
    return frozenset(option for option in declared if not kept.get(option, True))


def _meta(sighting: Sighting) -> list[Finding]:
    found = list[Finding]()
    if sighting.preamble.strip(b"\0"):
        found.append(Finding(Rule.PREAMBLE_IS_NOT_ZERO, "preamble", 1))
    for number, fact in ((0x0002, 0x00080016), (0x0003, 0x00080018)):
        value = sighting.meta.get(number, b"").strip(b"\0 ").decode("ascii", "replace")
        if value != sighting.facts.get(fact, "").strip():
            found.append(Finding(Rule.FILE_META_DIFFERS, f"(0002,{number:04x})", 1))
    for number in sorted(sighting.meta.keys() - _META_TAKEN):
        if sighting.meta[number].strip(b"\0 "):
            found.append(Finding(Rule.FILE_META_TELLS_ORIGIN, f"(0002,{number:04x})", 1))
    return found


def _pixels(sighting: Sighting, excused: frozenset[Option]) -> list[Finding]:
    facts, found = sighting.facts, list[Finding]()
    modality, burned = facts.get(0x00080060, "").strip(), facts.get(BURNED_IN, "").strip()
    risky = sighting.has_pixels and shows_text(
        facts, modality=modality, sop_class=facts.get(0x00080016, "").strip()
    )
    if burned == "YES":
        found.append(Finding(Rule.BURNED_IN_TEXT_IS_DECLARED, "(0028,0301)", 1))
    elif risky and not (burned == "NO" and Option.CLEAN_PIXELS in excused):
        found.append(Finding(Rule.PIXELS_MAY_SHOW_TEXT, "(0028,0301)", 1))
    part = facts.get(BODY_PART, "").strip().upper().replace(" ", "")
    features = facts.get(FEATURES, "").strip()
    if modality in ("CT", "MR", "PT") and part in _HEADS and features != "NO":
        found.append(Finding(Rule.HEAD_MAY_SHOW_A_FACE, "(0028,0302)", 1))
    return found


_META_TAKEN = frozenset({0x0000, 0x0001, 0x0002, 0x0003, 0x0010, 0x0012, 0x0013})
