"""How many records a second the central log makes durable, how long one waits, how fast it is read.

    python tests/bench/ledger_throughput.py --folder DIR --output FILE.json

DIR should be on the disk that is to be measured; what is written there is removed. Records
have the size of ordinary ones. `durable` means flushed by fdatasync; the figures per core
divide by the CPU time of the process, which also stays what it is on a busy machine.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import shutil
import statistics
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

sys.path.insert(0, str(Path(__file__).parents[1]))

from carrel.ledger.inspection import inspect, tiles_in
from carrel.ledger.merkle import inclusion_proof, leaf_hash, verify_inclusion
from carrel.ledger.tiles import WIDTH, Tile, decode_bundle, subtrees_from, width_at
from carrel.ledgerd.log import open_log
from support.central_log import KEY, Writing

Figures = dict[str, float | int]


def cpu() -> float:
    """Return CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def throughput(folder: Path, *, records: int, batch: int, writers: int) -> Figures:
    """Append from several chains at once, as fast as the log takes it."""
    entries = Writing("node-lock", node="node-1").entries(batch)
    log = open_log(folder, KEY)
    began, used = time.monotonic(), cpu()

    async def write(number: int) -> None:
        writing = Writing(f"process-{number}")
        writing.grow(1)
        for _ in range(records // batch // writers):
            await log.append(entries, chain=writing.source.chain, head=writing.head)

    await asyncio.gather(*(write(number) for number in range(writers)))
    seconds, spent = time.monotonic() - began, cpu() - used
    log.close()
    return {
        "records": records,
        "batch": batch,
        "writers": writers,
        "bytesOfAnEntry": len(entries[0]),
        "recordsPerSecond": round(records / seconds),
        "recordsPerCpuSecond": round(records / spent),
    }


async def latency(folder: Path, *, rate: int, seconds: int) -> Figures:
    """Append single records at an even rate; return how long each waited to be durable."""
    entries = Writing("revoker").entries(1)
    log = open_log(folder, KEY)
    waited: list[float] = []

    async def one(number: int, due: float) -> None:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        began = time.monotonic()
        writing = heads[number % len(heads)]
        await log.append(entries, chain=writing.source.chain, head=writing.head)
        waited.append(time.monotonic() - began)

    heads = [Writing(f"process-{number}") for number in range(16)]
    for each in heads:
        each.grow(1)
    start = time.monotonic() + 0.2
    await asyncio.gather(*(one(at, start + at / rate) for at in range(rate * seconds)))
    log.close()
    cuts = statistics.quantiles(waited, n=1000)
    return {
        "recordsPerSecond": rate,
        "p50Milliseconds": round(cuts[499] * 1000, 2),
        "p99Milliseconds": round(cuts[989] * 1000, 2),
        "p999Milliseconds": round(cuts[998] * 1000, 2),
    }


def flushes(folder: Path, *, count: int) -> Figures:
    """Measure the disk itself: write what one commit writes and flush it."""
    waited = []
    with (folder / "flushes").open("wb", buffering=0) as file:
        for _ in range(count):
            file.write(bytes(1000))
            began = time.monotonic()
            os.fdatasync(file.fileno())
            waited.append(time.monotonic() - began)
    cuts = statistics.quantiles(waited, n=100)
    return {
        "p50Milliseconds": round(cuts[49] * 1e3, 2),
        "p99Milliseconds": round(cuts[98] * 1e3, 2),
    }


def verified(folder: Path) -> Figures:
    """Check every entry and prove some."""
    log = open_log(folder, KEY)
    checkpoint = log.checkpoint
    log.close()
    read = tiles_in(folder)
    used = cpu()
    flaw = inspect(read, checkpoint)
    spent = cpu() - used
    if flaw:
        raise SystemExit(f"the log does not hold: {flaw}")
    waited = []
    for index in range(0, checkpoint.size, checkpoint.size // 200):
        began = time.monotonic()
        proof = inclusion_proof(
            index, checkpoint.size, subtree=subtrees_from(read, size=checkpoint.size)
        )
        waited.append(time.monotonic() - began)
        number, place = divmod(index, WIDTH)
        width = width_at(0, number, size=checkpoint.size)
        entry = decode_bundle(read(Tile(None, number, width)), width=width)[place]
        verify_inclusion(
            leaf_hash(entry), index=index, size=checkpoint.size, proof=proof, root=checkpoint.root
        )
    return {
        "leaves": checkpoint.size,
        "leavesPerCpuSecond": round(checkpoint.size / spent),
        "proofP99Milliseconds": round(statistics.quantiles(waited, n=100)[98] * 1000, 2),
    }


def main() -> None:
    """Measure and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=int, default=20)
    given = parser.parse_args()
    work = Path(mkdtemp(dir=given.folder))
    before = os.getloadavg()
    try:
        print("appending ...", flush=True)
        fast = [
            asyncio.run(
                throughput(work / str(batch), records=given.records, batch=batch, writers=4)
            )
            for batch in (64, 256, 1024)
        ]
        print("checking ...", flush=True)
        read = verified(work / "1024")
        print("waiting for single records ...", flush=True)
        disk = flushes(work, count=1000)
        slow = asyncio.run(latency(work / "latency", rate=1000, seconds=given.seconds))
    finally:
        shutil.rmtree(work)
    result = {
        "machine": {
            "cores": os.cpu_count(),
            "memoryMiB": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
            "kernel": platform.release(),
            "python": platform.python_version(),
            "loadBefore": [round(each, 1) for each in before],
            "loadAfter": [round(each, 1) for each in os.getloadavg()],
        },
        "durable": fast,
        "disk": disk,
        "single": slow,
        "verify": read,
    }
    given.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
