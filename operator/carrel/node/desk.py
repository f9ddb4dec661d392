"""One workspace pod on this node, from its first process to the last."""

import asyncio
import logging
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from carrel.kinds.grant import OnRecorderLoss
from carrel.kinds.resource import Digest
from carrel.kinds.workspace import StartStep
from carrel.ledger import Activity, LedgerError, RecordClass
from carrel.node import cgroup
from carrel.node.admitting import Asked, prove_recorded, record_verdict
from carrel.node.handover import Binding
from carrel.node.netns import NamespaceError, NetworkNamespace
from carrel.node.nft import NftError
from carrel.node.notebook_server import ServerWatch
from carrel.node.policies import Bound
from carrel.node.porter import Porter
from carrel.node.processes import Process
from carrel.node.proof import Admit, Verdict
from carrel.node.report import step
from carrel.node.sandbox import LockError, Sandbox, find_namespace
from carrel.node.saying import Said, empty, frozen, loaded, may_run, not_loaded, proven, unproven
from carrel.node.site import Site
from carrel.node.vigil import Vigil, recorded
from carrel.node.watched import GateStage, Identity, Order, Presence, Ruling, WatchedPod

log = logging.getLogger(__name__)

CHECK_SECONDS = 10.0
"""How often the lock is read back although nothing seems to have changed it."""
_DEBOUNCE = 0.05
_AGAIN = 0.2
_WITH_PROCESSES_LEFT = 0.05
_UNRECORDED = "NotRecorded"


class Desk:
    """Locks one pod, proves it, watches it, and ends it; never gives up on any of these."""

    def __init__(
        self,
        pod: WatchedPod,
        ruling: Ruling,
        *,
        about: Identity | None,
        bound: Bound | None,
        remembered: Digest | None,
        site: Site,
    ) -> None:
        self._pod = pod
        self._ruling = ruling
        self._about = about
        self._bound = bound
        self._remembered = remembered
        self._site = site
        self._wake = asyncio.Event()
        self._processes: tuple[Process, ...] | None = None
        self._directories: tuple[Path, ...] = ()
        self._sandbox: Sandbox | None = None
        self._vigil: Vigil | None = None
        self._server = ServerWatch(pod.uid, kubelet_root=site.kubelet_root)
        self._frozen = False
        self._porter: asyncio.Task[None] | None = None
        self._check_at = 0.0
        self._alarmed = False
        self._killed = 0
        self._ran = False
        self._emptied = False
        self._steps: dict[str, StartStep] = {}
        self._locking = 0.0
        self._said = Said(lock=not_loaded("NoSandbox", "No sandbox of this pod runs yet."))

    def tell(self, pod: WatchedPod, ruling: Ruling, *, bound: Bound | None) -> None:
        """Take in what the API server says of the pod and what follows from it."""
        if bound is not None and bound != self._bound:
            # What a grant may no longer reach is closed now, not at the next look.
            self._bound, self._check_at = bound, 0.0
            self._wake.set()
        if self._ruling.reason == _UNRECORDED:
            ruling = self._ruling  # it was ended, and does not come back
        if (pod, ruling) != (self._pod, self._ruling):
            self._alarmed |= pod.address != self._pod.address
            self._pod, self._ruling = pod, ruling
            if self._sandbox is None or ruling.order is Order.CLOSE:
                self._site.scanner.hurry(pod.uid)
            self._wake.set()

    @property
    def digest(self) -> Digest | None:
        """What was loaded last."""
        return self._said.digest

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
        if not self._emptied:
            # The kubelet ended it, or it is gone.
            await self._emptied_now(0, since=self._site.clock.now())
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
            found = self._site.directories(self._pod.uid, processes[0].pid)
            self._directories = found or self._directories
        if changed or self._sandbox is None:
            self._wake.set()
        if processes and self._server.look():
            self.look_again()

    # -- holding ---------------------------------------------------------------------------

    async def _hold(self) -> None:
        self._emptied = False
        if self._sandbox is not None and self._sandbox.is_left_for(self._find()):
            await self._drop()
        if self._sandbox is None:
            await self._lock()
        elif self._alarmed or asyncio.get_running_loop().time() >= self._check_at:
            await self._check()

    def _find(self) -> NetworkNamespace | None:
        site, processes = self._site, self._processes or ()
        return find_namespace(self._pod.uid, processes, proc=site.proc, never=site.own_namespaces)

    async def _lock(self) -> None:
        namespace = self._find()
        if namespace is None:
            return
        began = asyncio.get_running_loop().time()
        site = self._site
        sandbox = Sandbox(namespace, site=self._site)
        vigil = Vigil(namespace, run_directory=site.run_directory, wire=site.wire)
        passed = self._pod.gate is GateStage.PASSED
        try:
            await sandbox.trip(self.look_again)
            await vigil.open()
            found = await sandbox.load(was_locked=passed, remembered=self._remembered)
        except BaseException:
            vigil.close()
            sandbox.close()
            raise
        now = asyncio.get_running_loop().time()
        self._sandbox, self._vigil, self._locking = sandbox, vigil, now - began
        # What can follow, a sealed message or a new sandbox, waits a tenth of a second; looking
        # every 10 ms would take from the proof the time that it needs.
        site.scanner.ease(self._pod.uid)
        self._check_at = now + CHECK_SECONDS
        self._steps["LockLoaded"] = step("LockLoaded", site.clock.now())
        self._frozen = passed and cgroup.is_frozen(self._directories)
        lock = frozen("Frozen") if self._frozen else loaded(site.wire)
        self._say(Said(lock=lock, digest=found.digest))
        await self._record(
            Activity.LOCK_TAMPERED if found.tampered else Activity.LOCK_LOADED,
            rulesetDigest=found.digest,
            refusedBefore=found.lost,
        )
        if passed:
            await self._prove_again()
            if found.tampered:
                await self._freeze("Tampered")
            await self._look()
        else:
            self._porter = asyncio.create_task(self._attend_gate(sandbox, vigil, found.digest))

    async def _attend_gate(self, sandbox: Sandbox, vigil: Vigil, digest: str) -> None:
        began = asyncio.get_running_loop().time()
        try:
            await vigil.begin(self._binding())
            self._locking += asyncio.get_running_loop().time() - began
            await Porter(self._pod.uid, sandbox, site=self._site, digest=digest).serve(self._decide)
        except (OSError, NamespaceError) as error:
            # The pod fails at its gate's patience, and another is made.
            log.warning("gate not served", extra={"pod": self._pod.uid, "error": str(error)})
        self._porter = None

    async def _decide(self, verdict: Verdict, asked: float) -> tuple[Verdict, int]:
        """Record the verdict before it is given; what cannot be recorded is a refusal."""
        proof = prove_recorded(verdict, vigil=self._vigil, binding=self._binding())
        verdict, recorded_as, waited = await proof
        gate = Asked(
            pod=self._pod,
            grant=self._grant,
            digest=self._said.digest or "",
            locking=self._locking,
            asking=asked,
        )
        verdict, sequence = await record_verdict(
            verdict, gate, ruling=self._ruling, site=self._site, recorded=(recorded_as, waited)
        )
        if verdict.admit is Admit.YES:
            self._steps["GateProven"] = step("GateProven", self._site.clock.now())
            self._say(replace(self._said, gate=proven(verdict), recorded=recorded()))
        else:
            self._say(replace(self._said, gate=unproven(verdict)))
        return verdict, sequence

    def look_again(self) -> None:
        """Read the lock back now: something of it, or of what is told with it, changed."""
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
        found = await sandbox.load(was_locked=True, remembered=self._said.digest)
        self._check_at = asyncio.get_running_loop().time() + CHECK_SECONDS
        if not found.tampered:
            denied = await sandbox.denied()  # first: the gate may be told while the kernel is asked
            self._say(replace(self._said, digest=found.digest, denied=denied))
            await self._look()
            return
        changed = not_loaded("Tampered", "The lock was changed from outside and is loaded again.")
        self._say(replace(self._said, lock=changed))
        await self._record(
            Activity.LOCK_TAMPERED, rulesetDigest=found.digest, refusedBefore=found.lost
        )
        self._say(replace(self._said, lock=loaded(self._site.wire), digest=found.digest))
        if self._porter is None:
            await self._prove_again()
            await self._freeze("Tampered")

    async def _look(self) -> None:
        """See whether refusals are recorded, and follow the grant's order when they are not."""
        if self._vigil is None or self._porter is not None:
            return
        look = await self._vigil.look(self._binding(), now=asyncio.get_running_loop().time())
        self._say(replace(self._said, recorded=look.recorded))
        if (turned := look.turned) is not None:
            await self._record(turned.activity, **turned.detail())
        if look.order is None:
            return
        await self._vigil.close_services(self._pod.uid)
        if look.order is OnRecorderLoss.FREEZE and not self._frozen:
            await self._freeze(_UNRECORDED)
        elif look.order is OnRecorderLoss.TERMINATE:
            self._ruling = Ruling(Order.CLOSE, _UNRECORDED)
            self._wake.set()

    async def _freeze(self, why: str) -> None:
        """Let the pod stand still for good; only its restart, which ends it, thaws it."""
        self._frozen = await cgroup.freeze(self._directories)
        await self._record(Activity.WORKSPACE_FROZEN, reason=why)
        self._say(replace(self._said, lock=frozen(why)))

    def _binding(self) -> Binding | None:
        if self._bound is None or self._sandbox is None:
            return None
        return self._bound.binding(self._pod.uid, self._sandbox.namespace, site=self._site)

    async def _prove_again(self) -> None:
        if self._sandbox is None:
            return
        verdict = await self._sandbox.prove(self._site.targets)
        yes = verdict.admit is Admit.YES
        self._say(replace(self._said, gate=proven(verdict) if yes else unproven(verdict)))
        await self._record(
            Activity.GATE_PROVEN if yes else Activity.GATE_REFUSED,
            reason="ProvenAgain" if yes else verdict.reason,
            message=verdict.message,
        )

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
        if self._sandbox is None and self._processes and (namespace := self._find()) is not None:
            self._sandbox = Sandbox(namespace, site=self._site)
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

    async def _emptied_now(self, killed: int, *, since: datetime) -> None:
        reason = "Killed" if self._killed else "Exited" if self._ran else "NothingRan"
        self._emptied = True
        if self._vigil is not None:
            # Nothing sends any more: what is counted and recorded now is all there is.
            await self._vigil.finish(self._pod.uid)
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

    @property
    def _grant(self) -> str | None:
        return self._bound.workspace.grant if self._bound else None

    def _say(self, said: Said) -> None:
        let_in = self._sandbox.let_in if self._sandbox else ()
        server = self._server.reported(address=self._pod.address)
        self._said = said = replace(said, gateways=let_in, server=server)
        if self._about is not None:
            steps = tuple(self._steps.values())
            self._site.reporter.say(self._about, said.status(pod_uid=self._pod.uid, steps=steps))

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
        if self._vigil is not None:
            self._vigil.close()
            self._vigil = None
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None
