"""`python -m carrel.node recorder`: writes down every refused packet of every workspace here.

It has no privilege: the lock opened the sockets that it reads. What a socket tells is about the
pod whose network namespace the socket was opened in, whatever addresses the packets carry.
"""

import asyncio
import logging
import os
import socket
from contextlib import suppress
from pathlib import Path

from carrel.flows.clock import Clock, SystemClock
from carrel.ledger import Activity, Chain, Key, Keyring, LedgerError, RecordClass, SealedError
from carrel.node.account import Account
from carrel.node.bound import Bound
from carrel.node.handover import Binding, Handover, Kind, Synced
from carrel.node.health import Health
from carrel.node.past import Memories
from carrel.node.process import open_own_chain, until_stopped
from carrel.node.recorder_desk import ASK, TELL, RecorderDesk, RelayEar
from carrel.node.settings import Settings
from carrel.node.telling import Refusals, event

log = logging.getLogger(__name__)

PROCESS = "node-recorder"
_WINDOW = 1.0
_REMEMBERED = 64


class NameGoneError(Exception):
    """A socket's name was taken away, so that nobody finds it any more."""


class Recorder:
    """Follows the holder, and keeps an account for each pod."""

    def __init__(
        self,
        *,
        run_directory: Path,
        chain: Chain,
        memories: Memories,
        keyring: Keyring,
        clock: Clock,
    ) -> None:
        self._run_directory = run_directory
        self._chain = chain
        self._memories = memories
        self._keyring = keyring
        self._clock = clock
        self.bound: dict[str, Bound] = {}
        self._ended: dict[str, Bound] = {}
        self._synced = asyncio.Event()
        self._ear = RelayEar(run_directory, clock=clock, find=self._find)

    async def run(self) -> None:
        """Record for ever."""
        refusals = self._run_directory / "refusals"
        refusals.mkdir(mode=0o755, exist_ok=True)
        desk = RecorderDesk(self._run_directory, chain=self._chain, bound=self.bound)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow())
                tasks.create_task(self._tell())
                tasks.create_task(desk.run())
                tasks.create_task(self._ear.run(after=self._synced))
                tasks.create_task(self._guard_names())
        finally:
            for bound in self.bound.values():
                bound.close()

    def _find(self, pod_uid: str) -> Bound | None:
        return self.bound.get(pod_uid) or self._ended.get(pod_uid)

    async def _guard_names(self) -> None:
        """End once a name is gone that was there: a recorder that begins anew takes it again."""
        seen: set[Path] = set()
        while True:
            there = {path for name in (ASK, TELL) if (path := self._run_directory / name).exists()}
            if seen - there:
                gone = ", ".join(sorted(path.name for path in seen - there))
                raise NameGoneError(f"name_is_gone: {gone}; the recorder ends to take it again")
            seen = there
            await asyncio.sleep(_WINDOW)

    async def _follow(self) -> None:
        async for told in Handover(self._run_directory).watch():
            if isinstance(told, Synced):
                self._synced.set()
                continue
            if told.kind is not Kind.NFLOG:
                if told.descriptor is not None:
                    os.close(told.descriptor)
                continue
            if told.binding is None:
                await self._let_go(told.pod_uid)
            elif told.descriptor is not None:
                await self._take(told.binding, told.descriptor)

    async def _take(self, binding: Binding, descriptor: int) -> None:
        channel = socket.socket(fileno=descriptor)
        channel.setblocking(False)
        inode = os.fstat(descriptor).st_ino
        present = self.bound.get(binding.pod_uid)
        if present is not None and present.inode == inode:
            # The same log under another policy: what was counted stays counted.
            channel.close()
            present.rebind(binding)
            return
        if present is not None:
            await self._let_go(binding.pod_uid)
        ended = self._ended.pop(binding.pod_uid, None)
        if ended is None:
            account = Account(self._memories.of(binding.pod_uid, socket=inode))
        else:
            await ended.tell(record_class=RecordClass.AFTER)
            account = ended.account
            account.renumber()
        path = self._run_directory / "refusals" / f"{binding.pod_uid}.json"
        bound = Bound(
            binding,
            channel,
            inode=inode,
            account=account,
            refusals=Refusals(path, policy=binding.rules()),
            chain=self._chain,
            key=self._key(binding),
            clock=self._clock,
        )
        self.bound[binding.pod_uid] = bound
        await self._record_binding(bound)
        for word in self._ear.take_early(binding.pod_uid):
            bound.hear(word)
        bound.listen()

    def _key(self, binding: Binding) -> Key | None:
        try:
            return self._keyring.make(binding.grant)
        except (OSError, SealedError) as error:
            # Names looked up may carry data: without a key they are counted and not written.
            log.warning("no key", extra={"grant": binding.grant, "error": str(error)})
            return None

    async def _record_binding(self, bound: Bound) -> None:
        binding = bound.binding
        said = event(
            binding,
            Activity.RECORDER_BOUND,
            now=self._clock.now(),
            detail={
                "researcher": binding.researcher,
                "netns": binding.netns,
                "bootID": binding.boot_id,
                "socket": bound.inode,
                "policy": binding.egress_policy,
                "policyDigest": binding.egress_policy_digest,
            },
        )
        with suppress(LedgerError):  # a full disk is told with every answer to the lock
            await self._chain.append(said, record_class=RecordClass.STOP)

    async def _let_go(self, pod_uid: str) -> None:
        bound = self.bound.pop(pod_uid, None)
        if bound is None:
            return
        bound.drain()
        await bound.tell(record_class=RecordClass.STOP)
        said = event(
            bound.binding,
            Activity.RECORDER_UNBOUND,
            now=self._clock.now(),
            detail={"socket": bound.inode},
        )
        with suppress(LedgerError):
            await self._chain.append(said, record_class=RecordClass.STOP)
        bound.close()
        # Should it be handed over anew, its counters go on: a holder that restarts is no end. And
        # the relay may still tell what it refused last.
        self._ended[pod_uid] = bound
        while len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + _WINDOW
        while True:
            await asyncio.sleep(max(due - loop.time(), 0.0))
            due = max(due + _WINDOW, loop.time())
            for bound in list(self.bound.values()):
                try:
                    await bound.tell(record_class=RecordClass.AFTER)
                    bound.show()
                except Exception:
                    # One pod's packets must not end the recording of others.
                    log.exception("not told", extra={"pod": bound.binding.pod_uid})
            for ended in list(self._ended.values()):
                await ended.tell(record_class=RecordClass.AFTER)


async def _open_chain(settings: Settings) -> Chain:
    """Open the chain, once the lock has made its folder ours."""
    while True:
        try:
            return await open_own_chain(settings, PROCESS)
        except LedgerError as error:
            log.warning("chain not open yet", extra={"error": str(error)})
            await asyncio.sleep(_WINDOW)


async def run(settings: Settings) -> None:
    """Run until SIGTERM; what waits in sockets is kept for the next recorder."""
    health = Health()
    directory = settings.ledger_dir / PROCESS
    with await _open_chain(settings) as chain:
        memories = await asyncio.to_thread(Memories.read, directory)
        recorder = Recorder(
            run_directory=settings.run_dir,
            chain=chain,
            memories=memories,
            keyring=Keyring(settings.keys_dir),
            clock=SystemClock(),
        )
        log.info("recorder begins", extra={"node": settings.node_name})
        await until_stopped(recorder.run(), health.serve(settings.metrics_port))
