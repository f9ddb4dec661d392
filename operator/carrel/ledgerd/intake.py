"""Taking batches: each record once, in the order of its chain, from whom it belongs to."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from carrel.flows.clock import Clock
from carrel.flows.forwarding import Place
from carrel.ledger import Activity, Event, Ledger, LedgerError, Receipt, RecordClass
from carrel.ledger.leaf import Source, arrival, encode_leaf
from carrel.ledger.record import LineError, Record, parsed
from carrel.ledgerd.log import Log
from carrel.ledgerd.recovery import Head
from carrel.ledgerd.writers import Identity, RefusedError, admitted, check

ACTOR = "carrel-ledger"
LARGEST_BATCH = 4096
_CHAIN = re.compile(r"(sha256:[0-9a-f]{64})(?:\.([1-9][0-9]{0,5}))?")

_log = logging.getLogger(__name__)

PodNode = Callable[[str], str | None]
"""Returns the node of the pod with a UID, None where there is none."""


class Intake:
    """Appends what writers send; used in one event loop."""

    def __init__(self, log: Log, ledger: Ledger, clock: Clock, *, pod_node: PodNode) -> None:
        self._log = log
        self._ledger = ledger
        self._clock = clock
        self._pod_node = pod_node
        self._busy: dict[str, asyncio.Lock] = {}
        self._told: set[str] = set()

    def place(self, identity: Identity, *, process: str, chain: str) -> Place | None:
        """Return the last record of a chain that the log holds.

        Raises:
            RefusedError: when the chain is another's.

        """
        admitted(identity, chain=process)
        head = self._log.head(self._source(identity, process=process, chain=chain).chain)
        return None if head is None else Place(head.sequence, head.digest)

    async def take(
        self, identity: Identity, lines: Sequence[bytes], *, process: str, chain: str
    ) -> Place:
        """Append the lines that the log does not hold yet; return the last record it holds.

        A batch is taken whole or not at all. Sent again, it changes nothing.

        Raises:
            RefusedError: when a line is not what may follow.
            LedgerUnavailableError: when the log cannot be written; send the batch again.

        """
        writer = admitted(identity, chain=process)
        source = self._source(identity, process=process, chain=chain)
        if not 0 < len(lines) <= LARGEST_BATCH:
            raise RefusedError(413, f"batch_is_too_large: at most {LARGEST_BATCH:,} lines.")
        async with self._alone(source.chain):
            head = self._log.head(source.chain)
            records = await self._following(lines, source, head)
            if records:
                for record in records:
                    pod = record.said.get("podUID")
                    node = self._pod_node(pod) if isinstance(pod, str) else None
                    check(record, writer, identity, pod_node=node)
                if head is None:
                    await self._begin(source, records[0].receipt)
                head = await self._appended(records, source)
        if head is None:
            raise RefusedError(422, "batch_is_empty: it holds no record.")
        return Place(head.sequence, head.digest)

    async def _appended(self, records: list[Record], source: Source) -> Head:
        logged = arrival(self._clock.now())
        entries = [encode_leaf(each.line, source=source, logged=logged) for each in records]
        last = records[-1].receipt
        head = Head(last.sequence, last.digest, source.writer, source.node)
        await self._log.append(entries, chain=source.chain, head=head)
        return head

    def _source(self, identity: Identity, *, process: str, chain: str) -> Source:
        if not _CHAIN.fullmatch(chain):
            raise RefusedError(400, f"chain_is_malformed: {chain[:100]!r} is no digest.")
        writer = admitted(identity, chain=process)
        return Source(process, identity.node if writer.of_a_node else "", chain)

    async def _following(
        self, lines: Sequence[bytes], source: Source, head: Head | None
    ) -> list[Record]:
        """Return the records of a batch that come after what the log holds."""
        after = None if head is None else Receipt(head.sequence, head.digest)
        previous: Receipt | None = None
        records: list[Record] = []
        for line in lines:
            try:
                record = parsed(line, after=previous)
            except LineError as error:
                raise RefusedError(422, f"{error.rule}: {error.detail}") from error
            previous = record.receipt
            if after is None or previous.sequence > after.sequence:
                records.append(record)
            elif previous.sequence == after.sequence and previous != after:
                raise await self._forked(source, after)
        if after and records:
            first = records[0]
            if first.receipt.sequence != after.sequence + 1:
                raise RefusedError(
                    409, f"records_are_missing: the log holds {after.sequence} of this chain."
                )
            if first.previous != after.digest:
                raise await self._forked(source, after)
        return records

    async def _begin(self, source: Source, first: Receipt) -> None:
        """Take a chain that the log does not know; say so where something may be lost by it."""
        found = _CHAIN.fullmatch(source.chain)
        if found is None or found[1] != first.digest:
            raise RefusedError(
                409, "chain_begins_elsewhere: a chain is named by the digest of its first record."
            )
        before = [
            head.sequence
            for head in self._log.heads().values()
            if (head.writer, head.node) == (source.writer, source.node)
        ]
        if found[2]:
            await self._admit("Forked", source, last=max(before, default=0))
        elif first.sequence != 1:
            await self._admit("BeginsLate", source, last=first.sequence - 1)
        elif before:
            await self._admit("Replaced", source, last=max(before))

    async def _forked(self, source: Source, after: Receipt) -> RefusedError:
        if source.chain not in self._told:
            self._told.add(source.chain)
            await self._admit("Altered", source, last=after.sequence)
        return RefusedError(
            409,
            f"chain_was_altered: record {after.sequence} of this chain is another one in the log. "
            "The log keeps what it has; what is different now goes into a chain of its own.",
        )

    async def _admit(self, reason: str, source: Source, *, last: int) -> None:
        event = Event(
            activity=Activity.GAP,
            time=self._clock.now(),
            actor=ACTOR,
            node=source.node or None,
            detail={
                "reason": reason,
                "rule": f"{source.writer} {source.chain}",
                "lastSequence": last,
            },
        )
        try:
            await self._ledger.append(event, record_class=RecordClass.STOP)
        except LedgerError as error:
            _log.error("not recorded: %s", error)

    @asynccontextmanager
    async def _alone(self, chain: str) -> AsyncIterator[None]:
        lock = self._busy.setdefault(chain, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked():
                self._busy.pop(chain, None)


def split(body: bytes) -> list[bytes]:
    """Return the lines of a body, newlines included.

    Raises:
        RefusedError: when the last one is cut off.

    """
    *lines, rest = body.split(b"\n")
    if rest:
        raise RefusedError(422, "line_is_torn: every record ends in a newline.")
    return [line + b"\n" for line in lines]
