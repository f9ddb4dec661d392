"""How many starts race their lock and get nothing out, and how long the agent works on each.

    python tests/bench/racing_starts.py --starts 10000 --output FILE.json

As root, without a cluster. Each start is a network namespace, its lock, its proof and a program
that reaches out at once; after each 250 a control start without a lock must get through.
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

from support.machine import machine
from support.racing import Starts, race


def figures(starts: Starts, *, on: dict[str, object]) -> dict[str, object]:
    """Return what is committed."""
    return {
        "what": "starts of namespace, lock and first instruction; the agent's work on each in ms",
        "starts": starts.count,
        "admitted": starts.admitted,
        "packetsOut": starts.leaked,
        "controls": starts.controls,
        "controlsThrough": starts.controls_through,
        "seconds": round(starts.seconds),
        "agentMilliseconds": {
            "p50": round(starts.percentile(50), 1),
            "p95": round(starts.percentile(95), 1),
            "p99": round(starts.percentile(99), 1),
            "max": round(max(starts.milliseconds), 1),
        },
        "machine": on | {"loadAfter": [round(each, 1) for each in os.getloadavg()]},
    }


def main() -> None:
    """Measure and write the figures; exit 1 when anything got out or a control did not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--starts", type=int, default=10_000, help="locked starts")
    parser.add_argument("--lanes", type=int, default=2, help="starts at once")
    parser.add_argument("--control-every", type=int, default=250, help="starts between controls")
    parser.add_argument("--seed", type=int, default=1, help="of the order of events")
    parser.add_argument("--output", type=Path, help="file for the figures; default is stdout")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    on = machine()
    with tempfile.TemporaryDirectory() as folder:
        starts = asyncio.run(
            race(
                Path(folder),
                count=given.starts,
                lanes=given.lanes,
                control_every=given.control_every,
                seed=given.seed,
                progress=lambda line: print(line, file=sys.stderr, flush=True),
            )
        )
    text = json.dumps(figures(starts, on=on), indent=1) + "\n"
    if given.output:
        given.output.write_text(text)
    else:
        print(text, end="")
    sound = starts.leaked == 0 and starts.admitted == starts.count
    sys.exit(0 if sound and starts.controls_through == starts.controls else 1)


if __name__ == "__main__":
    main()
