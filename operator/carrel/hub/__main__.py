"""`python -m carrel.hub`: serve the Hub until stopped."""

import asyncio
import sys

from carrel.cluster import connect
from carrel.cluster.errors import ClusterError
from carrel.flows.process import log_as_json, until_told
from carrel.hub.process import serve
from carrel.hub.provider import ProviderError
from carrel.hub.settings import HubSettings, SettingsError


async def _run(settings: HubSettings) -> None:
    async with connect(settings.kubeconfig, user_agent="carrel-hub") as cluster:
        await serve(settings, cluster=cluster)


def main() -> int:
    """Run until told to end; 1 with one sentence where it cannot begin."""
    log_as_json()
    try:
        asyncio.run(until_told(_run(HubSettings.from_environment())))
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
