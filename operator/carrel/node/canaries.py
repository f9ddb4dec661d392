"""Canaries: attempts to get out that must fail, and what each attempt met.

Only the standard library: this runs in every workspace pod before user code.
"""

import errno
import os
import socket
import struct
import time
from dataclasses import dataclass
from enum import StrEnum

SECONDS = 0.5
"""How long an attempt waits: the lock answers within microseconds."""


class Probe(StrEnum):
    """How an attempt is made."""

    TCP = "tcp"
    """Connect."""
    UDP = "udp"
    """Send one datagram and wait for what comes back."""
    ICMP = "icmp"
    """Echo request from an unprivileged ping socket."""
    DNS = "dns"
    """Ask a name server for a name that must not be answered."""


class Outcome(StrEnum):
    """What an attempt met."""

    BLOCKED = "Blocked"
    """Refused, or nothing came back: counts only when the kernel counted the refusal."""
    ABSENT = "Absent"
    """There is no way to try: no route, no such socket, nobody listens on loopback."""
    OPEN = "Open"
    """Something got through."""


@dataclass(frozen=True)
class Target:
    """One attempt to make."""

    name: str
    probe: Probe
    address: str
    port: int

    @property
    def family(self) -> socket.AddressFamily:
        """Address family of the address."""
        return socket.AF_INET6 if ":" in self.address else socket.AF_INET

    @property
    def loopback(self) -> bool:
        """Whether the attempt stays inside the pod."""
        return self.address == "::1" or self.address.startswith("127.")


@dataclass(frozen=True)
class Canary:
    """One attempt and what it met."""

    name: str
    outcome: Outcome
    microseconds: int


# A refusal by the lock, by a host or by a router looks alike from here; the kernel's counters
# tell them apart.
_REFUSED = {
    errno.ECONNREFUSED,
    errno.EPERM,
    errno.EHOSTUNREACH,
    errno.ETIMEDOUT,
    errno.ECONNRESET,
    errno.EHOSTDOWN,
}
_ABSENT = {
    errno.ENETUNREACH,
    errno.EAFNOSUPPORT,
    errno.EADDRNOTAVAIL,
    errno.EACCES,
    errno.EPROTONOSUPPORT,
    errno.ESOCKTNOSUPPORT,
}


def fly(target: Target) -> Canary:
    """Make one attempt; never raises."""
    begun = time.perf_counter_ns()
    try:
        outcome = _ATTEMPTS[target.probe](target)
    except TimeoutError:
        outcome = Outcome.BLOCKED
    except OSError as error:
        outcome = _outcome(error.errno, loopback=target.loopback)
    spent = (time.perf_counter_ns() - begun) // 1000
    return Canary(name=target.name, outcome=outcome, microseconds=spent)


def _outcome(number: int | None, *, loopback: bool) -> Outcome:
    if loopback and number == errno.ECONNREFUSED:
        return Outcome.ABSENT  # nobody listens there, and the lock lets loopback alone
    if number in _REFUSED:
        return Outcome.BLOCKED
    # What is not understood is not safe.
    return Outcome.ABSENT if number in _ABSENT else Outcome.OPEN


def _tcp(target: Target) -> Outcome:
    with socket.socket(target.family, socket.SOCK_STREAM) as channel:
        channel.settimeout(SECONDS)
        channel.connect((target.address, target.port))
    return Outcome.OPEN


def _udp(target: Target) -> Outcome:
    with socket.socket(target.family, socket.SOCK_DGRAM) as channel:
        channel.settimeout(SECONDS)
        channel.connect((target.address, target.port))
        channel.send(b"carrel-canary")
        channel.recv(512)
    return Outcome.OPEN


_IPV6_RECVERR = 25


def _icmp(target: Target) -> Outcome:
    six = target.family == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    with socket.socket(target.family, socket.SOCK_DGRAM, protocol) as channel:
        channel.settimeout(SECONDS)
        if six:
            # A refused ICMPv6 echo is sent without an error; it comes back as one when asked for.
            channel.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        channel.connect((target.address, 0))
        echo = struct.pack("!BBHHH", 128 if six else 8, 0, 0, 0, 1) + b"carrel-canary"
        try:
            channel.send(echo)
            channel.recv(512)
        except PermissionError:
            return Outcome.BLOCKED
    return Outcome.OPEN


_NAME_ERROR = 3
_LABEL = "canary-"


def is_canary(name: str | None) -> bool:
    """Tell whether a name that was looked up is one of ours."""
    first, _, rest = (name or "").partition(".")
    return first.startswith(_LABEL) and rest == "example"


def _dns(target: Target) -> Outcome:
    label = f"{_LABEL}{os.getpid()}".encode()
    name = b"".join(bytes([len(part)]) + part for part in (label, b"example")) + b"\0"
    question = struct.pack("!HHHHHH", os.getpid() & 0xFFFF, 0x0100, 1, 0, 0, 0) + name
    with socket.socket(target.family, socket.SOCK_DGRAM) as channel:
        channel.settimeout(SECONDS)
        channel.connect((target.address, target.port))
        channel.send(question + struct.pack("!HH", 1, 1))
        answer = channel.recv(512)
    # A resolver inside the pod may answer that there is no such name; that is its refusal.
    refused = target.loopback and len(answer) > 3 and answer[3] & 0x0F == _NAME_ERROR
    return Outcome.ABSENT if refused else Outcome.OPEN


_ATTEMPTS = {Probe.TCP: _tcp, Probe.UDP: _udp, Probe.ICMP: _icmp, Probe.DNS: _dns}
