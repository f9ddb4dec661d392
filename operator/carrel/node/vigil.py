"""Whether one pod's refusals are recorded, and what its grant says should happen when not."""

import logging
from dataclasses import dataclass
from pathlib import Path

from carrel.kinds.grant import OnRecorderLoss
from carrel.kinds.resource import Condition, ConditionStatus
from carrel.ledger import Activity
from carrel.node.handover import Binding
from carrel.node.netns import NetworkNamespace
from carrel.node.proof import Admit, Verdict, exact_destinations
from carrel.node.recording import NotRecordedError, Recording
from carrel.render.nft import WireLayer
from carrel.rules.condition import condition

log = logging.getLogger(__name__)

_TRUE, _FALSE = ConditionStatus.TRUE, ConditionStatus.FALSE
RECONCILE_SECONDS = 60.0
GRACE_SECONDS = 15.0
"""How long recording may fail before the grant's order is followed: a recorder that is replaced
is back within seconds, and the log keeps what comes meanwhile."""


@dataclass(frozen=True)
class Turn:
    """Recording was given up for lost, or is back: each is recorded once."""

    activity: Activity
    condition: Condition
    order: OnRecorderLoss
    """What the grant says of a loss."""

    def detail(self) -> dict[str, str]:
        """Return what the record says."""
        said = self.condition
        return {"reason": said.reason, "message": said.message, "order": self.order.value}


@dataclass(frozen=True)
class Look:
    """What a look at the recording showed."""

    recorded: Condition
    order: OnRecorderLoss | None = None
    """What is to be done now; None while it is recorded, or may soon be again."""
    turned: Turn | None = None
    """What is to be recorded of this look."""


def recorded() -> Condition:
    """Say that records and counters agree."""
    text = "Every refused packet is recorded, or known to be lost and recorded as such."
    return condition("EgressRecorded", _TRUE, "Reconciled", text)


def not_recorded(why: str) -> Condition:
    """Say why refused packets are not recorded."""
    return condition("EgressRecorded", _FALSE, "NotRecorded", f"{why}. The lock holds.")


class Vigil:
    """Watches over the recording of one sandbox."""

    def __init__(
        self, namespace: NetworkNamespace, *, run_directory: Path, wire: WireLayer
    ) -> None:
        self._recording = Recording(namespace, run_directory=run_directory, wire=wire)
        self._failing_since: float | None = None
        self._followed: OnRecorderLoss | None = None
        self._reconcile_at = 0.0

    async def open(self) -> None:
        """Open the log; before the rules are loaded."""
        await self._recording.open()

    async def begin(self, binding: Binding | None) -> None:
        """Have the log read and the services served, before the gate asks.

        Waits for a recorder and a relay that are only starting. What is missing after that, the
        canaries show.
        """
        if binding is None:
            return
        try:
            await self._recording.hand_over(binding)
        except NotRecordedError as error:
            log.warning("not handed over", extra={"pod": binding.pod_uid, "error": str(error)})
            return
        if not await self._recording.answered():
            log.warning("nobody serves the pod", extra={"pod": binding.pod_uid})

    async def admit(self, verdict: Verdict, binding: Binding | None) -> tuple[Verdict, int]:
        """Turn a proof of blocking into one of recording; return the number of its record."""
        if verdict.admit is not Admit.YES:
            return verdict, 0
        if binding is None:
            return Verdict(Admit.NO, "NotRecorded", "Nobody knows whose pod this is."), 0
        try:
            found = await self._recording.prove(binding, exact_destinations(verdict.blocked))
        except NotRecordedError as error:
            return Verdict(Admit.NO, "NotRecorded", f"The canaries are not recorded: {error}"), 0
        return verdict, found.sequence

    async def look(self, binding: Binding | None, *, now: float) -> Look:
        """See whether refused packets are recorded; compares with the kernel once a minute.

        In between the recorder is only asked whether it is there and can write: a loss must not
        wait for the next comparison to be seen.
        """
        if binding is None:
            return Look(not_recorded("Nobody knows whose pod this is"))
        try:
            await self._recording.give(binding)
            if now >= self._reconcile_at or self._failing_since is not None:
                await self._recording.reconcile(binding.pod_uid)
                self._reconcile_at = now + RECONCILE_SECONDS
            else:
                await self._recording.attend(binding.pod_uid)
            # Last: what nobody records, nobody may be answered.
            await self._recording.serve(binding)
        except NotRecordedError as error:
            log.warning("not recorded", extra={"pod": binding.pod_uid, "error": str(error)})
            return self._lost(not_recorded(str(error)), binding.on_recorder_loss, now=now)
        self._failing_since = None
        return Look(recorded(), turned=self._returned())

    def _lost(self, said: Condition, order: OnRecorderLoss, *, now: float) -> Look:
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since < GRACE_SECONDS:
            return Look(said)
        turned = Turn(Activity.RECORDER_FAILED, said, order) if self._followed != order else None
        self._followed = order
        return Look(said, order, turned)

    def _returned(self) -> Turn | None:
        followed, self._followed = self._followed, None
        return Turn(Activity.RECORDER_RETURNED, recorded(), followed) if followed else None

    async def close_services(self, pod_uid: str) -> None:
        """Take the loopback services away: nothing is answered that cannot be recorded."""
        await self._recording.close_services(pod_uid)

    async def finish(self, pod_uid: str) -> None:
        """Compare a last time, and have the pod's sockets forgotten."""
        try:
            await self._recording.reconcile(pod_uid)
        except NotRecordedError as error:
            log.warning("not reconciled", extra={"pod": pod_uid, "error": str(error)})
        await self._recording.take_back(pod_uid)

    def close(self) -> None:
        """Let go of our own copies of sockets."""
        self._recording.close()
