"""`python -m carrel.node lock|views|homes|holder|recorder|relay`: the containers of the agent."""

import asyncio
import sys

from carrel.node import holder, homes, lock, recorder, views
from carrel.node.journal import log_json
from carrel.node.relay import process as relay
from carrel.node.settings import Settings, SettingsError

_PROCESSES = {
    "lock": lock.run,
    "views": views.run,
    "homes": homes.run,
    "holder": holder.run,
    "recorder": recorder.run,
    "relay": relay.run,
}


def main(arguments: list[str]) -> int:
    """Run one process; return the exit code."""
    if len(arguments) != 1 or arguments[0] not in _PROCESSES:
        sys.stderr.write(f"usage: python -m carrel.node {'|'.join(_PROCESSES)}\n")
        return 2
    log_json()
    try:
        asyncio.run(_PROCESSES[arguments[0]](Settings.from_environment()))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
