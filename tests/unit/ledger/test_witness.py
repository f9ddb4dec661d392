"""A witness signs only for a log that grew, remembers over kill -9, and is listened to."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carrel.flows.clock import FixedClock
from carrel.ledger import open_chain
from carrel.ledger.checkpoint import Checkpoint
from carrel.ledger.merkle import leaf_hash, root_of
from carrel.ledger.note import KeyType, SigningKey
from carrel.ledgerd.cosigning import COSIGNED, Cosigning, DisagreedError, WitnessAwayError
from carrel.ledgerd.log import Log, open_log
from carrel.witness.cosigner import Cosigner, RefusedError, parse_submission
from carrel.witness.memory import Memory, MemoryDamagedError
from support import tlog_reader
from support.central_log import KEY, NOW, Writing, appended

WITNESS = SigningKey("w/1", KeyType.COSIGNER, Ed25519PrivateKey.from_private_bytes(b"w" * 32))
LEAVES = [leaf_hash(b"%d" % number) for number in range(20)]


def cosigner(folder: Path) -> Cosigner:
    return Cosigner(WITNESS, [KEY.verifier], Memory(folder), seconds=lambda: 1_800_000_000)


def body(old: int, leaves: list[bytes], *, key: SigningKey = KEY, origin: str = KEY.name) -> bytes:
    """Return a request to cosign the tree of `leaves`, proven to have grown from `old`."""
    checkpoint = Checkpoint(origin, len(leaves), root_of(leaves))
    proof = tlog_reader.growth_path(old, leaves) if 0 < old <= len(leaves) else []
    lines = [f"old {old}", *(base64.b64encode(each).decode() for each in proof), "", ""]
    note = f"{checkpoint.text}\n{key.sign(checkpoint.text).line}"
    return ("\n".join(lines) + note).encode()


def test_a_log_that_grows_is_cosigned_as_specified(tmp_path: Path) -> None:
    for old, new in ((0, 3), (3, 3), (3, 20)):
        request = parse_submission(body(old, LEAVES[:new]))
        # Each time a witness that was killed and begins anew with what it kept.
        line = cosigner(tmp_path).cosign(request).line
        note = request.note.data + line.encode()
        assert tlog_reader.signed_by(note, WITNESS.verifier.text) == request.note.text


FORK = [*LEAVES[:2], leaf_hash(b"another"), *LEAVES[3:]]


@pytest.mark.parametrize(
    ("request_body", "status"),
    [
        (body(0, LEAVES[:12]), 409),
        (body(9, LEAVES[:12]), 409),
        (body(12, LEAVES[:10]), 400),
        (body(10, FORK[:10]), 422),
        (body(10, FORK), 422),
        (body(10, LEAVES).replace(b"old 10\n", b"old 10\n" + b"A" * 43 + b"=\n"), 422),
        (body(10, LEAVES, origin="other/log"), 404),
        (body(10, LEAVES, key=WITNESS), 403),
        (body(10, LEAVES).replace(b"\n20\n", b"\n21\n"), 403),
        (b"", 400),
        (b"old 10\n", 400),
        (b"old -1\n\n" + body(10, LEAVES).partition(b"\n\n")[2], 400),
        (b"old 10\nAAAA\n\n" + body(10, LEAVES).partition(b"\n\n")[2], 400),
        (b"old 10\n" + b"A" * 60_000, 400),
        (b"\xff" * 100, 400),
    ],
)
def test_anything_else_is_refused_and_changes_nothing(
    tmp_path: Path, request_body: bytes, status: int
) -> None:
    witness = cosigner(tmp_path)
    witness.cosign(parse_submission(body(0, LEAVES[:10])))
    before = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    with pytest.raises(RefusedError) as caught:
        witness.cosign(parse_submission(request_body))
    assert caught.value.status == status
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == before


def test_a_witness_with_a_damaged_memory_signs_nothing(tmp_path: Path) -> None:
    cosigner(tmp_path).cosign(parse_submission(body(0, LEAVES[:10])))
    file = next(tmp_path.iterdir())
    for damage in (b"", b"x", file.read_bytes()[:40]):
        file.write_bytes(damage)
        with pytest.raises(MemoryDamagedError):
            cosigner(tmp_path).cosign(parse_submission(body(0, LEAVES[:12])))


class Near:
    """A witness in the same process that speaks what the HTTP one speaks."""

    def __init__(self, witness: Cosigner) -> None:
        self._witness = witness

    async def add(self, request: bytes) -> tuple[int, bytes]:
        """Answer as the service does."""
        try:
            return 200, self._witness.cosign(parse_submission(request)).line.encode()
        except RefusedError as error:
            said = f"{error.size}\n" if error.size is not None else str(error)
            return error.status, said.encode()


class Away:
    """A witness that is away."""

    async def add(self, _: bytes) -> tuple[int, bytes]:
        """Do not answer."""
        raise WitnessAwayError("witness_is_away: for a day.")


def cosigning(log: Log, folder: Path, asker: Near | Away) -> Cosigning:
    clock = FixedClock(NOW)
    return Cosigning(
        log,
        key=KEY.verifier,
        witness=WITNESS.verifier,
        asker=asker,
        ledger=open_chain(folder / "own", process="ledgerd", clock=clock),
        clock=clock,
    )


async def grown(folder: Path, writing: Writing, count: int) -> Log:
    """Open a log that was closed, and so signed, after growing by `count`."""
    log = open_log(folder, KEY)
    await appended(log, writing, count)
    log.close()
    return open_log(folder, KEY)


async def test_the_cosigned_checkpoint_follows_the_log(tmp_path: Path) -> None:
    writing, asker = Writing(), Near(cosigner(tmp_path / "w"))
    for round_, count in enumerate((5, 600, 1)):
        log = await grown(tmp_path / "log", writing, count)
        asking = cosigning(log, tmp_path / str(round_), asker)
        await asking.step()
        await asking.step()
        log.close()
        data = (tmp_path / "log" / COSIGNED).read_bytes()
        text = tlog_reader.signed_by(data, WITNESS.verifier.text)
        assert text == tlog_reader.signed_by(data, KEY.verifier.text)
        assert int(text.split("\n")[1]) == asking.size == len(writing.records)


async def test_a_witness_that_was_away_catches_up_and_the_log_went_on(tmp_path: Path) -> None:
    writing = Writing()
    log = await grown(tmp_path / "log", writing, 5)
    with pytest.raises(WitnessAwayError):
        await cosigning(log, tmp_path / "a", Away()).step()
    await appended(log, writing, 500)
    log.close()
    log = open_log(tmp_path / "log", KEY)
    asking = cosigning(log, tmp_path / "b", Near(cosigner(tmp_path / "w")))
    await asking.step()
    log.close()
    assert asking.size == 505


async def test_a_log_that_was_rolled_back_or_forked_is_not_cosigned(tmp_path: Path) -> None:
    asker = Near(cosigner(tmp_path / "w"))
    log = await grown(tmp_path / "log", Writing(), 20)
    await cosigning(log, tmp_path / "a", asker).step()
    log.close()
    for name, count, rule in (("b", 10, "witness_saw_more"), ("c", 30, "witness_disagrees")):
        log = await grown(tmp_path / name, Writing(start="another"), count)
        with pytest.raises(DisagreedError, match=rule):
            await cosigning(log, tmp_path / f"own-{name}", asker).step()
        log.close()
        assert not (tmp_path / name / COSIGNED).exists()
