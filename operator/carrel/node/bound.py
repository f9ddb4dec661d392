"""One pod's log while a recorder reads it."""

import asyncio
import logging
import socket
from collections import Counter, deque
from collections.abc import Mapping

from carrel.flows.clock import Clock
from carrel.ledger import Activity, Chain, Key, LedgerError, RecordClass
from carrel.node.account import Account, Destination, Outcome
from carrel.node.handover import Binding
from carrel.node.nflog import LARGEST_BATCH, read_batch
from carrel.node.protocols import name_of, number_of
from carrel.node.telling import Refusals, Word, event, words_of
from carrel.render.nft import GROUP, WIRE_GROUP

log = logging.getLogger(__name__)

_AT_ONCE = 64
"""Batches of one pod before others have their turn."""
_BETWEEN = 64
"""Records written before packets are read again."""
_MOST_PROVEN = 1_024
_MOST_HEARD = 4_096
"""Refusals of the relay that wait to be written; more are a number only."""
_LOOK_AGAIN = 0.01


class Bound:
    """Reads one pod's log into its account, and writes down what the account says."""

    def __init__(
        self,
        binding: Binding,
        channel: socket.socket,
        *,
        inode: int,
        account: Account,
        refusals: Refusals,
        chain: Chain,
        key: Key | None,
        clock: Clock,
    ) -> None:
        self.binding = binding
        self.inode = inode
        self.account = account
        self._channel = channel
        self._refusals = refusals
        self._chain = chain
        self._key = key
        self._clock = clock
        self._untold: deque[Word] = deque()
        self._told: dict[Destination, int] = {}
        self._telling = asyncio.Lock()
        self._mark = dict.fromkeys((GROUP, WIRE_GROUP), 0)
        self._unheard: Counter[str] = Counter()
        self._listening = False

    def rebind(self, binding: Binding) -> None:
        """Go on under another binding; what was counted stays counted."""
        self.binding = binding
        self._refusals.rebind(binding.rules())

    def listen(self) -> None:
        """Read whenever there is something to read."""
        asyncio.get_running_loop().add_reader(self._channel, self._read)
        self._listening = True

    def close(self) -> None:
        """Stop reading; what the kernel still holds stays in the socket for others."""
        if self._listening:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._listening = False
        self._channel.close()
        self._refusals.remove()

    def drain(self) -> None:
        """Read everything that waits, so far as the flood of it ends."""
        for _ in range(_AT_ONCE):
            if not self._read():
                return

    def _read(self) -> bool:
        now = self._clock.now()
        for _ in range(_AT_ONCE):
            try:
                data = self._channel.recv(LARGEST_BATCH)
            except BlockingIOError:
                return False
            except OSError as error:
                log.warning("log unreadable", extra={"error": str(error)})
                return False
            batch = read_batch(data)
            if batch is not None:
                self.account.take(batch, now=now)
        return True

    def hear(self, word: Word) -> None:
        """Record a refusal of the relay's; too many that wait are recorded as a number only."""
        if len(self._untold) < _MOST_HEARD:
            self.say(word)
        else:
            self._unheard[str(word.detail["layer"])] += int(word.detail["count"])

    def admitted(self) -> None:
        """Begin the researcher's list: the gate is past, and its canaries were no tries of his."""
        self._refusals.clear()

    def say(self, word: Word) -> None:
        """Record something of this pod that is no packet."""
        self._untold.append(word)
        self._refusals.add(word)

    def show(self) -> None:
        """Renew the list that the researcher sees; trouble is logged."""
        try:
            self._refusals.write()
        except OSError as error:
            log.warning("refusals not shown", extra={"error": str(error)})

    async def tell(self, *, record_class: RecordClass) -> None:
        """Write down what was not told yet; what cannot be written is kept, and its sum with it."""
        async with self._telling:
            if self._chain.trouble:
                return
            if not await self._flush(record_class):
                return
            self._tell_unheard()
            for word in words_of(self.account.harvest(), socket=self.inode):
                self.say(word)
            await self._flush(record_class)

    def _tell_unheard(self) -> None:
        for layer, count in self._unheard.items():
            self.say(Word(Activity.TRAFFIC_LOST, {"layer": layer, "count": count}))
        self._unheard.clear()

    async def _flush(self, record_class: RecordClass) -> bool:
        written = 0
        while self._untold:
            try:
                await self._write(self._untold[0], record_class)
            except LedgerError as error:
                log.warning("not recorded", extra={"error": str(error)})
                return False
            self._untold.popleft()
            written += 1
            if written % _BETWEEN == 0:
                await asyncio.sleep(0)
        return True

    async def _write(self, word: Word, record_class: RecordClass) -> None:
        said = event(
            self.binding,
            word.activity,
            now=self._clock.now(),
            detail={key: value for key, value in word.detail.items() if key not in _NOT_RECORDED},
            name=word.name,
            key=self._key,
        )
        receipt = await self._chain.append(said, record_class=record_class)
        detail = word.detail
        if "port" in detail and detail.get("address") and len(self._told) < _MOST_PROVEN:
            protocol = number_of(str(detail["protocol"]))
            self._told[str(detail["address"]), protocol, int(detail["port"])] = receipt.sequence

    def mark(self) -> None:
        """Remember what is accounted for now, before the kernel's counters are read."""
        self._mark = dict(self.account.totals())

    async def reconcile(
        self, counted: Mapping[int, int], *, patience: float
    ) -> tuple[Outcome, int]:
        """Compare with the kernel's counters, and return the number of the durable record of it.

        Raises LedgerError when it cannot be recorded now.
        """
        await self._catch_up(counted, patience=patience)
        async with self._telling:
            await self._flush_or_refuse()
            # From here to the figures nothing may wait: packets come at every await.
            outcome = self.account.compare(counted, before=self._mark)
            for word in words_of(self.account.harvest(), socket=self.inode):
                self.say(word)
            figures = self._figures(outcome, counted)
            await self._flush_or_refuse()
            said = event(
                self.binding,
                Activity.COUNTS_RECONCILED,
                now=self._clock.now(),
                detail=figures,
            )
            # Records of a chain are durable in order: this one makes all before it durable.
            receipt = await self._chain.append(said, record_class=RecordClass.BEFORE)
        return outcome, receipt.sequence

    async def _flush_or_refuse(self) -> None:
        if self._chain.trouble or not await self._flush(RecordClass.AFTER):
            raise LedgerError(f"records_wait: {self._chain.trouble or 'the disk is slow'}")

    def _figures(self, outcome: Outcome, counted: Mapping[int, int]) -> dict[str, str | int]:
        account = self.account
        return {
            "outcome": outcome.value,
            "counted": counted[GROUP],
            "recorded": account.recorded[GROUP],
            "lost": account.lost[GROUP],
            "base": account.base[GROUP],
            "wireCounted": counted[WIRE_GROUP],
            "wireRecorded": account.recorded[WIRE_GROUP],
            "wireLost": account.lost[WIRE_GROUP],
            "wireBase": account.base[WIRE_GROUP],
        }

    async def _catch_up(self, counted: Mapping[int, int], *, patience: float) -> None:
        # The kernel sends a batch that is not full after a hundredth of a second.
        ends = asyncio.get_running_loop().time() + patience
        self.drain()
        while not self.account.reaches(counted) and asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(_LOOK_AGAIN)
            self.drain()

    def told(self, destination: Destination) -> int:
        """Return the number of the last record about a destination, 0 where there is none."""
        return self._told.get(destination, 0)

    def recover(self, kernel: list[tuple[Destination, int]]) -> None:
        """Record where lost packets wanted to go, by the kernel's own sets."""
        for (address, protocol, port), count in self.account.recover(kernel).items():
            detail: dict[str, str | int] = {
                "protocol": name_of(protocol),
                "address": address,
                "port": port,
                "count": count,
            }
            self._untold.append(Word(Activity.COUNTS_RECOVERED, detail))


_NOT_RECORDED = frozenset({"sentence", "todo"})
"""For the researcher's eyes; the rule says it in the record."""
