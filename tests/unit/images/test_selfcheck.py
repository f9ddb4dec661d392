"""The self-check's result: passed only when all that must fail has failed."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from verdict import FIGURES, REASON_LENGTH, figures, verdict

NOTEBOOK = Path(__file__).resolve().parents[3] / "images/workspace/selfcheck/imaging.ipynb"

GOOD: dict[str, Any] = {
    "series": 3,
    "slices": 20,
    "rows": 512,
    "columns": 512,
    "writeRefused": "Refused",
    "connectRefused": "Refused",
}
NOTHING = dict.fromkeys(("series", "slices", "rows", "columns"), 0) | {
    "writeRefused": "Allowed",
    "connectRefused": "Allowed",
}


@pytest.mark.parametrize(
    ("found", "error", "outcome", "reason"),
    [
        (GOOD, "", "Passed", ""),
        (GOOD, "LookupError: no series", "Failed", "LookupError: no series"),
        (GOOD | {"writeRefused": "Allowed"}, "", "Failed", "the dataset could be written to"),
        (
            GOOD | {"connectRefused": "Allowed"},
            "",
            "Failed",
            "a connection out of the workspace was not refused",
        ),
        (NOTHING, "first\n  second", "Failed", "first second"),
        (NOTHING, "x" * 999, "Failed", "x" * REASON_LENGTH),
    ],
)
def test_the_verdict_keeps_the_figures_and_says_why(
    found: dict[str, Any], error: str, outcome: str, reason: str
):
    assert verdict(found, error=error) == {**found, "outcome": outcome, "reason": reason}


def test_figures_are_what_the_last_cell_displayed():
    output = {"output_type": "display_data", "data": {FIGURES: GOOD}}
    cells = [{"cell_type": "markdown"}, {"outputs": [{"output_type": "stream"}, output]}]
    assert figures({"cells": cells}) == GOOD


def test_a_run_that_stopped_early_claims_nothing():
    assert figures({"cells": [{"outputs": []}]}) == NOTHING


def test_the_committed_notebook_holds_no_output_and_displays_every_figure():
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if "outputs" in cell]
    assert [(cell["outputs"], cell["execution_count"]) for cell in cells] == [([], None)] * len(
        cells
    )
    source = "".join(cells[-1]["source"])
    assigned = ast.parse(source).body[0]
    assert isinstance(assigned, ast.Assign)
    assert isinstance(assigned.value, ast.Dict)
    assert [ast.literal_eval(key) for key in assigned.value.keys if key] == list(GOOD)
    assert FIGURES in source
