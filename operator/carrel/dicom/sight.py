"""What is seen on a walk through one file, and what is remembered from file to file."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count

from carrel.dicom.element_rules import (
    ElementPolicy,
    Suspicion,
    judge,
    judge_sequence,
    known_vrs,
    texts_of,
)
from carrel.dicom.file_rules import (
    BODY_PART,
    BURNED_IN,
    CODE_VALUE,
    CONVERSION,
    FEATURES,
    IDENTITY_REMOVED,
    IMAGE_TYPE,
    METHOD,
    METHOD_CODES,
    TEMPORAL,
)
from carrel.dicom.instance import Rule
from carrel.dicom.structure import CHARACTER_SET, Encoding

_LARGEST_REMEMBERED = 1024
_MOST_REMEMBERED = 50_000
"""Elements of all encodings and character sets: 50 MB at worst, some 5 MB as a rule."""
_FACTS = frozenset({
    0x00080016, 0x00080018, 0x00080060, 0x00100020, 0x0020000D, 0x0020000E, 0x00200013,
    0x00280008, 0x00280010, 0x00280011, BODY_PART, BURNED_IN, CONVERSION, FEATURES,
    IDENTITY_REMOVED, IMAGE_TYPE, METHOD, TEMPORAL,
})  # fmt: skip
_CONTEXT = frozenset({CHARACTER_SET, CODE_VALUE})
"""Elements that mean something by where they stand: never passed over."""


@dataclass(frozen=True, eq=False)
class Note:
    """What is known of an element by its bytes; compared by identity, which is fast."""

    tag: int
    path: str
    suspicions: tuple[Suspicion, ...]
    text: str
    """Empty unless a rule of the whole file asks for it, or when it cannot be read."""
    number: int | None
    shape: int
    """Equal for the same place and suspicions, whatever the value; never used again."""


_Notes = dict[bytes, Note | None]


class Memory:
    """Notes by an element's bytes, bounded; a process has one, and forgets all at the bound."""

    def __init__(self, policy: ElementPolicy) -> None:
        self.policy = policy
        self._notes: dict[tuple[Encoding, bytes], _Notes] = {}
        self._shapes: dict[tuple[str, tuple[Suspicion, ...]], int] = {}
        self._next_shape = count()

    def notes(self, encoding: Encoding, charset: bytes) -> _Notes:
        """Return the notes of one encoding and character set."""
        return self._notes.setdefault((encoding, charset), {})

    def note(
        self, tag: int, raw: bytes, value_at: int, *, encoding: Encoding, charset: bytes
    ) -> Note | None:
        """Judge an element, or remember how it was judged."""
        notes = self.notes(encoding, charset)
        if raw in notes:
            return notes[raw]
        value = raw[value_at:]
        vr = "" if encoding is Encoding.IMPLICIT_LITTLE else raw[4:6].decode("ascii")
        found = judge(tag, vr, value, charset=charset, policy=self.policy)
        note: Note | None = None
        if tag in _FACTS:
            text = _text(tag, value, charset)
            note = replace(
                self.suspected(tag, found), text=text, number=_number(tag, value, encoding)
            )
        elif found:
            note = self.suspected(tag, found)
        if len(raw) <= _LARGEST_REMEMBERED and tag not in _CONTEXT:
            notes[raw] = note
        return note

    def suspected(self, tag: int, found: tuple[Suspicion, ...], prefix: str = "") -> Note:
        """Return the note of an element; `prefix` are the sequences that it stands in."""
        path = (prefix + _path(tag))[-120:]
        shape = self._shapes.get((path, found))
        if shape is None:
            shape = self._shapes[path, found] = next(self._next_shape)
        return Note(tag, path, found, "", None, shape)

    def tidy(self) -> None:
        """Forget everything once it is too much; only between two files."""
        kept = sum(map(len, self._notes.values())) + len(self._shapes)
        if kept > _MOST_REMEMBERED or len(self._notes) > 64:
            self._notes.clear()
            self._shapes.clear()


class Sight:
    """The visitor of one walk."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._charset = b""
        self._facts: dict[int, Note] = {}
        self.codes: set[str] = set()
        """Code values of (0012,0064)."""
        self.hits: list[object] = []

    def known(self, encoding: Encoding) -> Mapping[bytes, Note | None]:
        """Return notes on elements that were seen before."""
        return self._memory.notes(encoding, self._charset)

    def element(
        self, path: Sequence[int], tag: int, raw: bytes, value_at: int, encoding: Encoding
    ) -> None:
        """Judge an element."""
        note = self._memory.note(tag, raw, value_at, encoding=encoding, charset=self._charset)
        if note is not None:
            self._keep(path, note)
        if tag == CHARACTER_SET:
            self._turn(path, tag, raw[value_at:].strip(b"\0 "))
        elif tag == CODE_VALUE and path and path[-1] == METHOD_CODES:
            self.codes.add(raw[value_at:].decode("ascii", "replace").strip("\0 "))

    def bulk(self, path: Sequence[int], tag: int, vr: str, length: int) -> None:
        """Judge an element of many bytes by its tag."""
        if length:
            found = judge(tag, vr, b"\1", charset=b"", policy=self._memory.policy)
            self._suspect(path, tag, found)

    def sequence(self, path: Sequence[int], tag: int, items: int) -> None:
        """Judge a sequence for having items."""
        if items:
            self._suspect(path, tag, _judged(tag))

    def implied_sequence(self, tag: int) -> bool:
        """Whether the standard knows the element as a sequence."""
        return known_vrs(tag) == ("SQ",)

    def close(self) -> None:
        """Take the facts out of what was passed over; the walk has ended."""
        for note in self.notes():
            if note.tag in _FACTS and ">" not in note.path:
                self._facts[note.tag] = note

    def notes(self) -> Iterator[Note]:
        """Return notes on elements, in their order."""
        return (each for each in self.hits if isinstance(each, Note))

    def text(self, tag: int) -> str:
        """Return the text of a top-level element, empty where it is absent or cannot be read."""
        found = self._facts.get(tag)
        return found.text if found else ""

    def number(self, tag: int) -> int | None:
        """Return the whole number of a top-level element, if it is one of 32 bits."""
        found = self._facts.get(tag)
        return found.number if found else None

    def facts(self) -> dict[int, str]:
        """Return the texts of all facts."""
        return {tag: note.text for tag, note in self._facts.items()}

    def _turn(self, path: Sequence[int], tag: int, charset: bytes) -> None:
        if not path:
            self._charset = charset
        elif charset != self._charset:
            # An item may have a character set of its own; a reader that misses it sees other
            # words than the gate did.
            self._suspect(path, tag, (Suspicion(Rule.TEXT_CANNOT_BE_READ),))

    def _suspect(self, path: Sequence[int], tag: int, found: tuple[Suspicion, ...]) -> None:
        if found:
            prefix = "".join(f"{_path(each)}>" for each in path)
            self.hits.append(self._memory.suspected(tag, found, prefix))

    def _keep(self, path: Sequence[int], note: Note) -> None:
        if path:
            self._suspect(path, note.tag, note.suspicions)
        else:
            self.hits.append(note)


def _path(tag: int) -> str:
    return f"({tag >> 16:04x},{tag & 0xFFFF:04x})"


def _text(tag: int, value: bytes, charset: bytes) -> str:
    kind = next(iter(known_vrs(tag)))
    if kind == "US":
        return ""
    texts = texts_of(value, kind, charset)
    return "\\".join(texts).strip(" \0") if texts else ""


def _number(tag: int, value: bytes, encoding: Encoding) -> int | None:
    if known_vrs(tag) == ("US",):
        order = ">" if encoding is Encoding.EXPLICIT_BIG else "<"
        return int(struct.unpack(order + "H", value)[0]) if len(value) == 2 else None
    try:
        found = int(value.decode("ascii").strip(" \0"))
    except ValueError:
        return None
    return found if -(2**31) <= found < 2**31 else None


@lru_cache(maxsize=4096)
def _judged(tag: int) -> tuple[Suspicion, ...]:
    return judge_sequence(tag)
