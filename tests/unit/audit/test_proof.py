"""A check finds what was done to a log, and says what it cannot know."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from carrel.audit.copy import copied
from carrel.audit.proof import Proof, Trusted, check_chains, check_log
from carrel.audit.receipts import read_receipts, write_receipts
from carrel.audit.source import SourceError
from carrel.ledger import Activity
from carrel.ledger.errors import EvidenceError
from support.audit_log import LOG_KEY, WITNESS_KEY, BuiltLog, event, signing_key, write_chain

EVENTS = [event(Activity.POD_DELETED, minute=n, number=n) for n in range(600)]


@pytest.fixture
def log(tmp_path: Path) -> BuiltLog:
    built = BuiltLog(tmp_path / "log")
    built.append(EVENTS[:400])
    return built


def check(
    log: BuiltLog, *, earlier: bytes | None = None, witness: bool = False, inside: bool = False
) -> Proof:
    return check_log(
        log.folder,
        Trusted(
            log=LOG_KEY.verifier,
            witnesses=(WITNESS_KEY.verifier,) if witness else (),
            earlier=earlier,
            inside=(WITNESS_KEY.name,) if inside else (),
        ),
    )


def test_a_log_that_grew_holds_against_every_checkpoint_before(log: BuiltLog) -> None:
    earlier = [(log.folder / "checkpoint").read_bytes()]
    earlier += [log.append(EVENTS[at : at + 50]) for at in range(400, 600, 50)]
    for each in earlier:
        proof = check(log, earlier=each)
        assert (proof.records, proof.faults, proof.unproven) == (600, (), ())


def test_a_log_signed_anew_is_found_by_what_was_kept(log: BuiltLog) -> None:
    earlier = (log.folder / "checkpoint").read_bytes()
    log.entries[123] = log.entries[123].replace(b'"number":123', b'"number":999')
    log.write()
    assert check(log).faults == ()
    assert check(log, earlier=earlier).faults == (
        (
            "log_was_rewritten: trees_differ: two trees of 400 leaves are not the same; "
            "a record before leaf 400 differs"
        ),
    )
    log.append(EVENTS[400:])
    (fault,) = check(log, earlier=earlier).faults
    assert fault.startswith("log_was_rewritten: trees_differ")


def test_a_log_that_was_cut_is_found_by_what_was_kept(log: BuiltLog) -> None:
    earlier = (log.folder / "checkpoint").read_bytes()
    log.entries = log.entries[:300]
    log.write()
    assert check(log, earlier=earlier).faults == (
        (
            "log_was_cut: the earlier checkpoint has 400 records, this one 300; "
            "the first missing is leaf 300"
        ),
    )


@pytest.mark.long
def test_each_of_a_hundred_changed_bytes_is_found(log: BuiltLog) -> None:
    files = sorted(path for path in (log.folder / "tile").rglob("*") if path.is_file())
    chance = random.Random(6)  # noqa: S311 - the same places each time
    for _ in range(100):
        path = chance.choice(files)
        whole = path.read_bytes()
        at = chance.randrange(len(whole))
        path.write_bytes(
            whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :]
        )
        assert check(log).faults, path
        path.write_bytes(whole)
    assert check(log).faults == ()


def test_the_first_bad_record_is_named(log: BuiltLog) -> None:
    bundle = log.folder / "tile/entries/001.p/144"
    bundle.write_bytes(bundle.read_bytes().replace(b'"number":300', b'"number":301'))
    (fault,) = check(log).faults
    assert fault.startswith("entry_does_not_match: leaf 300 (tile/entries/001.p/144): entry 300")


@pytest.mark.parametrize("missing", ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"])
def test_a_missing_file_is_named(missing: str, log: BuiltLog) -> None:
    (log.folder / missing).unlink()
    (fault,) = check(log).faults
    assert fault.startswith("file_cannot_be_read: ")
    assert missing in fault


def test_a_checkpoint_of_another_key_does_not_count(log: BuiltLog) -> None:
    with pytest.raises(EvidenceError, match="note_is_not_signed"):
        check_log(log.folder, Trusted(log=signing_key("other.example/log").verifier))


def test_without_anything_kept_outside_the_check_says_so(log: BuiltLog) -> None:
    (text,) = check(log).unproven
    assert text.startswith("Nothing kept outside was compared")


def test_a_witness_that_did_not_sign_is_a_fault(log: BuiltLog) -> None:
    assert check(log, witness=True).faults == (
        "witness_did_not_sign: witness.example has not cosigned this checkpoint",
    )


def test_a_witness_outside_is_believed(log: BuiltLog) -> None:
    log.write(cosigned=True)
    proof = check(log, witness=True)
    assert (proof.faults, proof.unproven) == ((), ())
    assert proof.proven[-1] == "The witness witness.example saw this very log."


def test_a_witness_in_the_same_cluster_is_called_that(log: BuiltLog) -> None:
    log.write(cosigned=True)
    proof = check(log, witness=True, inside=True)
    assert proof.faults == ()
    assert proof.proven[-1].endswith("but it runs in the same cluster.")
    assert proof.unproven[0].startswith("witness.example runs in the same cluster as the log")
    assert len(proof.unproven) == 2


def test_progress_ends_at_the_size(log: BuiltLog) -> None:
    told: list[tuple[int, int]] = []
    check_log(log.folder, Trusted(log=LOG_KEY.verifier), told=lambda *done: told.append(done))
    assert told == [(256, 400), (400, 400)]


def test_a_copy_is_checked_like_the_log_and_continued(log: BuiltLog, tmp_path: Path) -> None:
    copy = BuiltLog(tmp_path / "copy")
    first = copied(log.folder, copy.folder)
    assert (first.size, first.held, check(copy).faults) == (400, 0, ())
    log.append(EVENTS[400:])
    second = copied(log.folder, copy.folder)
    assert (second.size, check(copy).faults) == (600, ())
    assert second.files < first.files + 4
    assert copied(log.folder, copy.folder).files == 0


def test_a_log_that_shrank_does_not_overwrite_its_copy(log: BuiltLog, tmp_path: Path) -> None:
    copied(log.folder, tmp_path / "copy")
    kept = (tmp_path / "copy/checkpoint").read_bytes()
    log.entries = log.entries[:10]
    log.write()
    with pytest.raises(SourceError, match="copy_is_of_another_log"):
        copied(log.folder, tmp_path / "copy")
    assert (tmp_path / "copy/checkpoint").read_bytes() == kept


def cut(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))


def gone(path: Path) -> None:
    path.unlink()


def altered(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"number":1,', b'"number":5,').replace(
        b'"number":1}', b'"number":5}'))  # fmt: skip


@pytest.mark.parametrize(
    ("harm", "rule"),
    [
        (cut, "seen_record_is_missing: node"),
        (gone, "chain_is_missing: node had record 10 earlier"),
        (altered, f"digest_does_not_match: node/{1:020}.jsonl line 2: record 2 was altered"),
    ],
)
def test_chains_are_compared_with_receipts(
    harm: Callable[[Path], None], rule: str, tmp_path: Path
) -> None:
    for name in ("node", "operator"):
        write_chain(tmp_path / name, EVENTS[:10])
    first = check_chains(tmp_path, seen={})
    assert first.faults == ()
    assert first.unproven[0].startswith("2 chains were compared with nothing kept outside")
    seen = read_receipts(write_receipts(first.heads))
    assert seen == first.heads
    assert check_chains(tmp_path, seen=seen).faults == ()
    harm(tmp_path / "node" / f"{1:020}.jsonl")
    faults = check_chains(tmp_path, seen=seen).faults
    assert faults[0].startswith(rule)


def test_what_is_no_receipt_is_refused() -> None:
    with pytest.raises(EvidenceError, match="line 1 is not"):
        read_receipts("hello")
