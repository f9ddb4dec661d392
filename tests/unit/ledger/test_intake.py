"""A record enters the central log once, in order, and from whom it belongs to."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from carrel.flows.clock import FixedClock
from carrel.flows.forwarding import AwayError, Forwarder, Place
from carrel.ledger import Activity, Event, RecordClass, open_chain
from carrel.ledger.leaf import parse_leaf
from carrel.ledger.record import parsed
from carrel.ledger.verify import segments
from carrel.ledgerd.intake import Intake, split
from carrel.ledgerd.log import Log, open_log
from carrel.ledgerd.process import OwnDoor
from carrel.ledgerd.writers import WRITERS, Identity, RefusedError
from support import tlog_reader
from support.central_log import KEY, NOW, Writing

REVOKER = Identity("carrel-revoker", "")
NODE = Identity("carrel-node", "node-1")
CLOCK = FixedClock(NOW)


@contextmanager
def taking(folder: Path, **nodes: str) -> Iterator[tuple[Intake, Log]]:
    """Open a log with its intake; `nodes` says where pods are."""
    log = open_log(folder / "log", KEY)
    with open_chain(folder / "own", process="ledgerd", clock=CLOCK) as chain:
        yield Intake(log, chain, CLOCK, pod_node=nodes.get), log
    log.close()


def leaves(folder: Path) -> list[tuple[str, int]]:
    """Return chain and sequence of every entry, by a reader that shares no code with the log."""
    entries = tlog_reader.entries_of(folder / "log", key=KEY.verifier.text)
    found = [parse_leaf(entry) for entry in entries]
    return [(leaf.source.chain, leaf.record.receipt.sequence) for leaf in found]


def gaps(folder: Path) -> list[str]:
    """Return what the log's own chain admits."""
    text = b"".join(file.read_bytes() for file in segments(folder / "own" / "ledgerd")).decode()
    reasons = ("Forked", "BeginsLate", "Replaced", "Altered", "WitnessDisagrees")
    return [reason for reason in reasons if f'"reason":"{reason}"' in text]


def lines(writing: Writing, count: int) -> list[bytes]:
    return [record.line for record in writing.grow(count)]


async def test_a_batch_sent_again_or_overlapping_changes_nothing(tmp_path: Path) -> None:
    writing = Writing()
    first, second = lines(writing, 5), lines(writing, 5)
    chain = writing.source.chain
    with taking(tmp_path) as (intake, _):
        for batch in (first, first, first + second, second, first + second):
            place = await intake.take(REVOKER, batch, process="revoker", chain=chain)
        assert place == Place(writing.head.sequence, writing.head.digest)
        assert intake.place(REVOKER, process="revoker", chain=chain) == place
    assert leaves(tmp_path) == [(chain, number) for number in range(1, 11)]
    assert gaps(tmp_path) == []


async def test_two_who_send_the_same_chain_at_once_double_nothing(tmp_path: Path) -> None:
    writing = Writing()
    batch = lines(writing, 50)
    chain = writing.source.chain
    with taking(tmp_path) as (intake, _):
        await asyncio.gather(
            *(
                intake.take(REVOKER, batch[: 10 * part], process="revoker", chain=chain)
                for part in (5, 1, 4, 2, 3, 5)
            )
        )
    assert leaves(tmp_path) == [(chain, number) for number in range(1, 51)]


@pytest.mark.parametrize(
    ("identity", "process", "rule"),
    [
        (Identity("default", ""), "revoker", "account_is_no_writer"),
        (REVOKER, "operator", "chain_is_anothers"),
        (REVOKER, "revoker/../operator", "chain_is_anothers"),
        (Identity("carrel-node", ""), "node-lock", "token_names_no_node"),
        (Identity("carrel-ingest", ""), "ingest", "activity_is_anothers"),
    ],
)
async def test_a_writer_appends_only_what_is_its_own(
    tmp_path: Path, identity: Identity, process: str, rule: str
) -> None:
    writing = Writing(process)
    batch = lines(writing, 1)
    with taking(tmp_path) as (intake, log):
        with pytest.raises(RefusedError, match=rule) as caught:
            await intake.take(identity, batch, process=process, chain=writing.source.chain)
        assert (caught.value.status, log.heads()) == (403, {})


@pytest.mark.parametrize(
    ("where", "refused"), [({"p": "node-1"}, ""), ({"p": "node-2"}, "elsewhere"), ({}, "")]
)
async def test_the_word_of_a_node_counts_for_its_own_pods(
    tmp_path: Path, where: dict[str, str], refused: str
) -> None:
    with open_chain(tmp_path, process="node-lock", clock=CLOCK) as chain:
        event = Event(activity=Activity.LOCK_LOADED, time=NOW, actor="node", pod_uid="p")
        await chain.append(event, record_class=RecordClass.BEFORE)
    batch = split((tmp_path / "node-lock" / f"{1:020}.jsonl").read_bytes())
    name = parsed(batch[0], after=None).receipt.digest
    with taking(tmp_path, **where) as (intake, log):
        if not refused:
            await intake.take(NODE, batch, process="node-lock", chain=name)
            assert log.heads()[name].node == "node-1"
        else:
            with pytest.raises(RefusedError, match="pod_is_on_another_node"):
                await intake.take(NODE, batch, process="node-lock", chain=name)


async def test_a_missing_or_altered_record_is_refused_and_admitted(tmp_path: Path) -> None:
    writing, other = Writing(), Writing(start="another")
    batch, more = lines(writing, 5), lines(writing, 5)
    lines(other, 5)
    chain = writing.source.chain
    with taking(tmp_path) as (intake, _):
        await intake.take(REVOKER, batch, process="revoker", chain=chain)
        with pytest.raises(RefusedError, match="records_are_missing"):
            await intake.take(REVOKER, more[1:], process="revoker", chain=chain)
        with pytest.raises(RefusedError, match="chain_was_altered"):
            await intake.take(REVOKER, lines(other, 1), process="revoker", chain=chain)
        for bad in ([batch[0], batch[2]], [b"{}\n"], [more[0].replace(b"revoker", b"revokes")], []):
            with pytest.raises(RefusedError):
                await intake.take(REVOKER, bad, process="revoker", chain=chain)
    assert len(leaves(tmp_path)) == 5
    assert gaps(tmp_path) == ["Altered"]


async def test_a_chain_that_began_anew_or_late_is_taken_and_admitted(tmp_path: Path) -> None:
    writing, anew, late = Writing(), Writing(start="anew"), Writing(start="late")
    with taking(tmp_path) as (intake, _):
        for each in (writing, anew):
            batch = lines(each, 2)
            await intake.take(REVOKER, batch, process="revoker", chain=each.source.chain)
        cut = late.grow(9)[4:]
        await intake.take(
            REVOKER,
            [record.line for record in cut],
            process="revoker",
            chain=cut[0].receipt.digest,
        )
    assert len(leaves(tmp_path)) == 9
    assert gaps(tmp_path) == ["BeginsLate", "Replaced"]


async def test_a_node_passes_on_what_ingest_jobs_left_and_says_nothing_else_there(
    tmp_path: Path,
) -> None:
    writing = Writing("ingest-0123456789ab", activity=Activity.INGEST_SEALED)
    with taking(tmp_path) as (intake, _):
        process, batch = "ingest-0123456789ab", lines(writing, 3)
        chain = writing.source.chain
        await intake.take(NODE, batch, process=process, chain=chain)
        with pytest.raises(RefusedError, match="chain_is_anothers"):
            await intake.take(REVOKER, lines(writing, 1), process=process, chain=chain)
        nowhere = Identity("carrel-node", "")
        with pytest.raises(RefusedError, match="token_names_no_node"):
            await intake.take(nowhere, lines(writing, 1), process=process, chain=chain)
    assert len(leaves(tmp_path)) == 3


def test_every_activity_has_a_writer() -> None:
    written = {each for of in WRITERS.values() for writer in of for each in writer.activities}
    assert set(Activity) - written == set(), "say in carrel.ledgerd.writers who records this"


class Weather:
    """A door that is shut as often as it is told to."""

    def __init__(self, intake: Intake, *, shut: Sequence[bool] = ()) -> None:
        self._intake = intake
        self._shut = list(shut)
        self.calls = 0

    async def place(self, *, process: str, chain: str) -> Place | None:
        """Ask, if the door opens."""
        self._knock()
        return self._intake.place(REVOKER, process=process, chain=chain)

    async def send(self, lines: Sequence[bytes], *, process: str, chain: str) -> Place:
        """Send, and lose the answer if the door shuts."""
        place = await self._intake.take(REVOKER, lines, process=process, chain=chain)
        self._knock()  # taken, but the answer is lost
        return place

    def _knock(self) -> None:
        self.calls += 1
        if self._shut and self._shut.pop(0):
            raise AwayError("log_is_away: the test shut it.")


async def forwarded(forwarder: Forwarder) -> None:
    """Forward until nothing is left, beginning anew after each trouble as `run` does."""
    idle = 0
    while idle < 2:
        try:
            idle = 0 if await forwarder.step() else idle + 1
        except AwayError:
            forwarder._reader = None
            idle = 0


async def chained_by_a_process(
    folder: Path, count: int, record_class: RecordClass = RecordClass.STOP
) -> None:
    with open_chain(folder, process="revoker", clock=CLOCK) as chain:
        for _ in range(count):
            event = Event(activity=Activity.POD_DELETED, time=NOW, actor="revoker")
            await chain.append(event, record_class=record_class)


@pytest.mark.long
async def test_a_chain_arrives_whole_and_once_through_lost_answers_and_restarts(
    tmp_path: Path,
) -> None:
    with taking(tmp_path) as (intake, _):
        for round_ in range(3):
            await chained_by_a_process(tmp_path / "chains", 2000)
            shut = [True, False, True, True, False] if round_ else [False, True]
            await forwarded(
                Forwarder(
                    tmp_path / "chains",
                    process="revoker",
                    door=Weather(intake, shut=shut),
                    clock=CLOCK,
                )
            )
    found = leaves(tmp_path)
    assert [sequence for _, sequence in found] == list(range(1, len(found) + 1))
    assert len({chain for chain, _ in found}) == 1
    assert len(found) >= 6000


async def test_a_chain_in_many_files_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carrel.ledger.writer.SEGMENT_BYTES", 4000)
    with taking(tmp_path) as (intake, _):
        await chained_by_a_process(tmp_path / "chains", 50, RecordClass.BEFORE)
        assert len(segments(tmp_path / "chains" / "revoker")) > 1
        door = Weather(intake)
        forwarder = Forwarder(tmp_path / "chains", process="revoker", door=door, clock=CLOCK)
        await forwarded(forwarder)
        await chained_by_a_process(tmp_path / "chains", 50)
        await forwarded(forwarder)
    found = leaves(tmp_path)
    assert [sequence for _, sequence in found] == list(range(1, len(found) + 1))


async def test_a_chain_that_was_cut_off_goes_beside_what_the_log_holds(tmp_path: Path) -> None:
    chains = tmp_path / "chains"
    with taking(tmp_path) as (intake, _):
        door = Weather(intake)
        await chained_by_a_process(chains, 10)
        await forwarded(Forwarder(chains, process="revoker", door=door, clock=CLOCK))
        held = len((chains / "revoker" / f"{1:020}.jsonl").read_bytes().splitlines())
        path = segments(chains / "revoker")[-1]
        kept = path.read_bytes().splitlines(keepends=True)[:5]
        path.write_bytes(b"".join(kept))
        await chained_by_a_process(chains, 3)
        await forwarded(Forwarder(chains, process="revoker", door=door, clock=CLOCK))
        now = len(path.read_bytes().splitlines())
    found = leaves(tmp_path)
    names = list(dict.fromkeys(chain for chain, _ in found))
    assert names[1] == names[0] + ".1"
    assert len(found) == held + now
    assert gaps(tmp_path) == ["Forked"]


async def test_the_logs_own_chain_comes_into_the_log(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log", KEY)
    with open_chain(tmp_path / "own", process="ledgerd", clock=CLOCK) as chain:
        heard = Event(activity=Activity.HEARTBEAT, time=NOW, actor="ledgerd")
        await chain.append(heard, record_class=RecordClass.BEFORE)
        intake = Intake(log, chain, CLOCK, pod_node={}.get)
        await forwarded(
            Forwarder(tmp_path / "own", process="ledgerd", door=OwnDoor(intake), clock=CLOCK)
        )
    log.close()
    assert [sequence for _, sequence in leaves(tmp_path)] == [1, 2]
