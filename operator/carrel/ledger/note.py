"""Signed notes (C2SP signed-note) with Ed25519, and cosignatures (C2SP tlog-cosignature).

A note is a text and signatures under it. Signatures of keys that nobody asked for are left
alone, so that logs and witnesses may add theirs; one that is asked for must hold.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from carrel.ledger.errors import EvidenceError

LARGEST_NOTE = 64 * 1024
MOST_SIGNATURES = 64
_LATEST = 2**63 - 1

_NAME = re.compile(r"[^\s+\x00-\x1f]{1,255}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_SIGNATURE = re.compile(r"— (?P<name>[^\s+]+) (?P<value>[A-Za-z0-9+/]+=*)")


class KeyType(IntEnum):
    """What a key signs, by the identifier byte of the specification."""

    LOG = 0x01
    """The text of the note."""
    COSIGNER = 0x04
    """The text of a checkpoint together with the time at which it was seen."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A line under a note."""

    name: str
    """Name of the key."""
    key_id: bytes
    """Four bytes that tell keys of one name apart."""
    value: bytes
    """The signature itself; of a cosigner with the time before it."""

    @property
    def line(self) -> str:
        """The line, newline included."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.value).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text with the signatures under it, none of which has been verified."""

    text: str
    """Text, newline at its end included."""
    signatures: tuple[Signature, ...]

    @property
    def data(self) -> bytes:
        """The note as it is sent and stored."""
        return (self.text + "\n" + "".join(each.line for each in self.signatures)).encode()

    def with_signatures(self, more: Iterable[Signature]) -> "Note":
        """Return this note with signatures added, one for each key, the newer one kept."""
        kept = {(each.name, each.key_id): each for each in (*self.signatures, *more)}
        return Note(self.text, tuple(kept.values()))


@dataclass(frozen=True, slots=True)
class Verified:
    """A signature that holds."""

    key: "VerifierKey"
    time: int | None
    """When a cosigner saw the text, in seconds since 1970; None for a log's own signature."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key by which notes are checked."""

    name: str
    """Name of the key."""
    of: KeyType
    """What it signs."""
    public: bytes
    """Ed25519 public key, 32 bytes (RFC 8032)."""

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read a key written as `<name>+<key ID>+<type and key>`.

        Raises:
            EvidenceError: when it is none, or its parts do not fit together.

        """
        parts = text.strip().split("+", 2)
        try:
            name, key_id, encoded = parts
            data = base64.b64decode(encoded, validate=True)
            key = cls(name, KeyType(data[0]), data[1:])
        except (ValueError, IndexError) as error:
            raise EvidenceError("key_is_malformed", f"{text[:100]!r}") from error
        if len(key.public) != 32 or not _NAME.fullmatch(name):
            raise EvidenceError("key_is_malformed", f"{text[:100]!r}")
        if key.key_id.hex() != key_id:
            raise EvidenceError("key_is_malformed", f"{text[:100]!r}: its ID is {key.key_id.hex()}")
        return key

    @property
    def key_id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        named = self.name.encode() + b"\n" + bytes([self.of]) + self.public
        return hashlib.sha256(named).digest()[:4]

    @property
    def text(self) -> str:
        """The key as it is configured: `<name>+<key ID>+<type and key>`."""
        encoded = base64.b64encode(bytes([self.of]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{encoded}"

    def verify(self, text: str, signature: Signature) -> Verified:
        """Check one signature over `text`.

        Raises:
            EvidenceError: when it does not hold.

        """
        time, value, message = None, signature.value, text.encode()
        if self.of is KeyType.COSIGNER:
            time, value = int.from_bytes(value[:8], "big"), value[8:]
            message = _cosigned(text, time=time)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(value, message)
        except (InvalidSignature, ValueError) as error:
            raise EvidenceError(
                "signature_does_not_match", f"that of {self.name} is not over this text"
            ) from error
        if time is not None and not 0 < time <= _LATEST:
            raise EvidenceError("signature_has_no_time", f"that of {self.name} says {time}")
        return Verified(self, time)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its name."""

    name: str
    of: KeyType
    private: Ed25519PrivateKey

    def __post_init__(self) -> None:
        """Refuse names that would make lines that nobody can read back."""
        if not _NAME.fullmatch(self.name):
            raise EvidenceError(
                "key_is_malformed", f"name {self.name[:100]!r}: no spaces, no plus, 1 to 255 long"
            )

    @property
    def verifier(self) -> VerifierKey:
        """Return the public half."""
        return VerifierKey(self.name, self.of, self.private.public_key().public_bytes_raw())

    def sign(self, text: str) -> Signature:
        """Sign a text, which ends in a newline, as a log."""
        _check(text)
        return Signature(self.name, self.verifier.key_id, self.private.sign(text.encode()))

    def cosign(self, text: str, *, time: int) -> Signature:
        """Say that `text` was seen at `time`, in seconds since 1970."""
        _check(text)
        value = time.to_bytes(8, "big") + self.private.sign(_cosigned(text, time=time))
        return Signature(self.name, self.verifier.key_id, value)


def parse_note(data: bytes) -> Note:
    """Read a note without verifying it.

    Raises:
        EvidenceError: when it is no note.

    """
    if len(data) > LARGEST_NOTE:
        raise EvidenceError("note_is_too_long", f"{len(data):,} bytes, at most {LARGEST_NOTE:,}")
    try:
        whole = data.decode()
    except UnicodeDecodeError as error:
        raise EvidenceError("note_is_malformed", "it is not UTF-8") from error
    body, blank, lines = whole.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise EvidenceError("note_is_malformed", "no blank line stands before signatures")
    _check(body + "\n")
    return Note(body + "\n", parse_signatures(lines))


def parse_signatures(lines: str) -> tuple[Signature, ...]:
    """Read lines of signatures, each of which ends in a newline.

    Raises:
        EvidenceError: when one is malformed, there are too many, or the last is cut off.

    """
    found = []
    *whole, rest = lines.split("\n")
    if rest or not whole or len(whole) > MOST_SIGNATURES:
        raise EvidenceError("note_is_malformed", f"{len(whole)} whole lines of signatures")
    for line in whole:
        match = _SIGNATURE.fullmatch(line)
        try:
            value = base64.b64decode(match["value"] if match else "", validate=True)
        except binascii.Error:
            value = b""
        if match is None or len(value) < 5:
            raise EvidenceError("note_is_malformed", f"{line[:100]!r} is no signature")
        found.append(Signature(match["name"], value[:4], value[4:]))
    return tuple(found)


def verify_note(note: Note, keys: Iterable[VerifierKey]) -> tuple[Verified, ...]:
    """Return who of `keys` signed; there is at least one.

    Raises:
        EvidenceError: when nobody of them did, or a signature of one does not hold.

    """
    known = {(key.name, key.key_id): key for key in keys}
    verified = [
        known[each.name, each.key_id].verify(note.text, each)
        for each in note.signatures
        if (each.name, each.key_id) in known
    ]
    if not verified:
        names = ", ".join(sorted({name for name, _ in known})) or "nobody"
        raise EvidenceError("note_is_not_signed", f"no signature by {names}")
    return tuple(verified)


def _cosigned(text: str, *, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _check(text: str) -> None:
    if not text.endswith("\n") or text == "\n" or _CONTROL.search(text):
        raise EvidenceError("note_is_malformed", "its text has no lines or control characters")
