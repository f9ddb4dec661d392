"""Where records are read from: a copy of the central log, or chains of processes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from carrel.ledger.errors import EvidenceError, LedgerError
from carrel.ledger.record import LARGEST_LINE
from carrel.ledger.tiles import WIDTH, Tile, decode_bundle
from carrel.ledger.verify import segments


class SourceError(LedgerError):
    """A folder holds nothing that an auditor could read."""


class Form(StrEnum):
    """How records are kept in a folder."""

    TILES = "Tiles"
    """The central log, or a copy of it."""
    CHAINS = "Chains"
    """One folder for each process, straight from the processes' volumes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one record stands."""

    file: str
    """Path of the file below the folder."""
    at: int
    """Byte at which its line begins; of a log, its number in the bundle."""
    end: int
    """Where the next one begins."""
    leaf: int | None
    """Index of its leaf in the central log; None in a chain."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it was found, whose digest was not checked."""

    place: Place
    writer: str
    """Process that wrote it."""
    node: str
    """Node on which it ran, where the central log knows it; else empty."""
    logged: str
    """When the central log took it; empty in a chain."""
    sequence: int
    digest: str
    event: dict[str, Any]
    """The OCSF event."""

    @property
    def said(self) -> dict[str, Any]:
        """The object `carrel`; empty where a foreign hand wrote something else."""
        said = self.event.get("carrel")
        return said if isinstance(said, dict) else {}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A place that should hold a record and does not."""

    place: Place
    why: str


class Source(Protocol):
    """Somewhere that records are read from."""

    @property
    def form(self) -> Form:
        """How they are kept."""
        ...

    def files(self) -> tuple[str, ...]:
        """Return files with records, oldest first within each writer."""
        ...

    def read(self, file: str, *, start: int) -> Iterator[Stored | Unreadable]:
        """Yield what stands in a file from `start`, as `Place.at` counts."""
        ...


def source_of(folder: Path) -> Source:
    """Return how to read `folder`.

    Raises:
        SourceError: when it holds neither a log nor a chain.

    """
    if (folder / "tile").is_dir():
        return Tiles(folder)
    if not folder.is_dir():
        raise SourceError(f"folder_is_missing: {folder} is no folder.")
    chains = Chains(folder)
    if not chains.files():
        raise SourceError(
            f"folder_holds_no_records: {folder} holds neither tiles nor chains. Name a copy made "
            "by `carrel audit export`, or the folder in which processes keep their chains."
        )
    return chains


class Chains:
    """Folders of chains, at most two levels below."""

    form = Form.CHAINS

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def chains(self) -> tuple[Path, ...]:
        """Return the folder of every chain."""
        found = {
            path.parent
            for pattern in ("*.jsonl", "*/*.jsonl", "*/*/*.jsonl")
            for path in self._folder.glob(pattern)
        }
        return tuple(sorted(found))

    def files(self) -> tuple[str, ...]:
        """Return every segment."""
        return tuple(
            str(path.relative_to(self._folder))
            for chain in self.chains()
            for path in segments(chain)
        )

    def read(self, file: str, *, start: int) -> Iterator[Stored | Unreadable]:
        """Yield records of a segment; the last line may still be on its way and is left out."""
        path = self._folder / file
        with path.open("rb") as lines:
            lines.seek(start)
            at = start
            while line := lines.readline(LARGEST_LINE + 1):
                place = Place(file, at, at + len(line), None)
                at += len(line)
                if line.endswith(b"\n"):
                    yield _stored(line, place, writer=path.parent.name)
                elif len(line) > LARGEST_LINE:
                    yield Unreadable(place, f"a line is longer than {LARGEST_LINE:,} bytes")
                    return


class Tiles:
    """Entry bundles of a log."""

    form = Form.TILES

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self) -> tuple[str, ...]:
        """Return the bundles, each in its fullest form, up to the first that is missing."""
        found = []
        index = 0
        while width := self._width(index):
            found.append(Tile(None, index, width).path)
            index += 1
        return tuple(found)

    def read(self, file: str, *, start: int) -> Iterator[Stored | Unreadable]:
        """Yield entries of a bundle from number `start`."""
        index = _index(file)
        # A partial bundle is deleted when a fuller one is there.
        width = self._width(index)
        try:
            data = (self._folder / Tile(None, index, width).path).read_bytes()
            entries = decode_bundle(data, width=width)
        except EvidenceError as error:
            yield Unreadable(Place(file, start, start + 1, index * WIDTH + start), str(error))
            return
        for number in range(start, len(entries)):
            place = Place(file, number, number + 1, index * WIDTH + number)
            yield _entry(entries[number], place)

    def _width(self, index: int) -> int:
        whole = self._folder / Tile(None, index).path
        if whole.is_file():
            return WIDTH
        partial = whole.with_name(f"{whole.name}.p")
        widths = [int(path.name) for path in partial.glob("*") if path.name.isdecimal()]
        return max(widths, default=0)


def _index(file: str) -> int:
    digits = file.removeprefix("tile/entries/").partition(".p")[0]
    return int(digits.replace("x", "").replace("/", ""))


def _entry(entry: bytes, place: Place) -> Stored | Unreadable:
    try:
        match json.loads(entry):
            case {
                "record": dict(record),
                "writer": str(writer),
                "node": str(node),
                "logged": str(logged),
            }:
                return _formed(record, place, writer=writer, node=node, logged=logged)
            case _:
                return Unreadable(place, "it is no entry of a log of Carrel")
    except (ValueError, RecursionError) as error:
        return Unreadable(place, f"it is no JSON ({type(error).__name__})")


def _stored(line: bytes, place: Place, *, writer: str) -> Stored | Unreadable:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Unreadable(place, f"it is no JSON ({type(error).__name__})")
    if not isinstance(found, dict):
        return Unreadable(place, "it is no object")
    return _formed(found, place, writer=writer, node="", logged="")


def _formed(
    record: dict[str, Any], place: Place, *, writer: str, node: str, logged: str
) -> Stored | Unreadable:
    match record:
        case {"sequence": int(sequence), "digest": str(digest), "event": dict(event)}:
            return Stored(place, writer, node, logged, sequence, digest, event)
        case _:
            return Unreadable(place, "it lacks sequence, digest or event")
