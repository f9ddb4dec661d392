"""Asks a witness to cosign what the log signed, and keeps what it answers beside the tiles."""

import asyncio
import base64
import logging
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

import aiohttp

from carrel.flows.clock import Clock, wait_until
from carrel.ledger import Activity, Event, Ledger, RecordClass
from carrel.ledger.checkpoint import Signed, open_checkpoint
from carrel.ledger.errors import EvidenceError, LedgerError
from carrel.ledger.inspection import tiles_in
from carrel.ledger.merkle import consistency_proof
from carrel.ledger.note import VerifierKey, parse_signatures, verify_note
from carrel.ledger.tiles import subtrees_from
from carrel.ledgerd.files import write_durable
from carrel.ledgerd.log import Log
from carrel.ledgerd.shelf import CHECKPOINT

COSIGNED = "cosigned"
"""File with the newest checkpoint that the witness signed too."""
EVERY = timedelta(seconds=5)
ACTOR = "carrel-ledger"
_log = logging.getLogger(__name__)


class Place(StrEnum):
    """Where the witness runs."""

    SAME_CLUSTER = "SameCluster"
    """Whoever rules the cluster rules the witness too: it proves nothing against them."""
    ELSEWHERE = "Elsewhere"
    """Under another rule than the log."""


class WitnessAwayError(LedgerError):
    """The witness does not answer as one; asked again later."""


class DisagreedError(LedgerError):
    """The witness signed another history than the log has."""


class Asker(Protocol):
    """Sends a request to a witness."""

    async def add(self, body: bytes) -> tuple[int, bytes]:
        """Send the body of `add-checkpoint`; return status and body of the answer."""
        ...


class HTTPAsker:
    """An `Asker` that speaks HTTP."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self._address = address.rstrip("/")
        self._session = session

    async def add(self, body: bytes) -> tuple[int, bytes]:
        """Send the body of `add-checkpoint`; return status and body of the answer."""
        try:
            async with (
                asyncio.timeout(10),
                self._session.post(
                    self._address + "/add-checkpoint", data=body, allow_redirects=False
                ) as answer,
            ):
                return answer.status, await answer.content.read(64 * 1024)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise WitnessAwayError(f"witness_is_away: {type(error).__name__}") from error


class Cosigning:
    """Keeps the cosigned checkpoint close behind the log's own."""

    def __init__(
        self,
        log: Log,
        *,
        key: VerifierKey,
        witness: VerifierKey,
        asker: Asker,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self._log = log
        self._key = key
        self._witness = witness
        self._asker = asker
        self._ledger = ledger
        self._clock = clock
        self._old = self._found()
        self._disagreed = False
        self.trouble = ""

    @property
    def size(self) -> int:
        """Size of the checkpoint that the witness cosigned last, as far as is known here."""
        return self._old

    async def run(self) -> None:
        """Ask for ever; a witness that is away for a day is asked again when it is back."""
        while True:
            try:
                await self.step()
                self.trouble = ""
            except DisagreedError as error:
                self.trouble = str(error)
                await self._admit(str(error))
            except (LedgerError, OSError) as error:
                self.trouble = str(error)
                _log.warning("not cosigned: %s", error)
            await wait_until(self._clock.now() + EVERY, clock=self._clock)

    async def step(self) -> None:
        """Get the present checkpoint cosigned, unless it is already.

        Raises:
            WitnessAwayError: when the witness does not answer as one.
            DisagreedError: when it signed another history.

        """
        signed = self._signed()
        for _ in range(2):
            if signed.checkpoint.size == self._old and self._is_kept():
                return
            status, answer = await self._asker.add(self._body(signed))
            if status != 409:
                break
            self._old = self._told(answer, signed)
        if status == 422:
            raise DisagreedError(f"witness_disagrees: {answer[:300].decode(errors='replace')}")
        if status != 200:
            raise WitnessAwayError(
                f"witness_refuses: {status} {answer[:300].decode(errors='replace')}"
            )
        lines = parse_signatures(answer.decode(errors="replace"))
        note = signed.note.with_signatures(lines)
        verify_note(note, [self._witness])
        write_durable(self._log.folder / COSIGNED, note.data)
        self._old = signed.checkpoint.size

    def _signed(self) -> Signed:
        data = (self._log.folder / CHECKPOINT).read_bytes()
        return open_checkpoint(data, log=self._key, witnesses=())

    def _body(self, signed: Signed) -> bytes:
        size = signed.checkpoint.size
        subtree = subtrees_from(tiles_in(self._log.folder), size=size)
        proof = consistency_proof(self._old, size, subtree=subtree)
        lines = [f"old {self._old}", *(base64.b64encode(each).decode() for each in proof), "", ""]
        return "\n".join(lines).encode() + signed.note.data

    def _told(self, answer: bytes, signed: Signed) -> int:
        text = answer.decode(errors="replace").strip()
        if not (text.isascii() and text.isdecimal()) or len(text) > 19:
            raise WitnessAwayError("witness_answers_nonsense: 409 without a size.")
        if int(text) > signed.checkpoint.size:
            raise DisagreedError(
                f"witness_saw_more: it signed {text} entries, and the log has "
                f"{signed.checkpoint.size}. The log was rolled back, or restored from an old copy."
            )
        return int(text)

    def _found(self) -> int:
        """Return the size of the cosigned checkpoint on disk; 0 where it is no use."""
        try:
            data = (self._log.folder / COSIGNED).read_bytes()
            return open_checkpoint(data, log=self._key, witnesses=[self._witness]).checkpoint.size
        except (OSError, EvidenceError):
            return 0

    def _is_kept(self) -> bool:
        return (self._log.folder / COSIGNED).exists()

    async def _admit(self, sentence: str) -> None:
        _log.error("%s", sentence)
        if self._disagreed:
            return
        self._disagreed = True
        event = Event(
            activity=Activity.GAP,
            time=self._clock.now(),
            actor=ACTOR,
            detail={"reason": "WitnessDisagrees", "cause": sentence[:1000]},
        )
        await self._ledger.append(event, record_class=RecordClass.STOP)
