"""The lock's side of recording: opens a pod's log and services, hands them over, asks for proof.

The lock reads the kernel's counters and the recorder knows what it wrote; only together they
show that nothing is missing. The lock never reads from the log itself.
"""

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carrel.node.account import Destination, Outcome
from carrel.node.handover import Binding, Handover, HandoverError, Kind, ask, name_of
from carrel.node.netns import NetworkNamespace
from carrel.node.nflog import open_nflog
from carrel.node.nft import NftError, Refused, read_counters, read_refused
from carrel.node.recorder_desk import ASK
from carrel.node.services import SERVICES, open_services, resolver_answers
from carrel.render.nft import GROUP, WIRE_GROUP, WireLayer

log = logging.getLogger(__name__)

_PATIENCE = 2.0
_START_PATIENCE = 20.0
_AGAIN = 0.1
_ONE_ANSWER = 0.25
_AT_ONCE = 500
"""Destinations told in one message."""


class NotRecordedError(Exception):
    """Refused packets of a pod are not recorded now; the message says why."""


@dataclass(frozen=True)
class Reconciled:
    """What comparing the kernel's counters with the records showed."""

    outcome: Outcome
    sequence: int
    """Number of the record of it, which is durable."""
    sequences: tuple[int, ...]
    """Numbers of the records of what was asked for; 0 where there is none."""
    unrecovered: int
    """Lost packets of which nobody told where they wanted to go."""


class Recording:
    """Has one network namespace recorded."""

    def __init__(
        self, namespace: NetworkNamespace, *, run_directory: Path, wire: WireLayer
    ) -> None:
        self._namespace = namespace
        self._handover = Handover(run_directory)
        self._ask = run_directory / ASK
        self._groups = (GROUP, WIRE_GROUP) if wire is WireLayer.PRESENT else (GROUP,)
        self._opened: dict[Kind, socket.socket] = {}
        self._given: dict[Kind, Binding] = {}

    async def open(self) -> None:
        """Open the log, before the rules are loaded: then nothing is counted that is not logged.

        Where a holder or a recorder of before us has it, it stays theirs.
        """
        if Kind.NFLOG in self._opened:
            return
        try:
            opened = await self._namespace.inside(lambda: open_nflog(self._groups))
        except OSError as error:
            # EPERM: a group that another socket has bound is not ours to configure.
            if error.errno not in (errno.EBUSY, errno.EEXIST, errno.EPERM):
                log.warning("log not opened", extra={"error": str(error)})
            return
        self._opened[Kind.NFLOG] = opened

    async def give(self, binding: Binding) -> None:
        """Have the log kept; again when the holder or the binding is new.

        Raises NotRecordedError while that cannot be done.
        """
        try:
            kept = await self._handover.names()
            if name_of(binding.pod_uid, Kind.NFLOG) not in kept:
                await self.open()
                if Kind.NFLOG not in self._opened:
                    raise NotRecordedError("the log is held by a process that does not record it")
            await self._hand(Kind.NFLOG, binding, kept)
        except HandoverError as error:
            raise NotRecordedError(str(error)) from error

    async def serve(self, binding: Binding) -> None:
        """Open the loopback services and have them served, after `give`; again as `give` does.

        One that somebody in the pod has taken meanwhile is left to them: only they see it. Raises
        NotRecordedError when nothing can be handed over; what nobody serves does not stay open.
        """
        try:
            kept = await self._handover.names()
            missing = [kind for kind in SERVICES if not self._is_given(kind, binding, kept)]
            if not missing:
                return
            unopened = [kind for kind in missing if kind not in self._opened]
            self._opened |= await self._namespace.inside(lambda: open_services(unopened))
            for kind in missing:
                if kind in self._opened or name_of(binding.pod_uid, kind) in kept:
                    await self._hand(kind, binding, kept)
        except (HandoverError, OSError) as error:
            self._close(SERVICES)
            raise NotRecordedError(str(error)) from error

    async def hand_over(self, binding: Binding) -> None:
        """Have log and services kept. Raises NotRecordedError when nobody keeps them for 20 s."""
        ends = asyncio.get_running_loop().time() + _START_PATIENCE
        while True:
            try:
                await self.give(binding)
                await self.serve(binding)
            except NotRecordedError:
                if asyncio.get_running_loop().time() >= ends:
                    raise
                await asyncio.sleep(_AGAIN)
                continue
            return

    async def answered(self) -> bool:
        """Wait until the services answer, at most 20 s; tell whether they do."""
        ends = asyncio.get_running_loop().time() + _START_PATIENCE
        while asyncio.get_running_loop().time() < ends:
            if await self._namespace.inside(lambda: resolver_answers(seconds=_ONE_ANSWER)):
                return True
            await asyncio.sleep(_AGAIN)
        return False

    def _is_given(self, kind: Kind, binding: Binding, kept: frozenset[str]) -> bool:
        return self._given.get(kind) == binding and name_of(binding.pod_uid, kind) in kept

    async def _hand(self, kind: Kind, binding: Binding, kept: frozenset[str]) -> None:
        if self._is_given(kind, binding, kept):
            return
        opened = self._opened.get(kind)
        if opened is not None:
            await self._handover.put(kind, opened.fileno(), binding)
        else:
            # A lock before us opened it: whose it is and what it may has to be told all the same.
            await self._handover.bind(kind, binding)
        self._given[kind] = binding

    async def take_back(self, pod_uid: str) -> None:
        """Have everything of the pod forgotten; its end is recorded by who recorded it."""
        self._close(SERVICES)
        await self._take_back(f"{pod_uid}/")

    async def _take_back(self, prefix: str) -> None:
        try:
            await self._handover.drop(prefix)
        except HandoverError as error:
            log.warning("not taken back", extra={"sockets": prefix, "error": str(error)})

    async def close_services(self, pod_uid: str) -> None:
        """Close the loopback services, so that they refuse at once; `serve` opens them again."""
        self._close(SERVICES)
        for kind in SERVICES:
            await self._take_back(name_of(pod_uid, kind))

    async def prove(self, binding: Binding, destinations: tuple[Destination, ...]) -> Reconciled:
        """Return the records of what was tried, as soon as they are durable.

        Raises NotRecordedError when there is no recorder, or none that has seen all of it, for
        20 s.
        """
        ends = asyncio.get_running_loop().time() + _START_PATIENCE
        while True:
            try:
                await self.hand_over(binding)
                found = await self.reconcile(binding.pod_uid, destinations=destinations)
            except NotRecordedError:
                if asyncio.get_running_loop().time() >= ends:
                    raise
                await asyncio.sleep(_AGAIN)
                continue
            if 0 in found.sequences:
                missing = destinations[found.sequences.index(0)]
                raise NotRecordedError(f"there is no record of the canary to {missing}")
            return found

    async def attend(self, pod_uid: str) -> None:
        """Ask whether the pod is recorded at this moment. Raises NotRecordedError when not."""
        try:
            await self._question(pod_uid, {"op": "mark"})
        except HandoverError as error:
            raise NotRecordedError(str(error)) from error

    async def reconcile(
        self, pod_uid: str, *, destinations: tuple[Destination, ...] = ()
    ) -> Reconciled:
        """Compare the kernel's counters with the records. Raises NotRecordedError."""
        try:
            await self._question(pod_uid, {"op": "mark"})
            refused = await read_counters(self._namespace)
            answer = await self._question(
                pod_uid,
                {
                    "op": "reconcile",
                    "counters": dict(refused.counters),
                    "destinations": list(destinations),
                    "patience": _PATIENCE,
                },
            )
            found = Reconciled(
                outcome=Outcome(answer["outcome"]),
                sequence=answer["sequence"],
                sequences=tuple(answer["sequences"]),
                unrecovered=answer["unrecovered"],
            )
            if found.unrecovered and found.outcome is not Outcome.BOUNDED:
                await self._recover(pod_uid, await read_refused(self._namespace))
        except (HandoverError, NftError, OSError, KeyError, ValueError, TypeError) as error:
            raise NotRecordedError(str(error)) from error
        return found

    async def _recover(self, pod_uid: str, refused: Refused) -> None:
        counts = [
            [destination.address, destination.protocol, destination.port, count]
            for destination, count in refused.destinations.items()
        ]
        for start in range(0, len(counts), _AT_ONCE):
            part = counts[start : start + _AT_ONCE]
            await self._question(pod_uid, {"op": "recover", "counts": part})

    async def _question(self, pod_uid: str, question: dict[str, Any]) -> dict[str, Any]:
        answer = await ask(self._ask, question | {"podUID": pod_uid}, [], patience=15.0)
        if answer.get("trouble"):
            raise NotRecordedError(f"the recorder cannot write: {answer['trouble']}")
        return answer

    def close(self) -> None:
        """Let go of our own copies; what was handed over is kept elsewhere."""
        self._close(list(self._opened))

    def _close(self, kinds: Iterable[Kind]) -> None:
        for kind in kinds:
            self._given.pop(kind, None)
            if kind in self._opened:
                self._opened.pop(kind).close()


def boot_id(path: Path = Path("/proc/sys/kernel/random/boot_id")) -> str:
    """Return the kernel's number of this boot; inode numbers count within one."""
    return path.read_text().strip()


def inode_of(namespace: NetworkNamespace) -> int:
    """Return the inode number of a network namespace."""
    return os.fstat(namespace.descriptor).st_ino
