"""The agent's side of `lock-gate`: asks, judges, records, and only then lets pass."""

import asyncio
import contextlib
import errno
import json
import logging
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from carrel.node.gate import SOCKET_NAME
from carrel.node.netns import NamespaceError, listen_abstract
from carrel.node.nft import NftError
from carrel.node.processes import pod_of_process
from carrel.node.proof import Admit, NoProofError, Verdict, judge, parse_canaries
from carrel.node.sandbox import Sandbox, new_nonce
from carrel.node.site import Site

log = logging.getLogger(__name__)

_PATIENCE = 30.0
_TRY_AGAIN = 0.1
_BROKEN_OFF = (OSError, EOFError, asyncio.LimitOverrunError)
_PEER = struct.Struct("iII")

Decide = Callable[[Verdict, float], Awaitable[tuple[Verdict, int]]]
"""Takes a verdict on the canaries and the seconds that it took, records it, and returns the final
verdict and the record's number."""


@dataclass(frozen=True)
class Peer:
    """Who connected, by the kernel's word."""

    pid: int
    group: int


class Porter:
    """Serves the gate of one pod on the abstract socket of its network namespace.

    Once user code may run, nobody listens any more: what a user writes is never read here.
    """

    def __init__(self, uid: str, sandbox: Sandbox, *, site: Site, digest: str) -> None:
        self._uid = uid
        self._sandbox = sandbox
        self._site = site
        self._digest = digest

    async def serve(self, decide: Decide) -> None:
        """Serve until the gate was let pass."""
        passed = asyncio.Event()
        listener = await self._listen()
        try:
            server = await asyncio.start_unix_server(
                partial(self._converse, decide=decide, passed=passed), sock=listener, limit=65_536
            )
        except BaseException:
            listener.close()
            raise
        try:
            await passed.wait()
        finally:
            server.close()

    async def _listen(self) -> socket.socket:
        while True:
            try:
                return await self._sandbox.listen(partial(listen_abstract, SOCKET_NAME))
            except NamespaceError:
                raise
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                # During a roll-out the agent before us still listens: take over when it ends.
                await asyncio.sleep(_TRY_AGAIN)

    async def _converse(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        decide: Decide,
        passed: asyncio.Event,
    ) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                began = asyncio.get_running_loop().time()
                judged = await self._question(reader, writer)
                spent = asyncio.get_running_loop().time() - began
                verdict, sequence = await decide(judged, spent)
                await _send(
                    writer,
                    {"admit": verdict.admit, "sequence": sequence, "reason": verdict.reason},
                )
            if verdict.admit is Admit.YES:
                passed.set()
        except _BROKEN_OFF as error:
            # The gate begins again, or its pod fails; nothing was admitted.
            log.warning("gate left", extra={"pod": self._uid, "error": repr(error)})
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _question(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Verdict:
        peer = _peer(writer)
        if self._uid not in pod_of_process(peer.pid, proc=self._site.proc):
            return Verdict(Admit.NO, "ForeignProcess", "A process of no container asked to pass.")
        nonce = new_nonce()
        targets = self._site.targets
        try:
            before = await self._sandbox.refused()
            await _send(
                writer,
                {
                    "podUID": self._uid,
                    "rulesetDigest": self._digest,
                    "nonce": nonce,
                    "targets": [
                        {"name": t.name, "probe": t.probe, "address": t.address, "port": t.port}
                        for t in targets
                    ],
                },
            )
            flown = parse_canaries(await reader.readuntil(b"\n"), nonce=nonce)
            after = await self._sandbox.refused()
            absent = await self._sandbox.attest(targets, group=peer.group)
        except NoProofError as error:
            return Verdict(Admit.NO, "ReportMalformed", str(error))
        except (NftError, NamespaceError) as error:
            return Verdict(Admit.NO, "LockUnreadable", str(error))
        return judge(targets, flown, before=before, after=after, absent=absent)


async def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")
    await writer.drain()


def _peer(writer: asyncio.StreamWriter) -> Peer:
    raw = writer.get_extra_info("socket").getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size
    )
    pid, _, group = _PEER.unpack(raw)
    return Peer(pid=pid, group=group)
