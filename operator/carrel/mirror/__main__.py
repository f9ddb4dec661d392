"""`python -m carrel.mirror`: serve the packages that policies list until stopped."""

import asyncio
import sys

from carrel.cluster import connect
from carrel.cluster.errors import ClusterError
from carrel.flows.clock import SystemClock
from carrel.flows.process import log_as_json, until_told
from carrel.mirror.serve import serve
from carrel.mirror.settings import MirrorSettings, SettingsError


async def _run(settings: MirrorSettings) -> None:
    async with connect(settings.kubeconfig, user_agent="carrel-mirror") as cluster:
        await serve(settings, cluster=cluster, clock=SystemClock())


def main() -> int:
    """Run until told to end; 1 with one sentence where it cannot begin."""
    log_as_json()
    try:
        asyncio.run(until_told(_run(MirrorSettings.from_environment())))
    except (SettingsError, ClusterError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the one sentence for whoever started us
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
