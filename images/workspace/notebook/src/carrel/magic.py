"""`%carrel why`, `%carrel explain TARGET` and `%carrel me` in a notebook."""

import shlex
from typing import Any

from .desk import DeskAwayError, DeskRefusedError, explain, me, why
from .show import ExplanationView, MeView, RefusalsView

USAGE = "%carrel why [N] | %carrel explain pypi:numpy | %carrel me"


def register(shell: Any) -> None:
    """Add the magic to a shell."""
    shell.register_magic_function(carrel, "line", "carrel")


def carrel(line: str) -> RefusalsView | ExplanationView | MeView | None:
    """Ask the desk of this workspace: `%carrel why`, `%carrel explain TARGET`, `%carrel me`."""
    try:
        return _asked(shlex.split(line))
    except (DeskAwayError, DeskRefusedError, ValueError) as error:
        # A traceback would hide the sentence.
        print(error)  # noqa: T201 - a magic speaks to the person
        return None


def _asked(words: list[str]) -> RefusalsView | ExplanationView | MeView:
    match words:
        case ["why"]:
            return why()
        case ["why", last] if last.isdecimal():
            return why(last=int(last))
        case ["explain", target]:
            return explain(target)
        case ["me"]:
            return me()
    raise ValueError(f"Write one of: {USAGE}")
