"""`python -m carrel.apiaudit`: records what administrators do."""

import asyncio
import sys

from carrel.apiaudit.process import run
from carrel.apiaudit.settings import Settings, SettingsError
from carrel.flows.process import log_as_json, until_told
from carrel.ledger import LedgerError


def main() -> int:
    """Run until told to end; 1 with one sentence where it cannot begin."""
    log_as_json()
    try:
        asyncio.run(until_told(run(Settings.from_environment())))
    except (SettingsError, LedgerError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence for whoever started us
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
