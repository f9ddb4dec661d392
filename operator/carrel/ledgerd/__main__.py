"""`python -m carrel.ledgerd`: keeps the central log until it is told to end."""

import asyncio
import sys

from carrel.cluster import connect
from carrel.cluster.errors import ClusterError
from carrel.flows.clock import SystemClock
from carrel.flows.process import log_as_json, until_told
from carrel.flows.settings import SettingsError
from carrel.ledger import LedgerError
from carrel.ledgerd.intake import ACTOR
from carrel.ledgerd.process import run
from carrel.ledgerd.settings import Settings


async def _run(settings: Settings) -> None:
    async with connect(settings.kubeconfig, user_agent=ACTOR) as cluster:
        await until_told(run(settings, cluster=cluster, clock=SystemClock()))


def main() -> int:
    """Run until told to end; 1 with one sentence where it cannot begin."""
    log_as_json()
    try:
        asyncio.run(_run(Settings.from_environment()))
    except (SettingsError, ClusterError, LedgerError, OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence for whoever started us
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
