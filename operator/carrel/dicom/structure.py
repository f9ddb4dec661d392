"""The skeleton of a data set: where elements begin and end, without looking at a value.

Walked before any parser sees the file, so that what a parser gets is whole, shallow and
small. Follows PS3.5 section 7: explicit and implicit VR, defined and undefined lengths,
sequences, items and encapsulated pixels.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Protocol

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, double and plain pixel data."""
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR",
                   b"UT", b"UV"})  # fmt: skip
"""Value representations with a 32-bit length in explicit VR (PS3.5 table 7.1-1)."""


class Encoding(StrEnum):
    """How elements are written."""

    IMPLICIT_LITTLE = "implicit little endian"
    EXPLICIT_LITTLE = "explicit little endian"
    EXPLICIT_BIG = "explicit big endian"


class Limits(Protocol):
    """How much a walk may take on."""

    @property
    def header_bytes(self) -> int:
        """Bytes before the pixels."""
        ...

    @property
    def elements(self) -> int:
        """Elements and items at all depths."""
        ...

    @property
    def depth(self) -> int:
        """Sequences within sequences."""
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


@dataclass(frozen=True)
class _Element:
    tag: int
    vr: bytes
    length: int
    value_at: int


@dataclass(frozen=True)
class _Level:
    """A sequence or an item that is open."""

    tag: int
    kind: str
    end: int | None
    encoding: Encoding


def walk(file: BinaryIO, *, start: int, size: int, encoding: Encoding, limits: Limits) -> Skeleton:
    """Walk a data set from byte `start` to the end of a file of `size` bytes.

    Raises:
        BrokenError: when an element reaches beyond its surroundings.
        TooMuchError: when a limit is exceeded.

    """
    return _Walk(file, size=size, limits=limits).run(start, encoding)


class _Walk:
    def __init__(self, file: BinaryIO, *, size: int, limits: Limits) -> None:
        self._file = file
        self._size = size
        self._limits = limits
        self._levels: list[_Level] = []
        self._count = 0
        self._pixels_at: int | None = None

    def run(self, start: int, encoding: Encoding) -> Skeleton:
        at = start
        while True:
            at = self._closed(at)
            if at == self._size and not self._levels:
                return Skeleton(pixels_at=self._pixels_at)
            level = self._levels[-1] if self._levels else None
            element = self._element(at, level.encoding if level else encoding)
            self._counted(at)
            at = self._entered(element, at=at, level=level, encoding=encoding)

    def _closed(self, at: int) -> int:
        """Leave sequences and items of defined length that end here."""
        while self._levels and self._levels[-1].end is not None:
            end = self._levels[-1].end
            if at < end:
                break
            if at > end:
                raise BrokenError(f"{self._path()}: content is longer than its sequence or item")
            self._levels.pop()
        return at

    def _entered(
        self, element: _Element, *, at: int, level: _Level | None, encoding: Encoding
    ) -> int:
        inside = level.encoding if level else encoding
        if element.tag >> 16 == 0xFFFE:
            return self._delimited(element, level=level, inside=inside)
        if level is not None and level.kind == "sequence":
            raise BrokenError(f"{self._path(element.tag)}: stands in a sequence without an item")
        if not self._levels and element.tag in PIXELS and self._pixels_at is None:
            self._pixels_at = at
        if element.length == _UNDEFINED:
            if element.vr in (b"OB", b"OW") or element.tag in PIXELS:
                return self._fragments(element)
            # An undefined length in UN hides an implicit VR sequence (PS3.5 section 6.2.2).
            nested = Encoding.IMPLICIT_LITTLE if element.vr == b"UN" else inside
            self._push(_Level(element.tag, "sequence", None, nested))
            return element.value_at
        end = self._end(element)
        if element.vr == b"SQ":
            self._push(_Level(element.tag, "sequence", end, inside))
            return element.value_at
        return end

    def _delimited(self, element: _Element, *, level: _Level | None, inside: Encoding) -> int:
        match element.tag:
            case 0xFFFEE000 if level is not None and level.kind == "sequence":
                end = None if element.length == _UNDEFINED else self._end(element)
                self._levels.append(_Level(element.tag, "item", end, inside))
            case 0xFFFEE00D if level is not None and level.kind == "item" and level.end is None:
                self._levels.pop()
            case 0xFFFEE0DD if level is not None and level.kind == "sequence" and level.end is None:
                self._levels.pop()
            case _:
                raise BrokenError(f"{self._path(element.tag)}: an item or delimiter out of place")
        return element.value_at

    def _fragments(self, element: _Element) -> int:
        """Skip encapsulated pixels (PS3.5 annex A.4); return where they end."""
        at = element.value_at
        while True:
            tag, length = self._pair(at)
            self._counted(at if self._pixels_at is None else 0)
            at += 8
            if tag == _SEQUENCE_END:
                return at
            if tag != _ITEM or length == _UNDEFINED or at + length > self._size:
                raise BrokenError(f"{self._path(element.tag)}: a fragment is cut off")
            at += length

    def _push(self, level: _Level) -> None:
        # Items are levels too, hence twice the depth.
        if len(self._levels) >= 2 * self._limits.depth:
            raise TooMuchError(f"sequences are nested more than {self._limits.depth} deep")
        self._levels.append(level)

    def _counted(self, at: int) -> None:
        self._count += 1
        if self._count > self._limits.elements:
            raise TooMuchError(f"more than {self._limits.elements:,} elements")
        if self._pixels_at is None and at > self._limits.header_bytes:
            raise TooMuchError(f"more than {self._limits.header_bytes:,} bytes before the pixels")

    def _end(self, element: _Element) -> int:
        end = element.value_at + element.length
        outer = next((level.end for level in reversed(self._levels) if level.end), self._size)
        if end > min(outer, self._size):
            raise BrokenError(
                f"{self._path(element.tag)}: reaches beyond the end of "
                + ("the file" if end > self._size else "its sequence or item")
            )
        return end

    def _element(self, at: int, encoding: Encoding) -> _Element:
        big = encoding is Encoding.EXPLICIT_BIG
        order = ">" if big else "<"
        head = self._read(at, 8)
        group, number = struct.unpack_from(order + "HH", head)
        tag = group << 16 | number
        if encoding is Encoding.IMPLICIT_LITTLE or group == 0xFFFE:
            (length,) = struct.unpack_from(order + "I", head, 4)
            return _Element(tag, b"", length, at + 8)
        vr = bytes(head[4:6])
        if not (vr.isalpha() and vr.isupper()):
            raise BrokenError(f"{self._path(tag)}: has no value representation")
        if vr in _LONG:
            (length,) = struct.unpack(order + "I", self._read(at + 8, 4))
            return _Element(tag, vr, length, at + 12)
        (length,) = struct.unpack_from(order + "H", head, 6)
        return _Element(tag, vr, length, at + 8)

    def _pair(self, at: int) -> tuple[int, int]:
        # Encapsulated syntaxes are explicit little endian (PS3.5 annex A.4).
        group, number, length = struct.unpack("<HHI", self._read(at, 8))
        return group << 16 | number, length

    def _read(self, at: int, count: int) -> bytes:
        self._file.seek(at)
        data = self._file.read(count)
        if len(data) < count:
            raise BrokenError(f"{self._path()}: the file ends inside an element")
        return data

    def _path(self, *more: int) -> str:
        tags: Sequence[int] = [
            level.tag for level in self._levels if level.kind == "sequence"
        ] + list(more)
        return ">".join(f"({tag >> 16:04x},{tag & 0xFFFF:04x})" for tag in tags[-6:]) or "top level"
