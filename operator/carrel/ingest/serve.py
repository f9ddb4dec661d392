"""The service as a process: TLS, figures, sweeping, and certificates that change."""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry

from carrel.cluster import Cluster
from carrel.flows.clock import Clock
from carrel.flows.process import endpoint
from carrel.flows.served_certificate import ServedCertificate
from carrel.ingest.service import Register, Service
from carrel.ingest.settings import ServeSettings
from carrel.ingest.staging import Staging
from carrel.ingest.sweeper import sweep
from carrel.ledger import Chain

SWEEP_SECONDS = 30.0
_log = logging.getLogger(__name__)


async def serve(
    settings: ServeSettings,
    *,
    cluster: Cluster,
    ledger: Chain,
    clock: Clock,
    ready: asyncio.Future[int] | None = None,
) -> None:
    """Serve until cancelled.

    Args:
        settings: What the environment says.
        cluster: Where ingests are looked up.
        ledger: Where deletions from staging are recorded.
        clock: The time.
        ready: Gets the port of the service once it listens.

    """
    staging, registry = Staging(settings.staging_dir), CollectorRegistry()
    service = Service(
        staging,
        Register(cluster, ticker=time.monotonic),
        clock=clock,
        registry=registry,
        file_bytes=settings.file_bytes,
        spare_bytes=settings.spare_bytes,
    )
    certificate = ServedCertificate(settings.tls_cert, settings.tls_key)

    def trouble() -> str | None:
        return ledger.trouble or None

    async with (
        endpoint(port=settings.metrics_port, health=trouble, registry=registry),
        _listening(service.application(), settings.port, certificate.context) as port,
    ):
        if ready is not None:
            ready.set_result(port)
        while True:
            certificate.refresh()
            try:
                swept = await sweep(staging, cluster=cluster, clock=clock, ledger=ledger)
            except OSError as error:
                _log.warning("staging could not be swept: %s", error)
            else:
                if swept:
                    _log.info("uploads deleted from staging: %d", swept)
            await asyncio.sleep(SWEEP_SECONDS)


@asynccontextmanager
async def _listening(
    application: web.Application, port: int, context: ssl.SSLContext
) -> AsyncIterator[int]:
    runner = web.AppRunner(application, access_log=None, lingering_time=2.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, port=port, ssl_context=context)
        await site.start()
        # Port 0 gives each address family a port of its own; tests speak IPv4.
        yield next(int(address[1]) for address in runner.addresses if len(address) == 2)
    finally:
        await runner.cleanup()
