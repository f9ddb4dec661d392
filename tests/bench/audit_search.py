"""How long an auditor waits for the first page, over a log of many records.

    python tests/bench/audit_search.py --records 1000000 --output FILE.json

Writes entry bundles as the central log does, from 2,000 workspaces of 500 persons and 400
grants, one record in three a refused attempt at one of 5,000 hosts; makes the index from them;
then asks for the first page by person, grant, host, dataset and time, each for many different
values, with the index's cache as it comes.
"""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from carrel.audit.index import Index
from carrel.audit.query import By, Query
from carrel.audit.row import Decision
from carrel.audit.source import source_of
from carrel.ledger import Activity, Event
from carrel.ledger.record import BEGINNING, canonical, chained
from carrel.ledger.tiles import WIDTH, Tile, encode_bundle

PERSONS, GRANTS, WORKSPACES, HOSTS, DATASETS = 500, 400, 2_000, 5_000, 40
QUESTIONS = 200
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def events(count: int) -> Iterator[Event]:
    """Yield what happened in a month; first who holds which workspace."""
    chance = random.Random(1)  # noqa: S311 - the same records each time
    for number in range(count):
        workspace = number if number < WORKSPACES else chance.randrange(WORKSPACES)
        detail: dict[str, str | int]
        if number < WORKSPACES:
            activity = Activity.GRANT_ADMITTED
            detail = {
                "researcher": f"person-{workspace % PERSONS}",
                "datasets": f"dataset-{workspace % DATASETS}",
            }
        elif number % 3:
            activity, detail = Activity.VIEW_BUILT, {"files": number % 1000, "milliseconds": 36}
        else:
            host = chance.randrange(HOSTS)
            activity = Activity.TRAFFIC_DENIED
            detail = {"address": f"198.18.{host // 250}.{host % 250}", "port": 443, "count": 3}
        yield Event(
            activity=activity,
            time=NOW + timedelta(milliseconds=number * 250),
            actor="node-recorder",
            grant=f"grant-{workspace % GRANTS}",
            workspace=f"ws-{workspace:012x}",
            node="node-1",
            detail=detail,
        )


def write_log(folder: Path, count: int) -> int:
    """Write the bundles; return their bytes."""
    last, entries, size, index = BEGINNING, [], 0, 0

    def flush() -> int:
        path = folder / Tile(None, index, len(entries)).path
        path.parent.mkdir(parents=True, exist_ok=True)
        data = encode_bundle(entries)
        path.write_bytes(data)
        return len(data)

    for event in events(count):
        record = chained(event, after=last)
        last = record.receipt
        entries.append(
            b'{"chain":"%b","logged":"2026-03-02T00:00:00.000Z","node":"node-1","record":%b,'
            b'"writer":%b}' % (b"0" * 64, record.line[:-1], canonical("node-recorder"))
        )
        if len(entries) == WIDTH:
            size, index, entries = size + flush(), index + 1, []
    return size + (flush() if entries else 0)


def asked(index: Index) -> dict[str, dict[str, float]]:
    """Return milliseconds of first pages, and of the counts of a week's report."""
    chance = random.Random(2)  # noqa: S311 - the same questions each time
    questions = {
        "person": lambda: Query(person=f"person-{chance.randrange(PERSONS)}"),
        "grant": lambda: Query(grant=f"grant-{chance.randrange(GRANTS)}"),
        "host": lambda: Query(hosts=(f"198.18.{chance.randrange(20)}.{chance.randrange(250)}",)),
        "dataset": lambda: Query(dataset=f"dataset-{chance.randrange(DATASETS)}"),
        "person refused": lambda: Query(
            person=f"person-{chance.randrange(PERSONS)}", decision=Decision.REFUSED
        ),
        "nobody": lambda: Query(person="nobody"),
        "newest": Query,
    }
    figures = {}
    for name, make in questions.items():
        spent = []
        for _ in range(QUESTIONS):
            begin = time.perf_counter()
            index.search(make())
            spent.append((time.perf_counter() - begin) * 1000)
        figures[name] = {
            "p50": round(statistics.median(spent), 2),
            "p99": round(statistics.quantiles(spent, n=100)[98], 2),
            "worst": round(max(spent), 2),
        }
    begin = time.perf_counter()
    index.counted((By.PERSON, By.GRANT, By.ACTIVITY), Query(decision=Decision.REFUSED), seconds=600)
    whole = round((time.perf_counter() - begin) * 1000, 1)
    figures["all refused attempts counted by person and grant"] = {"once": whole}
    return figures


def measured(count: int) -> dict[str, object]:
    """Return the figures for a log of `count` records."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        size = write_log(Path(folder) / "log", count)
        print(f"{count:,} records written in {time.perf_counter() - begin:.0f} s")
        path = Path(folder) / "index.sqlite"
        with Index(path, source_of(Path(folder) / "log")) as index:
            begin = time.perf_counter()
            index.follow(told=lambda done: print(f"\r{done:,} indexed", end="", flush=True))
            seconds = time.perf_counter() - begin
            print()
            figures = asked(index)
        return {
            "records": count,
            "logMiB": size // 2**20,
            "indexMiB": path.stat().st_size // 2**20,
            "indexedPerSecond": round(count / seconds),
            "millisecondsOfFirstPage": figures,
        }


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    machine: dict[str, object] = {
        "cores": os.cpu_count(),
        "memoryMiB": pages * size // 2**20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "loadBefore": [round(each, 1) for each in os.getloadavg()],
    }
    figures = measured(options.records)
    machine["loadAfter"] = [round(each, 1) for each in os.getloadavg()]
    text = json.dumps({"machine": machine, "search": figures}, indent=2) + "\n"
    options.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
