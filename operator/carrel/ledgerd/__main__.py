"""`python -m carrel.ledgerd`: keeps the central log until it is told to end."""

import asyncio
import signal
import sys
from contextlib import suppress

from carrel.cluster import connect
from carrel.cluster.errors import ClusterError
from carrel.flows.clock import SystemClock
from carrel.flows.process import log_as_json
from carrel.flows.settings import SettingsError
from carrel.ledger import LedgerError
from carrel.ledgerd.intake import ACTOR
from carrel.ledgerd.process import run
from carrel.ledgerd.settings import Settings


async def _until_told(settings: Settings) -> None:
    async with connect(settings.kubeconfig, user_agent=ACTOR) as cluster:
        task = asyncio.ensure_future(run(settings, cluster=cluster, clock=SystemClock()))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        with suppress(asyncio.CancelledError):
            await task


def main() -> int:
    """Run until told to end; 1 with one sentence where it cannot begin."""
    log_as_json()
    try:
        asyncio.run(_until_told(Settings.from_environment()))
    except (SettingsError, ClusterError, LedgerError, OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence for whoever started us
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
