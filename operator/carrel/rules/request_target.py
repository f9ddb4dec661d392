"""One reading of a request target: what the gateway judges is what a workspace is sent.

A proxy and the server behind it that read `%2e%2e`, `//` or a doubled parameter differently
disagree about what was asked. Here a target has one spelling; every other spelling of
anything is refused, and `Target.text` writes the one spelling anew from what was judged.
Grammar: RFC 9112 section 3.2.1 (origin form), RFC 3986.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote

LONGEST_TARGET = 4096
"""Characters of a target; longer ones are refused unread."""

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PLAIN = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_NEVER = frozenset(b"/\\%\x7f") | frozenset(range(0x20))
_SAFE = "!$&'()*+,;=:@"
_LONGEST_SEGMENT = 255
"""Bytes of a file name on Linux."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A path and a query, decoded once."""

    segments: tuple[str, ...]
    """Decoded parts of the path; none for `/`."""
    trailing_slash: bool
    """Whether the path ends in a slash; always so for `/`."""
    query: tuple[tuple[str, str], ...]
    """Decoded parameters in their order; no name occurs twice."""

    @property
    def text(self) -> str:
        """The one spelling of this target."""
        path = "/" + "/".join(quote(each, safe=_SAFE) for each in self.segments)
        if self.trailing_slash and self.segments:
            path += "/"
        parts = [
            quote(name, safe="") + (f"={quote(value, safe='')}" if value else "")
            for name, value in self.query
        ]
        return f"{path}?{'&'.join(parts)}" if parts else path

    def with_query(self, **changes: str) -> "Target":
        """Return this target with parameters set or added."""
        kept = {**dict(self.query), **changes}
        return Target(
            segments=self.segments,
            trailing_slash=self.trailing_slash,
            query=tuple(kept.items()),
        )


class TargetError(ValueError):
    """A target has no one reading; `rule` names the check that refused it."""

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(f"{rule}: {sentence}")
        self.rule = rule
        self.sentence = sentence


def read_target(raw: str) -> Target:
    """Read a request target in origin form.

    Raises TargetError for anything that another reader could take for something else.
    """
    if len(raw) > LONGEST_TARGET:
        raise TargetError(
            "target_is_too_long", f"A target has at most {LONGEST_TARGET} characters."
        )
    if not raw.startswith("/"):
        raise TargetError("target_is_not_a_path", "A target begins with one slash.")
    if not _PLAIN.fullmatch(raw):
        raise TargetError(
            "target_has_odd_characters", "A target holds only what RFC 3986 lets stand unescaped."
        )
    path, question, query = raw.partition("?")
    if question and not query:
        raise TargetError("query_is_empty", "A question mark is followed by a parameter.")
    return Target(
        segments=_segments(path),
        trailing_slash=path.endswith("/"),
        query=_parameters(query),
    )


def _segments(path: str) -> tuple[str, ...]:
    parts = path[1:].split("/")
    if parts[-1] == "":
        parts.pop()
    if any(part == "" for part in parts):
        raise TargetError("path_has_an_empty_part", "No two slashes stand beside each other.")
    decoded = tuple(_decoded(part) for part in parts)
    if any(part in {".", ".."} for part in decoded):
        raise TargetError("path_climbs", "No part of a path is `.` or `..`, however it is written.")
    if any(len(part.encode()) > _LONGEST_SEGMENT for part in decoded):
        raise TargetError(
            "path_part_is_too_long", f"A part of a path has at most {_LONGEST_SEGMENT} bytes."
        )
    return decoded


def _parameters(query: str) -> tuple[tuple[str, str], ...]:
    if not query:
        return ()
    found: dict[str, str] = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        # Servers differ about `+`: ours reads it as a space, as forms mean it, and writes %20.
        name, value = _decoded(name, plus=" "), _decoded(value, plus=" ", slashes="allowed")
        if not name:
            raise TargetError("parameter_has_no_name", "Every parameter has a name.")
        if name in found:
            raise TargetError("parameter_is_doubled", "No parameter is given twice.")
        found[name] = value
    return tuple(found.items())


def _decoded(part: str, *, plus: str = "+", slashes: str = "refused") -> str:
    data = bytearray()
    position = 0
    for escape in _ESCAPE.finditer(part):
        data += part[position : escape.start()].replace("+", plus).encode()
        position = escape.end()
        if escape[1] is None:
            raise TargetError("escape_is_cut_off", "`%` is followed by two hexadecimal digits.")
        byte = int(escape[1], 16)
        if byte in _UNRESERVED:
            raise TargetError(
                "escape_hides_a_letter", "What needs no escape is not escaped (RFC 3986, 2.3)."
            )
        if byte in _NEVER and not (byte == 0x2F and slashes == "allowed"):
            raise TargetError(
                "escape_is_dangerous",
                "Slashes, backslashes, percent signs and control characters are no part of a name.",
            )
        data.append(byte)
    data += part[position:].replace("+", plus).encode()
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise TargetError("escape_is_no_text", "Escaped bytes are UTF-8.") from None
