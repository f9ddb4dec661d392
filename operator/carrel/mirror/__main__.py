"""`python -m carrel.mirror`: serve the packages that policies list until stopped."""

import asyncio
import signal
import sys
from contextlib import suppress

from carrel.cluster import connect
from carrel.cluster.errors import ClusterError
from carrel.flows.clock import SystemClock
from carrel.flows.process import log_as_json
from carrel.mirror.serve import serve
from carrel.mirror.settings import MirrorSettings, SettingsError


async def _run(settings: MirrorSettings) -> None:
    async with connect(settings.kubeconfig, user_agent="carrel-mirror") as cluster:
        await serve(settings, cluster=cluster, clock=SystemClock())


async def _until_told(settings: MirrorSettings) -> None:
    task = asyncio.ensure_future(_run(settings))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def main() -> int:
    """Run until told to end; 1 with one sentence where it cannot begin."""
    log_as_json()
    try:
        asyncio.run(_until_told(MirrorSettings.from_environment()))
    except (SettingsError, ClusterError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence for whoever started us
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
