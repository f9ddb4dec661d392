"""The lock on one sandbox: loading, proving, watching and closing it."""

import asyncio
import contextlib
import logging
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from carrel.kinds.resource import Digest
from carrel.node import nft
from carrel.node.canaries import Canary, Probe, Target, fly
from carrel.node.netns import NetworkNamespace, reachable, watch_nftables
from carrel.node.nft import NftError, Refused
from carrel.node.processes import Process, pod_of_process
from carrel.node.proof import Verdict, judge
from carrel.node.site import Site
from carrel.render.nft import Counter, Counts, Doors, Lock

log = logging.getLogger(__name__)

_PING_RANGE = Path("/proc/sys/net/ipv4/ping_group_range")
NOTHING = Refused(counters={})


@dataclass(frozen=True)
class Loaded:
    """What loading found and did."""

    digest: Digest
    tampered: bool
    """Somebody had changed or removed a lock that was in force."""
    lost: int
    """Refusals that were counted by what was replaced."""


class LockError(Exception):
    """The lock could not be brought into force; the message says what nft said."""


def find_namespace(
    uid: str, processes: Iterable[Process], *, proc: Path, never: frozenset[tuple[int, int]]
) -> NetworkNamespace | None:
    """Return the network namespace of a pod's sandbox, None while it has none.

    The sandbox's own process is the oldest of the pod. A runtime puts a process into the pod's
    cgroup before that process has entered the pod's namespaces: one that is still in a namespace
    of the node's own (`never`) is not looked at, because locking the node would cut it off.
    """
    for process in processes:
        try:
            namespace = NetworkNamespace.of_process(process.pid, proc=proc)
        except OSError:
            continue
        # The number may have passed to another process meanwhile: it must still be the pod's.
        if namespace.identity not in never and uid in pod_of_process(process.pid, proc=proc):
            return namespace
        namespace.close()
    return None


class Sandbox:
    """One network namespace with its lock."""

    def __init__(self, namespace: NetworkNamespace, *, site: Site) -> None:
        self.namespace = namespace
        self._wire = site.wire
        self._digests = site.digests
        self._gateways = site.gateways
        self._in_force: Lock | None = None
        self._doors = Doors.GATEWAYS
        self._carried = 0
        self._tripwire: socket.socket | None = None

    def is_left_for(self, found: NetworkNamespace | None) -> bool:
        """Tell whether the pod has another namespace now, which is closed here.

        A sandbox without processes keeps its lock; a new one shows itself by processes.
        """
        if found is None:
            return False
        found.close()
        return found.identity != self.namespace.identity

    @property
    def let_in(self) -> tuple[str, ...]:
        """Addresses that the lock in force lets in."""
        return self._in_force.gateways if self._in_force else ()

    async def trip(self, alarm: Callable[[], None]) -> None:
        """Call `alarm` whenever a rule set of the namespace changes."""
        self._tripwire = await self.namespace.inside(watch_nftables)
        asyncio.get_running_loop().add_reader(self._tripwire, self._tripped, alarm)

    def _tripped(self, alarm: Callable[[], None]) -> None:
        if self._tripwire is not None:
            # Lost messages (ENOBUFS) are messages too: something changed.
            with contextlib.suppress(OSError):
                while self._tripwire.recv(65_536):
                    pass
        alarm()

    async def load(self, *, was_locked: bool, remembered: Digest | None = None) -> Loaded:
        """Bring the lock into force, whatever is there now, and read it back.

        A lock that is as an agent loaded it is replaced when other gateways are let in, or when
        this agent is of another version than the one that loaded it (`remembered`). Nobody
        tampered with it, and its counters go on: what they counted while no agent was there is
        in no record yet. Raises LockError when the kernel does not hold exactly that
        lock afterwards.
        """
        try:
            lock = await self._wanted()
            expected = await self._digests.of(lock)
            # An agent that died before the gate's word reached the API server left a lock, too.
            ours = was_locked or remembered is not None
            present = await nft.loaded_digest(self.namespace) if ours else None
            if present == expected:
                self._in_force = lock
                return Loaded(expected, tampered=False, lost=0)
            if await self._is_ours(present, remembered) and await self._replace(lock):
                self._in_force = lock
                return Loaded(expected, tampered=False, lost=0)
            lost = await self._count() if was_locked else 0
            await nft.load(self.namespace, lock, counts=Counts.FRESH)
            found = await nft.loaded_digest(self.namespace)
        except (NftError, OSError) as error:
            raise LockError(str(error)) from error
        if found != expected:
            self._in_force = None
            raise LockError("what the kernel holds is not what was loaded")
        self._in_force = lock
        self._carried += lost
        tampered = was_locked and (present is None or present != remembered)
        return Loaded(expected, tampered=tampered, lost=lost)

    async def _replace(self, lock: Lock) -> bool:
        """Replace rules and keep counters; False where the two versions do not go together."""
        try:
            await nft.load(self.namespace, lock, counts=Counts.KEPT)
        except NftError:
            return False
        return await nft.loaded_digest(self.namespace) == await self._digests.of(lock)

    async def close_doors(self) -> None:
        """Cut everything, also connections that stand; counters are kept where they can be."""
        self._doors = Doors.CLOSED
        try:
            lock = await self._wanted()
            try:
                await nft.load(self.namespace, lock, counts=Counts.KEPT)
            except NftError:
                await nft.load(self.namespace, lock, counts=Counts.FRESH)
        except (NftError, OSError) as error:
            raise LockError(str(error)) from error

    async def denied(self) -> int:
        """Return how many packets were refused so far, whatever layer refused them."""
        with contextlib.suppress(NftError):
            return self._carried + await self._count()
        return self._carried

    async def refused(self) -> Refused:
        """Read counters and destinations. Raises NftError."""
        return await nft.read_refused(self.namespace)

    async def prove(self, targets: tuple[Target, ...]) -> Verdict:
        """Fly the canaries from inside the namespace; for a sandbox whose gate is past.

        Those that stay inside prove nothing of the lock, and would be told to the researcher.
        """
        targets = tuple(target for target in targets if not target.loopback)
        before = await self.refused()
        flown = await self.namespace.inside(lambda: tuple(fly(target) for target in targets))
        absent = await self.attest(targets, group=0)
        return judge(targets, flown, before=before, after=await self.refused(), absent=absent)

    async def attest(self, targets: tuple[Target, ...], *, group: int) -> frozenset[str]:
        """Return the targets for which there is no way to try, as seen by the agent itself."""
        return await self.namespace.inside(lambda: _absent(targets, group))

    async def listen(self, open_socket: Callable[[], socket.socket]) -> socket.socket:
        """Open a socket inside the namespace."""
        return await self.namespace.inside(open_socket)

    def close(self) -> None:
        """Let go of the namespace; the lock stays in it."""
        if self._tripwire is not None:
            asyncio.get_running_loop().remove_reader(self._tripwire)
            self._tripwire.close()
            self._tripwire = None
        self.namespace.close()

    async def _wanted(self) -> Lock:
        lock = await nft.lock_of(self.namespace, wire=self._wire)
        opened = self._gateways.addresses if self._doors is Doors.GATEWAYS else ()
        return replace(lock, doors=self._doors, gateways=opened)

    async def _is_ours(self, present: Digest | None, remembered: Digest | None) -> bool:
        """Tell whether an agent loaded what is there: this one, or one of another version."""
        if present is None:
            return False
        ours = self._in_force
        return present == remembered or (
            ours is not None and present == await self._digests.of(ours)
        )

    async def _count(self) -> int:
        counters = (await nft.read_counters(self.namespace)).counters
        return counters.get(Counter.TOTAL, 0) + counters.get(Counter.WIRE, 0)


def _absent(targets: tuple[Target, ...], group: int) -> frozenset[str]:
    lowest, highest = (int(word) for word in _PING_RANGE.read_text().split())
    pings = lowest <= group <= highest
    return frozenset(
        target.name
        for target in targets
        if target.loopback
        or not reachable(target.family, target.address)
        or (target.probe is Probe.ICMP and not pings)
    )


def new_nonce() -> str:
    """Return a value that no earlier question had."""
    return secrets.token_hex(16)


__all__ = ["NOTHING", "Canary", "Loaded", "LockError", "Sandbox", "find_namespace", "new_nonce"]
