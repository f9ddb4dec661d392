"""The account of one pod's refused packets: what was seen, what was lost, what is told.

No clock, no socket, no disk: the recorder feeds it and writes down what it says.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from carrel.node.flow import Direction, Flow
from carrel.node.nflog import Batch
from carrel.render.nft import GROUP, WIRE_GROUP

MOST_FLOWS = 4_096
"""Flows of a pod that are told one by one in a window; the rest is told as one sum."""
MOST_DISTINCT = 65_536
"""How far the flows of that rest are told apart."""
_WRAP = 2**32

Destination = tuple[str, int, int]
"""Address, protocol and port, as the kernel's own sets name them."""


class Outcome(StrEnum):
    """What comparing with the kernel's counters showed."""

    EXACT = "Exact"
    """Recorded and known lost packets together are what the kernel counted."""
    BOUNDED = "Bounded"
    """Packets went on coming: the kernel's count lies between ours before and ours after."""
    LOST = "Lost"
    """The kernel counted more; the difference is recorded as lost, and now it is exact."""
    REBASED = "Rebased"
    """The kernel counts less than it did: its counters were replaced."""


@dataclass
class Tally:
    """Packets of one flow in one window."""

    count: int
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Rest:
    """Packets that were not told one by one."""

    count: int
    flows: int
    """How many different flows at least."""
    first: datetime
    last: datetime


@dataclass(frozen=True)
class Harvest:
    """What is to be written down of a window."""

    flows: Mapping[Flow, Tally]
    rest: Mapping[int, Rest]
    """By group."""
    lost: Mapping[int, int]
    """By group; negative corrects an earlier word."""


@dataclass(frozen=True)
class Past:
    """What the records of an earlier process say of a pod."""

    recorded: Mapping[int, int] = field(default_factory=dict)
    lost: Mapping[int, int] = field(default_factory=dict)
    numbered: Mapping[int, int] = field(default_factory=dict)
    """What of both came through the present socket."""
    base: Mapping[int, int] = field(default_factory=dict)
    destinations: Mapping[Destination, int] = field(default_factory=dict)


class Account:
    """Counts one pod's packets until they are told."""

    def __init__(self, past: Past) -> None:
        groups = (GROUP, WIRE_GROUP)
        self.recorded = {group: past.recorded.get(group, 0) for group in groups}
        self.lost = {group: past.lost.get(group, 0) for group in groups}
        self._expected = {group: past.numbered.get(group, 0) for group in groups}
        self._taken_back = dict.fromkeys(groups, 0)
        self._base = {group: past.base.get(group, 0) for group in groups}
        self._waiting = dict.fromkeys(groups, 0)
        self._flows: dict[Flow, Tally] = {}
        self._rest: dict[int, Rest] = {}
        self._distinct: set[Flow] = set()
        self._untold_lost: Counter[int] = Counter()
        self._by_destination: Counter[Destination] = Counter(past.destinations)
        self.unrecovered = 0

    @property
    def base(self) -> Mapping[int, int]:
        """What the kernel had counted before its counters began anew, by group."""
        return dict(self._base)

    def renumber(self) -> None:
        """Begin with the numbers of a new socket; what is accounted for stays."""
        self._expected = dict.fromkeys(self._expected, 0)

    def take(self, batch: Batch, *, now: datetime) -> None:
        """Take in what the kernel sent, and what its numbers say was lost before it."""
        if batch.group not in self._expected:
            return
        total = batch.packets.total()
        missing = (batch.first - self._expected[batch.group]) % _WRAP
        if missing >= _WRAP // 2:
            # They come after they were given up for lost: what was said too much is taken back.
            missing -= _WRAP
            self._taken_back[batch.group] -= missing
        self._expected[batch.group] += missing + total
        self._lose(batch.group, missing)
        self._waiting[batch.group] += total
        for flow, count in batch.packets.items():
            self._count(flow, count, group=batch.group, now=now)

    def _count(self, flow: Flow, count: int, *, group: int, now: datetime) -> None:
        tally = self._flows.get(flow)
        if tally is not None:
            tally.count += count
            # A clock that is set back must not make a window end before it begins.
            tally.first, tally.last = min(tally.first, now), max(tally.last, now)
        elif len(self._flows) < MOST_FLOWS:
            self._flows[flow] = Tally(count, now, now)
        else:
            if len(self._distinct) < MOST_DISTINCT:
                self._distinct.add(flow)
            rest = self._rest.get(group, Rest(0, 0, now, now))
            first, last = min(rest.first, now), max(rest.last, now)
            self._rest[group] = Rest(rest.count + count, 0, first, last)

    def harvest(self) -> Harvest:
        """Return what is untold, and begin a new window."""
        seen = Counter(group_of(flow) for flow in self._distinct)
        rest = {
            group: Rest(each.count, seen[group], each.first, each.last)
            for group, each in self._rest.items()
        }
        lost = {group: count for group, count in self._untold_lost.items() if count}
        told = Harvest(self._flows, rest, lost)
        for flow, tally in self._flows.items():
            self._remember(flow, tally.count)
        for group, waiting in self._waiting.items():
            self.recorded[group] += waiting
            self._waiting[group] = 0
        self._flows, self._rest, self._distinct = {}, {}, set()
        self._untold_lost = Counter()
        return told

    def _remember(self, flow: Flow, count: int) -> None:
        key = destination_of(flow)
        if key is not None and (
            key in self._by_destination or len(self._by_destination) < MOST_DISTINCT
        ):
            self._by_destination[key] += count

    def totals(self) -> Mapping[int, int]:
        """Return how many packets are accounted for, by group: seen or known to be lost."""
        return {
            group: self.recorded[group] + self._waiting[group] + self.lost[group]
            for group in self.recorded
        }

    def reaches(self, counted: Mapping[int, int]) -> bool:
        """Tell whether at least what the kernel counted is accounted for."""
        totals = self.totals()
        return all(totals[group] >= counted[group] + self._base[group] for group in totals)

    def compare(self, counted: Mapping[int, int], *, before: Mapping[int, int]) -> Outcome:
        """Compare with the kernel's counters, once nothing of before its reading is under way.

        Parameters
        ----------
        counted
            What the kernel counted, by group.
        before
            Our totals from before it was read.
        """
        outcomes = set()
        for group, total in self.totals().items():
            kernel = counted[group] + self._base[group]
            if before[group] > kernel:
                self._base[group] = total - counted[group]
                outcomes.add(Outcome.REBASED)
            elif total < kernel:
                # Lost or late, these packets have numbers, it is thought; where the numbers then
                # said otherwise, no socket was there to number them, and none ever will.
                unnumbered = min(kernel - total, self._taken_back[group])
                self._expected[group] += kernel - total - unnumbered
                self._lose(group, kernel - total)
                outcomes.add(Outcome.LOST)
            else:
                outcomes.add(Outcome.EXACT if total == kernel else Outcome.BOUNDED)
            self._taken_back[group] = 0
        worst = (Outcome.REBASED, Outcome.LOST, Outcome.BOUNDED, Outcome.EXACT)
        return next(outcome for outcome in worst if outcome in outcomes)

    def _lose(self, group: int, count: int) -> None:
        self.lost[group] += count
        self._untold_lost[group] += count
        self.unrecovered = max(self.unrecovered + count, 0)

    def recover(self, kernel: Iterable[tuple[Destination, int]]) -> Mapping[Destination, int]:
        """Return where lost packets wanted to go: what the kernel's sets count beyond records."""
        found = {
            destination: count - self._by_destination[destination]
            for destination, count in kernel
            if count > self._by_destination[destination]
        }
        for destination, count in found.items():
            self._by_destination[destination] += count
            self.unrecovered = max(self.unrecovered - count, 0)
        return found


def group_of(flow: Flow) -> int:
    """Return the group in which the kernel numbers packets of a flow."""
    return WIRE_GROUP if flow.direction is Direction.WIRE else GROUP


def destination_of(flow: Flow) -> Destination | None:
    """Return how the kernel's sets name where a flow goes; None for what they do not list."""
    if flow.direction is not Direction.OUT or flow.port is None:
        return None
    return flow.address, flow.protocol, flow.port
