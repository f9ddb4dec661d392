"""`python -m carrel.handlers`: the operator."""

import asyncio
import sys

from carrel.cluster.errors import ClusterError
from carrel.flows.process import log_as_json
from carrel.handlers.process import run
from carrel.handlers.settings import Settings, SettingsError
from carrel.handlers.startup import StartupError
from carrel.ledger import LedgerError


def main() -> int:
    """Run until told to end; 1 with one sentence where it cannot begin."""
    log_as_json()
    try:
        asyncio.run(run(Settings.from_environment()))
    except (SettingsError, StartupError, ClusterError, LedgerError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence for whoever started us
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
