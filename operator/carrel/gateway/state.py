"""What outlives a restart: sessions and spent bytes, in one SQLite file.

Names of sessions are hashes of what browsers hold: the file lets nobody in.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TypeVar

from carrel.gateway.errors import StateError

_T = TypeVar("_T")
_log = logging.getLogger(__name__)

_SCHEMA = """
create table if not exists session (
  name text primary key, subject text not null, provider text not null, expires real not null
);
create table if not exists pass (
  name text primary key, session text not null, workspace text not null
);
create table if not exists spent (
  day text not null, subject text not null, grant_uid text not null, bytes integer not null,
  primary key (day, subject, grant_uid)
);
"""


@dataclass(frozen=True, slots=True)
class Session:
    """A login that holds."""

    name: str
    """SHA-256 of what the browser holds, hexadecimal."""
    subject: str
    """The person."""
    provider: str
    """The provider's name of its session (`sid`); empty where it says none."""
    expires: float
    """When it ends, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one workspace's origin holds of a session."""

    name: str
    """SHA-256 of what the browser holds, hexadecimal."""
    session: str
    """Name of the session."""
    workspace: str
    """The one workspace that it is good for."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Bytes of one grant to one person on one day."""

    day: str
    subject: str
    grant_uid: str
    bytes: int


class State:
    """The file; one thread writes it, so that no request waits for the disk but its own."""

    def __init__(self, directory: Path) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="state")
        self._file = directory / "door.sqlite"
        directory.mkdir(parents=True, exist_ok=True)
        self._database = self._thread.submit(self._opened).result()

    def close(self) -> None:
        """Let go of the file."""
        self._thread.submit(self._database.close).result()
        self._thread.shutdown()

    async def read(self, *, day: str) -> tuple[list[Session], list[Pass], list[Spent]]:
        """Return everything that is kept; of spent bytes only those of a day."""

        def reading() -> tuple[list[Session], list[Pass], list[Spent]]:
            self._database.execute("delete from spent where day < ?", (day,))
            self._database.commit()
            ask = self._database.execute
            return (
                [Session(*row) for row in ask("select * from session")],
                [Pass(*row) for row in ask("select * from pass")],
                [Spent(*row) for row in ask("select * from spent where day = ?", (day,))],
            )

        return await self._done(reading)

    async def add_session(self, session: Session) -> None:
        """Keep a session; it is on the disk when this returns."""
        await self._write("insert into session values (?, ?, ?, ?)", [astuple(session)])

    async def add_pass(self, given: Pass) -> None:
        """Keep a pass; it is on the disk when this returns."""
        await self._write("insert into pass values (?, ?, ?)", [astuple(given)])

    async def remove(self, *, sessions: Iterable[str]) -> None:
        """Forget sessions and their passes."""
        names = [(each,) for each in sessions]
        await self._write("delete from pass where session = ?", names)
        await self._write("delete from session where name = ?", names)

    async def spend(self, spent: Iterable[Spent]) -> None:
        """Keep sums of spent bytes."""
        await self._write(
            "insert or replace into spent values (?, ?, ?, ?)", [astuple(each) for each in spent]
        )

    async def _write(
        self, statement: str, rows: list[tuple[object, ...]] | list[tuple[str]]
    ) -> None:
        def writing() -> None:
            with self._database:
                self._database.executemany(statement, rows)

        await self._done(writing)

    async def _done(self, work: Callable[[], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StateError(
                f"state_is_not_written: {error}. Make room on the gateway's volume."
            ) from error

    def _opened(self) -> sqlite3.Connection:
        try:
            return self._connected()
        except sqlite3.DatabaseError as error:
            # People log in again; a door that does not open for a torn file helps nobody.
            aside = self._file.with_suffix(".damaged")
            _log.error("%s is set aside as %s: %s", self._file, aside.name, error)
            self._file.replace(aside)
            for suffix in ("-wal", "-shm"):
                Path(f"{self._file}{suffix}").unlink(missing_ok=True)
            return self._connected()

    def _connected(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file)
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = full")
        database.executescript(_SCHEMA)
        database.commit()
        return database
