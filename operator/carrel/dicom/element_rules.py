"""What one element says of a person, whatever file it stands in.

An element is judged by its bytes alone, so that the same bytes are judged once: thousands of
slices share most of theirs. What depends on the file is decided in `file_rules`.
"""

import re
import warnings
from dataclasses import dataclass
from functools import lru_cache

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.datadict import dictionary_has_tag, dictionary_VR

from carrel.dicom.dictionary import Dictionary
from carrel.dicom.identity_text import is_dummy, looks_identifying
from carrel.dicom.instance import Rule
from carrel.dicom.profile import DATES, Action, entry
from carrel.kinds.ingest import DeidentificationOption as Option

PATIENT_NAME, PATIENT_ID, PATIENT_AGE = 0x00100010, 0x00100020, 0x00101010
_PADDING = 0xFFFCFFFC
_ONES_OWN = frozenset({PATIENT_NAME, PATIENT_ID})
"""Judged by rules of their own: a pseudonym may stand there."""
_FREE = frozenset({"LO", "LT", "SH", "ST", "UC", "UR", "UT"})
_CODED = frozenset({"AE", "AS", "CS", "DS", "IS"})
_TIMES = frozenset({"DA", "DT", "TM"})
_SPLIT = frozenset({"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UC", "UI"})
TEXTUAL = _FREE | _CODED | _TIMES | {"PN", "UI"}
_FAMILIES = (_FREE, _TIMES, frozenset({"DS", "IS"}),
             frozenset({"OB", "OW", "US", "SS", "UN", "OL", "OV", "OF", "OD"}))  # fmt: skip
"""Within a family the checks are the same, so that mixing them up hides nothing."""
_NUMBER = re.compile(rb"[ +\-0-9.eE]{1,16}[ \0]?\Z")
_AGE = re.compile(rb"(\d{3})([DWMY])[ \0]?\Z")
_CODE = re.compile(rb"[A-Z0-9_ ]{0,16}[ \0]?\Z")
_UID = re.compile(r"[0-9.]{1,64}\Z")
_DATE_IN_NUMBER = re.compile(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_RESETS = {ord(each) for each in "\r\n\t\f\\^="}
"""Characters after which a character set begins anew (PS3.5 section 6.1.2.5.3)."""
_STANDARD, _REMAPPED = "1.2.840.10008.", "2.25."
_UIDS_EXCUSE = frozenset({Option.UIDS})
_NOTHING: frozenset[Option] = frozenset()


@dataclass(frozen=True)
class Suspicion:
    """A rule that an element breaks unless the file declares an option that is allowed."""

    rule: Rule
    excuses: frozenset[Option] = _NOTHING


@dataclass(frozen=True)
class ElementPolicy:
    """What a site says of its own identifiers."""

    pseudonym: re.Pattern[str]
    """What every (0010,0020) must match as a whole."""
    uid_roots: tuple[str, ...]
    """Roots of remapped UIDs beside 2.25, each with its final dot."""
    dictionary: Dictionary | None


def judge(
    tag: int, vr: str, value: bytes, *, charset: bytes, policy: ElementPolicy
) -> tuple[Suspicion, ...]:
    """Return what is wrong with an element that is no sequence.

    Args:
        tag: Group and number.
        vr: As written in the file, empty in implicit VR.
        value: Raw bytes.
        charset: Raw value of (0008,0005) where the element stands.
        policy: The site's own words.

    """
    if tag >> 16 & 1:
        return (Suspicion(Rule.PRIVATE_ELEMENT_IS_PRESENT),)
    if tag == _PADDING:
        return (Suspicion(Rule.TRAILING_PADDING_IS_PRESENT),)
    known = known_vrs(tag)
    kind = _kind(vr, known)
    if not (value.strip(b"\0 ") if kind in TEXTUAL else value):
        return ()
    if not known:
        return (Suspicion(Rule.ELEMENT_IS_UNKNOWN),)
    found = [] if _agrees(kind, known) else [Suspicion(Rule.VR_IS_WRONG)]
    found += _by_table(tag, kind, value, charset)
    found += _by_kind(tag, kind, value, charset=charset, policy=policy)
    return tuple(dict.fromkeys(found))


def judge_sequence(tag: int) -> tuple[Suspicion, ...]:
    """Return what is wrong with a sequence for having items at all."""
    if tag >> 16 & 1:
        return (Suspicion(Rule.PRIVATE_ELEMENT_IS_PRESENT),)
    known = known_vrs(tag)
    if not known:
        return (Suspicion(Rule.ELEMENT_IS_UNKNOWN),)
    found = () if "SQ" in known else (Suspicion(Rule.VR_IS_WRONG),)
    row = entry(tag)
    # D and U* keep a sequence whose content is clean: the content is judged by itself.
    if row is None or row.action in (Action.DUMMY, Action.REMOVE_EMPTY_OR_UID):
        return found
    return (*found, Suspicion(Rule.ATTRIBUTE_IS_TO_BE_REMOVED, row.excuses))


@lru_cache(maxsize=8192)
def known_vrs(tag: int) -> tuple[str, ...]:
    """Return the value representations that the standard allows, none for unknown elements."""
    if tag & 0xFFFF == 0:
        return ("UL",)  # retired group lengths (PS3.5 section 7.2)
    if not dictionary_has_tag(tag):
        try:
            return tuple(dictionary_VR(tag).split(" or "))  # repeating groups
        except KeyError:
            return ()
    return tuple(dictionary_VR(tag).split(" or "))


def _kind(vr: str, known: tuple[str, ...]) -> str:
    if vr in ("", "UN"):
        return known[0] if known else "UN"
    return vr


def _agrees(kind: str, known: tuple[str, ...]) -> bool:
    if kind in known:
        return True
    return any(kind in family and family.intersection(known) for family in _FAMILIES)


def _by_table(tag: int, kind: str, value: bytes, charset: bytes) -> list[Suspicion]:
    row = entry(tag)
    if row is None or tag in _ONES_OWN or row.action is Action.UID:
        return []
    if row.action not in (Action.DUMMY, Action.EMPTY_OR_DUMMY):
        return [Suspicion(Rule.ATTRIBUTE_IS_TO_BE_REMOVED, row.excuses)]
    if kind in _TIMES or kind in ("UI", "PN"):
        return []  # judged by kind
    text = texts_of(value, kind, charset) if kind in TEXTUAL else None
    if text is not None and all(is_dummy(each) for each in text if each):
        return []
    return [Suspicion(Rule.ATTRIBUTE_IS_NOT_REPLACED, row.excuses)]


def _by_kind(
    tag: int, kind: str, value: bytes, *, charset: bytes, policy: ElementPolicy
) -> list[Suspicion]:
    if kind == "UI":
        return _uids(value, policy)
    if kind in _TIMES:
        return [Suspicion(Rule.DATE_IS_PRESENT, DATES)]
    if kind in _CODED and _is_plain(kind, value):
        return _age(value) if kind == "AS" else _in_dictionary(value.decode("ascii"), policy)
    if kind in _FREE or kind in _CODED or kind == "PN":
        return _text(tag, kind, value, charset=charset, policy=policy)
    return []


def _text(
    tag: int, kind: str, value: bytes, *, charset: bytes, policy: ElementPolicy
) -> list[Suspicion]:
    texts = texts_of(value, kind, charset)
    if texts is None:
        return [Suspicion(Rule.TEXT_CANNOT_BE_READ)]
    if tag == PATIENT_ID:
        return (
            []
            if all(_is_pseudonym(each, policy) for each in texts)
            else [Suspicion(Rule.SUBJECT_IS_NO_PSEUDONYM)]
        )
    if kind == "PN":
        fine = all(is_dummy(each) or _is_pseudonym(each, policy) for each in texts if each)
        return [] if fine else [Suspicion(Rule.PERSON_IS_NAMED)]
    found = _in_dictionary("\n".join(texts), policy)
    if any(looks_identifying(each) for each in texts):
        found.append(Suspicion(Rule.TEXT_LOOKS_IDENTIFYING))
    return found


def _in_dictionary(text: str, policy: ElementPolicy) -> list[Suspicion]:
    if policy.dictionary is not None and policy.dictionary.holds(text):
        return [Suspicion(Rule.TEXT_IS_IN_THE_DICTIONARY)]
    return []


def _is_pseudonym(text: str, policy: ElementPolicy) -> bool:
    if not policy.pseudonym.fullmatch(text) or _DATE_IN_NUMBER.search(text):
        return False
    return policy.dictionary is None or not policy.dictionary.holds(text)


def _is_plain(kind: str, value: bytes) -> bool:
    parts = value.split(b"\\")
    match kind:
        case "DS" | "IS":
            return all(_NUMBER.match(each) or not each.strip(b"\0 ") for each in parts)
        case "AS":
            return all(_AGE.match(each) for each in parts)
        case "CS":
            return all(_CODE.match(each) for each in parts)
        case _:
            return False


def _age(value: bytes) -> list[Suspicion]:
    # 090Y stands for all above 89 years.
    years = [_AGE.match(each) for each in value.split(b"\\")]
    high = any(found and found[2] == b"Y" and int(found[1]) > 90 for found in years)
    return [Suspicion(Rule.AGE_IS_TOO_HIGH)] if high else []


def _uids(value: bytes, policy: ElementPolicy) -> list[Suspicion]:
    uids = value.decode("ascii", "replace").split("\\")
    fine = all(_is_remapped(each.strip("\0 "), policy) for each in uids)
    return [] if fine else [Suspicion(Rule.UID_IS_NOT_REMAPPED, _UIDS_EXCUSE)]


def _is_remapped(uid: str, policy: ElementPolicy) -> bool:
    if not uid or (uid.startswith(_STANDARD) and _UID.match(uid)):
        return True
    return bool(_UID.match(uid)) and uid.startswith((_REMAPPED, *policy.uid_roots))


def texts_of(value: bytes, kind: str, charset: bytes) -> list[str] | None:
    """Return the values of a text, none when they are not of the character set."""
    if value.isascii() and b"\x1b" not in value:
        text = value.decode("ascii")
    else:
        try:
            with warnings.catch_warnings():
                # pydicom warns, quoting the value, where it guesses; a guess is no reading.
                warnings.simplefilter("error")
                text = decode_bytes(value, _encodings(charset), _RESETS)
        except (LookupError, UnicodeError, ValueError, Warning):
            return None
    parts = text.split("\\") if kind in _SPLIT else [text]
    return [each.strip("\0 \r\n\t") for each in parts]


@lru_cache(maxsize=64)
def _encodings(charset: bytes) -> list[str]:
    names = charset.decode("ascii").strip("\0 ").split("\\")
    return convert_encodings([name.strip() for name in names])
