"""`lock-gate`: lets a workspace start only after the lock was proven from inside.

It runs as the pod's first container, without privileges. It asks the node's agent, which
listens inside this pod's network namespace, what to try, tries it, reports, and ends with 0
only when the agent answers that every attempt was blocked, counted and recorded. It prints
nothing: reasons go to the agent's report.
"""

import json
import socket
import sys
import time
from typing import Any

from carrel.node.canaries import Canary, Probe, Target, fly

SOCKET_NAME = "carrel-lock"
"""Abstract name that the agent listens on."""
PATIENCE_SECONDS = 60.0
"""How long the gate waits for an agent; the pod then fails, and another is made."""
LONGEST_LINE = 65_536

ADMITTED, REFUSED, NO_AGENT, BROKEN = 0, 10, 11, 12


def main(*, patience: float = PATIENCE_SECONDS, name: str = SOCKET_NAME) -> int:
    """Prove the lock; return the exit code."""
    ends = time.monotonic() + patience
    while time.monotonic() < ends:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
                channel.settimeout(patience)
                channel.connect(b"\0" + name.encode())
                return _prove(channel)
        except (ConnectionError, FileNotFoundError):
            # No agent yet, or it restarted in the middle: begin again with the next one.
            time.sleep(0.005)  # noqa: TID251 - polls for a name that has no event to wait for
        except (OSError, ValueError, KeyError, TypeError):
            return BROKEN
    return NO_AGENT


def _prove(channel: socket.socket) -> int:
    lines = channel.makefile("rwb")
    hello = _read(lines)
    flown = [fly(_target(raw)) for raw in hello["targets"]]
    lines.write(_line({"nonce": hello["nonce"], "canaries": [_wire(each) for each in flown]}))
    lines.flush()
    return ADMITTED if _read(lines)["admit"] == "Yes" else REFUSED


def _read(lines: Any) -> dict[str, Any]:
    line = lines.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise ConnectionError("the agent ended the conversation")
    message = json.loads(line)
    if not isinstance(message, dict):
        raise TypeError("the agent said something else than an object")
    return message


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def _target(raw: dict[str, Any]) -> Target:
    return Target(
        name=raw["name"], probe=Probe(raw["probe"]), address=raw["address"], port=raw["port"]
    )


def _wire(canary: Canary) -> dict[str, Any]:
    return {
        "name": canary.name,
        "outcome": canary.outcome,
        "microseconds": canary.microseconds,
    }


if __name__ == "__main__":
    sys.exit(main())
