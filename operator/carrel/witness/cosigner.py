"""What a witness decides: C2SP tlog-witness, `add-checkpoint`."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from carrel.ledger.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from carrel.ledger.errors import EvidenceError
from carrel.ledger.merkle import EMPTY_ROOT, Proof, verify_consistency
from carrel.ledger.note import Note, Signature, SigningKey, VerifierKey, parse_note
from carrel.witness.memory import Memory

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")
MOST_HASHES = 63


class RefusedError(Exception):
    """A checkpoint is not cosigned; `status` is that of the specification."""

    def __init__(self, status: int, sentence: str, *, size: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.size = size
        """With 409: the size that this witness cosigned last."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A request for a cosignature."""

    old: int
    """Size that the log believes was cosigned last."""
    proof: Proof
    """Proof that the new tree grew from it."""
    note: Note
    """The new checkpoint, signed by its log."""


def parse_submission(body: bytes) -> Submission:
    """Read the body of `add-checkpoint`.

    Raises:
        RefusedError: 400 when it is malformed.

    """
    head, blank, rest = body.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
        found = _OLD.fullmatch(first)
        if not blank or found is None or len(lines) > MOST_HASHES:
            raise RefusedError(400, "request_is_malformed: it has no line `old <size>`.")
        proof = tuple(base64.b64decode(line, validate=True) for line in lines)
        if any(len(each) != 32 for each in proof):
            raise RefusedError(400, "request_is_malformed: a hash has 32 bytes.")
        note = parse_note(rest)
        parse_checkpoint(note.text)
    except (UnicodeDecodeError, binascii.Error, EvidenceError) as error:
        raise RefusedError(400, f"request_is_malformed: {error}.") from error
    return Submission(int(found[1]), proof, note)


class Cosigner:
    """Cosigns checkpoints of the logs that it knows; one call at a time."""

    def __init__(
        self,
        key: SigningKey,
        logs: Iterable[VerifierKey],
        memory: Memory,
        *,
        seconds: Callable[[], int],
    ) -> None:
        self._key = key
        self._logs = {log.name: log for log in logs}
        self._memory = memory
        self._seconds = seconds

    def cosign(self, submission: Submission) -> Signature:
        """Check that a log only grew, remember it, and sign for it.

        Raises:
            RefusedError: with the status of the specification.
            MemoryDamagedError: when what was signed before cannot be known.
            OSError: when the memory cannot be written; nothing was signed then.

        """
        own, new = self._opened(submission.note)
        last = self._memory.last(new.origin)
        size = last.size if last else 0
        if submission.old > new.size:
            raise RefusedError(400, "tree_shrinks: the old size is larger than the new one.")
        if submission.old != size:
            raise RefusedError(
                409, f"old_size_differs: {size} was cosigned last, not {submission.old}.", size=size
            )
        try:
            verify_consistency(
                old=size,
                old_root=last.root if last else EMPTY_ROOT,
                new=new.size,
                new_root=new.root,
                proof=submission.proof,
            )
        except EvidenceError as error:
            raise RefusedError(
                422, f"{error}. The log shows two histories: keep this request as proof."
            ) from error
        signature = self._key.cosign(submission.note.text, time=self._seconds())
        self._memory.keep(new.origin, own.with_signatures([signature]))
        return signature

    def _opened(self, note: Note) -> tuple[Note, Checkpoint]:
        origin = parse_checkpoint(note.text).origin
        log = self._logs.get(origin)
        if log is None:
            raise RefusedError(404, f"log_is_unknown: {origin[:200]}; configure its key first.")
        # Only the log's own lines are looked at and kept: others' could be anything.
        own = Note(
            note.text,
            tuple(each for each in note.signatures if (each.name, each.key_id) == _id(log)),
        )
        try:
            return own, open_checkpoint(own.data, log=log, witnesses=()).checkpoint
        except EvidenceError as error:
            raise RefusedError(403, str(error)) from error


def _id(key: VerifierKey) -> tuple[str, bytes]:
    return key.name, key.key_id
