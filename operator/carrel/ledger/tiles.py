"""The files of a log as C2SP tlog-tiles defines them: tiles of hashes, bundles of entries.

A tile holds 256 hashes, a bundle 256 entries; the last ones of a tree may hold fewer.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from carrel.ledger.errors import EvidenceError
from carrel.ledger.merkle import HASH_BYTES, Subtree, node_hash, root_of

WIDTH = 256
_HEIGHT = 8
LARGEST_ENTRY = 65_535
"""Bytes of an entry: its length stands before it in two bytes."""
ENTRIES = "entries"

_PATH = re.compile(
    r"tile/(?P<level>[0-9]|[1-5][0-9]|6[0-3]|entries)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True)
class Tile:
    """Where some consecutive hashes or entries stand."""

    level: int | None
    """Level of the hashes, 0 for those of leaves; None for the entries themselves."""
    index: int
    """Number of the tile in its level."""
    width: int = WIDTH
    """How many hashes or entries it holds, from 1 to 256."""

    @property
    def path(self) -> str:
        """Path below the log's address or folder."""
        digits = f"{self.index:03}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        index = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
        level = ENTRIES if self.level is None else self.level
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{index}{partial}"


def tile_at(path: str) -> Tile:
    """Read a path; the opposite of `Tile.path`.

    Raises:
        EvidenceError: when it is not the path of a tile.

    """
    found = _PATH.fullmatch(path)
    if found is None:
        raise EvidenceError("path_is_no_tile", f"{path[:100]!r}")
    level = None if found["level"] == ENTRIES else int(found["level"])
    index = int(found["index"].replace("x", "").replace("/", ""))
    tile = Tile(level, index, int(found["width"] or WIDTH))
    # Only one spelling is served: no leading groups of zeroes, no partial tile of full width.
    if tile.path != path:
        raise EvidenceError("path_is_no_tile", f"{path[:100]!r} is spelled {tile.path!r}")
    return tile


def width_at(level: int, index: int, *, size: int) -> int:
    """Return how many hashes tile `index` of `level` holds in a tree of `size` leaves."""
    return max(0, min(WIDTH, (size >> (_HEIGHT * level)) - index * WIDTH))


def tiles_of(size: int, *, since: int = 0) -> Iterator[Tile]:
    """Yield every tile and bundle that a tree of `size` leaves has and one of `since` lacks."""
    for level in (None, *range(64 // _HEIGHT)):
        hashes = size >> (_HEIGHT * (level or 0))
        for index in range((since >> (_HEIGHT * (level or 0))) // WIDTH, -(-hashes // WIDTH)):
            width = width_at(level or 0, index, size=size)
            if width > width_at(level or 0, index, size=since):
                yield Tile(level, index, width)


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return entries with their lengths.

    Raises:
        EvidenceError: when one is too large.

    """
    try:
        return b"".join([part for each in entries for part in (_LENGTH.pack(len(each)), each)])
    except struct.error as error:
        raise EvidenceError(
            "entry_is_too_large", f"an entry has more than {LARGEST_ENTRY:,} bytes"
        ) from error


def decode_bundle(data: bytes, *, width: int) -> list[bytes]:
    """Return the `width` entries of a bundle.

    Raises:
        EvidenceError: when there are fewer, more, or one is cut off.

    """
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise EvidenceError("entry_is_cut_off", f"entry {len(entries)} of its bundle")
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != width:
        raise EvidenceError("bundle_is_not_whole", f"{len(entries)} of {width} entries")
    return entries


def decode_hashes(data: bytes, *, width: int) -> list[bytes]:
    """Return the `width` hashes of a tile.

    Raises:
        EvidenceError: when it has another length.

    """
    if len(data) != width * HASH_BYTES:
        raise EvidenceError("tile_is_not_whole", f"{len(data)} bytes for {width} hashes")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


def subtrees_from(read: Callable[[Tile], bytes], *, size: int) -> Subtree:
    """Return how to get subtree hashes of a tree of `size` leaves from its tiles.

    `read` returns the content of a tile. The last 256 tiles read are kept, 2 MiB at most.
    """

    @lru_cache(maxsize=256)
    def hashes(level: int, index: int) -> list[bytes]:
        width = width_at(level, index, size=size)
        return decode_hashes(read(Tile(level, index, width)), width=width)

    def whole(start: int, height: int) -> bytes:
        level, below = divmod(height, _HEIGHT)
        first = start >> (_HEIGHT * level)
        at = first % WIDTH
        return root_of(hashes(level, first // WIDTH)[at : at + (1 << below)])

    def subtree(start: int, end: int) -> bytes:
        parts: list[bytes] = []
        while start < end:
            # The largest whole subtree that begins here and does not reach beyond the end.
            height = (end - start).bit_length() - 1
            if start:
                height = min(height, (start & -start).bit_length() - 1)
            parts.append(whole(start, height))
            start += 1 << height
        found = parts.pop()
        while parts:
            found = node_hash(parts.pop(), found)
        return found

    return subtree


_LENGTH = struct.Struct(">H")


class Growth:
    """The right edge of a growing tree: what is needed to append to it and no more."""

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]
        self._size = 0

    @classmethod
    def restored(cls, size: int, read: Callable[[Tile], bytes]) -> "Growth":
        """Return the edge of a tree of `size` leaves from its tiles.

        Raises:
            EvidenceError: when a tile has not the length that it must have.

        """
        growth = cls()
        growth._size = size
        growth._levels = []
        for level in range(64 // _HEIGHT):
            hashes = size >> (_HEIGHT * level)
            if level and not hashes:
                break
            index, width = divmod(hashes, WIDTH)
            tile = Tile(level, index, width)
            growth._levels.append(decode_hashes(read(tile), width=width) if width else [])
        return growth

    @property
    def size(self) -> int:
        """How many leaves the tree has."""
        return self._size

    def root(self) -> bytes:
        """Return the root of the tree."""
        found: list[bytes] = []
        for hashes in self._levels:
            row = hashes + found
            found = [root_of(row)] if row else []
        return found[0] if found else root_of(())

    def append(self, leaves: Sequence[bytes]) -> list[tuple[Tile, bytes]]:
        """Add the hashes of leaves; return the tiles that became full, with their content."""
        self._levels[0] += leaves
        full: list[tuple[Tile, bytes]] = []
        level = 0
        while level < len(self._levels) and len(self._levels[level]) >= WIDTH:
            full += self._filled(level)
            level += 1
        self._size += len(leaves)
        return full

    def partial(self) -> list[tuple[Tile, bytes]]:
        """Return the tiles at the right edge that are not full, with their content."""
        return [
            (Tile(level, self._size >> (_HEIGHT * (level + 1)), len(hashes)), b"".join(hashes))
            for level, hashes in enumerate(self._levels)
            if hashes
        ]

    def _filled(self, level: int) -> Iterator[tuple[Tile, bytes]]:
        hashes = self._levels[level]
        if level + 1 == len(self._levels):
            self._levels.append([])
        above = self._levels[level + 1]
        index = self._size >> (_HEIGHT * (level + 1))
        whole = len(hashes) // WIDTH * WIDTH
        for at in range(0, whole, WIDTH):
            chunk = hashes[at : at + WIDTH]
            yield Tile(level, index), b"".join(chunk)
            above.append(root_of(chunk))
            index += 1
        self._levels[level] = hashes[whole:]
