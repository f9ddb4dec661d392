"""The mirror as a process: TLS, figures, the schedule, and policies as they change."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter
from pydantic import ValidationError

from carrel.cluster import ChangeType, Cluster, KindRef
from carrel.flows.clock import Clock
from carrel.flows.process import endpoint
from carrel.flows.served_certificate import ServedCertificate
from carrel.flows.service_token import Callers
from carrel.kinds import EgressPolicy
from carrel.mirror.cache import Cache
from carrel.mirror.service import Service
from carrel.mirror.settings import MirrorSettings
from carrel.mirror.stock import Stock
from carrel.mirror.upstream import Upstream
from carrel.rules.egress import listed_packages

AUDIENCE = "carrel-mirror"
"""What a node agent's token must have been made for."""
_CERTIFICATE_SECONDS = 30.0
_log = logging.getLogger(__name__)


async def serve(
    settings: MirrorSettings,
    *,
    cluster: Cluster,
    clock: Clock,
    ready: asyncio.Future[int] | None = None,
) -> None:
    """Serve until cancelled.

    Args:
        settings: What the environment says.
        cluster: Where policies are watched and callers' tokens are checked.
        clock: The time.
        ready: Gets the port of the service once it listens.

    """
    registry = CollectorRegistry()
    asked = Counter(
        "carrel_mirror_upstream_requests_total",
        "Requests to indexes outside.",
        ["index", "kind"],
        registry=registry,
    )
    cache = await asyncio.to_thread(Cache, settings.mirror_cache_dir)
    certificate = ServedCertificate(settings.tls_cert, settings.tls_key)
    callers = Callers(
        cluster,
        audience=AUDIENCE,
        allowed=frozenset(settings.mirror_callers),
        ticker=time.monotonic,
    )
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(
            Upstream(asked=asked, authorities=settings.mirror_authorities)
        )
        stock = Stock(cache, upstream, settings=settings, clock=clock, registry=registry)
        stack.push_async_callback(stock.close)
        await stack.enter_async_context(
            endpoint(port=settings.metrics_port, health=lambda: None, registry=registry)
        )
        service = Service(stock, callers, registry=registry)
        port = await stack.enter_async_context(
            _listening(service.application(), settings.port, certificate)
        )
        if ready is not None:
            ready.set_result(port)
        async with asyncio.TaskGroup() as group:
            _ = group.create_task(_follow_policies(cluster, stock))
            _ = group.create_task(stock.keep_fresh())
            _ = group.create_task(certificate.follow(every=_CERTIFICATE_SECONDS))


@asynccontextmanager
async def _listening(
    application: web.Application, port: int, certificate: ServedCertificate
) -> AsyncIterator[int]:
    runner = web.AppRunner(application, access_log=None, max_line_size=4096, max_field_size=16_384)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port, ssl_context=certificate.context).start()
        # Port 0 gives each address family a port of its own; tests speak IPv4.
        yield next(int(address[1]) for address in runner.addresses if len(address) == 2)
    finally:
        await runner.cleanup()


async def _follow_policies(cluster: Cluster, stock: Stock) -> None:
    """Tell the stock what is listed. Until all policies were told, nothing is."""
    known: dict[str, EgressPolicy] = {}
    synced = False
    async for change in cluster.watch(KindRef.of(EgressPolicy)):
        name = change.object.get("metadata", {}).get("name", "")
        match change.type:
            case ChangeType.SYNCED:
                synced = True
            case ChangeType.DELETED:
                known.pop(name, None)
            case ChangeType.ADDED | ChangeType.MODIFIED:
                try:
                    known[name] = EgressPolicy.model_validate(change.object)
                except ValidationError:
                    _log.warning("EgressPolicy %s cannot be read and lists nothing here", name)
                    known.pop(name, None)
        if synced:
            stock.list_packages(listed_packages(known.values()))
