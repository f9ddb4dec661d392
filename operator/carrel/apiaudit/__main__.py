"""`python -m carrel.apiaudit`: records what administrators do."""

import asyncio
import contextlib
import signal
import sys

from carrel.apiaudit.process import run
from carrel.apiaudit.settings import Settings, SettingsError
from carrel.flows.process import log_as_json
from carrel.ledger import LedgerError


async def _until_told(settings: Settings) -> None:
    task = asyncio.ensure_future(run(settings))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main() -> int:
    """Run until told to end; 1 with one sentence where it cannot begin."""
    log_as_json()
    try:
        asyncio.run(_until_told(Settings.from_environment()))
    except (SettingsError, LedgerError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence for whoever started us
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
