"""What a flood of refused packets does to its own counts and to a neighbour's latency.

    python tests/bench/flood.py --seconds 60 --rate 200000 --output FILE.json

As root, without a cluster. Quiet and flooded stretches take turns, so that both see the same
machine. The flood is one process of one workspace; the recorder is the agent's own, on a disk.
"""

import argparse
import asyncio
import json
import logging
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.flooding import Flood, flood
from support.ground import ground
from support.machine import machine


def figures(told: Flood, *, on: dict[str, object], asked: float) -> dict[str, object]:
    """Return what is committed."""
    return {
        "what": "one workspace sends what its lock refuses; a neighbour's requests are timed, us",
        "askedPerSecond": asked or "as fast as one process can",
        "perSecond": round(told.sent / told.seconds),
        "seconds": round(told.seconds, 1),
        "sent": told.sent,
        "packetsOut": told.leaked,
        "kernelCounted": told.counted,
        "recorded": told.recorded,
        "knownLost": told.lost,
        "unaccounted": told.counted - told.recorded - told.lost,
        "perFloodCPUSecond": round(told.sent / told.flood_cpu),
        "perRecorderCPUSecond": round(told.counted / told.recorder_cpu),
        "recorderMemoryMiB": told.recorder_megabytes,
        "neighbour": {
            "refusedConnect": told.refused.figures(),
            "loopbackRequest": told.loopback.figures(),
        },
        "machine": on | {"loadAfter": [round(each, 1) for each in os.getloadavg()]},
    }


def main() -> None:
    """Measure and write the figures; exit 1 when a packet got out or is unaccounted for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="of flood; as long is quiet")
    parser.add_argument("--rate", type=float, default=200_000, help="packets a second; 0: no limit")
    parser.add_argument("--parts", type=int, default=6, help="stretches of each kind")
    parser.add_argument("--output", type=Path, help="file for the figures; default is stdout")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    on = machine()
    with tempfile.TemporaryDirectory() as folder, ground() as one, ground() as other:
        how = {"seconds": given.seconds, "rate": given.rate, "parts": given.parts}
        told = asyncio.run(flood(one, other, Path(folder), **how))
    found = figures(told, on=on, asked=given.rate)
    text = json.dumps(found, indent=1) + "\n"
    if given.output:
        given.output.write_text(text)
    else:
        print(text, end="")
    sys.exit(1 if found["packetsOut"] or found["unaccounted"] else 0)


if __name__ == "__main__":
    main()
