"""The only place that reads the time of day."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Protocol

from typing_extensions import override

_LONGEST_NAP = timedelta(seconds=5)
"""The wall clock may be stepped while we sleep; look again at least this often."""


class Clock(Protocol):
    """Somebody who knows what time it is."""

    def now(self) -> datetime:
        """Return the present time in UTC."""
        ...


class SystemClock(Clock):
    """The clock of the machine."""

    @override
    def now(self) -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the one place that may


class FixedClock(Clock):
    """A clock that stands still until a test moves it."""

    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    @override
    def now(self) -> datetime:
        return self._moment

    def advance(self, step: timedelta) -> None:
        """Move the clock by `step`."""
        self._moment += step


async def wait_until(
    moment: datetime | None, *, clock: Clock, wake: asyncio.Event | None = None
) -> None:
    """Return when `clock` has reached `moment` or, earlier, when `wake` is set.

    Without a moment only `wake` ends the wait. `wake` is left as it is found.
    """
    wake = wake or asyncio.Event()
    while not wake.is_set():
        left = _LONGEST_NAP if moment is None else min(moment - clock.now(), _LONGEST_NAP)
        if left <= timedelta(0):
            return
        try:
            # Not wait_for: in Python 3.11 it can swallow a cancellation (bpo-42130).
            async with asyncio.timeout(left.total_seconds()):
                await wake.wait()
        except TimeoutError:
            continue
