"""Runs the imaging self-check headless and writes its result where the node agent reads it.

`$HOME/.carrel/selfcheck/` gets `result.json`, `montage.png` and the executed `selfcheck.ipynb`.
The result is written last and appears whole: who sees it sees the end of the run.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOK = Path(__file__).with_name("imaging.ipynb")
FIGURES = "application/vnd.carrel.self-check+json"
CELL_SECONDS = 120
REASON_LENGTH = 200

_NOTHING = {
    "series": 0,
    "slices": 0,
    "rows": 0,
    "columns": 0,
    "writeRefused": "Allowed",
    "connectRefused": "Allowed",
}


def main(home: Path) -> int:
    """Run the notebook; return 0 when it passed, 1 when it did not."""
    folder = home / ".carrel" / "selfcheck"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "result.json").unlink(missing_ok=True)
    started = time.monotonic()
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    error = execute(notebook, folder=folder)
    replace(folder / "selfcheck.ipynb", nbformat.writes(notebook))
    found = verdict(figures(notebook), error=error)
    milliseconds = int((time.monotonic() - started) * 1000)
    replace(
        folder / "result.json", json.dumps({"version": 1, **found, "milliseconds": milliseconds})
    )
    return 0 if found["outcome"] == "Passed" else 1


def execute(notebook: nbformat.NotebookNode, *, folder: Path) -> str:
    """Execute every cell with `folder` as working directory; return why it stopped, or ''."""
    client = NotebookClient(
        notebook, timeout=CELL_SECONDS, resources={"metadata": {"path": str(folder)}}
    )
    try:
        client.execute()
    except CellExecutionError as stopped:
        return f"{stopped.ename}: {stopped.evalue}"
    except Exception as broken:  # noqa: BLE001 - whatever breaks a run is its result, not a crash
        return f"{type(broken).__name__}: {broken}"
    return ""


def figures(notebook: nbformat.NotebookNode) -> Mapping[str, Any]:
    """Return what the last cell displayed; zeros and `Allowed` when it was not reached."""
    for cell in reversed(notebook.cells):
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


def replace(path: Path, text: str) -> None:
    """Write `path` whole or not at all."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main(Path(os.environ["HOME"])))
