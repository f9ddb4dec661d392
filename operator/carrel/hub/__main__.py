"""`python -m carrel.hub`: serve the Hub until stopped."""

import asyncio
import signal
import sys
from contextlib import suppress

from carrel.cluster import connect
from carrel.cluster.errors import ClusterError
from carrel.flows.process import log_as_json
from carrel.hub.process import serve
from carrel.hub.provider import ProviderError
from carrel.hub.settings import HubSettings, SettingsError


async def _run(settings: HubSettings) -> None:
    async with connect(settings.kubeconfig, user_agent="carrel-hub") as cluster:
        await serve(settings, cluster=cluster)


async def _until_told(settings: HubSettings) -> None:
    task = asyncio.ensure_future(_run(settings))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def main() -> int:
    """Run until told to end; 1 with one sentence where it cannot begin."""
    log_as_json()
    try:
        asyncio.run(_until_told(HubSettings.from_environment()))
    except SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence for whoever started us
        return 1
    except BaseExceptionGroup as group:
        expected, unexpected = group.split((ClusterError, ProviderError, OSError))
        if unexpected is not None or expected is None:
            raise
        for each in expected.exceptions:
            print(each, file=sys.stderr)  # noqa: T201 - as above
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
