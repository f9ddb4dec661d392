"""How long the view of a dataset takes that another researcher has already, and what it costs.

    python tests/bench/dataset_views.py --files 8000 --output FILE.json

The node agent's own code builds views of one published dataset for one researcher after the
other. What is measured includes reading and checking the manifest the first time, and for all
the bytes that the file system lost to it: directories, and not one file.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from carrel.node.view_tree import Views
from support.machine import machine
from support.published import publish

CONTENT = 64 * 1024
PER_SERIES = 200
RESEARCHERS = 12


def rows(count: int) -> list[dict[str, object]]:
    """Return rows of a made-up dataset, 200 images to a series."""
    return [
        {
            "subject": f"S{number // PER_SERIES // 4}",
            "study_uid": f"1.{number // PER_SERIES // 4}",
            "series_uid": f"1.{number // PER_SERIES}.2",
            "sop_uid": f"1.{number // PER_SERIES}.2.{number}",
            "content": number.to_bytes(8, "big") * (CONTENT // 8),
        }
        for number in range(count)
    ]


def used(folder: Path) -> int:
    """Return the bytes in use on the folder's file system."""
    state = os.statvfs(folder)
    return (state.f_blocks - state.f_bfree) * state.f_frsize


def measure(count: int) -> dict[str, object]:
    """Build the views; return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        views = Views(store)
        views.prepare()
        dataset = publish(store, rows(count))
        os.sync()
        taken, grown = [], []
        for number in range(RESEARCHERS):
            before, begun = used(store), time.perf_counter()
            built = views.build(f"ws-{number}", (dataset,), digest=dataset.manifest_digest)
            taken.append(time.perf_counter() - begun)
            os.sync()
            grown.append(used(store) - before)
        shared = next(path for path in (store / "views" / "ws-1").rglob("*.dcm"))
        links = shared.stat().st_nlink
    return {
        "files": built.files,
        "datasetMiB": round(count * CONTENT / 2**20, 1),
        "firstResearcherSeconds": round(taken[0], 3),
        "nextResearcherSeconds": {
            "p50": round(statistics.median(taken[1:]), 3),
            "max": round(max(taken[1:]), 3),
        },
        "bytesOfFilesCopied": 0 if links == RESEARCHERS + 1 else None,
        "medianKiBOfDirectories": round(statistics.median(grown[1:]) / 1024),
    }


def main() -> None:
    """Measure and write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=8000)
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    described = machine()
    text = json.dumps({"machine": described, "views": measure(chosen.files)}, indent=2) + "\n"
    print(text)
    if chosen.output:
        chosen.output.write_text(text)


if __name__ == "__main__":
    main()
