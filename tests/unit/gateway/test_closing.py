"""The door closes by itself: when nothing is heard or written, and when files tear."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from carrel.cluster import KindRef
from carrel.cluster.errors import Unavailable
from carrel.cluster.refs import Objects
from carrel.flows.clock import FixedClock
from carrel.gateway.directory import Directory
from carrel.gateway.journal import BEHIND_SECONDS, Journal, Like
from carrel.gateway.sessions import Sessions, hashed
from carrel.gateway.state import State
from carrel.kinds import NodeReport, Workspace
from carrel.ledger import Activity, Event, Ledger, LedgerUnavailableError, Receipt, RecordClass
from carrel.rules.front_door_access import Sight
from support import samples
from support.door_certificate import CERTIFICATE
from support.door_world import DESK, GATEWAY, furnish
from support.fake_cluster import FakeCluster

LIKE = Like(Activity.DOOR_SERVED, "ada", "s", DESK, "GET", "/lab", "200")


@dataclass
class Seconds:
    """A clock that only a test moves."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return the moment."""
        return self.now


@dataclass
class Disk(Ledger):
    """Takes records until it is full."""

    full: bool = False
    taken: list[Event] = field(default_factory=list)

    async def append(self, event: Event, *, record_class: RecordClass) -> Receipt:
        """Keep the event, or refuse it."""
        if self.full:
            raise LedgerUnavailableError("record_is_not_durable: the disk is full")
        self.taken.append(event)
        return Receipt(len(self.taken), record_class.value)


class DeafCluster(FakeCluster):
    """Answers no list while it is away."""

    away = False

    async def list(self, kind: KindRef, **asked: object) -> Objects:
        """Answer as the server does, or not."""
        if self.away:
            raise Unavailable("away", call="list")
        return await super().list(kind, **asked)  # type: ignore[arg-type]  # passed on as it came


def directory(clock: FixedClock, ticker: Callable[[], float]) -> Directory:
    return Directory(clock, gateway=GATEWAY, stale=timedelta(seconds=30), ticker=ticker)


async def test_what_was_not_listed_for_long_is_not_believed():
    clock, ticker = FixedClock(samples.NOW), Seconds()
    cluster = DeafCluster(now=clock.now)
    await furnish(cluster, CERTIFICATE.encode())
    known = directory(clock, ticker)
    assert known.sight is Sight.STALE
    await known.refresh(cluster)
    assert known.sight is Sight.FRESH
    cluster.away, ticker.now = True, 31.0
    with pytest.raises(Unavailable):
        await known.refresh(cluster)
    assert known.seen(DESK, subject="ada").sight is Sight.STALE
    cluster.away = False
    await known.refresh(cluster)
    assert known.sight is Sight.FRESH


async def test_a_list_finds_what_the_watch_did_not_tell():
    clock = FixedClock(samples.NOW)
    cluster = FakeCluster(now=clock.now)
    await furnish(cluster, CERTIFICATE.encode())
    known, told = directory(clock, Seconds()), []
    known.told.append(lambda changed: told.append(set(changed)))
    await known.refresh(cluster)
    await known.refresh(cluster)
    assert told == [{DESK}]
    for ref in list(cluster.objects):
        if ref.kind.kind == "AccessGrant":
            del cluster.objects[ref]
    await known.refresh(cluster)
    assert told == [{DESK}, {DESK}]
    assert known.seen(DESK, subject="ada").grant is None


@pytest.mark.parametrize(
    "bend",
    [{"node": "node-b"}, {"namespace": "ws-other"}, {"workspaceUID": "another"}],
)
async def test_only_the_pod_s_own_node_says_where_the_server_is(bend: dict[str, str]):
    """A node that was taken over must lead nobody to itself."""
    clock = FixedClock(samples.NOW)
    cluster = FakeCluster(now=clock.now)
    await furnish(cluster, CERTIFICATE.encode())
    for ref in cluster.objects:
        if ref.kind == KindRef.of(NodeReport):
            cluster.objects[ref]["spec"] |= bend
    known = directory(clock, Seconds())
    await known.refresh(cluster)
    assert known.seen(DESK, subject="ada").report is None


async def test_an_object_that_cannot_be_read_opens_nothing():
    clock = FixedClock(samples.NOW)
    cluster = FakeCluster(now=clock.now)
    await furnish(cluster, CERTIFICATE.encode())
    for ref in cluster.objects:
        if ref.kind == KindRef.of(Workspace):
            cluster.objects[ref]["spec"]["aNewField"] = "that may forbid"
    known = directory(clock, Seconds())
    await known.refresh(cluster)
    assert known.seen(DESK, subject="ada").workspace is None


async def test_like_requests_of_a_moment_share_a_record():
    disk = Disk()
    journal = Journal(disk, FixedClock(samples.NOW), ticker=Seconds())
    for _ in range(100):
        journal.served(LIKE, grant=("lungs", "uid"), up=1, down=10)
    task = asyncio.create_task(journal.run())
    async with asyncio.timeout(20):
        while not disk.taken:  # noqa: ASYNC110 - a disk tells nobody
            await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    (event,) = disk.taken
    told = {"method": "GET", "count": 100, "up": 100, "down": 1000, "status": 200}
    assert told.items() <= dict(event.detail).items()


async def test_nothing_passes_while_records_are_behind():
    disk, ticker = Disk(full=True), Seconds()
    journal = Journal(disk, FixedClock(samples.NOW), ticker=ticker)
    journal.served(LIKE, grant=("lungs", "uid"), up=0, down=0)
    assert not journal.is_behind
    ticker.now = BEHIND_SECONDS + 0.1
    assert journal.is_behind
    task = asyncio.create_task(journal.run())
    async with asyncio.timeout(20):
        while not journal._failed:  # noqa: ASYNC110 - nor does a journal
            await asyncio.sleep(0)
        ticker.now = 0.0
        assert journal.is_behind
        disk.full = False
        journal.served(LIKE, grant=("lungs", "uid"), up=0, down=0)
        while journal.is_behind:  # noqa: ASYNC110 - nor does a journal
            await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_file_that_is_torn_is_set_aside_and_people_log_in_again(tmp_path: Path):
    clock = FixedClock(samples.NOW)
    state = State(tmp_path)
    sessions = Sessions(state, clock, life=timedelta(hours=1), ticker=Seconds())
    secret, session = await sessions.begin("ada", provider="sid")
    state.close()
    file = tmp_path / "door.sqlite"
    assert secret.encode() not in file.read_bytes()
    assert session.name.encode() in file.read_bytes()
    file.write_bytes(b"not a database at all" * 100)
    again = State(tmp_path)
    assert await again.read(day="2026-11-22") == ([], [], [])
    assert (tmp_path / "door.damaged").exists()
    assert session.name == hashed(secret)
    again.close()


async def test_a_code_ends_after_its_seconds(tmp_path: Path):
    ticker = Seconds()
    state = State(tmp_path)
    sessions = Sessions(state, FixedClock(samples.NOW), life=timedelta(hours=1), ticker=ticker)
    _, session = await sessions.begin("ada", provider="")
    early, late = (sessions.code(session, workspace=DESK) for _ in range(2))
    assert await sessions.redeem(early, workspace=DESK) is not None
    ticker.now = 30.0
    assert await sessions.redeem(late, workspace=DESK) is None
    state.close()
