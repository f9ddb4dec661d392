"""One question to a resolver, to know that names are answered; nothing else of DNS is needed."""

import socket
import struct
import sys
from typing import Final

_SECONDS: Final = 2.0
_ASK_RECURSION: Final = 0x0100
_TYPE_A: Final = 1
_CLASS_INTERNET: Final = 1


def question(name: str, *, number: int) -> bytes:
    """Build a query for the IPv4 address of `name` in wire format (RFC 1035, section 4.1)."""
    header = struct.pack(">6H", number, _ASK_RECURSION, 1, 0, 0, 0)
    labels = b"".join(bytes([len(part)]) + part.encode("ascii") for part in name.split("."))
    return header + labels + b"\0" + struct.pack(">2H", _TYPE_A, _CLASS_INTERNET)


def answers(reply: bytes, *, number: int) -> bool:
    """Whether the reply belongs to the question, reports no error and holds an answer."""
    if len(reply) < 12:
        return False
    got, flags, _, count = struct.unpack(">4H", reply[:8])
    return bool(got == number and flags & 0x8000 and not flags & 0x000F and count)


def ask(server: str, name: str) -> bool:
    """Ask once; no reply in time is False."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(_SECONDS)
        try:
            link.connect((server, 53))
            link.send(question(name, number=1))
            return answers(link.recv(4096), number=1)
        except OSError:
            return False


if __name__ == "__main__":
    raise SystemExit(0 if ask(sys.argv[1], sys.argv[2]) else 1)
