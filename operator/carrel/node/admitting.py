"""The last step of a gate: the proof is recorded, durably, and only then a pod is let pass."""

import asyncio
from dataclasses import dataclass

from carrel.ledger import Activity, LedgerError, RecordClass
from carrel.node.handover import Binding
from carrel.node.proof import Admit, Verdict
from carrel.node.site import Site
from carrel.node.vigil import Vigil
from carrel.node.watched import Order, Ruling, WatchedPod


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A pod whose gate asks to pass."""

    pod: WatchedPod
    grant: str | None
    digest: str
    """Of the rules that hold now."""
    locking: float
    """Seconds that loading the rules took."""
    asking: float
    """Seconds from the question to the verdict on the canaries."""


async def prove_recorded(
    verdict: Verdict, *, vigil: Vigil | None, binding: Binding | None
) -> tuple[Verdict, int, float]:
    """Turn a proof of blocking into one of recording.

    Returns the verdict, the number of the recorder's durable record, and the seconds it took.
    """
    began = asyncio.get_running_loop().time()
    sequence = 0
    if vigil is not None:
        verdict, sequence = await vigil.admit(verdict, binding)
    return verdict, sequence, asyncio.get_running_loop().time() - began


async def record_verdict(
    verdict: Verdict, asked: Asked, *, ruling: Ruling, site: Site, recorded: tuple[int, float]
) -> tuple[Verdict, int]:
    """Record the verdict before it is given; what cannot be recorded is a refusal."""
    if verdict.admit is Admit.YES and ruling.order is not Order.HOLD:
        verdict = Verdict(Admit.NO, ruling.reason, "The workspace may not run.")
    sequence, waited = recorded
    event = site.event(
        Activity.GATE_PROVEN if verdict.admit is Admit.YES else Activity.GATE_REFUSED,
        asked.pod,
        grant=asked.grant,
        rulesetDigest=asked.digest,
        recordedAs=sequence,
        recordMicroseconds=round(waited * 1_000_000),
        lockMicroseconds=round(asked.locking * 1_000_000),
        gateMicroseconds=round(asked.asking * 1_000_000),
        reason=verdict.reason,
        message=verdict.message,
    )
    try:
        receipt = await site.ledger.append(event, record_class=RecordClass.BEFORE)
    except LedgerError as error:
        why = f"The proof could not be recorded: {error}"
        return Verdict(Admit.NO, "NotRecorded", why), 0
    if verdict.admit is Admit.YES:
        site.health.lock_seconds.observe(asked.locking + asked.asking + waited)
    return verdict, receipt.sequence
