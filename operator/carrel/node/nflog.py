"""The kernel's log of refused packets: a netlink socket of one network namespace, and its form.

Written after linux/netfilter/nfnetlink_log.h. The kernel numbers what it logs in each group
(NFULNL_CFG_F_SEQ), also what finds no room in the socket: what was lost is known exactly.
"""

import socket
import struct
from collections import Counter
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from carrel.node.flow import Direction, Flow, flow_of
from carrel.render.nft import TCP, UDP

_NETLINK_NETFILTER = 12
_SOL_NETLINK, _NETLINK_NO_ENOBUFS = 270, 5
_SO_RCVBUFFORCE = 33
_CONFIG, PACKET = 0x0401, 0x0400
"""Message types: subsystem 4 (NFNL_SUBSYS_ULOG), message 1 or 0."""
_REQUEST_ACK = 0x5
_BIND = 1
_CMD, _MODE, _BUFFER, _TIMEOUT, _THRESHOLD, _FLAGS = 1, 2, 3, 4, 5, 6
_COPY_PACKET = 2
_NUMBERED = 1

RECEIVE_BYTES = 32 * 1024 * 1024
"""What the kernel may keep of one pod while nobody reads; used only while something waits."""
# The kernel takes this much of the receive buffer for a batch, however little is in it.
_BATCH_BYTES, _BATCH_PACKETS = 16_384, 128
_LATEST = 1
"""Hundredths of a second until a batch that is not full is sent."""
LARGEST_BATCH = 131_072
"""Bytes that hold whatever the kernel sends at once."""

_HEADER = struct.Struct("=IHHII")
_GROUP = struct.Struct("!BBH")
_ATTRIBUTE = struct.Struct("=HH")


class NflogError(OSError):
    """The kernel refuses to log into this socket."""


def open_nflog(groups: tuple[int, ...]) -> socket.socket:
    """Open the log of the present network namespace; one socket of a namespace may have a group.

    Raises NflogError, for one with EBUSY when another socket already has a group.
    """
    channel = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER
    )
    try:
        channel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BYTES)
        # What was lost is seen by the numbers; an error besides would only cost a read.
        channel.setsockopt(_SOL_NETLINK, _NETLINK_NO_ENOBUFS, 1)
        channel.bind((0, 0))
        for group in groups:
            _configure(channel, group, _CMD, struct.pack("!B", _BIND))
            _configure(channel, group, _BUFFER, struct.pack("!I", _BATCH_BYTES))
            _configure(channel, group, _THRESHOLD, struct.pack("!I", _BATCH_PACKETS))
            _configure(channel, group, _TIMEOUT, struct.pack("!I", _LATEST))
            _configure(channel, group, _FLAGS, struct.pack("!H", _NUMBERED))
            _configure(channel, group, _MODE, struct.pack("!IBB", 0xFFFF, _COPY_PACKET, 0))
    except OSError:
        channel.close()
        raise
    return channel


def _configure(channel: socket.socket, group: int, kind: int, value: bytes) -> None:
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value
    body = _GROUP.pack(socket.AF_UNSPEC, 0, group) + attribute + b"\0" * (-len(attribute) % 4)
    message = _HEADER.pack(_HEADER.size + len(body), _CONFIG, _REQUEST_ACK, kind, 0) + body
    channel.setblocking(True)
    channel.send(message)
    answer = channel.recv(4096)
    channel.setblocking(False)
    refused = -struct.unpack_from("=i", answer, _HEADER.size)[0]
    if refused:
        raise NflogError(refused, f"NFLOG group {group} is not to be had (setting {kind})")


@dataclass(frozen=True)
class Batch:
    """What the kernel sent at once: packets of one group, numbered without holes."""

    group: int
    first: int
    """Number of the first packet, modulo 2**32."""
    packets: Counter[Flow]


_PACKET_HEADER, _PAYLOAD, _PREFIX, _USER, _SEQUENCE = 1, 9, 10, 11, 12
_TYPE_MASK = 0x3FFF

# What a flood looks like: one way out, a user, and headers without options. A batch is read in
# one step; one that differs anywhere is read attribute by attribute.
_HEAD = "=IH10x4s8x8s4s4x4s4s8x4s4x4s"
_TAIL = {4: "B5x2sxB6x4s2x2s", 6: "B5xBx16x16s2x2s"}
_SEQUENCE_AT, _BODY_AT = 64, 72
_DONE = struct.pack("=IH", 20, 3)
"""NLMSG_DONE, which ends a batch of more than one packet."""
_OUT = _ATTRIBUTE.pack(8, _PREFIX) + b"out\0"
_HEADERS = (
    _ATTRIBUTE.pack(8, 5),
    _ATTRIBUTE.pack(8, _USER),
    _ATTRIBUTE.pack(8, _SEQUENCE),
)


def read_batch(data: bytes) -> Batch | None:
    """Read what one receive returned; None for what holds no packet.

    Whatever bytes a user put into packets, this returns; it does not raise.
    """
    return _read_flood(data) or _read_each(data)


@cache
def _form(version: int, length: int) -> struct.Struct:
    known = struct.calcsize(_HEAD + _TAIL[version])
    return struct.Struct(f"{_HEAD}{_TAIL[version]}{length - known}x")


def _read_flood(data: bytes) -> Batch | None:
    if len(data) < _BODY_AT + 44:
        return None
    length, version = int.from_bytes(data[:4], "little"), data[_BODY_AT] >> 4
    if data[-20:-14] == _DONE:
        data = data[:-20]
    too_short = version not in _TAIL or length < _BODY_AT + (24 if version == 4 else 44)
    if too_short or length > 2048 or len(data) % length:
        return None
    counted = Counter(_form(version, length).iter_unpack(data))
    group = data[16:20]
    packets: Counter[Flow] = Counter()
    for key, count in counted.items():
        found_length, kind, found_group, prefix, device, owner, user, numbered, body, *rest = key
        known = (device, owner, numbered) == _HEADERS and prefix == _OUT and body[2:] == b"\x09\0"
        if (found_length, kind, found_group) != (length, PACKET, group) or not known:
            return None
        flow = _flood_flow(version, rest, user)
        if flow is None:
            return None
        packets[flow] += count
    first = int.from_bytes(data[_SEQUENCE_AT : _SEQUENCE_AT + 4], "big")
    return Batch(int.from_bytes(group[2:], "big"), first, packets)


def _flood_flow(version: int, rest: list[Any], user: bytes) -> Flow | None:
    if version == 4:
        start, fragment, protocol, address, port = rest
        plain = start == 0x45 and int.from_bytes(fragment, "big") & 0x1FFF == 0
        text = str(IPv4Address(address))
    else:
        start, protocol, address, port = rest
        plain = start >> 4 == 6
        text = str(IPv6Address(address))
    number = int.from_bytes(port, "big")
    if not plain or protocol not in (TCP, UDP) or (protocol == UDP and number == 53):
        return None
    return Flow(Direction.OUT, text, protocol, number, int.from_bytes(user, "big"))


def _read_each(data: bytes) -> Batch | None:
    packets: Counter[Flow] = Counter()
    group, first, at = 0, None, 0
    while at + 20 <= len(data):
        length, kind = _HEADER.unpack_from(data, at)[:2]
        if length < 20:
            break
        if kind == PACKET:
            message = data[at : at + length]
            group = int.from_bytes(message[18:20], "big")
            number, flow = _read_message(message)
            first = number if first is None else first
            packets[flow] += 1
        at += (length + 3) & ~3
    return None if first is None else Batch(group, first, packets)


def _read_message(message: bytes) -> tuple[int, Flow]:
    found: dict[int, bytes] = {}
    at = 20
    while at + 4 <= len(message):
        size, kind = _ATTRIBUTE.unpack_from(message, at)
        if size < 4:
            break
        found[kind & _TYPE_MASK] = message[at + 4 : at + size]
        at += (size + 3) & ~3
    user = found.get(_USER)
    prefix = found.get(_PREFIX, b"").rstrip(b"\0").decode("ascii", "replace")
    flow = flow_of(
        found.get(_PAYLOAD, b""),
        direction=Direction(prefix) if prefix in set(Direction) else Direction.WIRE,
        ethertype=int.from_bytes(found.get(_PACKET_HEADER, b"")[:2], "big"),
        user=int.from_bytes(user, "big") if user else None,
    )
    return int.from_bytes(found.get(_SEQUENCE, b""), "big"), flow
