"""What one refused packet says: where it wanted to go, from its first bytes.

A user wrote these bytes: nothing in them may raise, and whatever of them is shown is escaped.
"""

import ipaddress
import struct
from enum import StrEnum
from typing import NamedTuple

from carrel.render.nft import TCP, UDP


class Direction(StrEnum):
    """Where a packet was refused; the prefix that the rule set gives the kernel's log."""

    OUT = "out"
    """On its way out, by the IP stack's rules."""
    IN = "in"
    """On its way in."""
    WIRE = "wire"
    """At the device: it came past the IP stack."""


class Flow(NamedTuple):
    """What packets have in common that are counted together."""

    direction: Direction
    address: str
    """The other end: destination, or source of what wanted in; empty when it cannot be read."""
    protocol: int
    """IP protocol number; -1 for a frame that holds no IP packet."""
    port: int | None
    """Destination port; None for protocols without ports and for later fragments."""
    user: int | None
    """User ID of the sending process as the node sees it; None when no process owns it."""
    question: bytes = b""
    """The question of a DNS query as it was sent; empty for anything else."""


class Question(NamedTuple):
    """A DNS question (RFC 1035, 4.1.2)."""

    name: str
    """The name in escaped ASCII (RFC 4343, 2.1), with `?` at its end when bytes are missing."""
    type: int | None
    """QTYPE; None when it is missing."""


NOT_IP = -1
_PORTS = frozenset({TCP, UDP, 33, 132, 136})
_EXTENSIONS = frozenset({0, 43, 60, 135})
"""IPv6 extension headers of a length of their own (RFC 8200): options, routing, mobility."""
_FRAGMENT, _AUTHENTICATION = 44, 51
_DNS_HEADER = 12
_LONGEST_NAME = 320
_IPV4, _IPV6 = 0x0800, 0x86DD


def flow_of(
    packet: bytes, *, direction: Direction, ethertype: int, user: int | None = None
) -> Flow:
    """Return the flow of a packet that may be cut anywhere."""
    if direction is Direction.WIRE:
        packet, ethertype = _unframed(packet, ethertype)
    if ethertype == _IPV4 and len(packet) >= 20 and packet[0] >> 4 == 4:
        return _ipv4(packet, direction, user)
    if ethertype == _IPV6 and len(packet) >= 40 and packet[0] >> 4 == 6:
        return _ipv6(packet, direction, user)
    return Flow(direction, "", NOT_IP, None, user)


def _unframed(frame: bytes, ethertype: int) -> tuple[bytes, int]:
    """Take the Ethernet header away; its own type counts, behind at most two VLAN tags."""
    at = 12
    for _ in range(3):
        if len(frame) < at + 2:
            return b"", ethertype
        found = int.from_bytes(frame[at : at + 2], "big")
        at += 2
        if found not in (0x8100, 0x88A8):
            return frame[at:], found
        at += 2
    return b"", ethertype


def _ipv4(packet: bytes, direction: Direction, user: int | None) -> Flow:
    protocol = packet[9]
    far = packet[12:16] if direction is Direction.IN else packet[16:20]
    offset = int.from_bytes(packet[6:8], "big") & 0x1FFF
    rest = b"" if offset else packet[(packet[0] & 15) * 4 :]
    return _with_ports(direction, str(ipaddress.IPv4Address(far)), protocol, rest, user)


def _ipv6(packet: bytes, direction: Direction, user: int | None) -> Flow:
    far = packet[8:24] if direction is Direction.IN else packet[24:40]
    protocol, rest = packet[6], packet[40:]
    while protocol in _EXTENSIONS or protocol in (_FRAGMENT, _AUTHENTICATION):
        if len(rest) < 8:
            rest = b""
            break
        size = {_FRAGMENT: 8, _AUTHENTICATION: (rest[1] + 2) * 4}.get(protocol, rest[1] * 8 + 8)
        later = protocol == _FRAGMENT and int.from_bytes(rest[2:4], "big") >> 3
        protocol, rest = rest[0], b"" if later else rest[size:]
        if later:
            break
    return _with_ports(direction, str(ipaddress.IPv6Address(far)), protocol, rest, user)


def _with_ports(
    direction: Direction, address: str, protocol: int, rest: bytes, user: int | None
) -> Flow:
    if protocol not in _PORTS or len(rest) < 4:
        return Flow(direction, address, protocol, None, user)
    port = int.from_bytes(rest[2:4], "big")
    question = b""
    if protocol == UDP and port == 53 and direction is not Direction.IN:
        question = rest[8 + _DNS_HEADER :][:_LONGEST_NAME]
    return Flow(direction, address, protocol, port, user, question)


def read_question(raw: bytes) -> Question:
    """Decode a question. Whatever the bytes are, something printable comes back."""
    labels: list[str] = []
    at = 0
    while True:
        if at >= len(raw) or raw[at] > 63:
            # Cut off, or a pointer, which a question has no reason to hold.
            return Question(".".join([*labels, "?"]), None)
        size = raw[at]
        label = raw[at + 1 : at + 1 + size]
        at += 1 + size
        if size == 0:
            break
        labels.append(_escaped(label) + ("?" if len(label) < size else ""))
        if len(label) < size:
            return Question(".".join(labels), None)
    kind = struct.unpack_from("!H", raw, at)[0] if len(raw) >= at + 2 else None
    return Question(".".join(labels) or ".", kind)


def _escaped(label: bytes) -> str:
    return "".join(
        chr(byte) if 0x20 < byte < 0x7F and byte not in b'."\\' else f"\\{byte:03}"
        for byte in label
    )
