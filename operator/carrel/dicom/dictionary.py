"""Names and numbers that must not appear, known to the gate by keyed hash alone.

The data holder makes the dictionary from the clinical records; the gate hashes what it reads
and compares. Whoever holds the file can try guesses against it, because the key is in it: it
is a secret of the data holder and the gate, and never leaves them.
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

_MARK = "carrel-dictionary-1"
_KEY = re.compile(r"[0-9a-f]{64}\Z")
_DIGEST = re.compile(r"[0-9a-f]{32}\Z")
_WORD = re.compile(r"[^\W_]+")
_LONGEST_PHRASE = 3
_SHORTEST_WORD, _SHORTEST_PART = 3, 4
LARGEST_BYTES = 256 * 2**20


class DictionaryError(ValueError):
    """The dictionary cannot be used; the message names the line."""


@dataclass(frozen=True)
class Dictionary:
    """A set of keyed hashes."""

    key: bytes
    digests: frozenset[bytes]

    def holds(self, text: str) -> bool:
        """Whether one to three neighbouring words of `text` are in the dictionary."""
        words = normalised(text)
        return any(
            _digest(self.key, words[start : start + length]) in self.digests
            for length in range(1, min(_LONGEST_PHRASE, len(words)) + 1)
            for start in range(len(words) - length + 1)
        )


def normalised(text: str) -> list[str]:
    """Return the words of `text` without case, accents and leading zeros."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(each for each in plain if not unicodedata.combining(each))
    return [word.lstrip("0") or "0" for word in _WORD.findall(bare)]


def make_dictionary(entries: Iterable[str], *, key: bytes) -> Dictionary:
    """Hash names and numbers: each entry as a whole, and its words of four letters or more.

    Words of an entry are sorted, so that `Muster^Hedwig` and `Hedwig Muster` are the same.
    """
    found = set[bytes]()
    for entry in entries:
        words = normalised(entry)
        if len(words) <= _LONGEST_PHRASE and sum(map(len, words)) >= _SHORTEST_WORD:
            found.add(_digest(key, words))
        found.update(_digest(key, [word]) for word in words if len(word) >= _SHORTEST_PART)
    return Dictionary(key, frozenset(found))


def encoded(dictionary: Dictionary) -> str:
    """Write a dictionary: a mark and the key, then one hash a line, sorted."""
    lines = sorted(each.hex() for each in dictionary.digests)
    return "\n".join([f"{_MARK} {dictionary.key.hex()}", *lines, ""])


def decoded(text: str) -> Dictionary:
    """Read what `encoded` wrote.

    Raises:
        DictionaryError: when it is something else; an empty dictionary is refused too, because
            a check against nothing would look like one that passed.

    """
    first, *lines = text.splitlines() or [""]
    mark, _, key = first.partition(" ")
    if mark != _MARK or not _KEY.match(key):
        raise DictionaryError(
            f"dictionary_is_not_valid: line 1 is not `{_MARK}` and 64 hexadecimal digits; make "
            "it with `carrel dataset dictionary`."
        )
    for number, line in enumerate(lines, start=2):
        if not _DIGEST.match(line):
            raise DictionaryError(f"dictionary_is_not_valid: line {number} is no hash.")
    if not lines:
        raise DictionaryError("dictionary_is_empty: it holds no hash, so it would find nothing.")
    return Dictionary(bytes.fromhex(key), frozenset(bytes.fromhex(line) for line in lines))


def _digest(key: bytes, words: list[str]) -> bytes:
    return hmac.digest(key, " ".join(sorted(words)).encode("utf-8", "replace"), hashlib.sha256)[:16]
