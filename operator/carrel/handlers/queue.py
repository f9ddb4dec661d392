"""The work queue: one entry per object however often it changes, one worker per object.

A watch tells of every change; work depends only on what is true now. So a change of an
object that already waits adds nothing, and a change of one that is being worked on makes
it wait again for after. What stops something overtakes what starts something.
"""

import asyncio
import heapq
import itertools
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum

from carrel.flows.clock import Clock, wait_until

_LAZY = timedelta(seconds=1)
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(milliseconds=250), timedelta(seconds=60)


class Work(StrEnum):
    """What is worked on."""

    GRANT = "grant"
    WORKSPACE = "workspace"
    DATASET = "dataset"
    INGEST = "ingest"


class Lane(IntEnum):
    """Who goes first."""

    STOP = 0
    """Something may have to stop."""
    START = 1
    """Everything else."""


@dataclass(frozen=True)
class Key:
    """One object to work on."""

    work: Work
    """What it is."""
    name: str
    """Its name; of a workspace, which is also its namespace's."""


class WorkQueue:
    """Merges, orders and delays keys; used from one event loop."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lanes: dict[Lane, OrderedDict[Key, datetime]] = {lane: OrderedDict() for lane in Lane}
        self._busy: dict[Key, Lane | None] = {}
        self._failures: dict[Key, int] = {}
        self._later: list[tuple[datetime, int, Key, Lane]] = []
        self._due: dict[Key, datetime] = {}
        self._order = itertools.count()
        self._filled = asyncio.Event()
        self._sooner = asyncio.Event()

    def put(self, key: Key, *, lane: Lane = Lane.START) -> None:
        """Work on `key` soon."""
        if key in self._busy:
            again = self._busy[key]
            self._busy[key] = lane if again is None else min(lane, again)
            return
        if lane is Lane.STOP:
            self._lanes[Lane.START].pop(key, None)
        elif key in self._lanes[Lane.STOP]:
            return
        self._lanes[lane].setdefault(key, self._clock.now())
        self._filled.set()

    def put_at(self, key: Key, moment: datetime, *, lane: Lane = Lane.STOP) -> None:
        """Work on `key` at `moment`, or at the moment asked for before if that is earlier.

        What comes by the clock is most often an end, and goes first.
        """
        known = self._due.get(key)
        if known is not None and known <= moment:
            return
        self._due[key] = moment
        heapq.heappush(self._later, (moment, next(self._order), key, lane))
        self._sooner.set()

    def put_lazily(self, key: Key) -> None:
        """Work on `key` within a second, however often it is put until then.

        For what only tells: the status of a grant follows that of its workspaces, which
        changes at every step of a start.
        """
        self.put_at(key, self._clock.now() + _LAZY, lane=Lane.START)

    async def get(self) -> Key:
        """Return the next key, once there is one; `done` must follow."""
        while True:
            for waiting in self._lanes.values():
                if waiting:
                    key, _ = waiting.popitem(last=False)
                    self._busy[key] = None
                    return key
            self._filled.clear()
            await self._filled.wait()

    def done(self, key: Key, *, again: datetime | None = None) -> None:
        """Say that the work on `key` is done, and when it is due again without any event."""
        self._failures.pop(key, None)
        self._finish(key)
        if again is not None:
            self.put_at(key, again)

    def failed(self, key: Key) -> timedelta:
        """Say that the work on `key` failed; return the pause until it is tried again."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause = min(_FIRST_PAUSE * float(2 ** min(failures, 16)), _LONGEST_PAUSE)
        self._finish(key)
        self.put_at(key, self._clock.now() + pause, lane=Lane.START)
        return pause

    async def run(self) -> None:
        """Move keys from later to now as their time comes; runs for ever."""
        while True:
            self._sooner.clear()
            self.hurry(until=self._clock.now())
            first = self._later[0][0] if self._later else None
            await wait_until(first, clock=self._clock, wake=self._sooner)

    def hurry(self, *, until: datetime) -> None:
        """Move the keys that are due by `until` from later to now."""
        while self._later and self._later[0][0] <= until:
            moment, _, key, lane = heapq.heappop(self._later)
            if self._due.get(key) == moment:
                del self._due[key]
                self.put(key, lane=lane)

    @property
    def depth(self) -> int:
        """How many keys wait to be worked on now."""
        return sum(len(waiting) for waiting in self._lanes.values())

    @property
    def busy(self) -> int:
        """How many keys are being worked on."""
        return len(self._busy)

    @property
    def oldest(self) -> timedelta:
        """How long the key at the front has waited."""
        starts = [next(iter(waiting.values())) for waiting in self._lanes.values() if waiting]
        return self._clock.now() - min(starts) if starts else timedelta(0)

    def _finish(self, key: Key) -> None:
        lane = self._busy.pop(key)
        if lane is not None:
            self.put(key, lane=lane)
