"""The gateway's own cookies: `__Host-`, so that no sibling origin can set or read them."""

import base64
import json
import os
from dataclasses import asdict
from pathlib import Path

from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from carrel.gateway.provider import Attempt

PORTAL, DESK, LOGIN = "__Host-carrel", "__Host-carrel-desk", "__Host-carrel-login"
LOGIN_SECONDS = 600
_NONCE = 12


def read(request: web.BaseRequest, name: str) -> str:
    """Return the value of a cookie; empty without one, and where it is given twice."""
    found = [
        value
        for header in request.headers.getall("Cookie", ())
        for key, _, value in (part.strip().partition("=") for part in header.split(";"))
        if key == name
    ]
    return found[0] if len(found) == 1 else ""


def give(answer: web.StreamResponse, name: str, value: str, *, seconds: int, strict: bool) -> None:
    """Set a cookie that scripts cannot read and no other origin gets."""
    answer.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/",
        secure=True,
        httponly=True,
        samesite="Strict" if strict else "Lax",
    )


def take(answer: web.StreamResponse, name: str) -> None:
    """Have the browser forget a cookie."""
    answer.set_cookie(name, "", max_age=0, path="/", secure=True, httponly=True, samesite="Lax")


class Seal:
    """Keeps a login on its way in the browser, where it fills no memory of ours."""

    def __init__(self, directory: Path) -> None:
        self._cipher = AESGCM(_key(directory / "login.key"))

    def close(self, attempt: Attempt, *, now: float) -> str:
        """Return an attempt that only we can read."""
        nonce = os.urandom(_NONCE)
        text = json.dumps({**asdict(attempt), "at": now}).encode()
        return base64.urlsafe_b64encode(nonce + self._cipher.encrypt(nonce, text, None)).decode()

    def open(self, text: str, *, now: float) -> Attempt | None:
        """Return an attempt of ours that is not too old, else None."""
        try:
            data = base64.urlsafe_b64decode(text)
            said = json.loads(self._cipher.decrypt(data[:_NONCE], data[_NONCE:], None))
            at = float(said.pop("at"))
            attempt = Attempt(**said)
        except (ValueError, InvalidTag, TypeError, KeyError):
            return None
        return attempt if 0 <= now - at + 1 <= LOGIN_SECONDS else None


def _key(path: Path) -> bytes:
    try:
        found = path.read_bytes()
    except FileNotFoundError:
        found = b""
    if len(found) == 32:
        return found
    # A key that was cut off costs the logins of this moment and nothing more.
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = AESGCM.generate_key(256)
    part = path.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(fresh)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return fresh
