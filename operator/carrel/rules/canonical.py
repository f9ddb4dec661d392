"""Canonical JSON (RFC 8785) for the value space of the API, and digests over it.

The API holds no floats, so the one hard part of RFC 8785, number formatting, does
not arise: a float is refused instead of written in some way that another program
might write differently.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from carrel.kinds.resource import Model

_EXACT = 2**53 - 1
"""Largest integer that every JSON reader holds exactly (RFC 8785, 3.2.2.3)."""


class NotCanonicalError(ValueError):
    """A value that has no canonical JSON form."""


def canonical_json(value: Any) -> str:
    """Write `value` as RFC 8785 JSON.

    Parameters
    ----------
    value
        `None`, strings, booleans, integers up to 2**53 - 1 in size, lists, tuples and
        mappings with string keys, nested in any way.

    Raises
    ------
    NotCanonicalError
        For floats, integers that JSON readers do not hold exactly, lone surrogates
        and keys that are not strings.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int():
            if abs(value) > _EXACT:
                raise NotCanonicalError(f"{value} is larger than JSON readers hold exactly")
            return str(value)
        case list() | tuple():
            return "[" + ",".join(canonical_json(item) for item in value) + "]"
        case Mapping():
            return _object(value)
        case _:
            raise NotCanonicalError(f"a {type(value).__name__} has no canonical JSON form")


def digest_of(text: str) -> str:
    """Return `sha256:` and the hexadecimal SHA-256 of the UTF-8 bytes of `text`."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def digest(value: Model | Any) -> str:
    """Return the digest of the canonical JSON of `value`; a model is taken in its wire form."""
    wire = value.to_wire() if isinstance(value, Model) else value
    return digest_of(canonical_json(wire))


def _string(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise NotCanonicalError("a string holds a lone surrogate") from error
    # The standard writer escapes exactly what RFC 8785, 3.2.2.2 asks for when it leaves
    # non-ASCII characters alone; DEL stays as it is in both.
    return json.dumps(text, ensure_ascii=False)


def _object(value: Mapping[Any, Any]) -> str:
    for key in value:
        if not isinstance(key, str):
            raise NotCanonicalError(f"key {key!r} is not a string")
    members = [(_string(key), item) for key, item in sorted(value.items(), key=_utf16)]
    return "{" + ",".join(f"{key}:{canonical_json(item)}" for key, item in members) + "}"


def _utf16(member: tuple[str, Any]) -> bytes:
    # RFC 8785, 3.2.3 sorts by UTF-16 code units; Python's own order of strings differs
    # for characters beyond the basic plane.
    return member[0].encode("utf-16-be", "surrogatepass")
