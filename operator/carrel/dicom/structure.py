"""The skeleton of a data set: where elements begin and end, and each element's bytes once.

Follows PS3.5 section 7: explicit and implicit VR, both byte orders, defined and undefined
lengths, sequences, items and encapsulated pixels. One walk serves all: what is cut off,
nested too deep or too large is refused, and every element is shown to a visitor that keeps
its verdict by the element's bytes.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, double and plain pixel data."""
_SHORT = frozenset({b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO",
                    b"LT", b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL",
                    b"US"})  # fmt: skip
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR",
                   b"UT", b"UV"})  # fmt: skip
"""Value representations with a 16-bit and a 32-bit length in explicit VR (PS3.5 table 7.1-1)."""
_UNTYPED = frozenset({b"", b"UN"})
_BULK = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"})
_CHUNK = 64 * 1024
_UNKNOWN = object()
CHARACTER_SET = 0x00080005


class Encoding(StrEnum):
    """How elements are written."""

    IMPLICIT_LITTLE = "implicit little endian"
    EXPLICIT_LITTLE = "explicit little endian"
    EXPLICIT_BIG = "explicit big endian"


class Limits(Protocol):
    """How much a walk may take on."""

    @property
    def header_bytes(self) -> int:
        """Bytes outside of the pixels."""
        ...

    @property
    def elements(self) -> int:
        """Elements and items at all depths."""
        ...

    @property
    def depth(self) -> int:
        """Sequences within sequences."""
        ...


class Content(Protocol):
    """Bytes that can be read at any place."""

    def read_at(self, at: int, count: int) -> bytes:
        """Return up to `count` bytes from `at`."""
        ...


class Visitor(Protocol):
    """Who looks at the elements."""

    def element(
        self, path: Sequence[int], tag: int, raw: bytes, value_at: int, encoding: Encoding
    ) -> None:
        """Look at an element that is no sequence; its value begins at `raw[value_at]`."""
        ...

    def bulk(self, path: Sequence[int], tag: int, vr: str, length: int) -> None:
        """Note an element of many bytes that are not shown."""
        ...

    def sequence(self, path: Sequence[int], tag: int, items: int) -> None:
        """Note that a sequence has ended."""
        ...

    @property
    def hits(self) -> list[object]:
        """Where notes on elements go that were known."""
        ...

    def known(self, encoding: Encoding) -> Mapping[bytes, object]:
        """Return notes on elements, head and value, that were seen before in this encoding."""
        ...

    def implied_sequence(self, tag: int) -> bool:
        """Whether an element without a VR is a sequence."""
        ...


class BrokenError(ValueError):
    """The skeleton does not hold together; the message is a tag path and a reason."""


class TooMuchError(ValueError):
    """The skeleton exceeds a limit; the message names it."""


@dataclass(frozen=True)
class Skeleton:
    """What a walk found."""

    pixels_at: int | None
    """Offset of the pixel data element, absent without pixels."""
    elements: int
    """Elements and items at all depths."""


def walk(
    content: Content,
    *,
    start: int,
    size: int,
    encoding: Encoding,
    limits: Limits,
    visitor: Visitor,
) -> Skeleton:
    """Walk a data set from byte `start` to the end of `size` bytes.

    Raises:
        BrokenError: when an element reaches beyond its surroundings.
        TooMuchError: when a limit is exceeded.

    """
    found = _Walk(content, size=size, limits=limits, visitor=visitor)
    found.elements(start, encoding, end=size, ends_by_mark=False)
    return Skeleton(pixels_at=found.pixels_at, elements=found.count)


class _Walk:
    def __init__(self, content: Content, *, size: int, limits: Limits, visitor: Visitor) -> None:
        self._content = content
        self._size = size
        self._limits = limits
        self._visitor = visitor
        self._path: list[int] = []
        self._skipped = 0
        self._buffer, self._base = b"", 0
        self.count = 0
        self.pixels_at: int | None = None

    def elements(self, at: int, encoding: Encoding, *, end: int, ends_by_mark: bool) -> int:
        """Walk the elements of the data set or of one item; return where they end."""
        path, show, implied = self._path, self._visitor.element, self._visitor.implied_sequence
        while at < end:
            at = self._past_known(at, end, encoding)
            if at == end:
                break
            tag, vr, header, length = self._head(at, encoding)
            self._counted(at)
            if tag >> 16 == 0xFFFE:
                if tag == _ITEM_END and ends_by_mark:
                    return at + 8
                raise BrokenError(f"{self.where(tag)}: an item or delimiter out of place")
            value = at + header
            if length == _UNDEFINED or vr == b"SQ" or (vr in _UNTYPED and implied(tag)):
                at = self._opened(tag, vr=vr, at=value, length=length, encoding=encoding, end=end)
                continue
            stop = value + length
            if stop > end:
                raise BrokenError(self._beyond(tag, stop))
            if length > _CHUNK and (vr in _BULK or tag in PIXELS):
                self._note_pixels(tag, at)
                self._skipped += length
                self._visitor.bulk(path, tag, vr.decode(), length)
            else:
                self._note_pixels(tag, at)
                show(path, tag, self._bytes(at, stop), header, encoding)
            at = stop
        if ends_by_mark:
            raise BrokenError(f"{self.where()}: the file ends inside an element")
        return at

    def where(self, *more: int) -> str:
        """Return the tags of the open sequences, the last six at most."""
        tags = [*self._path, *more]
        return ">".join(f"({tag >> 16:04x},{tag & 0xFFFF:04x})" for tag in tags[-6:]) or "top level"

    def _past_known(self, at: int, end: int, encoding: Encoding) -> int:
        """Return where the first element begins that the visitor has to see.

        Nine in ten elements of a series are the same bytes in every slice: this loop is what
        the gate's speed rests on.
        """
        if encoding is Encoding.EXPLICIT_BIG:
            return at
        explicit, nested = encoding is Encoding.EXPLICIT_LITTLE, bool(self._path)
        buffer, known, hits = self._buffer, self._visitor.known(encoding), self._visitor.hits
        rel, last, count = at - self._base, min(len(self._buffer), end - self._base), 0
        while 0 <= rel <= last - 8:
            if explicit:
                _, _, vr, length = _EXPLICIT(buffer, rel)
                if vr not in _SHORT:
                    break
            else:
                _, _, length = _IMPLICIT(buffer, rel)
            stop = rel + 8 + length
            if stop > last:
                break
            note = known.get(buffer[rel:stop], _UNKNOWN)
            if note is not None:
                # What is suspicious in an item bears the item's path: the visitor must see it.
                if note is _UNKNOWN or nested:
                    break
                hits.append(note)
            rel, count = stop, count + 1
        self.count += count
        return rel + self._base if count else at

    def _opened(
        self, tag: int, *, vr: bytes, at: int, length: int, encoding: Encoding, end: int
    ) -> int:
        if length == _UNDEFINED and (vr in (b"OB", b"OW") or tag in PIXELS):
            # The element's own head has twelve bytes: encapsulated syntaxes are explicit.
            self._note_pixels(tag, at - (12 if vr else 8))
            return self._fragments(tag, at, end)
        # An undefined length in UN hides an implicit VR sequence (PS3.5 section 6.2.2).
        nested = Encoding.IMPLICIT_LITTLE if vr == b"UN" else encoding
        if length != _UNDEFINED and at + length > end:
            raise BrokenError(self._beyond(tag, at + length))
        if len(self._path) >= self._limits.depth:
            raise TooMuchError(f"sequences are nested more than {self._limits.depth} deep")
        self._path.append(tag)
        stop, items = self._items(
            at, nested, end=end if length == _UNDEFINED else at + length,
            ends_by_mark=length == _UNDEFINED,
        )  # fmt: skip
        self._path.pop()
        self._visitor.sequence(self._path, tag, items)
        return stop

    def _items(
        self, at: int, encoding: Encoding, *, end: int, ends_by_mark: bool
    ) -> tuple[int, int]:
        items = 0
        while at < end:
            tag, _, header, length = self._head(at, encoding)
            self._counted(at)
            at += header
            if tag == _SEQUENCE_END and ends_by_mark:
                return at, items
            if tag != _ITEM:
                reason = (
                    "an item or delimiter out of place"
                    if tag >> 16 == 0xFFFE
                    else "stands in a sequence without an item"
                )
                raise BrokenError(f"{self.where(tag)}: {reason}")
            items += 1
            if length == _UNDEFINED:
                at = self.elements(at, encoding, end=end, ends_by_mark=True)
                continue
            if at + length > end:
                raise BrokenError(self._beyond(tag, at + length))
            at = self.elements(at, encoding, end=at + length, ends_by_mark=False)
        if ends_by_mark:
            raise BrokenError(f"{self.where()}: the file ends inside an element")
        return at, items

    def _fragments(self, tag: int, at: int, end: int) -> int:
        """Skip encapsulated pixels (PS3.5 annex A.4); return where they end."""
        total = 0
        while True:
            # Encapsulated syntaxes are explicit little endian; items have no VR in any.
            mark, _, _, length = self._head(at, Encoding.IMPLICIT_LITTLE)
            self._counted(0)
            at += 8
            if mark == _SEQUENCE_END:
                self._skipped += total
                self._visitor.bulk(self._path, tag, "OB", total)
                return at
            if mark != _ITEM or length == _UNDEFINED or at + length > end:
                raise BrokenError(f"{self.where(tag)}: a fragment is cut off")
            at, total = at + length, total + length

    def _note_pixels(self, tag: int, at: int) -> None:
        if tag in PIXELS and not self._path and self.pixels_at is None:
            self.pixels_at = at

    def _counted(self, at: int) -> None:
        self.count += 1
        if self.count > self._limits.elements:
            raise TooMuchError(f"more than {self._limits.elements:,} elements")
        if at - self._skipped > self._limits.header_bytes:
            raise TooMuchError(f"more than {self._limits.header_bytes:,} bytes outside of pixels")

    def _beyond(self, tag: int, stop: int) -> str:
        outside = "the file" if stop > self._size else "its sequence or item"
        return f"{self.where(tag)}: reaches beyond the end of {outside}"

    def _head(self, at: int, encoding: Encoding) -> tuple[int, bytes, int, int]:
        """Return tag, VR, bytes of the head, and length of the value."""
        rel = at - self._base
        if rel < 0 or rel + 12 > len(self._buffer):
            rel = self._filled(at, 12)
        buffer = self._buffer
        try:
            if encoding is Encoding.EXPLICIT_LITTLE:
                group, number, vr, length = _EXPLICIT(buffer, rel)
                if vr in _SHORT and group != 0xFFFE:
                    return group << 16 | number, vr, 8, length
            elif encoding is Encoding.IMPLICIT_LITTLE:
                group, number, length = _IMPLICIT(buffer, rel)
                return group << 16 | number, b"", 8, length
            return self._rare_head(buffer, rel, big=encoding is Encoding.EXPLICIT_BIG)
        except struct.error:
            raise BrokenError(f"{self.where()}: the file ends inside an element") from None

    def _rare_head(self, buffer: bytes, rel: int, *, big: bool) -> tuple[int, bytes, int, int]:
        order = ">" if big else "<"
        group, number, vr, length = struct.unpack_from(order + "HH2sH", buffer, rel)
        tag = group << 16 | number
        if group == 0xFFFE:
            return tag, b"", 8, struct.unpack_from(order + "I", buffer, rel + 4)[0]
        if vr in _SHORT:
            return tag, vr, 8, length
        if vr in _LONG:
            return tag, vr, 12, struct.unpack_from(order + "I", buffer, rel + 8)[0]
        raise BrokenError(f"{self.where(tag)}: has no value representation")

    def _bytes(self, at: int, stop: int) -> bytes:
        rel = at - self._base
        if rel < 0 or stop - self._base > len(self._buffer):
            if stop - at > self._limits.header_bytes:
                raise TooMuchError(
                    f"more than {self._limits.header_bytes:,} bytes outside of pixels"
                )
            rel = self._filled(at, stop - at)
        return self._buffer[rel : rel + stop - at]

    def _filled(self, at: int, count: int) -> int:
        self._buffer = self._content.read_at(at, max(count, _CHUNK))
        self._base = at
        return 0


_EXPLICIT = struct.Struct("<HH2sH").unpack_from
_IMPLICIT = struct.Struct("<HHI").unpack_from
