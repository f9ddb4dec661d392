"""What gets out and what is not accounted for when parts of the agent are killed at random.

    python tests/bench/agent_kills.py --kills 300 --output FILE.json

As root, without a cluster. Holder, recorder, relay and lock run as processes; one pod reaches
out all the while, others start. An upgrade kills all four and starts another version.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.killing import Kills, kill_at_random
from support.machine import machine


def figures(told: Kills, *, on: dict[str, object]) -> dict[str, object]:
    """Return what is committed."""
    return {
        "what": "kill -9 of parts of the agent at random moments, while pods start and one runs",
        "kills": told.kills.total(),
        "killsByPart": dict(sorted(told.kills.items())),
        "startsByExitCodeOfTheGate": {str(code): n for code, n in sorted(told.starts.items())},
        "packetsOut": told.leaked,
        "controlsThrough": told.controls_through,
        "kernelCounted": told.counted,
        "recorded": told.recorded,
        "knownLost": told.lost,
        "unaccounted": told.counted - told.recorded - told.lost,
        "faultsOfTheChain": told.faults,
        "takenForTampering": told.activities["LockTampered"],
        "seconds": round(told.seconds),
        "machine": on | {"loadAfter": [round(each, 1) for each in os.getloadavg()]},
    }


def main() -> None:
    """Measure and write the figures; exit 1 when anything got out or is unaccounted for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300, help="kills")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    parser.add_argument("--output", type=Path, help="file for the figures; default is stdout")
    given = parser.parse_args()
    on = machine()
    with tempfile.TemporaryDirectory() as folder:
        told = asyncio.run(
            kill_at_random(
                Path(folder),
                kills=given.kills,
                seed=given.seed,
                progress=lambda line: print(line, file=sys.stderr, flush=True),
            )
        )
    found = figures(told, on=on)
    text = json.dumps(found, indent=1) + "\n"
    if given.output:
        given.output.write_text(text)
    else:
        print(text, end="")
    sys.exit(1 if found["packetsOut"] or found["unaccounted"] else 0)


if __name__ == "__main__":
    main()
