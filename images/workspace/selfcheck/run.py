"""Runs the imaging self-check headless and writes its result where the node agent reads it.

`$HOME/.carrel/selfcheck/` gets `result.json`, `montage.png` and the executed `selfcheck.ipynb`.
The result is written last and appears whole: who sees it sees the end of the run.
"""
# ruff: noqa: INP001 - a script of the image, beside the notebook that it runs

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from verdict import figures, verdict

NOTEBOOK = Path(__file__).with_name("imaging.ipynb")
CELL_SECONDS = 120


def main(home: Path) -> int:
    """Run the notebook; return 0 when it passed, 1 when it did not."""
    folder = home / ".carrel" / "selfcheck"
    folder.parent.mkdir(exist_ok=True, mode=0o770)
    folder.mkdir(exist_ok=True, mode=0o770)
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
    try:
        with tempfile.TemporaryDirectory() as sockets:
            # Without the file's name the sockets would be looked for in two working directories.
            connection = str(Path(sockets) / "kernel.json")
            NotebookClient(
                notebook,
                km=AsyncKernelManager(transport="ipc", connection_file=connection),
                timeout=CELL_SECONDS,
                resources={"metadata": {"path": str(folder)}},
            ).execute()
    except CellExecutionError as stopped:
        return f"{stopped.ename}: {stopped.evalue}"
    except Exception as broken:  # noqa: BLE001 - whatever breaks a run is its result, not a crash
        return f"{type(broken).__name__}: {broken}"
    return ""


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
