"""Whether the cluster's network enforces NetworkPolicy, by the word of canary pods.

Two pods try the same door at about the same time: one lies under the deny-all policy and must
not get through, the other may and must. Only both together prove anything: a door that is shut
for everybody stops nobody.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

FRESH = timedelta(minutes=25)
"""How long a proof counts; canaries fly every 10 minutes, so that one may be missed."""
_TOGETHER = timedelta(minutes=10)


class CanaryArm(StrEnum):
    """Which of the two pods."""

    DENIED = "Denied"
    """It lies under the deny-all policy alone."""
    CONTROL = "Control"
    """A policy lets it out."""


class CanaryEnd(StrEnum):
    """What the pod met."""

    STOPPED = "Stopped"
    """It never got through."""
    THROUGH = "Through"
    """It got through."""


@dataclass(frozen=True)
class CanaryRun:
    """One pod that tried and ended."""

    arm: CanaryArm
    end: CanaryEnd
    at: datetime


class Standing(StrEnum):
    """What the canaries say now."""

    PROVEN = "Proven"
    """The denied pod was stopped where the other got through."""
    CONTRADICTED = "Contradicted"
    """The denied pod got through."""
    UNPROVEN = "Unproven"
    """There is no proof, or none of late."""


@dataclass(frozen=True)
class PolicyProof:
    """What the canaries say now, and of when that is."""

    standing: Standing
    at: datetime | None
    """When the denied pod ended; None where there was none."""
    until: datetime | None
    """When it is too old to count; None where nothing counts."""


UNPROVEN = PolicyProof(Standing.UNPROVEN, None, None)


def policy_proof(runs: Iterable[CanaryRun], *, now: datetime) -> PolicyProof:
    """Judge what canaries met; a run that is older than `FRESH` says nothing of today."""
    known = tuple(runs)
    fresh = [run for run in known if now - FRESH < run.at]
    denied = max((run for run in known if run.arm is CanaryArm.DENIED), key=_time, default=None)
    if denied is None:
        return UNPROVEN
    if denied not in fresh:
        return PolicyProof(Standing.UNPROVEN, denied.at, None)
    until = denied.at + FRESH
    if denied.end is CanaryEnd.THROUGH:
        return PolicyProof(Standing.CONTRADICTED, denied.at, until)
    beside = any(
        run.arm is CanaryArm.CONTROL
        and run.end is CanaryEnd.THROUGH
        and abs(run.at - denied.at) <= _TOGETHER
        for run in fresh
    )
    return PolicyProof(Standing.PROVEN if beside else Standing.UNPROVEN, denied.at, until)


def _time(run: CanaryRun) -> datetime:
    return run.at
