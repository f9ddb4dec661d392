"""A disposable SQLite index over a log or over chains, made and continued from them.

Rows say who, what and when, and where the record stands; a page is read from the truth itself.
"""

import heapq
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from carrel.audit.query import By, Hit, Order, Page, Query, QueryError, QueryTimeoutError
from carrel.audit.row import Decision, Row, row_of
from carrel.audit.source import Source, Stored, Unreadable

VERSION = 1
"""An index of another version is made anew."""
SECONDS = 10.0
"""How long a question may take."""
_BATCH = 8_192

_SCHEMA = """
CREATE TABLE term (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, next INTEGER NOT NULL);
CREATE TABLE row (
  id INTEGER PRIMARY KEY, time INTEGER NOT NULL, file INTEGER NOT NULL, at INTEGER NOT NULL,
  sequence INTEGER NOT NULL, activity INTEGER NOT NULL, decision INTEGER NOT NULL,
  amount INTEGER NOT NULL,
  person INTEGER, grant_ INTEGER, workspace INTEGER, host INTEGER
);
CREATE TABLE workspace (id INTEGER PRIMARY KEY, person INTEGER, grant_ INTEGER);
CREATE TABLE held (dataset INTEGER NOT NULL, workspace INTEGER NOT NULL,
  PRIMARY KEY (dataset, workspace)) WITHOUT ROWID;
CREATE TABLE unreadable (file INTEGER NOT NULL, at INTEGER NOT NULL, why TEXT NOT NULL);
CREATE INDEX row_time ON row (time, id);
CREATE INDEX row_person ON row (person, time, id) WHERE person IS NOT NULL;
CREATE INDEX row_grant ON row (grant_, time, id) WHERE grant_ IS NOT NULL;
CREATE INDEX row_workspace ON row (workspace, time, id) WHERE workspace IS NOT NULL;
CREATE INDEX row_host ON row (host, time, id) WHERE host IS NOT NULL;
CREATE INDEX row_activity ON row (activity, time, id);
"""

_PAGE = """
SELECT r.id, r.time, r.at, r.sequence, f.path, d.text AS decision, p.text AS person
FROM row r JOIN file f ON f.id = r.file JOIN term d ON d.id = r.decision
LEFT JOIN term p ON p.id = r.person
"""


class Index:
    """An index that is open; one writer, any number of readers."""

    def __init__(self, path: Path, source: Source) -> None:
        self._source = source
        self._path = path
        self._db = _opened(path)
        self._terms: dict[str, int] = {}
        self._bound: dict[int | None, tuple[int | None, int | None]] = {}
        self._files: dict[str, int] = {}
        self._reached: dict[str, int] = {}
        self._recall()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def follow(self, *, told: Callable[[int], object] | None = None) -> int:
        """Take in what came since the last time; return how many records that were.

        Each batch and how far it reaches are one transaction: whoever dies begins again there.

        Args:
            told: Called with the number of records taken in, after each batch.

        """
        taken, group, size = 0, [], 0
        for path in self._source.files():
            records = self._source.read(path, start=self._carried(path))
            while batch := list(islice(records, _BATCH)):
                group.append((path, batch))
                size += len(batch)
                if size >= _BATCH:
                    taken += self._stand(group)
                    group, size = [], 0
                    if told:
                        told(taken)
        taken += self._stand(group)
        if told:
            told(taken)
        return taken

    def search(self, query: Query, *, seconds: float = SECONDS) -> Page:
        """Return one page.

        Raises:
            QueryError: when the cursor is of no page.
            QueryTimeoutError: when it takes longer than `seconds`.

        """
        with self._limited(seconds):
            rows = self._found(query)
            (unreadable,) = self._db.execute("SELECT count(*) FROM unreadable").fetchone()
        shown = rows[: query.limit]
        cursor = f"{shown[-1]['time']}-{shown[-1]['id']}" if len(rows) > query.limit else None
        hits, lost = [], []
        for row in shown:
            stored = self._stored(row)
            if stored is None:
                lost.append(f"{row['path']} at {row['at']}: record {row['sequence']}")
                continue
            hits.append(Hit(stored, row["person"] or "", Decision(row["decision"])))
        return Page(tuple(hits), cursor, unreadable, tuple(lost))

    def every(self, query: Query) -> Iterator[Hit]:
        """Yield all records of a question, page by page."""
        while True:
            page = self.search(query)
            yield from page.hits
            if page.cursor is None:
                return
            query = Query(**{**vars(query), "cursor": page.cursor})

    def counted(
        self, by: Sequence[By], query: Query, *, seconds: float = 10 * SECONDS
    ) -> list[tuple[tuple[str, ...], int]]:
        """Return how often what was asked for happened, most often first.

        A record that stands for many attempts counts as many. Cursor and order say nothing here.

        Raises:
            QueryTimeoutError: when it takes longer than `seconds`.

        """
        conditions, values = _conditions(query, workspace=query.workspace, terms=self._terms)
        joins = " ".join(f"LEFT JOIN term {each} ON {each}.id = r.{each.column}" for each in by)
        names = ", ".join(f"coalesce({each}.text, '')" for each in by)
        where = " AND ".join(conditions)
        statement = (  # names of columns and conditions are ours, the values are bound
            f"SELECT {names}, sum(r.amount) AS total FROM row r {joins} WHERE {where} "  # noqa: S608
            f"GROUP BY {names} ORDER BY total DESC, {names} LIMIT ?"
        )
        with self._limited(seconds):
            found = self._db.execute(statement, (*values, query.limit)).fetchall()
        return [(tuple(names), total) for *names, total in found]

    def unreadable(self) -> Iterator[tuple[str, int, str]]:
        """Yield file, place and reason of what holds no record."""
        yield from self._db.execute(
            "SELECT path, at, why FROM unreadable JOIN file ON file.id = unreadable.file"
        )

    def _carried(self, path: str) -> int:
        """Return where to go on; a bundle that has filled up continues its partial form."""
        whole = path.partition(".p/")[0] if path.startswith("tile/") else path
        return self._reached.get(whole, 0)

    def _stand(self, group: list[tuple[str, list[Stored | Unreadable]]]) -> int:
        """Take in batches of files, all or none; return how many records they have."""
        try:
            with self._db:
                for path, batch in group:
                    self._take(batch, path=path)
        except BaseException:
            self._recall()  # what was numbered in a batch that did not stand is not there
            raise
        return sum(len(batch) for _, batch in group)

    def _recall(self) -> None:
        self._terms = dict(self._db.execute("SELECT text, id FROM term"))
        known = self._db.execute("SELECT id, person, grant_ FROM workspace")
        self._bound = {workspace: (person, grant) for workspace, person, grant in known}
        files = self._db.execute("SELECT id, path, next FROM file").fetchall()
        self._files = {path: number for number, path, _ in files}
        self._reached = {}
        for _, path, at in files:
            self._reach(path, at)

    def _reach(self, path: str, at: int) -> None:
        whole = path.partition(".p/")[0] if path.startswith("tile/") else path
        self._reached[whole] = max(at, self._reached.get(whole, 0))

    def _file(self, path: str) -> int:
        number = self._files.get(path)
        if number is None:
            found = self._db.execute("INSERT INTO file (path, next) VALUES (?, 0)", (path,))
            number = self._files[path] = int(found.lastrowid or 0)
        return number

    def _take(self, batch: list[Stored | Unreadable], *, path: str) -> None:
        number = self._file(path)
        rows = []
        for each in batch:
            if isinstance(each, Unreadable):
                values = (number, each.place.at, each.why)
                self._db.execute("INSERT INTO unreadable VALUES (?, ?, ?)", values)
            else:
                rows.append((each, row_of(each)))
        for _, row in rows:
            self._learn(row)
        lines = [self._line(each, row, file=number) for each, row in rows]
        self._db.executemany("INSERT INTO row VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?)", lines)
        following = batch[-1].place.end
        self._db.execute("UPDATE file SET next = ? WHERE id = ?", (following, number))
        self._reach(path, following)

    def _line(self, stored: Stored, row: Row, *, file: int) -> tuple[int | None, ...]:
        workspace = self._term(row.workspace)
        person, grant = self._bound.get(workspace, (None, None))
        return (
            row.time,
            file,
            stored.place.at,
            stored.sequence,
            self._term(row.activity),
            self._term(row.decision),
            row.amount,
            self._term(row.person) or person,
            self._term(row.grant) or grant,
            workspace,
            self._term(row.host),
        )

    def _learn(self, row: Row) -> None:
        """Remember what a record says of a workspace, for records that name it alone."""
        workspace = self._term(row.workspace)
        if workspace is None:
            return
        for dataset in row.datasets:
            values = (self._term(dataset), workspace)
            self._db.execute("INSERT OR IGNORE INTO held VALUES (?, ?)", values)
        known = self._bound.get(workspace, (None, None))
        # The first to name a person names it for good: a workspace is one person's for ever.
        whole = (known[0] or self._term(row.person), known[1] or self._term(row.grant))
        if whole == known:
            return
        self._bound[workspace] = whole
        self._db.execute("REPLACE INTO workspace VALUES (?, ?, ?)", (workspace, *whole))
        # Another process may have told of the workspace before anybody said whose it is.
        self._db.execute(
            "UPDATE row SET person = coalesce(person, ?), grant_ = coalesce(grant_, ?) "
            "WHERE workspace = ? AND (person IS NULL OR grant_ IS NULL)",
            (*whole, workspace),
        )

    def _term(self, text: str) -> int | None:
        if not text:
            return None
        number = self._terms.get(text)
        if number is None:
            found = self._db.execute("INSERT INTO term (text) VALUES (?)", (text,))
            number = self._terms[text] = int(found.lastrowid or 0)
        return number

    def _stored(self, row: dict[str, Any]) -> Stored | None:
        """Return the record itself; None where the place holds another one by now."""
        with suppress(OSError):
            found = next(self._source.read(row["path"], start=row["at"]), None)
            if isinstance(found, Stored) and found.sequence == row["sequence"]:
                return found
        return None

    def _found(self, query: Query) -> list[dict[str, Any]]:
        if query.dataset is None:
            return list(self._rows(query, workspace=query.workspace))
        # One small sorted list for each workspace that holds the dataset, merged: an IN over all
        # of them would sort every record there is.
        workspaces = self._db.execute(
            "SELECT w.text FROM held JOIN term d ON d.id = held.dataset "
            "JOIN term w ON w.id = held.workspace WHERE d.text = ?",
            (query.dataset,),
        ).fetchall()
        wanted = [text for (text,) in workspaces if query.workspace in {None, text}]
        newest = query.order is Order.NEWEST
        lists = [self._rows(query, workspace=text) for text in wanted]
        merged = heapq.merge(*lists, key=lambda row: (row["time"], row["id"]), reverse=newest)
        return list(islice(merged, query.limit + 1))

    def _rows(self, query: Query, *, workspace: str | None) -> Iterable[dict[str, Any]]:
        conditions, values = _conditions(query, workspace=workspace, terms=self._terms)
        direction = "DESC" if query.order is Order.NEWEST else "ASC"
        where = " AND ".join(conditions)
        order = f"WHERE {where} ORDER BY r.time {direction}, r.id {direction} LIMIT ?"
        cursor = self._db.execute(_PAGE + order, (*values, query.limit + 1))
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, found, strict=True)) for found in cursor]

    @contextmanager
    def _limited(self, seconds: float) -> Iterator[None]:
        end = time.monotonic() + seconds
        self._db.set_progress_handler(lambda: time.monotonic() > end, 20_000)
        try:
            yield
        except sqlite3.OperationalError as error:
            if "interrupted" not in str(error):
                raise
            raise QueryTimeoutError(
                f"question_takes_too_long: no answer within {seconds:g} s; name a person, grant, "
                "dataset, host or a shorter time."
            ) from error
        finally:
            self._db.set_progress_handler(None, 0)


def _conditions(
    query: Query, *, workspace: str | None, terms: dict[str, int]
) -> tuple[list[str], list[int]]:
    conditions, values = ["1"], []
    asked = {
        "person": () if query.person is None else (query.person,),
        "grant_": () if query.grant is None else (query.grant,),
        "workspace": () if workspace is None else (workspace,),
        "host": query.hosts,
        "activity": query.activities,
        "decision": () if query.decision is None else (query.decision.value,),
    }
    for column, texts in asked.items():
        if texts:
            # A text that no record has ever said is -1, which no row has.
            numbers = [terms.get(text, -1) for text in texts]
            conditions.append(f"r.{column} IN ({','.join('?' * len(numbers))})")
            values += numbers
    if query.since is not None:
        conditions.append("r.time >= ?")
        values.append(int(query.since.timestamp() * 1000))
    if query.until is not None:
        conditions.append("r.time < ?")
        values.append(int(query.until.timestamp() * 1000))
    if query.cursor is not None:
        moment, _, number = query.cursor.partition("-")
        if not re.fullmatch(r"[0-9]{1,16}-[0-9]{1,16}", query.cursor):
            raise QueryError("cursor_is_unknown: give the cursor of the page before, unaltered.")
        sign = "<" if query.order is Order.NEWEST else ">"
        conditions.append(f"(r.time, r.id) {sign} (?, ?)")
        values += [int(moment), int(number)]
    return conditions, values


def _opened(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        db = _connected(path)
        if db.execute("PRAGMA user_version").fetchone() == (VERSION,):
            return db
        db.close()
    except sqlite3.DatabaseError:
        pass  # a torn index is worth nothing: everything in it stands in the log
    for name in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        name.unlink(missing_ok=True)
    db = _connected(path)
    with db:
        db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {VERSION};COMMIT;")
    return db


def _connected(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=10, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    # The index may lose its last moment with the machine: it is continued from the log.
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("PRAGMA temp_store = MEMORY")
    return db
