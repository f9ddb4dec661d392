"""Sealed fields: only who holds a project's key reads them; equal texts can still be counted.

Records of attempts may carry what somebody tried to take out, in a name looked up or a URL. The
key of each project lies in a folder of its own, apart from the log. Deleting it makes the texts
unreadable for good while every digest of the log stays as it is.
"""

import base64
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from carrel.ledger.errors import LedgerError
from carrel.ledger.event import Sealed
from carrel.ledger.text import plain

_NONCE_BYTES = 12
_KEY_BYTES = 32
_LONGEST_BYTES = 8192


class SealedError(LedgerError):
    """A sealed field cannot be read: no key, another key, or altered."""


@dataclass(frozen=True)
class Key:
    """The key of one project."""

    project: str
    secret: bytes
    """32 random bytes."""

    @property
    def key_id(self) -> str:
        """Sixteen hexadecimal digits that name the key and tell nothing of it."""
        return self._derived("name")[:8].hex()

    def seal(self, text: bytes | str, *, field: str) -> Sealed:
        """Return `text` readable by this key alone, and only as this field.

        Bytes that are no UTF-8 are escaped; what is longer than 8,192 bytes is cut.
        """
        clear = plain(text, at_most=_LONGEST_BYTES // 4).encode()
        nonce = secrets.token_bytes(_NONCE_BYTES)
        box = nonce + self._cipher().encrypt(nonce, clear, self._bound(field))
        return Sealed(
            project=self.project,
            key=self.key_id,
            index=self.index(clear.decode()),
            box=base64.urlsafe_b64encode(box).rstrip(b"=").decode(),
        )

    def open(self, sealed: Sealed, *, field: str) -> str:
        """Return the text in clear.

        Raises:
            SealedError: when it was sealed by another key or as another field, or was altered.

        """
        box = base64.urlsafe_b64decode(sealed.box + "=" * (-len(sealed.box) % 4))
        nonce, rest = box[:_NONCE_BYTES], box[_NONCE_BYTES:]
        try:
            return self._cipher().decrypt(nonce, rest, self._bound(field)).decode()
        except (InvalidTag, ValueError) as error:
            raise SealedError(
                f"sealed_field_does_not_open: {field} of {sealed.project} was sealed by key "
                f"{sealed.key}, or was altered; the key here is {self.key_id}."
            ) from error

    def index(self, text: str) -> str:
        """Return what equal texts of this project share; case and a last dot do not count."""
        same = plain(text, at_most=_LONGEST_BYTES // 4).lower().rstrip(".").encode()
        return hmac.new(self._derived("index"), same, hashlib.sha256).hexdigest()[:32]

    def _cipher(self) -> AESGCM:
        return AESGCM(self._derived("seal"))

    def _bound(self, field: str) -> bytes:
        return f"carrel sealed field\n{self.project}\n{field}\n".encode()

    def _derived(self, use: str) -> bytes:
        hkdf = HKDF(SHA256(), _KEY_BYTES, salt=None, info=f"carrel ledger {use}".encode())
        return hkdf.derive(self.secret)


class Keyring:
    """A folder with one key a project, readable by its owner alone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def key(self, project: str) -> Key:
        """Return the key of `project`.

        Raises:
            SealedError: when there is none: never made here, or deleted.

        """
        try:
            secret = self._path(project).read_bytes()
        except FileNotFoundError:
            raise SealedError(
                f"key_is_not_here: there is no key of {project} in {self._folder}; it was "
                "deleted, or is kept elsewhere. What it sealed stays unreadable."
            ) from None
        if len(secret) != _KEY_BYTES:
            raise SealedError(f"key_is_damaged: {self._path(project)} holds {len(secret)} bytes.")
        return Key(project, secret)

    def make(self, project: str) -> Key:
        """Return the key of `project`, made now where there is none; safe for two at once."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        arriving = self._folder / f".{secrets.token_hex(8)}"
        descriptor = os.open(arriving, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            # A link never replaces: of two that make the key at once one wins for both.
            with suppress(FileExistsError):
                os.link(arriving, self._path(project))
            self._sync()
        finally:
            arriving.unlink()
        return self.key(project)

    def delete(self, project: str) -> None:
        """Delete the key of `project` for good; nothing happens where there is none."""
        self._path(project).unlink(missing_ok=True)
        self._sync()

    def projects(self) -> tuple[str, ...]:
        """Return whose keys are here."""
        return tuple(sorted(path.stem for path in self._folder.glob("*.key")))

    def _path(self, project: str) -> Path:
        if not project or "/" in project or project.startswith("."):
            raise SealedError(f"project_is_not_a_name: {plain(project, at_most=80)!r}")
        return self._folder / f"{project}.key"

    def _sync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
