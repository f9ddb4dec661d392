"""Turns an executed self-check notebook into its result; standard library only."""
# ruff: noqa: INP001 - imported by the script beside it

from collections.abc import Mapping
from typing import Any

FIGURES = "application/vnd.carrel.self-check+json"
"""Media type under which the notebook's last cell displays what it measured."""

REASON_LENGTH = 200

_NOTHING = {
    "series": 0,
    "slices": 0,
    "rows": 0,
    "columns": 0,
    "writeRefused": "Allowed",
    "connectRefused": "Allowed",
}


def figures(notebook: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the last cell displayed; zeros and `Allowed` when it was not reached."""
    for cell in reversed(notebook["cells"]):
        for output in cell.get("outputs", ()):
            if FIGURES in output.get("data", {}):
                return dict(output["data"][FIGURES])
    return _NOTHING


def verdict(found: Mapping[str, Any], *, error: str) -> dict[str, Any]:
    """Return the result without its time: passed only when all that must fail has failed."""
    reason = error
    if not reason and found["writeRefused"] != "Refused":
        reason = "the dataset could be written to"
    if not reason and found["connectRefused"] != "Refused":
        reason = "a connection out of the workspace was not refused"
    outcome = "Failed" if reason else "Passed"
    return {"outcome": outcome, **found, "reason": " ".join(reason.split())[:REASON_LENGTH]}
