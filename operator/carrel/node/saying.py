"""What the lock process says about a pod: four conditions, always all of them."""

from dataclasses import dataclass

from carrel.kinds.node_report import NodeReportStatus, ReportedServer
from carrel.kinds.resource import Condition, ConditionStatus, Digest
from carrel.kinds.workspace import StartStep
from carrel.node.proof import Verdict
from carrel.render.nft import WireLayer
from carrel.rules.coarse import coarse
from carrel.rules.condition import condition

_TRUE, _FALSE, _UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN

LOCK_CONDITIONS = frozenset({"LockLoaded", "GateProven", "EgressRecorded", "CgroupEmpty"})
"""Conditions of a NodeReport that the lock process writes."""


def not_loaded(reason: str, message: str) -> Condition:
    """Say that no lock is in force."""
    return condition("LockLoaded", _FALSE, reason, message)


def loaded(wire: WireLayer) -> Condition:
    """Say that the kernel holds the lock."""
    if wire is WireLayer.PRESENT:
        return condition(
            "LockLoaded", _TRUE, "Loaded", "The kernel holds the lock, on packets and on frames."
        )
    return condition(
        "LockLoaded",
        _TRUE,
        "LoadedWithoutWire",
        "The kernel holds the lock on packets. It has no hook on frames "
        "(CONFIG_NETFILTER_EGRESS): packet sockets are held by the missing CAP_NET_RAW alone.",
    )


def proven(verdict: Verdict) -> Condition:
    """Say that the lock was proven from inside."""
    return condition("GateProven", _TRUE, verdict.reason, verdict.message)


def unproven(verdict: Verdict) -> Condition:
    """Say that the proof failed, and why."""
    return condition("GateProven", _FALSE, verdict.reason, verdict.message)


def not_asked() -> Condition:
    """Say that the gate has not asked yet."""
    return condition("GateProven", _UNKNOWN, "NotAsked", "The gate has not asked to pass yet.")


def frozen(why: str) -> Condition:
    """Say that the pod's processes stand still, and how they go on."""
    return condition(
        "LockLoaded",
        _FALSE,
        why,
        f"{_FROZEN[why]} The lock is in force and the workspace stands still: restart it.",
    )


_FROZEN = {
    "Tampered": "Somebody changed the lock from outside.",
    "NotRecorded": "Refused attempts could not be recorded.",
    "Frozen": "It was stopped by an agent before this one.",
}


def not_bound() -> Condition:
    """Say that no start was recorded yet."""
    return condition("EgressRecorded", _UNKNOWN, "NotAsked", "No start was recorded yet.")


def may_run() -> Condition:
    """Say that processes of the pod may run."""
    return condition("CgroupEmpty", _FALSE, "MayRun", "Processes of the pod may run.")


def empty(reason: str, *, killed: int) -> Condition:
    """Say that nothing of the pod runs any more."""
    words = {
        "Killed": f"{killed} processes were killed; nothing of the pod runs any more.",
        "Exited": "All processes of the pod ended by themselves.",
        "NothingRan": "No process of a pod ran here.",
    }
    return condition("CgroupEmpty", _TRUE, reason, words[reason])


@dataclass(frozen=True)
class Said:
    """Everything that is to be said about a pod."""

    lock: Condition
    gate: Condition = not_asked()  # noqa: RUF009 - a frozen value
    recorded: Condition = not_bound()  # noqa: RUF009 - as above
    cgroup: Condition = may_run()  # noqa: RUF009 - as above
    digest: Digest | None = None
    denied: int = 0
    closed: bool = False
    gateways: tuple[str, ...] = ()
    server: ReportedServer | None = None

    def status(self, *, pod_uid: str, steps: tuple[StartStep, ...]) -> NodeReportStatus:
        """Return it as the status of a report; only fields that this process owns are set."""
        return NodeReportStatus(
            conditions=(self.lock, self.gate, self.recorded, self.cgroup),
            pod_uid=pod_uid,
            ruleset_digest=self.digest,
            denied=coarse(self.denied),
            gateways=() if self.closed else self.gateways,
            server=None if self.closed else self.server,
            steps=steps,
        )


def nothing_ran() -> NodeReportStatus:
    """Return the status for a closed workspace that has no pod here."""
    return NodeReportStatus(
        conditions=(
            not_loaded("NoSandbox", "No pod of this workspace runs here."),
            not_asked(),
            not_bound(),
            empty("NothingRan", killed=0),
        )
    )
