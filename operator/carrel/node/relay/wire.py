"""DNS messages: what a stub resolver asks, and the few answers that a workspace gets (RFC 1035).

Only what is needed is read, and nothing is followed: a question has no business with compression
pointers, and what lies behind the question matters only for an OPT record (RFC 6891).
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

SHORTEST = 12
"""Bytes of a header: what is shorter cannot even be answered."""
LONGEST_NAME = 255
"""Bytes of a name on the wire, with its root label (RFC 1035, 3.1)."""
IN = 1
ANY = 255
BLOCKED = 15
"""Extended DNS Error "Blocked" (RFC 8914)."""

_HEADER = struct.Struct("!HHHHHH")
_TYPE_AND_CLASS = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
_RESPONSE = 0x8000
_OPCODE = 0x7800
_AUTHORITATIVE = 0x0400
_RECURSION_DESIRED = 0x0100
# A stub that is told "no recursion here" asks nobody else, but some print a warning each time.
_RECURSION_AVAILABLE = 0x0080
_OPT = 41
_EDE = 15
_UDP_SIZE = 1232
_TTL = 0
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


class Type(IntEnum):
    """Types of records that have a name here."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    NULL = 10
    PTR = 12
    MX = 15
    TXT = 16
    AAAA = 28
    SRV = 33
    SVCB = 64
    HTTPS = 65
    AXFR = 252
    ANY = 255


_NAMES = {kind.value: kind.name for kind in Type}


class Code(IntEnum):
    """Response codes."""

    NO_ERROR = 0
    MALFORMED = 1
    NO_SUCH_NAME = 3
    NOT_IMPLEMENTED = 4
    REFUSED = 5


class Extended(IntEnum):
    """Whether the one who asks understands OPT records."""

    NO = 0
    YES = 1


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    ident: int
    flags: int
    name: str
    """Escaped as zone files do (RFC 1035, 5.1), without the final dot; empty for the root."""
    qtype: int
    qclass: int
    raw: bytes
    """The question as it came; it is given back unchanged, letter case included."""
    extended: Extended


@dataclass(frozen=True, slots=True)
class Malformed:
    """A question that cannot be understood, but be answered."""

    ident: int
    flags: int
    code: Code
    why: str


def read(message: bytes) -> Question | Malformed | None:
    """Read a query; None for what must not be answered: too short, or itself an answer.

    Never raises, whatever the bytes are; looks at each byte at most once.
    """
    if len(message) < SHORTEST:
        return None
    ident, flags, questions, answers, authorities, additional = _HEADER.unpack_from(message)
    if flags & _RESPONSE:
        return None
    if flags & _OPCODE:
        return Malformed(ident, flags, Code.NOT_IMPLEMENTED, "operation is not a query")
    labels, end = _labels(message)
    opt = None if labels is None else _has_opt(message, end + 4, additional)
    if questions != 1 or answers or authorities:
        why = "not exactly one question"
    elif labels is None:
        why = "name is cut, too long or compressed"
    elif opt is None:
        why = "message is cut"
    else:
        qtype, qclass = _TYPE_AND_CLASS.unpack_from(message, end)
        name = ".".join([_escaped(label) for label in labels])
        return Question(ident, flags, name, qtype, qclass, message[SHORTEST : end + 4], opt)
    return Malformed(ident, flags, Code.MALFORMED, why)


def blocked(question: Question, *, code: Code, text: str) -> bytes:
    """Return the refusal of a question, with Extended DNS Error 15 for who understands it."""
    return _head(question, code, answers=0) + question.raw + _opt(question, text)


def malformed(fault: Malformed) -> bytes:
    """Return the answer to what could not be understood: a header alone."""
    flags = _RESPONSE | (fault.flags & (_OPCODE | _RECURSION_DESIRED)) | fault.code
    return _HEADER.pack(fault.ident, flags, 0, 0, 0, 0)


def answer(question: Question, records: tuple[tuple[Type, bytes], ...]) -> bytes:
    """Return an answer with records of the name that was asked; none of them is to be kept."""
    # 0xC00C points to the name in the question, which stands right behind the header.
    body = b"".join(
        b"\xc0\x0c" + _RECORD.pack(kind, IN, _TTL, len(data)) + data for kind, data in records
    )
    head = _head(question, Code.NO_ERROR, answers=len(records))
    return head + question.raw + body + _opt(question, "")


def name_to_wire(name: str) -> bytes:
    """Return a plain name on the wire, as the data of a PTR record needs it."""
    labels = [label.encode("ascii") for label in name.split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def type_name(qtype: int) -> str:
    """Return what people call a type of records; TYPE123 for the rest (RFC 3597)."""
    return _NAMES.get(qtype) or f"TYPE{qtype}"


def _labels(message: bytes) -> tuple[list[bytes] | None, int]:
    labels: list[bytes] = []
    at, size = SHORTEST, len(message)
    while at < size:
        length = message[at]
        at += 1
        if length == 0:
            return (labels, at) if at - SHORTEST <= LONGEST_NAME else (None, at)
        if length > 63 or at + length > size or at - SHORTEST > LONGEST_NAME:
            break
        labels.append(message[at : at + length])
        at += length
    return None, at


def _has_opt(message: bytes, at: int, additional: int) -> Extended | None:
    """Tell whether an OPT record is among the first additional records; None when they are cut."""
    if at > len(message):
        return None
    # A stub sends one, with TSIG or SIG(0) two; whoever sends more wants to keep us busy.
    for _ in range(min(additional, 4)):
        at = _behind_name(message, at)
        if at < 0 or at + _RECORD.size > len(message):
            return None
        kind, _, _, length = _RECORD.unpack_from(message, at)
        at += _RECORD.size + length
        if at > len(message):
            return None
        if kind == _OPT:
            return Extended.YES
    return Extended.NO


def _behind_name(message: bytes, at: int) -> int:
    while at < len(message):
        length = message[at]
        if length == 0:
            return at + 1
        if length >= 0xC0:
            return at + 2
        if length > 63:
            return -1
        at += 1 + length
    return -1


def _escaped(label: bytes) -> str:
    if _PLAIN.issuperset(label):
        return label.decode("ascii")
    return "".join(
        chr(byte)
        if byte in _PLAIN
        else f"\\{chr(byte)}"
        if 0x21 <= byte <= 0x7E
        else f"\\{byte:03d}"
        for byte in label
    )


def _head(question: Question, code: Code, *, answers: int) -> bytes:
    flags = (
        _RESPONSE
        | _AUTHORITATIVE
        | _RECURSION_AVAILABLE
        | (question.flags & _RECURSION_DESIRED)
        | code
    )
    additional = 1 if question.extended is Extended.YES else 0
    return _HEADER.pack(question.ident, flags, 1, answers, 0, additional)


def _opt(question: Question, text: str) -> bytes:
    if question.extended is Extended.NO:
        return b""
    options = b""
    if text:
        content = struct.pack("!H", BLOCKED) + text.encode()
        options = struct.pack("!HH", _EDE, len(content)) + content
    return b"\0" + _RECORD.pack(_OPT, _UDP_SIZE, 0, len(options)) + options
