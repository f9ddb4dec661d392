"""The central log keeps what it acknowledged, signs for nothing else, and says what is wrong."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from carrel.ledger import LedgerBusyError, LedgerUnavailableError
from carrel.ledger.checkpoint import open_checkpoint
from carrel.ledger.inspection import inspect, tiles_in
from carrel.ledger.leaf import parse_leaf
from carrel.ledgerd.errors import LogDamagedError
from carrel.ledgerd.journal import Journal, journals
from carrel.ledgerd.log import open_log
from support import tlog_reader
from support.central_log import KEY, Writing, appended, files_of

VKEY = KEY.verifier.text


async def written(folder: Path, *counts: int) -> Writing:
    """Write a log of one chain in as many batches and close it."""
    writing, log = Writing(), open_log(folder, KEY)
    for count in counts:
        await appended(log, writing, count)
    log.close()
    return writing


def records_in(folder: Path) -> list[bytes]:
    """Return the lines of all records, by a reader that shares no code with the log."""
    entries = tlog_reader.entries_of(folder, key=VKEY)
    return [parse_leaf(entry).record.line for entry in entries]


@pytest.mark.parametrize("counts", [(), (1,), (256,), (255, 1, 1), (700, 300, 1048)])
async def test_another_reader_accepts_what_is_written(
    tmp_path: Path, counts: tuple[int, ...]
) -> None:
    writing = await written(tmp_path, *counts)
    assert records_in(tmp_path) == [record.line for record in writing.records]


@pytest.mark.long
async def test_a_log_goes_on_where_it_ended_with_the_same_heads(tmp_path: Path) -> None:
    writing, other = Writing(), Writing("operator")
    for count in (300, 1, 511):
        log = open_log(tmp_path, KEY)
        placed = await appended(log, writing, count)
        assert placed.count == count
        await appended(log, other, 1)
        log.close()
    log = open_log(tmp_path, KEY)
    found = log.heads()
    log.close()
    assert found == {writing.source.chain: writing.head, other.source.chain: other.head}
    (tmp_path / "heads.json").write_text("{")
    log = open_log(tmp_path, KEY)
    assert log.heads() == found
    log.close()
    assert len(records_in(tmp_path)) == 815


async def test_batches_of_many_writers_share_a_commit_and_stay_whole(tmp_path: Path) -> None:
    log = open_log(tmp_path, KEY)
    writings = [Writing(f"process-{number}") for number in range(20)]
    placed = await asyncio.gather(*(appended(log, writing, 7) for writing in writings))
    log.close()
    lines = records_in(tmp_path)
    for writing, place in zip(writings, placed, strict=True):
        found = lines[place.first : place.first + place.count]
        assert found == [record.line for record in writing.records]


async def test_a_log_has_one_writer(tmp_path: Path) -> None:
    log = open_log(tmp_path, KEY)
    with pytest.raises(LedgerBusyError, match="log_has_another_writer"):
        open_log(tmp_path, KEY)
    log.close()


async def test_a_full_disk_refuses_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, log = Writing(), open_log(tmp_path, KEY)
    await appended(log, writing, 10)
    real = os.pwrite

    def full(descriptor: int, data: memoryview, offset: int) -> int:
        if len(data) > 100:
            return real(descriptor, data[:100], offset)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    lost = Writing("operator")
    with pytest.raises(LedgerUnavailableError, match="No space left on device"):
        await appended(log, lost, 1)
    assert log.trouble == "No space left on device"
    monkeypatch.undo()
    await appended(log, writing, 5)
    assert log.trouble == ""
    log.close()
    assert records_in(tmp_path) == [record.line for record in writing.records]


@pytest.mark.parametrize("cut", [1, 30, 100])
async def test_a_torn_end_of_the_journal_is_set_aside(tmp_path: Path, cut: int) -> None:
    writing = await written(tmp_path, 300)
    path = journals(tmp_path / "journal")[-1]
    journal = Journal(path)
    journal.append(Writing("operator").entries(3), first=300)
    journal.close()
    os.truncate(path, path.stat().st_size - cut)
    open_log(tmp_path, KEY).close()
    assert records_in(tmp_path) == [record.line for record in writing.records]
    assert list((tmp_path / "journal").glob("*.aside-*"))


async def crashed(folder: Path, *counts: int) -> Writing:
    """Leave a log as a power cut might: journals only, no tile on disk."""
    writing, log = Writing(), open_log(folder, KEY)
    kept = journals(folder / "journal")
    for count in counts:
        await appended(log, writing, count)
    saved = {path: path.read_bytes() for path in kept}
    log.close()
    for path, data in saved.items():
        path.write_bytes(data)
    return writing


async def test_tiles_that_a_power_cut_took_come_back_from_the_journal(tmp_path: Path) -> None:
    writing = await crashed(tmp_path, 700, 50)
    before = files_of(tmp_path)
    shutil.rmtree(tmp_path / "tile")
    open_log(tmp_path, KEY).close()
    # Partial tiles of sizes in between are gone: no present checkpoint speaks of them.
    assert files_of(tmp_path).items() <= before.items()
    assert records_in(tmp_path) == [record.line for record in writing.records]


@pytest.mark.parametrize("seed", range(12))
async def test_a_journal_that_was_altered_is_refused_and_left_as_it_is(
    tmp_path: Path, seed: int
) -> None:
    await crashed(tmp_path, 20, 20, 20)
    path = journals(tmp_path / "journal")[0]
    data = bytearray(path.read_bytes())
    data[random.Random(seed).randrange(len(data))] ^= 0x40  # noqa: S311 - a place, no secret
    path.write_bytes(data)
    with pytest.raises(LogDamagedError, match="journal_is_damaged"):
        open_log(tmp_path, KEY)
    assert path.read_bytes() == data


async def test_a_log_shorter_than_its_checkpoint_does_not_begin(tmp_path: Path) -> None:
    await crashed(tmp_path, 20, 20)
    path = journals(tmp_path / "journal")[0]
    os.truncate(path, 0)
    with pytest.raises(LogDamagedError, match="log_is_truncated"):
        open_log(tmp_path, KEY)


async def test_a_log_does_not_begin_without_the_checkpoint_that_it_signed(tmp_path: Path) -> None:
    await written(tmp_path, 300)
    (tmp_path / "checkpoint").unlink()
    with pytest.raises(LogDamagedError, match="checkpoint_is_missing"):
        open_log(tmp_path, KEY)


async def test_a_log_does_not_begin_on_tiles_that_give_another_root(tmp_path: Path) -> None:
    await written(tmp_path, 300)
    open_log(tmp_path, KEY).close()  # from here on no journal holds these entries
    tile = tmp_path / "tile/0/001.p/44"
    tile.write_bytes(bytes(44 * 32))
    with pytest.raises(LogDamagedError, match="log_is_not_what_was_signed"):
        open_log(tmp_path, KEY)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    asyncio.run(written(folder, 1300))
    return folder


@pytest.mark.parametrize("seed", range(100))
def test_every_manipulation_is_found_by_both_readers(
    tmp_path: Path, sound: Path, seed: int
) -> None:
    folder = tmp_path / "log"
    shutil.copytree(sound, folder)
    manipulate(folder, random.Random(seed))  # noqa: S311 - a place, no secret
    with pytest.raises(Exception):  # noqa: B017, PT011 - it may fail in any way but not pass
        tlog_reader.entries_of(folder, key=VKEY)
    with pytest.raises(Exception):  # noqa: B017, PT011 - as above
        checked(folder)


def checked(folder: Path) -> None:
    """Check a log as an auditor does."""
    signed = open_checkpoint((folder / "checkpoint").read_bytes(), log=KEY.verifier, witnesses=())
    flaw = inspect(tiles_in(folder), signed.checkpoint)
    assert flaw is None, flaw


def manipulate(folder: Path, chance: random.Random) -> None:
    """Do to a log one of the things that must not go unseen."""
    path = folder / chance.choice(sorted(files_needed(folder)))
    data = bytearray(path.read_bytes())
    at = chance.randrange(len(data))
    match chance.randrange(5):
        case 0:
            data[at] ^= 1 << chance.randrange(8)
        case 1:
            del data[at]
        case 2:
            data.insert(at, chance.randrange(256))
        case 3:
            del data[at:]
        case _:
            path.unlink()
            return
    path.write_bytes(data)


def files_needed(folder: Path) -> list[str]:
    """Return the files that the present checkpoint speaks of."""
    return [name for name in files_of(folder) if ".p/" not in name or name.endswith("/20")]


def test_the_log_that_was_not_manipulated_holds(sound: Path) -> None:
    checked(sound)
    assert len(tlog_reader.entries_of(sound, key=VKEY)) == 1300


def test_an_altered_entry_is_named(tmp_path: Path, sound: Path) -> None:
    folder = tmp_path / "log"
    shutil.copytree(sound, folder)
    bundle = folder / "tile/entries/003"
    bundle.write_bytes(bundle.read_bytes().replace(b'"number":800', b'"number":801'))
    signed = open_checkpoint((folder / "checkpoint").read_bytes(), log=KEY.verifier, witnesses=())
    flaw = inspect(tiles_in(folder), signed.checkpoint)
    assert flaw is not None
    assert (flaw.rule, flaw.leaf, flaw.path) == ("entry_does_not_match", 799, "tile/entries/003")


_APPENDER = """
import asyncio, sys
from pathlib import Path
from carrel.ledgerd.log import open_log
from support.central_log import KEY, Writing

async def worker(log, number):
    writing = Writing(f"process-{number}", start=sys.argv[2])
    while True:
        entries = writing.entries(3)
        placed = await log.append(entries, chain=writing.source.chain, head=writing.head)
        print(placed.first, writing.head.digest, flush=True)

async def main():
    log = open_log(Path(sys.argv[1]), KEY)
    await asyncio.gather(*(worker(log, number) for number in range(4)))

asyncio.run(main())
"""


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_a_kill_at_any_moment_loses_and_doubles_nothing(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a moment, no secret
    acknowledged: dict[int, str] = {}
    for round_ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", _APPENDER, str(tmp_path), str(round_)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert process.stdout is not None
        for _, line in zip(range(chance.randrange(1, 400)), process.stdout, strict=False):
            first, digest = line.split()
            acknowledged[int(first)] = digest
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
    open_log(tmp_path, KEY).close()
    leaves = [parse_leaf(entry) for entry in tlog_reader.entries_of(tmp_path, key=VKEY)]
    for first, digest in acknowledged.items():
        assert leaves[first + 2].record.receipt.digest == digest
    places = [(leaf.source.chain, leaf.record.receipt.sequence) for leaf in leaves]
    assert len(set(places)) == len(places) >= len(acknowledged) * 3 > 0
