"""Who speaks to the recorder: the lock asks, the relay tells."""

import asyncio
import json
import logging
import os
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from carrel.flows.clock import Clock
from carrel.ledger import Activity, Chain, LedgerError, plain
from carrel.node.bound import Bound
from carrel.node.handover import LARGEST, HandoverError, encode
from carrel.node.telling import Word, moment
from carrel.render.nft import GROUP, WIRE_GROUP, Counter

log = logging.getLogger(__name__)

ASK = "recorder-ask.sock"
"""SOCK_SEQPACKET: one question of the lock, one answer."""
TELL = "recorder.sock"
"""SOCK_DGRAM: a refusal of the relay's own."""
_UCRED = struct.Struct("iII")
_PATIENCE = 10.0
_MOST_EARLY = 4_096
"""Refusals of pods that were not handed over yet, over all of them."""


def listen(path: Path, kind: socket.SocketKind) -> socket.socket:
    """Take over a name in the run directory, which the process before us may have left."""
    with suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
    try:
        listener.bind(str(path))
        path.chmod(0o666)
    except OSError:
        listener.close()
        raise
    return listener


class RecorderDesk:
    """Answers the lock's questions about a pod's account."""

    def __init__(self, run_directory: Path, *, chain: Chain, bound: Mapping[str, Bound]) -> None:
        self._path = run_directory / ASK
        self._chain = chain
        self._bound = bound

    async def run(self) -> None:
        """Answer for ever."""
        with listen(self._path, socket.SOCK_SEQPACKET) as listener:
            listener.listen(64)
            async with asyncio.TaskGroup() as tasks:
                while True:
                    channel, _ = await asyncio.get_running_loop().sock_accept(listener)
                    tasks.create_task(self._serve(channel))

    async def _serve(self, channel: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with channel, suppress(OSError, TimeoutError):
            async with asyncio.timeout(2 * _PATIENCE):
                data = await loop.sock_recv(channel, LARGEST)
                try:
                    _only_lock(channel)
                    answer = await self._answer(json.loads(data))
                except (HandoverError, LedgerError) as error:
                    answer = {"error": str(error)[:500]}
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    answer = {"error": f"question_is_malformed: {error!r}"[:500]}
                await loop.sock_sendall(channel, encode(answer))

    async def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        bound = self._bound.get(question["podUID"])
        if bound is None:
            raise HandoverError(f"pod_is_not_bound: {question['podUID']} was not handed over yet")
        match question["op"]:
            case "mark":
                bound.mark()
                return {"trouble": self._chain.trouble}
            case "reconcile":
                return await self._reconcile(bound, question)
            case "recover":
                bound.recover(
                    [((str(a), int(p), int(port)), int(n)) for a, p, port, n in question["counts"]]
                )
                return {"unrecovered": bound.account.unrecovered}
            case unknown:
                raise HandoverError(f"question_is_unknown: {unknown!r}")

    async def _reconcile(self, bound: Bound, question: dict[str, Any]) -> dict[str, Any]:
        counters = {name: int(question["counters"].get(name, 0)) for name in Counter}
        counted = {
            GROUP: counters[Counter.TOTAL] + counters[Counter.INBOUND],
            WIRE_GROUP: counters[Counter.WIRE],
        }
        outcome, sequence = await bound.reconcile(counted, patience=float(question["patience"]))
        asked = [(str(a), int(p), int(port)) for a, p, port in question.get("destinations", ())]
        if asked:
            bound.admitted()
        return {
            "outcome": outcome.value,
            "sequence": sequence,
            "sequences": [bound.told(each) for each in asked],
            "unrecovered": bound.account.unrecovered,
            "recorded": sum(bound.account.recorded.values()),
            "lost": sum(bound.account.lost.values()),
        }


def _only_lock(channel: socket.socket) -> None:
    raw = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, user, _ = _UCRED.unpack(raw)
    if user not in (0, os.geteuid()):
        raise HandoverError(f"user_may_not_ask: user {user} is not the lock's")


class RelayEar:
    """Takes in what the loopback services refused; each is one datagram, none is answered."""

    def __init__(
        self, run_directory: Path, *, clock: Clock, find: Callable[[str], Bound | None]
    ) -> None:
        self._path = run_directory / TELL
        self._clock = clock
        self._find = find
        self._early: dict[str, list[Word]] = {}
        self._strangers = 0

    async def run(self, *, after: asyncio.Event) -> None:
        """Listen for ever, from when it is known which pods there are; until then it waits."""
        await after.wait()
        with listen(self._path, socket.SOCK_DGRAM) as channel:
            while True:
                data = await asyncio.get_running_loop().sock_recv(channel, LARGEST)
                try:
                    self._hear(json.loads(data))
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    log.warning("datagram malformed", extra={"error": repr(error)[:200]})

    def take_early(self, pod_uid: str) -> list[Word]:
        """Return what the relay said of a pod before it was handed over to us."""
        words = self._early.pop(pod_uid, [])
        self._strangers -= len(words)
        return words

    def _hear(self, said: dict[str, Any]) -> None:
        pod_uid, word = str(said["pod_uid"]), _word(said, now=moment(self._clock.now()))
        bound = self._find(pod_uid)
        if bound is not None:
            bound.hear(word)
            return
        # The holder told the relay of this pod a moment before it tells us.
        self._early.setdefault(pod_uid, []).append(word)
        self._strangers += 1
        if self._strangers > _MOST_EARLY:
            oldest = next(iter(self._early))
            lost = sum(int(each.detail["count"]) for each in self.take_early(oldest))
            log.error("refusals of an unknown pod lost", extra={"pod": oldest, "count": lost})


def _word(said: dict[str, Any], *, now: str) -> Word:
    layer = said["layer"]
    if layer not in ("dns", "mirror"):
        raise ValueError("layer is neither dns nor mirror")
    detail: dict[str, str | int] = {
        "layer": layer,
        "direction": "out",
        "protocol": "udp" if layer == "dns" else "tcp",
        "address": "",
        "count": max(int(said.get("count", 1)), 1),
        "first": str(said.get("first", now))[:32],
        "last": now,
        "rule": plain(str(said["rule"]), at_most=80),
    }
    for name in ("sentence", "todo"):
        if name in said:
            detail[name] = plain(str(said[name]))
    if layer == "dns" and "type" in said:
        detail["type"] = plain(str(said["type"]), at_most=16)
    path = said.get("path") if layer == "mirror" else None
    return Word(Activity.TRAFFIC_DENIED, detail, plain(str(path or said["name"]), at_most=512))
