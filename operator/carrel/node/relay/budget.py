"""What the workspaces of a grant had from the mirror today, kept over restarts."""

import json
from dataclasses import asdict
from datetime import date
from pathlib import Path

from carrel.flows.clock import Clock
from carrel.rules.egress import Used

_NOTHING = Used(requests=0, octets=0)


class BudgetError(Exception):
    """Consumption cannot be written down, so nothing more may be consumed."""


class Budgets:
    """Counts by grant and day (UTC), one small file for each grant."""

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._used: dict[str, tuple[date, Used]] = {}

    def used(self, grant_uid: str) -> Used:
        """Return what was used today. Raises BudgetError when what was kept cannot be read."""
        today = self._today()
        if grant_uid not in self._used:
            self._used[grant_uid] = self._read(grant_uid)
        day, used = self._used[grant_uid]
        # A clock that is set back must not give a day's budget again.
        return used if day >= today else _NOTHING

    def charge(self, grant_uid: str, *, requests: int, octets: int) -> None:
        """Count before it is given. Raises BudgetError when it cannot be written."""
        before = self.used(grant_uid)
        used = Used(requests=before.requests + requests, octets=before.octets + octets)
        day = max(self._today(), self._used[grant_uid][0])
        path = self._path(grant_uid)
        arriving = path.with_suffix(".arriving")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            arriving.write_text(json.dumps({"day": day.isoformat(), **asdict(used)}))
            arriving.replace(path)
        except OSError as error:
            raise BudgetError(f"mirror.budget_not_kept: {error}") from error
        self._used[grant_uid] = (day, used)

    def _read(self, grant_uid: str) -> tuple[date, Used]:
        try:
            raw = json.loads(self._path(grant_uid).read_text())
            day = date.fromisoformat(raw["day"])
            return day, Used(requests=int(raw["requests"]), octets=int(raw["octets"]))
        except FileNotFoundError:
            return self._today(), _NOTHING
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BudgetError(f"mirror.budget_not_readable: {error!r}") from error

    def _path(self, grant_uid: str) -> Path:
        # The API server gave this UID; a name that leads elsewhere would be a fault of ours.
        if not grant_uid or not all(char.isalnum() or char == "-" for char in grant_uid):
            raise BudgetError(f"mirror.budget_not_kept: {grant_uid!r} is no UID of a grant")
        return self._folder / f"{grant_uid}.json"

    def _today(self) -> date:
        return self._clock.now().date()
