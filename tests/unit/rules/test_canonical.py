"""Canonical JSON as RFC 8785 wants it, for values without floats."""

from typing import Any

import pytest

from carrel.rules import NotCanonicalError, canonical_json, digest, digest_of

WRITTEN: dict[str, tuple[Any, str]] = {
    "nothing": (None, "null"),
    "truth": ([True, False], "[true,false]"),
    "whole numbers": ([0, -1, 2**53 - 1], "[0,-1,9007199254740991]"),
    "an empty list": ([], "[]"),
    "an empty object": ({}, "{}"),
    "members in order": ({"b": 1, "a": 2, "": 3}, '{"":3,"a":2,"b":1}'),
    "short escapes": ('"\\\b\f\n\r\t', r'"\"\\\b\f\n\r\t"'),
    "other controls": ("\x00\x1f", r'"\u0000\u001f"'),
    "what needs no escape": ("/\x7f\u2028é€😂", '"/\x7f\u2028é€😂"'),
    # RFC 8785, 3.2.3: the example whose order differs between code points and UTF-16.
    "members by UTF-16": (
        {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7},
        '{"\\r":2,"1":4,"\x80":6,"\xf6":7,"\u20ac":1,"\U0001f600":5,"\ufb33":3}',
    ),
}
REFUSED: dict[str, Any] = {
    "a float": 1.0,
    "a number too large to be exact": 2**53,
    "a number too small to be exact": -(2**53),
    "a lone surrogate": "\ud800",
    "a lone surrogate as a name": {"\udfff": 1},
    "a name that is no string": {1: 1},
    "bytes": b"a",
    "a set": {1},
    "a float deep inside": {"a": [{"b": 0.5}]},
}


@pytest.mark.parametrize(("value", "text"), WRITTEN.values(), ids=WRITTEN.keys())
def test_it_is_written_as(value: Any, text: str) -> None:
    assert canonical_json(value) == text


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
def test_it_refuses(value: Any) -> None:
    with pytest.raises(NotCanonicalError):
        canonical_json(value)


def test_a_digest_is_of_the_bytes() -> None:
    assert digest({}) == digest_of("{}")
    assert digest_of("{}") == (
        "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    )
