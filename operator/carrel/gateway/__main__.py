"""`python -m carrel.gateway`: the front door, until it is told to end."""

import asyncio
import sys

from carrel.cluster import connect
from carrel.cluster.errors import ClusterError
from carrel.flows.clock import SystemClock
from carrel.flows.process import log_as_json, until_told
from carrel.gateway.errors import GatewayError
from carrel.gateway.process import serve
from carrel.gateway.settings import GatewaySettings, SettingsError
from carrel.ledger import LedgerError, open_chain


async def _run(settings: GatewaySettings) -> None:
    clock = SystemClock()
    with open_chain(settings.ledger_dir, process="gateway", clock=clock) as ledger:
        async with connect(settings.kubeconfig, user_agent="carrel-gateway") as cluster:
            await serve(settings, cluster=cluster, ledger=ledger, clock=clock)


def main() -> int:
    """Run until told to end; 1 with one sentence where it cannot begin."""
    log_as_json()
    try:
        asyncio.run(until_told(_run(GatewaySettings.from_environment())))
    except (SettingsError, ClusterError, LedgerError, GatewayError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence for whoever started us
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
