"""A verifier of tlog-tiles written from the specifications alone; shares no code with ours.

RFC 6962 section 2.1 by its recursive definitions, C2SP tlog-tiles, tlog-checkpoint,
signed-note and tlog-cosignature. Slow and plain on purpose.
"""

import base64
import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class NotProvenError(Exception):
    """The log is not what it says."""


def tree_hash(leaves: list[bytes]) -> bytes:
    """Return MTH(D) of RFC 6962, 2.1, over hashes of leaves."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = tree_hash(leaves[:split]), tree_hash(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def inclusion_path(place: int, leaves: list[bytes]) -> list[bytes]:
    """Return PATH(m, D[n]) of RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if place < split:
        return [*inclusion_path(place, leaves[:split]), tree_hash(leaves[split:])]
    return [*inclusion_path(place - split, leaves[split:]), tree_hash(leaves[:split])]


def growth_path(old: int, leaves: list[bytes], *, whole: bool = True) -> list[bytes]:
    """Return SUBPROOF(m, D[n], b) of RFC 6962, 2.1.2."""
    if old == len(leaves):
        return [] if whole else [tree_hash(leaves)]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if old <= split:
        return [*growth_path(old, leaves[:split], whole=whole), tree_hash(leaves[split:])]
    return [*growth_path(old - split, leaves[split:], whole=False), tree_hash(leaves[:split])]


def numbered(level: str, number: int, count: int) -> str:
    """Return the path of a tile."""
    text = f"{number % 1000:03d}"
    while number >= 1000:
        number //= 1000
        text = f"x{number % 1000:03d}/{text}"
    return f"tile/{level}/{text}" + ("" if count == 256 else f".p/{count}")


def signed_by(note: bytes, key: str) -> str:
    """Return the text of a note that `key` (a vkey) signed."""
    name, ident, encoded = key.split("+", 2)
    kind, public = base64.b64decode(encoded)[0], base64.b64decode(encoded)[1:]
    expected = hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]
    if expected.hex() != ident:
        raise NotProvenError("key")
    text, _, lines = note.decode().rpartition("\n\n")
    text += "\n"
    for line in lines.splitlines():
        dash, who, value = line.split(" ")
        raw = base64.b64decode(value)
        if dash != "\u2014" or who != name or raw[:4] != expected:
            continue
        message, signature = text.encode(), raw[4:]
        if kind == 4:
            at = int.from_bytes(raw[4:12], "big")
            message, signature = f"cosignature/v1\ntime {at}\n{text}".encode(), raw[12:]
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        return text
    raise NotProvenError("signature")


def entries_of(folder: Path, *, key: str) -> list[bytes]:
    """Return every entry of a log after checking every file that a client may fetch.

    Raises NotProvenError, OSError, ValueError or InvalidSignature when anything does not hold.
    """
    origin, size_line, root_line = signed_by((folder / "checkpoint").read_bytes(), key).split("\n")[
        :3
    ]
    size, root = int(size_line), base64.b64decode(root_line)
    if origin != key.split("+", 1)[0] or str(size) != size_line:
        raise NotProvenError("checkpoint")
    entries: list[bytes] = []
    for number in range((size + 255) // 256):
        count = min(256, size - number * 256)
        data = (folder / numbered("entries", number, count)).read_bytes()
        for _ in range(count):
            length = int.from_bytes(data[:2], "big")
            if len(data) < 2 + length:
                raise NotProvenError("bundle")
            entries.append(data[2 : 2 + length])
            data = data[2 + length :]
        if data:
            raise NotProvenError("bundle")
    leaves = [hashlib.sha256(b"\x00" + entry).digest() for entry in entries]
    if tree_hash(leaves) != root:
        raise NotProvenError("root")
    _check_tiles(folder, leaves)
    return entries


def _check_tiles(folder: Path, leaves: list[bytes]) -> None:
    level, row = 0, leaves
    while row:
        for number in range((len(row) + 255) // 256):
            part = row[number * 256 : number * 256 + 256]
            path = folder / numbered(str(level), number, len(part))
            if path.read_bytes() != b"".join(part):
                raise NotProvenError("tile")
        whole = len(row) // 256
        row = [tree_hash(row[at * 256 : at * 256 + 256]) for at in range(whole)]
        level += 1
