"""Records of what passes: like requests of one moment share a record, and none is far behind."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from carrel.flows.clock import Clock
from carrel.gateway.sessions import short
from carrel.gateway.state import Session
from carrel.kinds import Workspace
from carrel.ledger import Activity, Event, Ledger, LedgerError, RecordClass
from carrel.ledger.types import TYPES
from carrel.rules.front_door import Refused

ACTOR = "carrel-gateway"
TOGETHER_SECONDS = 0.05
BEHIND_SECONDS = 1.0
"""Serving stops when records are further behind than this."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Like:
    """What requests that share a record have in common; nothing of it is a browser's choice."""

    activity: Activity
    subject: str
    session: str
    workspace: str
    method: str
    template: str
    outcome: str
    """Status of the answer, or the rule of a refusal."""


@dataclass(slots=True)
class _Sum:
    first: datetime
    grant: tuple[str, str]
    count: int = 0
    up: int = 0
    down: int = 0


class Journal:
    """Writes records of the gateway."""

    def __init__(self, ledger: Ledger, clock: Clock, *, ticker: Callable[[], float]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._ticker = ticker
        self._sums: dict[Like, _Sum] = {}
        self._oldest: float | None = None
        self._more = asyncio.Event()
        self._failed = False
        self._writing: float | None = None

    @property
    def is_behind(self) -> bool:
        """Whether records are so far behind that nothing more may pass."""
        begun = self._writing if self._writing is not None else self._oldest
        late = begun is not None and self._ticker() - begun > BEHIND_SECONDS
        return self._failed or late

    def served(self, like: Like, *, grant: tuple[str, str], up: int, down: int) -> None:
        """Count a request that was answered, or refused, into its record."""
        known = self._sums.get(like)
        if known is None:
            known = self._sums[like] = _Sum(self._clock.now(), grant)
            if self._oldest is None:
                self._oldest = self._ticker()
                self._more.set()
        known.count += 1
        known.up += up
        known.down += down

    def refused(
        self,
        refused: Refused,
        *,
        method: str,
        template: str = "",
        session: Session | None = None,
        workspace: Workspace | None = None,
        activity: Activity = Activity.DOOR_REFUSED,
    ) -> None:
        """Count a refusal; names that a stranger wrote are not written down."""
        like = Like(
            activity,
            session.subject if session else ACTOR,
            short(session.name) if session else "",
            workspace.metadata.name if workspace else "",
            method if method in _METHODS else "OTHER",
            template,
            refused.rule,
        )
        self.served(like, grant=_grant(workspace), up=0, down=0)

    async def write(
        self,
        activity: Activity,
        *,
        subject: str,
        workspace: Workspace | None = None,
        pod_uid: str | None = None,
        **detail: str | int,
    ) -> None:
        """Write one record by itself; LedgerError where its act must not happen."""
        await self._append(activity, subject, workspace, pod_uid, detail)

    async def tell(
        self,
        activity: Activity,
        *,
        subject: str,
        workspace: Workspace | None = None,
        **detail: str | int,
    ) -> None:
        """Write a record of an act that stands whether it is written or not."""
        try:
            await self._append(activity, subject, workspace, None, detail)
        except LedgerError as error:
            _log.error("not recorded: %s", error)

    async def _append(
        self,
        activity: Activity,
        subject: str,
        workspace: Workspace | None,
        pod_uid: str | None,
        detail: Mapping[str, str | int],
    ) -> None:
        grant, uid = _grant(workspace)
        event = Event(
            activity=activity,
            time=self._clock.now(),
            actor=subject,
            grant=grant or None,
            grant_uid=uid or None,
            workspace=workspace.metadata.name if workspace else None,
            pod_uid=pod_uid,
            detail={key: each for key, each in detail.items() if each != ""},
        )
        await self._ledger.append(event, record_class=TYPES[activity].record_class)

    async def run(self) -> None:
        """Write down what was counted, for ever; what remains at the end is written then."""
        try:
            while True:
                await self._more.wait()
                await asyncio.sleep(TOGETHER_SECONDS)
                await self._flush()
        finally:
            await self._flush(record_class=RecordClass.STOP)

    async def _flush(self, *, record_class: RecordClass | None = None) -> None:
        sums, self._sums = self._sums, {}
        self._writing, self._oldest = self._oldest, None
        self._more.clear()
        done = await asyncio.gather(
            *(
                self._ledger.append(
                    _event(like, each),
                    record_class=record_class or TYPES[like.activity].record_class,
                )
                for like, each in sums.items()
            ),
            return_exceptions=True,
        )
        self._writing = None
        faults = [each for each in done if isinstance(each, BaseException)]
        # The chain still writes what nobody waited for; until then nothing more may pass.
        self._failed = bool(faults)
        for fault in faults[:1]:
            _log.error("%d records are late: %s", len(faults), fault)
            if not isinstance(fault, LedgerError):
                raise fault
        if faults:
            asyncio.get_running_loop().call_later(BEHIND_SECONDS, self._try_again)

    def _try_again(self) -> None:
        """Ask the chain again, by a record that something was refused."""
        like = Like(Activity.DOOR_REFUSED, ACTOR, "", "", "OTHER", "", "records_are_behind")
        self.served(like, grant=("", ""), up=0, down=0)


def _event(like: Like, total: _Sum) -> Event:
    detail: dict[str, str | int] = {"method": like.method, "count": total.count}
    detail |= {"first": total.first.isoformat(timespec="milliseconds")}
    if like.activity is Activity.DOOR_SERVED:
        detail |= {"up": total.up, "down": total.down, "status": int(like.outcome)}
    else:
        detail["rule"] = like.outcome
    detail |= {"template": like.template} if like.template else {}
    detail |= {"session": like.session} if like.session else {}
    return Event(
        activity=like.activity,
        time=total.first,
        actor=like.subject,
        grant=total.grant[0] or None,
        grant_uid=total.grant[1] or None,
        workspace=like.workspace or None,
        detail=detail,
    )


def _grant(workspace: Workspace | None) -> tuple[str, str]:
    if workspace is None:
        return "", ""
    return workspace.spec.grant.name, workspace.spec.grant.uid
