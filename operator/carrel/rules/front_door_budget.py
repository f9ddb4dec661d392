"""How many bytes of a grant may reach one person's screen in a day.

What reaches the browser is with the researcher: pictures can be kept, text can be copied. The
budget bounds how much that is, and says so before it ends.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from carrel.rules.front_door import EXPLAINED, Refused, Traffic

DEFAULT_BYTES = 2 * 2**30
"""A day of work: scrolling a CT of 100 slices costs about 30 MB, so sixty such series."""
_WARN_PERCENT = 80

UNCOUNTED = frozenset({Traffic.ASSET})
"""Programs and styles of the image: no user wrote them, and they hold no data."""


class Spent(StrEnum):
    """How far a budget is used up."""

    LITTLE = "Little"
    MUCH = "Much"
    """80 % and more: the person is warned."""
    ALL = "All"
    """Nothing more until the next day."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Bytes to one person under one grant in a day of UTC."""

    limit: int
    """Bytes; 0 lets nothing through."""

    def judge(self, spent: int) -> Spent:
        """Tell how far the budget is used up after `spent` bytes."""
        if spent >= self.limit:
            return Spent.ALL
        return Spent.MUCH if spent * 100 >= self.limit * _WARN_PERCENT else Spent.LITTLE


def day_of(now: datetime) -> str:
    """Return the day that bytes are counted under."""
    return now.strftime("%Y-%m-%d")


def budget_is_spent(limit: int) -> Refused:
    """Return the refusal of everything that comes after the limit."""
    return Refused(
        rule="budget_is_spent",
        status=429,
        sentence=f"Today's {_readable(limit)} from this workspace to your browser are used up.",
        todo=f"It opens again at 00:00 UTC; what runs goes on. Why there is a limit: {EXPLAINED}.",
    )


def budget_warning(spent: int, limit: int) -> str:
    """Return the sentence that a person reads from 80 % on."""
    return (
        f"{_readable(spent)} of today's {_readable(limit)} from this workspace to your browser are "
        "used. At the limit it is held until 00:00 UTC; what runs goes on."
    )


def _readable(number: int) -> str:
    if number >= 2**30:
        return f"{number / 2**30:.1f} GiB"
    return f"{number / 2**20:.0f} MiB"
