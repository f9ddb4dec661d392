"""The resolver of a workspace: knows the names inside, refuses and counts the rest.

It never asks anybody, so that no name can carry anything out. What it was asked before it
answers from memory, which is what holds at tens of thousands of questions a second.
"""

import asyncio
import logging
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from carrel.flows.clock import Clock
from carrel.node.relay import wire
from carrel.node.relay.telling import Layer, Refusal, Telling
from carrel.node.relay.wire import Malformed, Question
from carrel.node.relay.zone import reply
from carrel.rules.egress import EgressRules

log = logging.getLogger(__name__)

MALFORMED = "dns.message_not_understood"
"""Rule of what was no question."""
LARGEST_DATAGRAM = 4_096
"""Bytes of a datagram that are looked at."""
LARGEST_MESSAGE = 4_096
"""Bytes of a message over TCP; a question with everything that belongs to it has a tenth."""
MOST_CONNECTIONS = 64
"""TCP connections of a workspace at a time; the next are closed at once."""
PATIENCE = 5.0
"""Seconds that a TCP connection may be idle or refuse to read."""
MOST_KNOWN = 4_096
"""Questions whose answers are remembered."""
_AT_ONCE = 128
_TODO = "Ask through the system's resolver; nothing outside can be reached by name."
_LONGEST_REMEMBERED = 512
_LENGTH = struct.Struct("!H")


@dataclass(slots=True)
class _Known:
    answer: bytes
    """The answer without the identifier that it begins with."""
    refusal: Refusal | None
    count: int
    """How often it was refused since it was last told."""


class Resolver:
    """Answers the questions of one workspace."""

    def __init__(
        self, pod_uid: str, *, own_name: str, policy: EgressRules, telling: Telling, clock: Clock
    ) -> None:
        self._pod_uid = pod_uid
        self._own_name = own_name
        self._policy = policy
        self._telling = telling
        self._clock = clock
        self._known: dict[bytes, _Known] = {}
        self._since: datetime = clock.now()
        self._connections = 0

    def answer(self, message: bytes) -> bytes | None:
        """Return the answer to a message; None for what gets none. Never raises."""
        known = self._known.get(message[2:])
        if known is None:
            question = wire.read(message)
            if question is None:
                return None
            if isinstance(question, Malformed):
                self._refuse_malformed(question.why)
                return wire.malformed(question)
            known = self._learn(question, message[2:])
        known.count += 1
        return message[:2] + known.answer

    def collect(self) -> None:
        """Hand over what was refused since the last time."""
        for known in self._known.values():
            if known.count and known.refusal is not None:
                self._telling.add(
                    self._pod_uid, known.refusal, count=known.count, since=self._since
                )
            known.count = 0
        self._since = self._clock.now()

    def _learn(self, question: Question, asked: bytes) -> _Known:
        replied = reply(question, own_name=self._own_name, policy=self._policy)
        refusal = None
        if (ruling := replied.refused) is not None:
            name = question.name.lower() or "."
            kind = wire.type_name(question.qtype)
            refusal = Refusal(Layer.DNS, name, kind, ruling.rule, ruling.sentence, ruling.todo)
        known = _Known(replied.message[2:], refusal, 0)
        if len(asked) > _LONGEST_REMEMBERED:
            # What trails a question may be long, and is not worth the memory.
            if refusal is not None:
                self._telling.add(self._pod_uid, refusal, count=1, since=self._clock.now())
            return known
        if len(self._known) >= MOST_KNOWN:
            self.collect()
            self._known.clear()
        self._known[asked] = known
        return known

    def _refuse_malformed(self, why: str) -> None:
        sentence = f"A message to the resolver was no question that it understands: {why}."
        refusal = Refusal(Layer.DNS, "", why, MALFORMED, sentence, _TODO)
        self._telling.add(self._pod_uid, refusal, count=1, since=self._clock.now())

    # -- over UDP --------------------------------------------------------------------------

    async def serve_datagrams(self, channel: socket.socket) -> None:
        """Answer datagrams until cancelled; `channel` is non-blocking and stays the caller's."""
        loop = asyncio.get_running_loop()
        gone: asyncio.Future[None] = loop.create_future()

        def read_some() -> None:
            try:
                self._read_some(channel)
            except Exception as error:  # noqa: BLE001 - carried to whoever waits
                loop.remove_reader(channel)
                if not gone.done():
                    gone.set_exception(error)

        loop.add_reader(channel, read_some)
        try:
            await gone
        finally:
            loop.remove_reader(channel)

    def _read_some(self, channel: socket.socket) -> None:
        receive, send, answer = channel.recvfrom, channel.sendto, self.answer
        # One workspace that asks without end must not keep the others waiting.
        for _ in range(_AT_ONCE):
            try:
                message, sender = receive(LARGEST_DATAGRAM)
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue  # an earlier answer found nobody; the next datagram is another matter
            answered = answer(message)
            if answered is not None:
                # Full or gone: whoever asked asks again.
                with suppress(OSError):
                    send(answered, sender)

    # -- over TCP --------------------------------------------------------------------------

    async def serve_connections(self, listener: socket.socket) -> None:
        """Answer connections until cancelled; `listener` belongs to the server from now on."""
        server = await asyncio.start_server(self._converse, sock=listener, limit=LARGEST_MESSAGE)
        async with server:
            await server.serve_forever()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections += 1
        try:
            while True:
                async with asyncio.timeout(PATIENCE):
                    if not await self._exchange(reader, writer):
                        break
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections -= 1
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        if length > LARGEST_MESSAGE:
            self._refuse_malformed("message is too long")
            return False
        answered = self.answer(await reader.readexactly(length))
        if answered is None:
            return False
        writer.write(_LENGTH.pack(len(answered)) + answered)
        await writer.drain()
        return True
