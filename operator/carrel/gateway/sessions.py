"""Logins: kept by the hash of a secret that only the browser holds, ended at once everywhere."""

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from carrel.flows.clock import Clock
from carrel.gateway.state import Pass, Session, State

CODE_SECONDS = 30.0
"""How long a one-time code is good: a browser follows a frame's address at once."""
_MOST_CODES = 10_000
_MOST_SESSIONS = 50
"""Sessions of one person; a new one ends the oldest."""


@dataclass(frozen=True, slots=True)
class _Code:
    session: str
    workspace: str
    until: float


def hashed(secret: str) -> str:
    """Return the name under which a browser's secret is kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def short(session: str) -> str:
    """Return the part of a session's name that records carry."""
    return session[:16]


class Sessions:
    """Sessions, passes of workspaces' origins, and one-time codes between the two."""

    def __init__(
        self, state: State, clock: Clock, *, life: timedelta, ticker: Callable[[], float]
    ) -> None:
        self._state = state
        self._clock = clock
        self._life = life
        self._ticker = ticker
        self._sessions: dict[str, Session] = {}
        self._of_person: dict[str, dict[str, None]] = defaultdict(dict)
        self._passes: dict[str, Pass] = {}
        self._of_session: dict[str, set[str]] = defaultdict(set)
        self._codes: dict[str, _Code] = {}

    def load(self, sessions: Iterable[Session], passes: Iterable[Pass]) -> None:
        """Take over what an earlier run kept."""
        for session in sessions:
            self._keep(session)
        for given in passes:
            if given.session in self._sessions:
                self._passes[given.name] = given
                self._of_session[given.session].add(given.name)

    async def begin(self, subject: str, *, provider: str) -> tuple[str, Session]:
        """Begin a session; return the browser's secret and the session, which is on the disk."""
        secret = secrets.token_urlsafe(32)
        expires = (self._clock.now() + self._life).timestamp()
        session = Session(hashed(secret), subject, provider, expires)
        await self._state.add_session(session)
        self._keep(session)
        return secret, session

    def session(self, secret: str) -> Session | None:
        """Return the session that a browser's secret belongs to."""
        return self._held(hashed(secret)) if secret else None

    def code(self, session: Session, *, workspace: str) -> str:
        """Return a code that lets this session into one workspace's origin, once, soon."""
        now = self._ticker()
        if len(self._codes) >= _MOST_CODES:
            self._codes = {key: each for key, each in self._codes.items() if each.until > now}
        code = secrets.token_urlsafe(32)
        self._codes[hashed(code)] = _Code(session.name, workspace, now + CODE_SECONDS)
        return code

    async def redeem(self, code: str, *, workspace: str) -> tuple[str, Session] | None:
        """Change a code for the secret of this workspace's origin; None where it is not good."""
        # Taken before anything else is looked at: a code that was shown anywhere is used up.
        known = self._codes.pop(hashed(code), None)
        if known is None or known.until <= self._ticker() or known.workspace != workspace:
            return None
        session = self._held(known.session)
        if session is None:
            return None
        secret = secrets.token_urlsafe(32)
        given = Pass(hashed(secret), session.name, workspace)
        await self._state.add_pass(given)
        if self._held(session.name) is None:
            return None
        self._passes[given.name] = given
        self._of_session[session.name].add(given.name)
        return secret, session

    def of_workspace(self, secret: str, *, workspace: str) -> Session | None:
        """Return the session behind the secret of one workspace's origin."""
        given = self._passes.get(hashed(secret)) if secret else None
        return self._held(given.session) if given and given.workspace == workspace else None

    def ended_by(self, *, subject: str, provider: str) -> list[Session]:
        """Return the sessions that the provider means: one of its own, or all of a person's."""
        if provider:
            found = [each for each in self._sessions.values() if each.provider == provider]
            return [each for each in found if not subject or each.subject == subject]
        return [self._sessions[name] for name in self._of_person.get(subject, ())]

    def expired(self) -> list[Session]:
        """Return the sessions whose time is over."""
        now = self._clock.now().timestamp()
        return [each for each in self._sessions.values() if each.expires <= now]

    def surplus(self, subject: str) -> list[Session]:
        """Return the oldest sessions of a person that has too many."""
        names = list(self._of_person.get(subject, ()))
        return [self._sessions[name] for name in names[: max(0, len(names) - _MOST_SESSIONS)]]

    def end(self, names: Iterable[str]) -> None:
        """End sessions in memory, at once."""
        for name in names:
            session = self._sessions.pop(name, None)
            if session is not None:
                self._of_person[session.subject].pop(name, None)
                if not self._of_person[session.subject]:
                    del self._of_person[session.subject]
            for given in self._of_session.pop(name, ()):
                self._passes.pop(given, None)

    async def erase(self, names: Iterable[str]) -> None:
        """Forget ended sessions on the disk; StateError where it cannot be written."""
        await self._state.remove(sessions=names)

    def __contains__(self, session: Session) -> bool:
        return self._held(session.name) is not None

    def __len__(self) -> int:
        return len(self._sessions)

    def _keep(self, session: Session) -> None:
        self._sessions[session.name] = session
        self._of_person[session.subject][session.name] = None

    def _held(self, name: str) -> Session | None:
        session = self._sessions.get(name)
        if session is None or session.expires <= self._clock.now().timestamp():
            return None
        return session
