"""Bytes of each grant to each person today."""

from collections.abc import Iterable

from carrel.flows.clock import Clock
from carrel.gateway.state import Spent as Row
from carrel.rules.front_door_budget import Budget, Spent, day_of


class Meter:
    """Counts in memory; `unsaved` is what the disk has not got yet."""

    def __init__(self, clock: Clock, budget: Budget) -> None:
        self._clock = clock
        self.budget = budget
        self._day = day_of(clock.now())
        self._spent: dict[tuple[str, str], int] = {}
        self._unsaved: set[tuple[str, str]] = set()

    def load(self, rows: Iterable[Row]) -> None:
        """Take over what an earlier run counted today."""
        for row in rows:
            if row.day == self._day:
                self._spent[row.subject, row.grant_uid] = row.bytes

    def spent(self, subject: str, grant_uid: str) -> int:
        """Return the bytes of today."""
        self._turn()
        return self._spent.get((subject, grant_uid), 0)

    def judge(self, subject: str, grant_uid: str) -> Spent:
        """Tell how far today's budget is used up."""
        return self.budget.judge(self.spent(subject, grant_uid))

    def add(self, subject: str, grant_uid: str, count: int) -> Spent | None:
        """Count bytes; return what the budget is now where that has changed."""
        before = self.spent(subject, grant_uid)
        key = (subject, grant_uid)
        self._spent[key] = before + count
        self._unsaved.add(key)
        after = self.budget.judge(before + count)
        return after if after is not self.budget.judge(before) else None

    def unsaved(self) -> list[Row]:
        """Return what changed since the last call."""
        keys, self._unsaved = self._unsaved, set()
        return [Row(self._day, *key, self._spent[key]) for key in keys if key in self._spent]

    def _turn(self) -> None:
        today = day_of(self._clock.now())
        if today != self._day:
            self._day, self._spent, self._unsaved = today, {}, set()
