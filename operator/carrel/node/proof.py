"""What counts as proof that a lock holds: attempts, the kernel's counters, and who attests."""

import ipaddress
import json
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from carrel.node.canaries import Canary, Outcome, Probe, Target
from carrel.node.nft import Destination, Refused
from carrel.render.nft import TCP, UDP, Counter

_LARGEST = 16_384

_CLASSES = {
    Counter.TCP: (Probe.TCP,),
    Counter.UDP: (Probe.UDP, Probe.DNS),
    Counter.ICMP: (Probe.ICMP,),
    Counter.TOTAL: tuple(Probe),
}
_EXACT = ("internet-tcp", "internet-udp", "metadata", "node-")
"""Canaries whose destination must be counted by itself. Service addresses are left out: a
network that balances in connect(2), as Cilium may, has exchanged them before the lock sees them.
"""
K = TypeVar("K")


class Admit(StrEnum):
    """Whether user code may start."""

    YES = "Yes"
    NO = "No"


@dataclass(frozen=True)
class Verdict:
    """Whether the lock is proven, and if not, why."""

    admit: Admit
    reason: str
    """One CamelCase word."""
    message: str
    """A sentence for the report."""
    blocked: tuple[Target, ...] = ()
    """What was tried and refused."""


class NoProofError(Exception):
    """What the gate sent is not a list of canaries."""


def targets(
    *, node_addresses: Iterable[str], name_servers: Iterable[str], api_server: tuple[str, int]
) -> tuple[Target, ...]:
    """Return what every start must try, in the order in which it is tried."""
    address, port = api_server
    return (
        Target("internet-tcp", Probe.TCP, "203.0.113.1", 80),
        Target("internet-udp", Probe.UDP, "8.8.8.8", 53),
        Target("internet-icmp", Probe.ICMP, "203.0.113.1", 0),
        Target("internet-tcp6", Probe.TCP, "2001:db8::1", 80),
        Target("internet-udp6", Probe.UDP, "2001:db8::1", 53),
        Target("internet-icmp6", Probe.ICMP, "2001:db8::1", 0),
        Target("metadata", Probe.TCP, "169.254.169.254", 80),
        Target("api-server", Probe.TCP, address, port),
        Target("resolver", Probe.DNS, "127.0.0.1", 53),
        *(Target(f"dns-{i}", Probe.DNS, each, 53) for i, each in enumerate(name_servers)),
        *(Target(f"node-{i}", Probe.TCP, each, 10250) for i, each in enumerate(node_addresses)),
    )


def parse_canaries(line: bytes, *, nonce: str) -> tuple[Canary, ...]:
    """Read the gate's report. Raises NoProofError for anything but one for this nonce."""
    try:
        if len(line) > _LARGEST:
            raise NoProofError("the report is too long")
        match json.loads(line):
            case {"nonce": str(said), "canaries": list(listed)} if said == nonce:
                return tuple(_canary(raw) for raw in listed)
    except (ValueError, RecursionError) as error:
        raise NoProofError("the report is not JSON, or names an outcome that is none") from error
    raise NoProofError("the report is not for this question")


def _canary(raw: object) -> Canary:
    match raw:
        case {"name": str(name), "outcome": str(outcome), "microseconds": int(spent)}:
            return Canary(name=name, outcome=Outcome(outcome), microseconds=spent)
        case _:
            raise NoProofError("a canary lacks name, outcome or microseconds")


def judge(  # noqa: PLR0911 - one return per sentence reads as the table it is
    asked: tuple[Target, ...],
    flown: tuple[Canary, ...],
    *,
    before: Refused,
    after: Refused,
    absent: frozenset[str],
) -> Verdict:
    """Decide whether the lock is proven.

    Parameters
    ----------
    asked, flown
        What was to be tried, and what came of it.
    before, after
        What the kernel counted before the question and after the report.
    absent
        Names of targets for which the agent itself saw that there is no way to try.
    """
    outcomes = {canary.name: canary.outcome for canary in flown}
    if len(flown) != len(asked) or set(outcomes) != {target.name for target in asked}:
        return _no("CanariesMissing", "The gate did not report on every canary.")
    for target in asked:
        if outcomes[target.name] is Outcome.OPEN:
            return _no("CanaryGotThrough", f"The canary {target.name} got through.")
        if outcomes[target.name] is Outcome.BLOCKED and target.loopback:
            return _no("ServiceSilent", f"Nobody answers the canary {target.name} on loopback.")
        if outcomes[target.name] is Outcome.ABSENT and target.name not in absent:
            return _no(
                "AbsenceNotAttested",
                f"The gate finds no way to try {target.name}, but the agent sees one.",
            )
    blocked = [target for target in asked if outcomes[target.name] is Outcome.BLOCKED]
    uncounted = _uncounted(blocked, before=before, after=after)
    if uncounted:
        return _no(
            "NotCounted",
            f"The kernel did not count the refusal of {', '.join(uncounted)}: something else "
            "than the lock refused.",
        )
    for probe in (Probe.TCP, Probe.UDP):
        if not any(target.probe is probe for target in blocked):
            return _no("NothingTried", f"No {probe.upper()} canary could be tried at all.")
    message = f"{len(blocked)} attempts were refused and counted."
    return Verdict(Admit.YES, "Proven", message, tuple(blocked))


def _no(reason: str, message: str) -> Verdict:
    return Verdict(Admit.NO, reason, message)


def _uncounted(blocked: list[Target], *, before: Refused, after: Refused) -> list[str]:
    exact = [target for target in blocked if target.name.startswith(_EXACT)]
    needed = Tally(destination(target) for target in exact)
    short = {
        wanted
        for wanted, count in needed.items()
        if _rise(before.destinations, after.destinations, wanted) < count
    }
    missing = {target.name for target in exact if destination(target) in short}
    for counter, probes in _CLASSES.items():
        ours = [target.name for target in blocked if target.probe in probes]
        if _rise(before.counters, after.counters, counter) < len(ours):
            missing |= set(ours)
    return sorted(missing)


def _rise(before: Mapping[K, int], after: Mapping[K, int], key: K) -> int:
    return after.get(key, 0) - before.get(key, 0)


def exact_destinations(blocked: Iterable[Target]) -> tuple[tuple[str, int, int], ...]:
    """Return address, protocol and port of the canaries that must be found by these."""
    found = (destination(target) for target in blocked if target.name.startswith(_EXACT))
    return tuple((each.address, each.protocol, each.port) for each in found)


def destination(target: Target) -> Destination:
    """Return how the kernel names where a target points to."""
    protocol = TCP if target.probe is Probe.TCP else UDP
    return Destination(str(ipaddress.ip_address(target.address)), protocol, target.port)
