"""Looking at pixels: are all there, do they decode, do they show anything."""

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from pydicom import encaps
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

_UNDEFINED = 0xFFFFFFFF
_PLAIN = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"})
_DEFLATED = "1.2.840.10008.1.2.1.99"
_PIECE = 16 * 1024
_LARGEST_FRAME = 256 * 2**20
"""Bytes of one frame that are decoded at most: a few bytes may claim to hold gigabytes."""
_LARGEST_ENCODED = 512 * 2**20


class PixelCheck(StrEnum):
    """How far the look goes."""

    STRUCTURE = "Structure"
    DECODE = "Decode"


class Decoding(StrEnum):
    """What is known of the frames of an image."""

    NONE = "None"
    """The object has no pixels."""
    WHOLE = "Whole"
    """The frames that were tried are there and decode."""
    NOT_TRIED = "NotTried"
    """Compressed, and no decoder was asked or is installed."""
    TRUNCATED = "Truncated"
    """There are fewer bytes than rows, columns and frames ask for, or fewer fragments."""
    BROKEN = "Broken"
    """A frame does not decode."""


@dataclass(frozen=True)
class Pixels:
    """What a look at the pixels found."""

    decoding: Decoding = Decoding.NONE
    constant: int = 0
    """Frames among the first, middle and last that hold one value throughout."""
    tried: int = 0
    """Frames that were looked at: at most three."""
    sample: str = ""
    """Digest of length, begin, middle and end of the pixel bytes: equal pixels share it."""


NO_PIXELS = Pixels()
"""What is known of an object without pixels."""


def checked_pixels(file: BinaryIO, header: Dataset, *, at: int, check: PixelCheck) -> Pixels:
    """Look at the pixel data element that begins at byte `at` of a whole file.

    May raise what pydicom raises for a header that contradicts itself.
    """
    syntax = str(header.file_meta.TransferSyntaxUID)
    if syntax == _DEFLATED:
        return Pixels(Decoding.NOT_TRIED)
    begin, length = _element(file, at=at, implicit=syntax == "1.2.840.10008.1.2",
                             big=syntax == "1.2.840.10008.1.2.2")  # fmt: skip
    if begin is None:
        return NO_PIXELS
    if length == _UNDEFINED or syntax not in _PLAIN:
        return _encapsulated(file, header, begin=begin, check=check)
    return _plain(file, header, begin=begin, length=length)


def _element(file: BinaryIO, *, at: int, implicit: bool, big: bool) -> tuple[int | None, int]:
    """Return where the value begins and how long it is; None without pixels."""
    file.seek(at)
    head = file.read(12)
    if len(head) < 8:
        return None, 0
    order = ">" if big else "<"
    if implicit:
        return at + 8, struct.unpack(order + "I", head[4:8])[0]
    return at + 12, struct.unpack(order + "I", head[8:12])[0]


def _plain(file: BinaryIO, header: Dataset, *, begin: int, length: int) -> Pixels:
    frames = int(header.get("NumberOfFrames") or 1)
    bits = int(header.Rows) * int(header.Columns) * int(header.SamplesPerPixel)
    bits *= int(header.BitsAllocated)
    if "YBR_FULL_422" in str(header.get("PhotometricInterpretation", "")):
        bits = bits * 2 // 3
    sample = _sample(file, begin=begin, length=length)
    if frames < 1 or length * 8 < bits * frames:
        return Pixels(Decoding.TRUNCATED, sample=sample)
    if bits % 8:
        # Frames of single bits (masks) share bytes: constant ones are ordinary there.
        return Pixels(Decoding.WHOLE, sample=sample)
    size, wide = bits // 8, max(1, int(header.BitsAllocated) // 8)
    tried = _chosen(frames)
    constant = sum(
        _is_constant(file, begin=begin + index * size, size=size, wide=wide) for index in tried
    )
    return Pixels(Decoding.WHOLE, constant=constant, tried=len(tried), sample=sample)


def _is_constant(file: BinaryIO, *, begin: int, size: int, wide: int) -> bool:
    file.seek(begin)
    first = file.read(wide)
    same = first * (_PIECE // wide)
    left = size - wide
    while left > 0:
        piece = file.read(min(left, len(same)))
        # Most frames differ within their first piece, so that a look costs one read.
        if not piece or piece != same[: len(piece)]:
            return False
        left -= len(piece)
    return size > wide


def _encapsulated(file: BinaryIO, header: Dataset, *, begin: int, check: PixelCheck) -> Pixels:
    file.seek(begin)
    data = file.read(_LARGEST_ENCODED + 1)
    sample = hashlib.sha256(data).hexdigest()[:32]
    frames = int(header.get("NumberOfFrames") or 1)
    if len(data) > _LARGEST_ENCODED:
        return Pixels(Decoding.NOT_TRIED, sample=sample)
    # Without its offset table: a table that lies would send the reader elsewhere.
    fragments, _ = encaps.parse_fragments(data[_table(data) :])
    if fragments < frames:
        return Pixels(Decoding.TRUNCATED, sample=sample)
    if check is PixelCheck.STRUCTURE:
        return Pixels(Decoding.NOT_TRIED, sample=sample)
    return _decoded(data, header, frames=frames, sample=sample)


def _table(data: bytes) -> int:
    """Return where the item after the basic offset table begins (PS3.5 A.4)."""
    return int(8 + struct.unpack_from("<I", data, 4)[0])


def _decoded(data: bytes, header: Dataset, *, frames: int, sample: str) -> Pixels:
    size = int(header.Rows) * int(header.Columns) * int(header.SamplesPerPixel)
    size *= max(1, int(header.BitsAllocated) // 8)
    try:
        decoder = get_decoder(UID(str(header.file_meta.TransferSyntaxUID)))
        ready = decoder.is_available
    except (NotImplementedError, ImportError):
        ready = False
    if not ready or size > _LARGEST_FRAME:
        return Pixels(Decoding.NOT_TRIED, sample=sample)
    tried, constant = _chosen(frames), 0
    for index in tried:
        try:
            frame = encaps.get_frame(data, index, number_of_frames=frames)
            header.PixelData = encaps.encapsulate([frame])
            header.NumberOfFrames = 1
            values, _ = decoder.as_buffer(header, index=0)
        except Exception:  # noqa: BLE001 - decoders raise whatever they like on broken frames
            return Pixels(Decoding.BROKEN, tried=len(tried), sample=sample)
        whole = bytes(values)
        wide = max(1, int(header.BitsAllocated) // 8)
        constant += len(whole) > wide and whole == whole[:wide] * (len(whole) // wide)
    return Pixels(Decoding.WHOLE, constant=constant, tried=len(tried), sample=sample)


def _chosen(frames: int) -> tuple[int, ...]:
    return tuple(sorted({0, frames // 2, frames - 1}))


def _sample(file: BinaryIO, *, begin: int, length: int) -> str:
    found = hashlib.sha256(str(length).encode())
    for part in _pieces(begin=begin, length=length):
        file.seek(part)
        found.update(file.read(min(_PIECE, begin + length - part)))
    return found.hexdigest()[:32]


def _pieces(*, begin: int, length: int) -> Iterable[int]:
    if length <= 3 * _PIECE:
        return range(begin, begin + length, _PIECE)
    return (begin, begin + (length - _PIECE) // 2, begin + length - _PIECE)
