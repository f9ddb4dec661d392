"""`python -m carrel.ingest serve|job`: the processes of the ingest."""

import argparse
import asyncio
import logging
import sys

from carrel.cluster import connect
from carrel.cluster.errors import ClusterError
from carrel.flows.clock import SystemClock
from carrel.flows.process import log_as_json, until_told
from carrel.ingest.job import Bench, JobError, run
from carrel.ingest.publish import SigningKeyError, load_signing_key
from carrel.ingest.serve import serve
from carrel.ingest.settings import JobSettings, ServeSettings, SettingsError
from carrel.ingest.staging import Staging
from carrel.ledger import LedgerError, open_chain
from carrel.rules import ingest_job_name, is_true

_log = logging.getLogger("carrel.ingest")


async def _serve(settings: ServeSettings) -> None:
    clock = SystemClock()
    with open_chain(settings.ledger_dir, process="ingest", clock=clock) as ledger:
        async with connect(settings.kubeconfig) as cluster:
            await serve(settings, cluster=cluster, ledger=ledger, clock=clock)


async def _job(settings: JobSettings, *, name: str) -> None:
    clock, key = SystemClock(), load_signing_key(settings.signing_key)
    # One chain for each ingest: jobs of several ingests may run beside each other.
    with open_chain(settings.ledger_dir, process=ingest_job_name(name), clock=clock) as ledger:
        async with connect(settings.kubeconfig) as cluster:
            bench = Bench(
                root=settings.store_root,
                staging=Staging(settings.staging_dir),
                cluster=cluster,
                ledger=ledger,
                clock=clock,
                key=key,
                workers=settings.workers,
            )
            progress = await run(name, bench)
    for each in progress.status(generation=0).conditions:
        _log.info("%s %s: %s", each.type, each.status, each.message)
    if not is_true(progress.status(generation=0).conditions, "Published"):
        _log.warning("nothing was published; trying again would end the same way")


def main() -> int:
    """Run one of the two processes; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m carrel.ingest", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="take uploads until stopped")
    job = commands.add_parser("job", help="gate and publish one sealed ingest")
    job.add_argument("--name", required=True, help="name of the DatasetIngest")
    arguments = parser.parse_args()
    log_as_json()
    try:
        if arguments.command == "serve":
            asyncio.run(until_told(_serve(ServeSettings.from_environment())))
        else:
            settings = JobSettings.from_environment()
            asyncio.run(until_told(_job(settings, name=arguments.name)))
    except (SettingsError, SigningKeyError, JobError, ClusterError, LedgerError, OSError) as error:
        _log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
