"""Where an instance stands in a dataset view: safe path components, one to one.

Identifiers come out of files that strangers wrote. Every component consists of
`A-Z a-z 0-9 . _ -` and escapes `%XX` of single UTF-8 bytes, begins with neither dot nor
hyphen, is never empty and at most 204 bytes long. Two different identifiers never share
a component, on a file system that tells upper from lower case.
"""

import hashlib
import string

_PLAIN = frozenset(string.ascii_letters + string.digits + "._-")
_LONGEST = 200
"""Bytes; leaves room for `.dcm` within the 255 bytes that file systems allow."""


def view_path(*, subject: str, study: str, series: str, instance: str) -> str:
    """Return `subject/study/series/instance.dcm` with components that no file system misreads."""
    folders = "/".join(view_component(part) for part in (subject, study, series))
    return f"{folders}/{view_component(instance)}.dcm"


def view_component(identifier: str) -> str:
    """Return one path component for an identifier, whatever it holds."""
    if not identifier:
        return "%~"
    escaped = _escaped(identifier[0], plain=_PLAIN - set(".-")) + _escaped(
        identifier[1:], plain=_PLAIN
    )
    if len(escaped) <= _LONGEST:
        return escaped
    # "%~" stands in no escape, so a shortened component equals no whole one.
    whole = hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{escaped[: _LONGEST - 2 - len(whole)]}%~{whole}"


def _escaped(text: str, *, plain: frozenset[str]) -> str:
    return "".join(
        character
        if character in plain
        else "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
        for character in text
    )
