"""`python -m carrel.forwarder`: sends chains to the central log until it is told to end."""

import asyncio
import sys
from datetime import timedelta
from functools import partial

from prometheus_client import CollectorRegistry, Gauge

from carrel.flows.clock import Clock, SystemClock, wait_until
from carrel.flows.forwarding import Door, Forwarder
from carrel.flows.ledger_door import HTTPDoor
from carrel.flows.process import endpoint, log_as_json, until_told
from carrel.flows.settings import SettingsError
from carrel.forwarder.settings import Settings

LOOK = timedelta(seconds=10)
"""A chain that a process begins is found within this."""


async def run(settings: Settings, *, clock: Clock, door: Door, registry: CollectorRegistry) -> None:
    """Forward every chain that is or comes into the folder, until cancelled."""
    sent = Gauge(
        "carrel_forwarder_sent",
        "Last record that the central log holds",
        ["process"],
        registry=registry,
    )
    running: set[str] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            found = {each.name for each in settings.ledger_dir.glob("*") if each.is_dir()}
            for process in sorted(found - running):
                forwarder = Forwarder(settings.ledger_dir, process=process, door=door, clock=clock)
                sent.labels(process).set_function(partial(_sent, forwarder))
                group.create_task(forwarder.run())
            running |= found
            await wait_until(clock.now() + LOOK, clock=clock)


def _sent(forwarder: Forwarder) -> float:
    return float(forwarder.backlog.sent)


async def _run(settings: Settings) -> None:
    registry = CollectorRegistry()
    door = HTTPDoor(
        settings.ledger_address, token=settings.ledger_token, authority=settings.ledger_authority
    )
    # A log that is away is no fault of this process: restarting it would not help.
    async with endpoint(port=settings.metrics_port, health=lambda: None, registry=registry), door:
        await until_told(run(settings, clock=SystemClock(), door=door, registry=registry))


def main() -> int:
    """Run until told to end; 1 with one sentence where it cannot begin."""
    log_as_json()
    try:
        asyncio.run(_run(Settings.from_environment()))
    except (SettingsError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence for whoever started us
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
