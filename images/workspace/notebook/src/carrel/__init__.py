"""Carrel from inside a workspace: why something was refused, what would be, and under which grant.

>>> import carrel
>>> carrel.why()
>>> carrel.explain("pypi:numpy")
>>> carrel.me()
"""

from typing import Any

from .desk import DeskAwayError, DeskRefusedError, explain, me, why

__all__ = [
    "DeskAwayError",
    "DeskRefusedError",
    "explain",
    "load_ipython_extension",
    "me",
    "why",
]


def load_ipython_extension(shell: Any) -> None:
    """Add `%carrel` to a notebook; IPython calls this for `%load_ext carrel`."""
    from .magic import register  # noqa: PLC0415 - only a notebook has IPython

    register(shell)
