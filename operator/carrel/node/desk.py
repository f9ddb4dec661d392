"""One workspace pod on this node, from its first process to the last."""

import asyncio
import logging
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from carrel.kinds.node_report import NodeReportStatus
from carrel.kinds.workspace import StartStep
from carrel.ledger import Activity, LedgerError, RecordClass
from carrel.node import cgroup
from carrel.node.netns import NamespaceError, NetworkNamespace
from carrel.node.nft import NftError
from carrel.node.porter import Porter
from carrel.node.processes import Process
from carrel.node.proof import Admit, Verdict
from carrel.node.report import step
from carrel.node.sandbox import LockError, Sandbox, find_namespace
from carrel.node.saying import Said, empty, loaded, may_run, not_loaded, proven, unproven
from carrel.node.site import Site
from carrel.node.watched import GateStage, Identity, Order, Presence, Ruling, WatchedPod

log = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
"""How often the lock is read back although nothing seems to have changed it."""
_DEBOUNCE = 0.05
_AGAIN = 0.2
_WITH_PROCESSES_LEFT = 0.05


class Desk:
    """Locks one pod, proves it, watches it, and ends it; never gives up on any of these."""

    def __init__(
        self,
        pod: WatchedPod,
        ruling: Ruling,
        *,
        about: Identity | None,
        grant: str | None,
        site: Site,
    ) -> None:
        self._pod = pod
        self._ruling = ruling
        self._about = about
        self._grant = grant
        self._site = site
        self._wake = asyncio.Event()
        self._processes: tuple[Process, ...] | None = None
        self._directories: tuple[Path, ...] = ()
        self._sandbox: Sandbox | None = None
        self._porter: asyncio.Task[None] | None = None
        self._check_at = 0.0
        self._alarmed = False
        self._killed = 0
        self._ran = False
        self._emptied = False
        self._steps: dict[str, StartStep] = {}
        self._locking = 0.0
        self._said = Said(lock=not_loaded("NoSandbox", "No sandbox of this pod runs yet."))

    def tell(self, pod: WatchedPod, ruling: Ruling) -> None:
        """Take in what the API server says of the pod and what follows from it."""
        if (pod, ruling) != (self._pod, self._ruling):
            self._pod, self._ruling = pod, ruling
            if self._sandbox is None or ruling.order is Order.CLOSE:
                self._site.scanner.hurry(pod.uid)
            self._wake.set()

    @property
    def pod(self) -> WatchedPod:
        """The pod as it was last told."""
        return self._pod

    async def run(self) -> None:
        """Attend to the pod until nothing of it is left."""
        self._site.scanner.watch(self._pod.uid, self._observe)
        try:
            while not await self._turn():
                await self._pause()
        finally:
            self._site.scanner.leave(self._pod.uid)
            await self._drop()

    async def _turn(self) -> bool:
        """Do what is to be done now; True when nothing of the pod is left."""
        if self._processes is None:
            return False
        try:
            if self._ruling.order is Order.CLOSE:
                await self._end()
            else:
                await self._hold()
        except (LockError, NftError, NamespaceError, OSError) as error:
            log.exception("desk stumbled", extra={"pod": self._pod.uid})
            self._say(replace(self._said, lock=not_loaded("Failed", f"The lock failed: {error}")))
            self._check_at = 0.0
            await asyncio.sleep(_AGAIN)
            return False
        if self._pod.presence is Presence.THERE or self._processes:
            return False
        await self._empty_by_itself()
        return self._pod.presence is Presence.GONE and self._emptied

    async def _pause(self) -> None:
        try:
            # Not wait_for: in Python 3.11 it can swallow a cancellation (bpo-42130).
            async with asyncio.timeout(self._nap()):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    def _nap(self) -> float:
        if self._ruling.order is Order.CLOSE:
            return _WITH_PROCESSES_LEFT if self._processes else 1.0
        if self._sandbox is None:
            return CHECK_SECONDS  # the scanner wakes us
        return max(self._check_at - asyncio.get_running_loop().time(), 0.0)

    def _observe(self, processes: tuple[Process, ...]) -> None:
        changed = processes != self._processes
        self._processes = processes
        if processes and (changed or not self._directories):
            self._ran = True
            self._directories = (
                cgroup.read_directories(
                    self._pod.uid,
                    processes[0].pid,
                    root=self._site.cgroup_root,
                    proc=self._site.proc,
                )
                or self._directories
            )
        if changed or self._sandbox is None:
            self._wake.set()

    # -- holding ---------------------------------------------------------------------------

    async def _hold(self) -> None:
        self._emptied = False
        if await self._sandbox_changed():
            await self._drop()
        if self._sandbox is None:
            await self._lock()
        elif self._alarmed or asyncio.get_running_loop().time() >= self._check_at:
            await self._check()

    async def _sandbox_changed(self) -> bool:
        if self._sandbox is None:
            return False
        found = self._find()
        if found is None:
            # A sandbox without processes keeps its lock; a new one shows itself by processes.
            return False
        changed = found.identity != self._sandbox.namespace.identity
        found.close()
        return changed

    def _find(self) -> NetworkNamespace | None:
        return find_namespace(
            self._pod.uid,
            self._processes or (),
            proc=self._site.proc,
            never=self._site.own_namespaces,
        )

    async def _lock(self) -> None:
        namespace = self._find()
        if namespace is None:
            return
        began = asyncio.get_running_loop().time()
        site = self._site
        sandbox = Sandbox(namespace, wire=site.wire, digests=site.digests)
        passed = self._pod.gate is GateStage.PASSED
        try:
            await sandbox.trip(self._alarm)
            found = await sandbox.load(was_locked=passed)
        except BaseException:
            sandbox.close()
            raise
        now = asyncio.get_running_loop().time()
        self._sandbox, self._locking = sandbox, now - began
        # What can follow, a sealed message or a new sandbox, waits a tenth of a second; looking
        # every 10 ms would take from the proof the time that it needs.
        site.scanner.ease(self._pod.uid)
        self._check_at = now + CHECK_SECONDS
        self._steps["LockLoaded"] = step("LockLoaded", site.clock.now())
        self._say(Said(lock=loaded(site.wire), digest=found.digest))
        await self._record(
            Activity.LOCK_TAMPERED if found.tampered else Activity.LOCK_LOADED,
            rulesetDigest=found.digest,
            refusedBefore=found.lost,
        )
        if passed:
            await self._prove_again()
        else:
            self._porter = asyncio.create_task(self._attend_gate(sandbox, found.digest))

    async def _attend_gate(self, sandbox: Sandbox, digest: str) -> None:
        porter = Porter(self._pod.uid, sandbox, site=self._site, digest=digest)
        try:
            await porter.serve(self._decide)
        except (OSError, NamespaceError) as error:
            # The pod fails at its gate's patience, and another is made.
            log.warning("gate not served", extra={"pod": self._pod.uid, "error": str(error)})
        self._porter = None

    async def _decide(self, verdict: Verdict, asked: float) -> tuple[Verdict, int]:
        """Record the verdict before it is given; what cannot be recorded is a refusal."""
        if verdict.admit is Admit.YES and self._ruling.order is not Order.HOLD:
            verdict = Verdict(Admit.NO, self._ruling.reason, "The workspace may not run.")
        activity = Activity.GATE_PROVEN if verdict.admit is Admit.YES else Activity.GATE_REFUSED
        site = self._site
        event = site.event(
            activity,
            self._pod,
            grant=self._grant,
            rulesetDigest=self._said.digest or "",
            lockMicroseconds=round(self._locking * 1_000_000),
            gateMicroseconds=round(asked * 1_000_000),
            reason=verdict.reason,
            message=verdict.message,
        )
        try:
            receipt = await site.ledger.append(event, record_class=RecordClass.BEFORE)
        except LedgerError as error:
            refusal = Verdict(Admit.NO, "NotRecorded", f"The proof could not be recorded: {error}")
            self._say(replace(self._said, gate=unproven(refusal)))
            return refusal, 0
        if verdict.admit is Admit.YES:
            self._steps["GateProven"] = step("GateProven", site.clock.now())
            self._say(replace(self._said, gate=proven(verdict)))
            site.health.lock_seconds.observe(self._locking + asked)
        else:
            self._say(replace(self._said, gate=unproven(verdict)))
        return verdict, receipt.sequence

    def _alarm(self) -> None:
        self._alarmed = True
        self._wake.set()

    async def _check(self) -> None:
        sandbox = self._sandbox
        if sandbox is None:
            return
        if self._alarmed:
            # Somebody who changes rules does it in more than one step; ours, too, arrive here.
            await asyncio.sleep(_DEBOUNCE)
        self._alarmed = False
        found = await sandbox.load(was_locked=True)
        self._check_at = asyncio.get_running_loop().time() + CHECK_SECONDS
        if not found.tampered:
            self._say(replace(self._said, digest=found.digest, denied=await sandbox.denied()))
            return
        changed = not_loaded("Tampered", "The lock was changed from outside and is loaded again.")
        self._say(replace(self._said, lock=changed))
        await self._record(
            Activity.LOCK_TAMPERED, rulesetDigest=found.digest, refusedBefore=found.lost
        )
        self._say(replace(self._said, lock=loaded(self._site.wire), digest=found.digest))
        if self._porter is None:
            await self._prove_again()

    async def _prove_again(self) -> None:
        if self._sandbox is None:
            return
        verdict = await self._sandbox.prove(self._site.targets)
        gate = proven(verdict) if verdict.admit is Admit.YES else unproven(verdict)
        self._say(replace(self._said, gate=gate))
        yes = verdict.admit is Admit.YES
        await self._record(
            Activity.GATE_PROVEN if yes else Activity.GATE_REFUSED,
            reason="ProvenAgain" if yes else verdict.reason,
            message=verdict.message,
        )

    # -- ending ----------------------------------------------------------------------------

    async def _end(self) -> None:
        await self._close_lock()
        if not self._processes and self._emptied:
            return
        self._say(replace(self._said, cgroup=may_run()))
        began = self._site.clock.now()
        try:
            emptied = await cgroup.empty(self._pod.uid, self._directories, proc=self._site.proc)
        except cgroup.StillRunningError as error:
            log.warning("still running", extra={"pod": self._pod.uid, "error": str(error)})
            self._site.scanner.hurry(self._pod.uid)
            return
        self._processes = ()
        self._killed += emptied.killed
        await self._emptied_now(emptied.killed, since=began)

    async def _close_lock(self) -> None:
        if self._porter is not None:
            self._porter.cancel()
            self._porter = None
        if self._sandbox is None and self._processes:
            namespace = self._find()
            if namespace is not None:
                self._sandbox = Sandbox(namespace, wire=self._site.wire, digests=self._site.digests)
        if self._sandbox is None or self._said.closed:
            return
        try:
            async with asyncio.timeout(2.0):
                await self._sandbox.close_doors()
        except (LockError, NamespaceError, TimeoutError) as error:
            # A lock that cannot be closed must not delay the kill.
            log.warning("lock not closed", extra={"pod": self._pod.uid, "error": repr(error)})
            return
        self._said = replace(self._said, closed=True)
        await self._record(Activity.LOCK_CLOSED, reason=self._ruling.reason)

    async def _empty_by_itself(self) -> None:
        """Say that nothing is left of a pod that the kubelet ended or that is gone."""
        if not self._emptied:
            await self._emptied_now(0, since=self._site.clock.now())

    async def _emptied_now(self, killed: int, *, since: datetime) -> None:
        reason = "Killed" if self._killed else "Exited" if self._ran else "NothingRan"
        self._emptied = True
        denied = await self._sandbox.denied() if self._sandbox else self._said.denied
        self._said = replace(self._said, denied=denied)
        took = round((self._site.clock.now() - since).total_seconds() * 1000)
        await self._record(
            Activity.CGROUP_EMPTIED,
            reason=reason,
            killed=killed,
            milliseconds=took,
            order=self._ruling.reason,
        )
        self._steps["CgroupEmpty"] = step("CgroupEmpty", self._site.clock.now())
        self._say(replace(self._said, cgroup=empty(reason, killed=self._killed)))

    # -- saying ----------------------------------------------------------------------------

    def _say(self, said: Said) -> None:
        self._said = said
        if self._about is not None:
            status: NodeReportStatus = said.status(
                pod_uid=self._pod.uid, steps=tuple(self._steps.values())
            )
            self._site.reporter.say(self._about, status)

    async def _record(self, activity: Activity, **detail: str | int) -> None:
        event = self._site.event(activity, self._pod, grant=self._grant, **detail)
        try:
            await self._site.ledger.append(event, record_class=RecordClass.STOP)
        except LedgerError as error:
            log.warning("not recorded", extra={"activity": activity, "error": str(error)})

    async def _drop(self) -> None:
        if self._porter is not None:
            self._porter.cancel()
            self._porter = None
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None
