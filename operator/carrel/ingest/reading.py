"""What a worker process does: take over a chunk of files, look at each, keep what may enter.

A file is copied first and looked at afterwards, so that what was looked at is what is kept.
"""

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from carrel.dicom import (
    STRICT,
    Accepted,
    Finding,
    Gate,
    GatePolicy,
    Instance,
    Outcome,
    ReaderLimits,
    Refused,
    Rule,
)
from carrel.dicom.sketch import Depth, Sketch, sketch
from carrel.dicom.sketch_wire import sketch_from_wire, sketch_to_wire
from carrel.ingest.staging import StagedFile
from carrel.ingest.store import Store, make_folders, settle, sync_folder, write_whole

_BLOCK = 256 * 1024
"""Small enough to be in the cache when it is hashed, large enough for most headers."""


@dataclass(frozen=True)
class Seen:
    """One file that was looked at."""

    index: int
    digest: str
    """SHA-256 in hexadecimal, of the bytes that were read."""
    size: int
    outcome: Outcome
    sketch: Sketch | None = None
    """What reports need to know of an accepted image; None where it cannot be told."""


@dataclass(frozen=True)
class Order:
    """A chunk of work."""

    root: Path
    """Root of the store."""
    work: Path
    """Folder of the ingest."""
    files: tuple[StagedFile, ...]
    limits: ReaderLimits
    policy: GatePolicy = STRICT

    @property
    def result(self) -> Path:
        """Where the result of the chunk stands once everything in it is durable."""
        return self.work / "chunks" / f"{self.files[0].index:08}-{self.files[-1].index:08}.json"


def perform(order: Order) -> Path:
    """Work through a chunk, once: a chunk whose result stands is not looked at again.

    Raises:
        OSError: when staging cannot be read or the store cannot be written.

    """
    if order.result.exists():
        return order.result
    store, arriving = Store(order.root), make_folders(order.work / "arriving")
    make_folders(order.result.parent)
    gate = _gate(order.policy, order.limits)
    seen = [_taken_over(file, arriving, gate=gate) for file in order.files]
    kept = [each for each in seen if isinstance(each.outcome, Accepted)]
    # All are written before the first is synced: one journal commit then serves the chunk.
    for each in kept:
        _made_durable(arriving / str(each.index))
    for each in kept:
        settle(arriving / str(each.index), store.object(each.digest))
    for folder in {store.object(each.digest).parent for each in kept}:
        sync_folder(folder)
    write_whole(order.result, encoded(seen))
    return order.result


def broken(order: Order) -> Path:
    """Refuse the one file of a chunk whose worker died of it."""
    (file,) = order.files
    outcome = Refused(Rule.FILE_BREAKS_THE_READER)
    make_folders(order.result.parent)
    seen = Seen(file.index, file.digest, file.path.stat().st_size, outcome)
    write_whole(order.result, encoded([seen]))
    return order.result


def encoded(seen: Sequence[Seen]) -> bytes:
    """Write results as JSON lines."""
    return b"".join(json.dumps(_wire(each)).encode() + b"\n" for each in seen)


def decoded(data: bytes) -> list[Seen]:
    """Read what `encoded` wrote."""
    return [_seen(json.loads(line)) for line in data.splitlines()]


@lru_cache(maxsize=1)
def _gate(policy: GatePolicy, limits: ReaderLimits) -> Gate:
    """Return the worker's gate: what it learned of one chunk's elements serves the next."""
    return Gate(policy=policy, limits=limits)


def _taken_over(file: StagedFile, arriving: Path, *, gate: Gate) -> Seen:
    target = arriving / str(file.index)
    # A run that was killed may have left it read-only; root without capabilities obeys that.
    target.unlink(missing_ok=True)
    descriptor = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as source, target.open("w+b") as copy:  # noqa: PTH123 - a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{file.path} is no regular file; staging holds nothing else")
        found, size, head = hashlib.sha256(), 0, b""
        while block := source.read(_BLOCK):
            head = head or block
            found.update(block)
            copy.write(block)
            size += len(block)
        copy.flush()
        outcome = gate.look(copy, size=size, head=head)
        # No decoder runs here: it is C code, and this process stands beside the signing key.
        seen = sketch(copy, depth=Depth.STRUCTURE) if isinstance(outcome, Accepted) else None
    if isinstance(outcome, Refused):
        target.unlink()
    return Seen(file.index, found.hexdigest(), size, outcome, seen)


def _made_durable(path: Path) -> None:
    with path.open("rb") as file:
        os.fchmod(file.fileno(), 0o444)
        os.fsync(file.fileno())


def _wire(seen: Seen) -> dict[str, object]:
    common = {"index": seen.index, "digest": seen.digest, "size": seen.size}
    match seen.outcome:
        case Accepted(instance, warnings):
            drawn = None if seen.sketch is None else sketch_to_wire(seen.sketch)
            found = _findings(warnings)
            return {**common, "instance": asdict(instance), "sketch": drawn, "findings": found}
        case Refused(rule, detail, findings):
            return {**common, "rule": rule, "detail": detail, "findings": _findings(findings)}


def _findings(found: Sequence[Finding]) -> list[tuple[str, str, int]]:
    return [(each.rule, each.path, each.count) for each in found]


def _seen(wire: dict[str, Any]) -> Seen:
    outcome: Outcome
    found = tuple(Finding(Rule(rule), path, count) for rule, path, count in wire["findings"])
    if "instance" in wire:
        outcome = Accepted(Instance(**wire["instance"]), found)
    else:
        outcome = Refused(Rule(wire["rule"]), wire["detail"], found)
    drawn = wire.get("sketch")
    known = None if drawn is None else sketch_from_wire(drawn)
    return Seen(wire["index"], wire["digest"], wire["size"], outcome, known)
