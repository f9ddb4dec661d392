"""How fast a manifest of a million instances is written, held and asked.

    python tests/bench/manifest_queries.py --instances 1000000 --output FILE.json

The manifest is the ingest's own, written by its own code; the questions are what a notebook asks:
what is there, which files a series has, which series lack slices, who is in a group. Each is
asked eleven times on a warm page cache; the figure is the median. Target: 50 ms.
"""

import argparse
import hashlib
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb

from carrel.dicom import Instance
from carrel.dicom.sketch import Sketch
from carrel.ingest import manifest
from carrel.ingest.collected import Row, content_digest, digest_tree
from carrel.rules.view_path import view_path

PER_SERIES = 100
SERIES_PER_STUDY = 4
ASKED = 11
TARGET_MS = 50.0
QUESTIONS = {
    "series by modality and manufacturer": (
        "select modality, manufacturer, count(distinct series_uid), count(distinct subject) "
        "from instances group by all order by all"
    ),
    "files of one series": (
        "select path, sha256, size from instances where series_uid = '1.2.826.17.1.2' "
        "order by instance_number"
    ),
    "files of one subject": (
        "select path, size from instances where subject = 'SUBJ-000017' order by path"
    ),
    "series that lack slices": (
        "select series_uid, max(instance_number) - min(instance_number) + 1 - count(*) as missing "
        "from instances group by series_uid having missing > 0"
    ),
    "subjects by sex and age band": (
        "select sex, age_years // 10 * 10 as age_band, count(distinct subject) from instances "
        "group by all order by all"
    ),
}


def rows(count: int) -> Iterator[Row]:
    """Yield rows of a made-up dataset; every thousandth slice is missing."""
    for number in range(count + count // 1000 + 1):
        if number % 1000 == 999:
            continue
        series, at = divmod(number, PER_SERIES)
        study, nth = divmod(series, SERIES_PER_STUDY)
        subject, study_uid = f"SUBJ-{study:06}", f"1.2.826.{study}.1"
        series_uid = f"{study_uid}.{nth}"
        sop_uid = f"{series_uid}.{at}"
        known = {
            "subject": subject, "study_uid": study_uid, "series_uid": series_uid,
            "sop_uid": sop_uid, "sop_class": "1.2.840.10008.5.1.4.1.1.2",
            "modality": ("CT", "MR", "PT")[study % 3], "instance_number": at + 1, "rows": 512,
            "columns": 512, "frames": 1, "transfer_syntax": "1.2.840.10008.1.2.1",
        }  # fmt: skip
        yield Row(
            instance=Instance(**known),
            size=530_000 + at,
            sha256=hashlib.sha256(sop_uid.encode()).hexdigest(),
            path=view_path(subject=subject, study=study_uid, series=series_uid, instance=sop_uid),
            sketch=Sketch(
                **known,
                position=(0.0, 0.0, 2.5 * at),
                orientation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
                spacing=(0.7, 0.7),
                thickness=2.5,
                manufacturer=("ACME", "BETA", "GAMMA", "DELTA")[study % 4],
                body_part="CHEST",
                sex="FM"[study % 2],
                age_years=40 + study % 45,
            ),
        )


def asked(path: Path) -> dict[str, dict[str, float | int]]:
    """Ask each question and return its median in milliseconds and its number of rows."""
    found: dict[str, dict[str, float | int]] = {}
    with duckdb.connect() as database:
        database.read_parquet(str(path)).create_view("instances")
        for name, question in QUESTIONS.items():
            times: list[float] = []
            for _ in range(ASKED):
                begun = time.perf_counter()
                answer = database.execute(question).fetchall()
                times.append((time.perf_counter() - begun) * 1000)
            print(f"{name}: {statistics.median(times):.1f} ms, {len(answer):,} rows")
            found[name] = {
                "medianMs": round(statistics.median(times), 1),
                "worstMs": round(max(times), 1),
                "rows": len(answer),
            }
    return found


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, required=True)
    told = parser.parse_args()
    before = [round(each, 1) for each in os.getloadavg()]
    made = tuple(sorted(rows(told.instances), key=lambda row: row.path))[: told.instances]
    print(f"{len(made):,} rows made")
    begun = time.perf_counter()
    tree, digest = digest_tree(made), content_digest(made)
    digests = time.perf_counter() - begun
    begun = time.perf_counter()
    data = manifest.encoded(made, metadata={manifest.TREE: tree.digest})
    writing = time.perf_counter() - begun
    print(f"{len(data) / 1e6:.1f} MB, digests {digests:.1f} s, written in {writing:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.parquet"
        path.write_bytes(data)
        queries = asked(path)
    result = {
        "machine": {
            "cores": os.cpu_count(),
            "memoryMiB": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
            "kernel": platform.release(),
            "python": platform.python_version(),
            "duckdb": duckdb.__version__,
            "loadBefore": before,
            "loadAfter": [round(each, 1) for each in os.getloadavg()],
        },
        "manifest": {
            "instances": len(made),
            "megabytes": round(len(data) / 1e6, 1),
            "secondsForTreeAndDigest": round(digests, 1),
            "secondsToWrite": round(writing, 1),
            "contentDigest": digest,
            "queries": queries,
            "targetMs": TARGET_MS,
            "slowestMedianMs": max(each["medianMs"] for each in queries.values()),
        },
    }
    told.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
