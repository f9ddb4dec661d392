"""Each audit event becomes one record, whatever happens to file and process."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from carrel.apiaudit import lines
from carrel.apiaudit.forwarding import QUIET, Forwarder
from carrel.apiaudit.progress import ProgressFile
from carrel.flows.clock import FixedClock
from carrel.ledger import open_chain, verify
from carrel.ledger.verify import lines as chain_lines
from carrel.ledger.verify import segments

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def audit_line(number: int, *, resource: str = "accessgrants", **more: Any) -> bytes:
    kind, _, sub = resource.partition("/")
    found = {
        "kind": "Event",
        "auditID": f"id-{number}",
        "stage": "ResponseComplete",
        "verb": "patch",
        "user": {"username": "oidc:mira"},
        "objectRef": {
            "resource": kind,
            "name": "lung",
            "apiGroup": "" if sub else "carrel.dev",
            "subresource": sub,
        },
        "stageTimestamp": "2026-03-02T08:00:00.000000Z",
        "responseStatus": {"code": 200},
        **more,
    }
    return json.dumps(found).encode() + b"\n"


class Scene:
    """A folder with an audit log and a chain."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "audit" / "audit.log"
        self.log.parent.mkdir()
        self.ledger = folder / "ledger"
        self.clock = FixedClock(NOW)

    @contextmanager
    def forwarder(self) -> Iterator[Forwarder]:
        """Return a forwarder as a new process would make it."""
        with open_chain(self.ledger, process="apiaudit", clock=self.clock) as chain:
            yield Forwarder(
                self.log,
                chain,
                chain_dir=self.ledger / "apiaudit",
                progress=ProgressFile(self.ledger / "apiaudit" / "progress.json"),
                platform="carrel-system",
                clock=self.clock,
                registry=CollectorRegistry(),
            )

    async def forward(self) -> None:
        """Run a process that reads to the end and ends."""
        with self.forwarder() as forwarder:
            await forwarder.forward()

    def write(self, *more: bytes) -> None:
        """Append to the audit log."""
        with self.log.open("ab") as file:
            file.write(b"".join(more))

    def rotate(self, hour: int) -> None:
        """Rename the log as the server does."""
        self.log.rename(self.log.with_name(f"audit-2026-03-02T{hour:02}-00-00.000.log"))

    def records(self) -> list[dict[str, Any]]:
        """Return what stands in the chain, which must hold."""
        chain = self.ledger / "apiaudit"
        assert verify(chain).faults == ()
        return [
            json.loads(line)["event"]["carrel"]
            for file in segments(chain)
            for line in chain_lines(file)
        ]

    def ids(self) -> list[str]:
        """Return the audit IDs of records."""
        return [
            each["detail"]["auditID"]
            for each in self.records()
            if "auditID" in each.get("detail", {})
        ]

    def troubles(self) -> list[str]:
        """Return why parts were unreadable."""
        return [
            each["detail"]["reason"]
            for each in self.records()
            if each["activity"] == "AuditLogUnreadable"
        ]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def named(*numbers: int) -> list[str]:
    return [f"id-{number}" for number in numbers]


async def test_what_is_appended_is_forwarded_once(scene: Scene) -> None:
    with scene.forwarder() as forwarder:
        for number in range(5):
            scene.write(audit_line(number))
            await forwarder.forward()
            await forwarder.forward()
    await scene.forward()
    assert scene.ids() == named(*range(5))


async def test_rotation_loses_and_doubles_nothing(scene: Scene) -> None:
    scene.write(audit_line(0), audit_line(1))
    await scene.forward()
    scene.write(audit_line(2))
    scene.rotate(8)
    scene.write(audit_line(3))
    scene.rotate(9)
    scene.write(audit_line(4))
    await scene.forward()
    assert scene.ids() == named(*range(5))


async def test_a_file_that_was_rotated_away_unread_is_a_record(scene: Scene) -> None:
    scene.write(audit_line(0))
    await scene.forward()
    scene.log.unlink()
    scene.write(audit_line(7))
    await scene.forward()
    await scene.forward()
    assert (scene.ids(), scene.troubles()) == (named(0, 7), ["RotatedAway"])


async def test_a_line_on_its_way_is_waited_for(scene: Scene) -> None:
    whole = audit_line(1)
    scene.write(audit_line(0), whole[:40])
    await scene.forward()
    assert scene.ids() == named(0)
    scene.write(whole[40:])
    await scene.forward()
    assert (scene.ids(), scene.troubles()) == (named(0, 1), [])


async def test_a_line_that_was_torn_for_good_is_a_record(scene: Scene) -> None:
    scene.write(audit_line(0), audit_line(1)[:40])
    scene.rotate(8)
    scene.write(audit_line(2))
    await scene.forward()
    await scene.forward()
    assert (scene.ids(), scene.troubles()) == (named(0, 2), ["Torn"])


@pytest.mark.parametrize(
    ("odd", "trouble"),
    [
        (b"not json\n", "NotJSON"),
        (b"\xff\xfe\x00\n", "NotJSON"),
        (b"\n", "NotJSON"),
        (b"[" * 100_000 + b"\n", "NotJSON"),
        (b'{"kind":"Event"}\n', "NotAnEvent"),
        (b"x" * 3000 + b"\n", "TooLong"),
    ],
)
async def test_an_odd_line_is_a_record_and_stops_nothing(
    odd: bytes, trouble: str, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 2000 if trouble == "TooLong" else 200_000
    monkeypatch.setattr(lines, "LARGEST_LINE", limit)
    scene.write(audit_line(0), odd, audit_line(1))
    await scene.forward()
    await scene.forward()
    assert (scene.ids(), scene.troubles()) == (named(0, 1), [trouble])


async def test_a_session_is_told_at_its_beginning_and_not_again(scene: Scene) -> None:
    begun = audit_line(0, resource="pods/exec", stage="ResponseStarted")
    ended = audit_line(0, resource="pods/exec")
    scene.write(begun)
    await scene.forward()
    scene.write(audit_line(1), ended)
    await scene.forward()
    assert scene.ids() == named(0, 1)
    scene.write(audit_line(2, resource="pods/exec"))
    await scene.forward()
    assert scene.ids() == named(0, 1, 2)


def lose(path: Path) -> None:
    path.unlink()


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10])


def fool(path: Path) -> None:
    path.write_text('{"position": {"offset": "x"}, "sequence": null, "opened": 3}')


@pytest.mark.parametrize("harm", [lose, tear, fool])
async def test_lost_progress_doubles_nothing(harm: Callable[[Path], None], scene: Scene) -> None:
    odd = b"not json\n"
    scene.write(audit_line(0), odd, audit_line(1))
    await scene.forward()
    harm(scene.ledger / "apiaudit" / "progress.json")
    scene.write(audit_line(2))
    await scene.forward()
    assert (scene.ids(), scene.troubles()) == (named(0, 1, 2), ["NotJSON"])


async def test_a_full_ledger_loses_nothing(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.write(*(audit_line(number) for number in range(20)))
    monkeypatch.setattr("carrel.ledger.chain.LARGEST_BACKLOG", 0)
    with scene.forwarder() as forwarder:
        with pytest.raises(Exception, match="backlog_is_full"):
            await forwarder.forward()
        monkeypatch.setattr("carrel.ledger.chain.LARGEST_BACKLOG", 100)
        await forwarder.forward()
    assert scene.ids() == named(*range(20))


async def test_it_says_whether_administrators_are_recorded(scene: Scene) -> None:
    with scene.forwarder() as forwarder:
        assert forwarder.recorded().reason == "NotReadYet"
        await forwarder.forward()
        assert forwarder.recorded().reason == "LogIsMissing"
        scene.write(audit_line(0))
        await forwarder.forward()
        assert forwarder.recorded().holds
        scene.clock.advance(QUIET + timedelta(seconds=1))
        assert forwarder.recorded().reason == "LogIsSilent"
        scene.log.unlink()
        scene.log.mkdir()
        await forwarder.forward()
        assert forwarder.recorded().reason == "LogUnreadable"


_KILLED = """
import asyncio, sys
from pathlib import Path
from prometheus_client import CollectorRegistry
from carrel.apiaudit.forwarding import Forwarder
from carrel.apiaudit.progress import ProgressFile
from carrel.flows.clock import SystemClock
from carrel.ledger import open_chain

async def main():
    log, ledger = Path(sys.argv[1]), Path(sys.argv[2])
    clock = SystemClock()
    with open_chain(ledger, process="apiaudit", clock=clock) as chain:
        forwarder = Forwarder(log, chain, chain_dir=ledger / "apiaudit",
            progress=ProgressFile(ledger / "apiaudit" / "progress.json"),
            platform="carrel-system", clock=clock, registry=CollectorRegistry())
        while True:
            await forwarder.forward()
            if sys.argv[3:]:
                return
            print(flush=True)

asyncio.run(main())
"""


@pytest.mark.long
def test_killed_at_any_moment_it_forwards_each_event_once(scene: Scene) -> None:
    chance, number = random.Random(4), 0  # noqa: S311 - the same moments each time
    for round_ in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", _KILLED, str(scene.log), str(scene.ledger)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": "operator"},
        )
        assert child.stdout is not None
        for _ in range(chance.randrange(1, 20)):
            scene.write(*(audit_line(number + n) for n in range(50)))
            number += 50
            child.stdout.readline()  # it has passed through the log once more
        if round_ % 2:
            scene.rotate(round_)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(scene.log), str(scene.ledger), "once"],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": "operator"},
    )
    assert done.stderr == b""
    assert scene.ids() == named(*range(number))
