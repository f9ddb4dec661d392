"""How far the log was forwarded, so that each event becomes one record and no more."""

import json
import logging
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from carrel.apiaudit.lines import Position
from carrel.ledger.event import Activity
from carrel.ledger.record import LineError, parsed
from carrel.ledger.verify import lines, segments

_log = logging.getLogger(__name__)

REMEMBERED = 50_000
"""Audit IDs kept: one request is told of at most twice, at its answer and at its end."""
_OPEN = 5_000


@dataclass(frozen=True)
class Progress:
    """Where forwarding stands."""

    position: Position
    sequence: int
    """Last record of the chain that this position accounts for."""
    opened: tuple[str, ...]
    """Requests told of at their beginning whose end was not seen, oldest first."""


NOTHING = Progress(Position(), 0, ())


class ProgressFile:
    """A file that is replaced whole; a lost or torn one is made up for from the chain."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Progress:
        """Return what was stored; the beginning where there is nothing that can be read."""
        try:
            found = json.loads(self._path.read_bytes())
            position = Position(**found["position"])
            return Progress(position, int(found["sequence"]), tuple(map(str, found["opened"])))
        except FileNotFoundError:
            return NOTHING
        except (OSError, ValueError, TypeError, KeyError) as error:
            _log.warning("progress cannot be read; the log is read from its beginning: %s", error)
            return NOTHING

    def store(self, progress: Progress) -> None:
        """Replace what is stored.

        Raises:
            OSError: when it cannot be written; the old one stands.

        """
        arriving = self._path.with_name(f".{self._path.name}")
        with arriving.open("wb") as file:
            file.write(json.dumps(asdict(progress)).encode())
            file.flush()
            os.fsync(file.fileno())
        arriving.replace(self._path)


class Told:
    """Keys of what has become a record."""

    def __init__(self, opened: tuple[str, ...]) -> None:
        self._recent: OrderedDict[str, None] = OrderedDict()
        self._opened: OrderedDict[str, None] = OrderedDict.fromkeys(opened)

    def __contains__(self, audit_id: str) -> bool:
        return audit_id in self._recent or audit_id in self._opened

    def add(self, audit_id: str) -> None:
        """Remember that there is a record."""
        self._recent[audit_id] = None
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)

    def open(self, audit_id: str) -> None:
        """Remember it until its end is seen, however long that takes."""
        self._opened[audit_id] = None
        if len(self._opened) > _OPEN:
            self._opened.popitem(last=False)

    def end(self, audit_id: str) -> None:
        """Let go of what has ended."""
        self._opened.pop(audit_id, None)

    @property
    def opened(self) -> tuple[str, ...]:
        """What has not ended."""
        return tuple(self._opened)


def key_of(activity: str, detail: Mapping[str, Any]) -> str:
    """Return what a record of apiaudit must be the only one of; empty for a mark."""
    if activity in {Activity.ADMINISTRATOR_ACTED, Activity.POD_ENTERED}:
        return str(detail.get("auditID", ""))
    if activity == Activity.AUDIT_LOG_UNREADABLE:
        # Not by file: rotation gives it another name.
        return " ".join(str(detail.get(key, "")) for key in ("reason", "offset", "bytes", "sha256"))
    return ""


def recorded_since(chain: Path, *, sequence: int) -> Iterator[str]:
    """Yield keys of records after `sequence`; what cannot be read ends a segment."""
    files = segments(chain)
    # The first segment that can hold a later record is the last that begins at or before it.
    begin = max(
        (number for number, path in enumerate(files) if int(path.stem) <= sequence + 1), default=0
    )
    for path in files[begin:]:
        for line in lines(path):
            try:
                record = parsed(line, after=None)
            except LineError:
                break
            if record.receipt.sequence <= sequence:
                continue
            said = record.said
            key = key_of(str(said.get("activity")), said.get("detail", {}))
            if key:
                yield key
