"""What every desk of a node shares."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from carrel.flows.clock import Clock
from carrel.kinds.resource import Digest
from carrel.ledger import Activity, Event, Ledger
from carrel.node import cgroup
from carrel.node.canaries import Target
from carrel.node.gateways import Gateways
from carrel.node.health import Health
from carrel.node.nft import expected_digest
from carrel.node.report import Reporter
from carrel.node.scanner import Scanner
from carrel.node.watched import WatchedPod
from carrel.render.nft import Lock, WireLayer


class ExpectedDigests:
    """Digests that locks have once loaded, each asked from the kernel once."""

    def __init__(self) -> None:
        self._known: dict[Lock, Digest] = {}
        self._asking = asyncio.Lock()

    async def of(self, lock: Lock) -> Digest:
        """Return the digest of a lock; a first time takes some tens of milliseconds."""
        async with self._asking:
            if lock not in self._known:
                self._known[lock] = await expected_digest(lock)
            return self._known[lock]


@dataclass(frozen=True, kw_only=True)
class Site:
    """What every desk of a node shares."""

    node: str
    wire: WireLayer
    targets: tuple[Target, ...]
    own_namespaces: frozenset[tuple[int, int]]
    """Network namespaces of the node and of this process: never to be locked."""
    cgroup_root: Path
    proc: Path
    clock: Clock
    ledger: Ledger
    reporter: Reporter
    scanner: Scanner
    digests: ExpectedDigests
    health: Health
    gateways: Gateways
    """Whom locks let in."""
    kubelet_root: Path
    """The kubelet's root directory."""
    run_directory: Path
    """Where the agent's containers meet."""
    boot_id: str

    def directories(self, uid: str, pid: int) -> tuple[Path, ...]:
        """Return the cgroups of a pod as one of its processes shows them; none if it is gone."""
        return cgroup.read_directories(uid, pid, root=self.cgroup_root, proc=self.proc)

    def event(
        self, activity: Activity, pod: WatchedPod, *, grant: str | None, **detail: str | int
    ) -> Event:
        """Return a record about a pod, and count it."""
        self.health.events.labels(activity=activity.value).inc()
        return Event(
            activity=activity,
            time=self.clock.now(),
            actor="node-lock",
            grant=grant,
            grant_uid=pod.grant_uid or None,
            workspace=pod.workspace or None,
            pod_uid=pod.uid,
            node=self.node,
            detail=detail,
        )
