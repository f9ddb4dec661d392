"""The checker of a central log: reads every entry and says where the first lie is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from carrel.ledger.checkpoint import Checkpoint
from carrel.ledger.errors import EvidenceError
from carrel.ledger.merkle import leaf_hash
from carrel.ledger.tiles import (
    WIDTH,
    Growth,
    Tile,
    decode_bundle,
    decode_hashes,
    width_at,
)

ReadTile = Callable[[Tile], bytes]
"""Returns the content of a tile; FileNotFoundError when it is not there."""


@dataclass(frozen=True, slots=True)
class Flaw:
    """The first thing in a log that does not hold."""

    rule: str
    detail: str
    leaf: int | None
    """The first entry that is not what was signed for, where one can be named."""
    path: str
    """The file, below the log's folder."""


def tiles_in(folder: Path) -> ReadTile:
    """Return how to read the tiles in a folder, a full one for a partial one that is gone."""

    def read(tile: Tile) -> bytes:
        try:
            return (folder / tile.path).read_bytes()
        except FileNotFoundError:
            if tile.width == WIDTH:
                raise
            whole = (folder / Tile(tile.level, tile.index).path).read_bytes()
        if tile.level is None:
            return whole[: _end_of(whole, entries=tile.width)]
        return whole[: tile.width * 32]

    return read


def inspect(
    read: ReadTile, checkpoint: Checkpoint, *, told: Callable[[int], object] | None = None
) -> Flaw | None:
    """Check every entry and every tile of a log against a checkpoint that was verified.

    Args:
        read: Returns the content of tiles.
        checkpoint: Size and root that must come out.
        told: Called with the number of entries checked, once for each bundle.

    """
    growth = Growth()
    try:
        for index in range(-(-checkpoint.size // WIDTH)):
            width = width_at(0, index, size=checkpoint.size)
            for tile, expected in growth.append(_leaves(read, index, width)):
                _compare(read, tile, expected)
            if told:
                told(growth.size)
        for tile, expected in growth.partial():
            _compare(read, tile, expected)
    except _FlawFoundError as error:
        return error.flaw
    if growth.root() == checkpoint.root:
        return None
    detail = f"the tree of {checkpoint.size} entries has another root than was signed"
    return Flaw("root_does_not_match", detail, None, "checkpoint")


class _FlawFoundError(Exception):
    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.rule)
        self.flaw = flaw


def _leaves(read: ReadTile, index: int, width: int) -> list[bytes]:
    """Return the hashes of the entries of a bundle, which are those of the tile beside it."""
    first = index * WIDTH
    bundle, tile = Tile(None, index, width), Tile(0, index, width)
    content, stored = _content(read, bundle, leaf=first), _content(read, tile, leaf=first)
    try:
        hashes = [leaf_hash(entry) for entry in decode_bundle(content, width=width)]
    except EvidenceError as error:
        raise _FlawFoundError(Flaw(error.rule, error.detail, first, bundle.path)) from error
    try:
        said = decode_hashes(stored, width=width)
    except EvidenceError as error:
        raise _FlawFoundError(Flaw(error.rule, error.detail, first, tile.path)) from error
    if said != hashes:
        at = first + next(at for at in range(width) if hashes[at] != said[at])
        detail = f"entry {at} or its hash was altered"
        raise _FlawFoundError(Flaw("entry_does_not_match", detail, at, bundle.path))
    return hashes


def _compare(read: ReadTile, tile: Tile, expected: bytes) -> None:
    if tile.level and _content(read, tile, leaf=None) != expected:
        detail = "it is not what the tiles below it give"
        raise _FlawFoundError(Flaw("tile_does_not_match", detail, None, tile.path))


def _content(read: ReadTile, tile: Tile, *, leaf: int | None) -> bytes:
    try:
        return read(tile)
    except OSError as error:
        flaw = Flaw("file_cannot_be_read", error.strerror or "", leaf, tile.path)
        raise _FlawFoundError(flaw) from error


def _end_of(bundle: bytes, *, entries: int) -> int:
    at = 0
    for _ in range(entries):
        at += 2 + int.from_bytes(bundle[at : at + 2], "big")
    return at
