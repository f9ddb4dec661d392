"""The loopback services of a pod, as the lock opens them: sockets that others serve.

A pod looks names up at 127.0.0.1 (its resolv.conf), and installers and `carrel` are told that
address too, so nothing listens on ::1: what asks there is refused at once by the kernel. No
socket is shared (SO_REUSEPORT), so nobody in the pod can listen on the same address beside it.
"""

import logging
import socket
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType

from carrel.node.handover import Kind

log = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"
SERVICES: Mapping[Kind, tuple[socket.SocketKind, int]] = MappingProxyType(
    {
        Kind.DNS_UDP: (socket.SOCK_DGRAM, 53),
        Kind.DNS_TCP: (socket.SOCK_STREAM, 53),
        Kind.MIRROR: (socket.SOCK_STREAM, 3141),
        Kind.DESK: (socket.SOCK_STREAM, 3142),
    }
)
"""Type and port of each socket."""
_BACKLOG = 128
# A name that is answered and counts as no refusal (RFC 6761).
_QUESTION = struct.pack("!HHHHHH", 1, 0x0100, 1, 0, 0, 0) + b"\x09localhost\0\0\x01\0\x01"


def open_services(kinds: Iterable[Kind]) -> dict[Kind, socket.socket]:
    """Open sockets in the present network namespace, as many of `kinds` as are to be had.

    Who may bind port 53 is decided by the namespace's owner: root of the node may, also in a pod
    with a user namespace of its own.
    """
    opened = {}
    for kind in kinds:
        form, port = SERVICES[kind]
        channel = socket.socket(socket.AF_INET, form | socket.SOCK_NONBLOCK)
        try:
            if form is socket.SOCK_STREAM:
                # Connections that ended a moment ago must not keep a new agent waiting.
                channel.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            channel.bind((ADDRESS, port))
            if form is socket.SOCK_STREAM:
                channel.listen(_BACKLOG)
        except OSError as error:
            channel.close()
            log.info("service not opened", extra={"service": kind, "error": str(error)})
            continue
        opened[kind] = channel
    return opened


def resolver_answers(*, seconds: float) -> bool:
    """Tell whether somebody serves the present namespace's resolver; its answer is not read."""
    form, port = SERVICES[Kind.DNS_UDP]
    with socket.socket(socket.AF_INET, form) as channel, suppress(OSError):
        channel.settimeout(seconds)
        channel.connect((ADDRESS, port))
        channel.send(_QUESTION)
        channel.recv(1)
        return True
    return False
