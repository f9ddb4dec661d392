"""Foreign text made inert where people see it: in a terminal, a page and a spreadsheet."""

import html
import unicodedata

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"}
"""Control and format characters: escape sequences, and marks that turn the reading direction."""


def inert(text: str) -> str:
    r"""Return `text` without anything that a terminal obeys or an eye overlooks, as `\x1b`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        each.encode("unicode_escape").decode() if unicodedata.category(each) in _HIDDEN else each
        for each in text
    )


def markup(text: str) -> str:
    """Return `text` as it may stand in an HTML text or a quoted attribute."""
    return html.escape(inert(text), quote=True)


def cell(text: str) -> str:
    """Return `text` for a cell of CSV; what a spreadsheet would compute gets an apostrophe."""
    shown = inert(text)
    # A space before the sign does not keep every program from computing.
    return "'" + shown if shown.lstrip(" ").startswith(_FORMULA) else shown
