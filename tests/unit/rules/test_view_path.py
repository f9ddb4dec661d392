"""Where instances stand in a view, whatever identifiers a file carries."""

import pytest

from carrel.rules.view_path import view_component, view_path

HOSTILE = {
    "the folder itself": (".", "%2E"),
    "the folder above": ("..", "%2E."),
    "a hidden file": (".ssh", "%2Essh"),
    "an option of a command": ("-rf", "%2Drf"),
    "nothing": ("", "%~"),
    "a slash": ("a/b", "a%2Fb"),
    "a backslash": ("a\\b", "a%5Cb"),
    "a zero byte": ("a\x00b", "a%00b"),
    "a line break": ("a\nb", "a%0Ab"),
    "a space at the end": ("a ", "a%20"),
    "an escape of ours": ("%2E", "%252E"),
    "a shell's favourites": ("$(x)*?~", "%24%28x%29%2A%3F%7E"),
    "letters of other scripts": ("é", "%C3%A9"),
    "the same letter, composed": ("e\u0301", "e%CC%81"),
    "writing turned around": ("a\u202eb", "a%E2%80%AEb"),
    "half a character": ("\ud800", "%ED%A0%80"),
}


@pytest.mark.parametrize(("identifier", "expected"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_identifier_becomes(identifier: str, expected: str) -> None:
    assert view_component(identifier) == expected


def test_an_ordinary_instance_keeps_its_identifiers() -> None:
    path = view_path(subject="PAT-001", study="1.2.3", series="1.2.3.4", instance="1.2.3.4.5")
    assert path == "PAT-001/1.2.3/1.2.3.4/1.2.3.4.5.dcm"


def test_a_long_identifier_is_cut_and_stays_told_apart() -> None:
    one, other = view_component("é" * 64 + "a"), view_component("é" * 64 + "b")
    assert (len(one), len(other)) == (200, 200)
    assert one != other
