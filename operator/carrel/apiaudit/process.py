"""apiaudit as a process: no right in the cluster, no socket but its own endpoint."""

import logging
from datetime import timedelta

from prometheus_client import CollectorRegistry, ProcessCollector

from carrel.apiaudit.forwarding import Forwarder, follow
from carrel.apiaudit.progress import ProgressFile
from carrel.apiaudit.settings import Settings
from carrel.flows.clock import SystemClock
from carrel.flows.process import endpoint
from carrel.ledger import open_chain

PROCESS = "apiaudit"
EVERY = timedelta(seconds=1)
_log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Forward until cancelled."""
    clock, registry = SystemClock(), CollectorRegistry()
    ProcessCollector(registry=registry)
    with open_chain(settings.ledger_dir, process=PROCESS, clock=clock) as chain:
        forwarder = Forwarder(
            settings.audit_log,
            chain,
            chain_dir=settings.ledger_dir / PROCESS,
            progress=ProgressFile(settings.ledger_dir / PROCESS / "progress.json"),
            platform=settings.namespace,
            clock=clock,
            registry=registry,
        )

        def health() -> str | None:
            # Only what a restart may mend: the rest is in the metric and in the records.
            return chain.trouble or None

        async with endpoint(port=settings.metrics_port, health=health, registry=registry):
            _log.info("apiaudit follows %s", settings.audit_log)
            await follow(forwarder, clock=clock, every=EVERY)
