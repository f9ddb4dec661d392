"""What is ended, and when: the one place that cuts, whatever the reason."""

import asyncio
import logging
from collections.abc import Iterable

from carrel.flows.clock import Clock
from carrel.gateway.directory import Directory
from carrel.gateway.errors import StateError
from carrel.gateway.journal import Journal
from carrel.gateway.meter import Meter
from carrel.gateway.sessions import Sessions, short
from carrel.gateway.state import Session, State
from carrel.gateway.traffic import Crossing, Cut, Traffic
from carrel.kinds import Workspace
from carrel.ledger import Activity
from carrel.rules.front_door import Refused
from carrel.rules.front_door_access import may_use
from carrel.rules.front_door_budget import Spent, budget_is_spent

LOOK_SECONDS = 0.5
"""How often ends by the clock are looked for; what a watch tells is acted on at once."""
SAVE_EVERY = 10
"""Looks between two savings of spent bytes: a crash forgets at most these seconds of counting."""
_log = logging.getLogger(__name__)


class Control:
    """Ends what may not go on."""

    def __init__(
        self,
        directory: Directory,
        sessions: Sessions,
        traffic: Traffic,
        journal: Journal,
        *,
        meter: Meter,
        state: State,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._sessions = sessions
        self._traffic = traffic
        self._journal = journal
        self._meter = meter
        self._state = state
        self._clock = clock
        self._telling: set[asyncio.Task[None]] = set()
        self._unerased: set[str] = set()
        directory.told.append(self.look)

    def look(self, workspaces: Iterable[str] | None = None) -> None:
        """Cut everything of these workspaces, or of all, that may not go on now."""
        for name, subject in self._traffic.open(workspaces):
            refused = may_use(self._directory.seen(name, subject=subject))
            if refused is not None:
                self._cut(refused, self._cut_person(refused, subject, name))

    def _cut_person(self, refused: Refused, subject: str, workspace: str) -> list[Cut]:
        return self._traffic.cut(refused, lambda each: each.session.subject == subject, [workspace])

    async def end(self, sessions: Iterable[Session], *, reason: str) -> None:
        """End sessions and everything that is open under them."""
        ending = {each.name: each for each in sessions}
        if not ending:
            return
        refused = Refused(
            rule=reason, status=401, sentence="The login ended.", todo="Log in again."
        )
        self._sessions.end(ending)
        self._cut(refused, self._traffic.cut(refused, lambda each: each.session.name in ending))
        for session in ending.values():
            await self._journal.tell(
                Activity.LOGIN_ENDED,
                subject=session.subject,
                reason=reason,
                session=short(session.name),
            )
        # Last, so that a full disk delays no end. Until it is done it is tried again: what stays
        # on the disk would hold again after a restart.
        self._unerased |= set(ending)
        await self.erase()

    async def erase(self) -> None:
        """Forget on the disk what has ended; StateError where it cannot be written."""
        names = frozenset(self._unerased)
        if names:
            await self._sessions.erase(names)
            self._unerased -= names

    def count(self, crossing: Crossing, *, down: int) -> None:
        """Count bytes to a browser; at the limit everything of that workspace is cut."""
        subject, grant = crossing.session.subject, crossing.workspace.spec.grant.uid
        changed = self._meter.add(subject, grant, down)
        if changed is None or changed is Spent.LITTLE:
            return
        limit = self._meter.budget.limit
        spent_all = changed is Spent.ALL
        self._tell(
            Activity.DOOR_BUDGET_SPENT if spent_all else Activity.DOOR_BUDGET_WARNED,
            subject=subject,
            workspace=crossing.workspace,
            spent=self._meter.spent(subject, grant),
            limit=limit,
        )
        if spent_all:
            refused = budget_is_spent(limit)
            name = crossing.workspace.metadata.name
            self._cut(refused, self._cut_person(refused, subject, name))

    async def run(self) -> None:
        """Look for ends by the clock, and keep what was spent, for ever."""
        looks = 0
        while True:
            self.look()
            looks += 1
            try:
                await self.end(self._sessions.expired(), reason="session_expired")
                await self.erase()
                if looks % SAVE_EVERY == 0:
                    await self.save()
            except StateError as error:
                _log.error("%s", error)
            await asyncio.sleep(LOOK_SECONDS)

    async def save(self) -> None:
        """Keep what was spent."""
        rows = self._meter.unsaved()
        if rows:
            await self._state.spend(rows)

    async def settle(self) -> None:
        """Wait until every record of a cut is handed over."""
        await asyncio.gather(*self._telling)

    def _cut(self, refused: Refused, cuts: Iterable[Cut]) -> None:
        for cut in cuts:
            _log.info("cut %s: %s", cut.workspace.metadata.name, refused.rule)
            self._tell(
                Activity.DOOR_CUT,
                subject=cut.subject,
                workspace=cut.workspace,
                reason=refused.rule,
                decided=cut.decided.isoformat(timespec="milliseconds"),
                lastByte=cut.last_byte.isoformat(timespec="milliseconds"),
                sockets=cut.sockets,
                requests=cut.requests,
            )

    def _tell(
        self, activity: Activity, *, subject: str, workspace: Workspace, **detail: str | int
    ) -> None:
        task = asyncio.create_task(
            self._journal.tell(activity, subject=subject, workspace=workspace, **detail)
        )
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
