"""The gateway as a process: one loop, own watches, own clock, own chain."""

import asyncio
import logging
import ssl
import time
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta

import aiohttp
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

from carrel.cluster import Cluster
from carrel.flows.clock import Clock
from carrel.flows.process import endpoint
from carrel.flows.served_certificate import ServedCertificate
from carrel.gateway.beside import Neighbour
from carrel.gateway.control import Control
from carrel.gateway.cookies import Seal
from carrel.gateway.desk import Parts
from carrel.gateway.directory import Directory
from carrel.gateway.door import Door, Serve
from carrel.gateway.doorway import Doorway, open_doorway
from carrel.gateway.journal import Journal
from carrel.gateway.login import Login
from carrel.gateway.meter import Meter
from carrel.gateway.portal import Portal
from carrel.gateway.provider import Provider
from carrel.gateway.sessions import Sessions
from carrel.gateway.settings import GatewaySettings
from carrel.gateway.state import State
from carrel.gateway.traffic import Kind, Traffic
from carrel.gateway.upstream import Upstream, open_pool
from carrel.ledger import Chain
from carrel.rules.front_door_access import Sight
from carrel.rules.front_door_beside import Beside
from carrel.rules.front_door_budget import Budget, day_of
from carrel.rules.front_door_place import HUB, FrontDoor, PlaceKind

CERTIFICATE_SECONDS = 30.0
_TLS_BUFFER = 16 * 1024
_log = logging.getLogger(__name__)


async def serve(
    settings: GatewaySettings,
    *,
    cluster: Cluster,
    ledger: Chain,
    clock: Clock,
    ready: asyncio.Future[int] | None = None,
) -> None:
    """Serve until cancelled.

    Args:
        settings: What the environment says.
        cluster: Where grants, workspaces and reports are watched.
        ledger: Where everything is recorded.
        clock: The time.
        ready: Gets the port of the front door once it listens.

    """
    # asyncio gives every TLS connection a buffer of 256 KiB, so that an idle socket, which has two
    # connections, would cost half a MiB. One TLS record is at most 16 KiB.
    SSLProtocol.max_size = _TLS_BUFFER
    async with AsyncExitStack() as stack:
        state = State(settings.state_dir)
        stack.callback(state.close)
        # The pool of workspaces adds no field of its own, which a form of ours would need.
        asking = await stack.enter_async_context(
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        )
        pool = await stack.enter_async_context(open_pool())
        gateway = await _built(
            settings, state, pool=pool, asking=asking, ledger=ledger, clock=clock
        )
        registry = _figures(gateway)
        parts = gateway.parts

        def trouble() -> str | None:
            if ledger.trouble:
                return ledger.trouble
            return "the cluster is not heard" if parts.directory.sight is Sight.STALE else None

        await stack.enter_async_context(
            endpoint(port=settings.metrics_port, health=trouble, registry=registry)
        )
        port = await stack.enter_async_context(
            open_doorway(gateway.doorway, settings.port, gateway.context)
        )
        if ready is not None:
            ready.set_result(port)
        _log.info("the front door is open at %s", parts.front.portal)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(parts.directory.follow(cluster))
                group.create_task(parts.journal.run())
                group.create_task(parts.control.run())
                group.create_task(gateway.certificates(every=CERTIFICATE_SECONDS))
        finally:
            await parts.control.save()
            await parts.control.settle()


class _Gateway:
    """The parts of a running gateway."""

    def __init__(self, settings: GatewaySettings, parts: Parts, doorway: Doorway) -> None:
        self.parts = parts
        self.doorway = doorway
        self._public = ServedCertificate(settings.tls_cert, settings.tls_key)
        self._own = ServedCertificate(settings.own_cert, settings.own_key)
        self.context = self._public.context
        service = settings.service_host

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
            # Pods ask by the Service's name and trust the platform's authority alone.
            if name == service:
                connection.context = self._own.context

        self.context.sni_callback = choose

    async def certificates(self, *, every: float) -> None:
        """Follow both certificates, for ever."""
        while True:
            await asyncio.sleep(every)
            self._public.refresh()
            self._own.refresh()
            self.parts.upstream.renew()


async def _built(
    settings: GatewaySettings,
    state: State,
    *,
    pool: aiohttp.ClientSession,
    asking: aiohttp.ClientSession,
    ledger: Chain,
    clock: Clock,
) -> _Gateway:
    front = FrontDoor(host=settings.front_door_host, port=settings.front_door_port)
    ticker = time.monotonic
    sessions = Sessions(state, clock, life=timedelta(hours=settings.session_hours), ticker=ticker)
    meter = Meter(clock, Budget(limit=settings.budget_bytes))
    kept = await state.read(day=day_of(clock.now()))
    sessions.load(kept[0], kept[1])
    meter.load(kept[2])
    directory = Directory(
        clock,
        gateway=settings.pod_address,
        stale=timedelta(seconds=settings.stale_seconds),
        ticker=ticker,
    )
    traffic, journal = Traffic(clock), Journal(ledger, clock, ticker=ticker)
    control = Control(directory, sessions, traffic, journal, meter=meter, state=state, clock=clock)
    upstream = Upstream(
        pool, port=settings.workspace_port, cert=settings.own_cert, key=settings.own_key
    )
    parts = Parts(
        front=front,
        directory=directory,
        sessions=sessions,
        traffic=traffic,
        journal=journal,
        meter=meter,
        control=control,
        upstream=upstream,
        clock=clock,
        upload_bytes=settings.upload_bytes,
    )
    redirect = f"{front.portal}/login/callback"
    provider = Provider(settings, asking, clock, redirect=redirect, ticker=ticker)
    seal = Seal(settings.state_dir)
    login = Login(
        front, provider, sessions, control=control, journal=journal, seal=seal, clock=clock
    )
    portal = Portal(parts, login, hub=front.origin(HUB) if settings.hub_address else "")
    door = Door(
        parts,
        login,
        portal,
        neighbours=_neighbours(settings, pool, journal),
        service_host=settings.service_host,
    )
    doorway = Doorway(
        door.serve,
        most=settings.most_connections,
        unreadable=door.unreadable,
        crowded=door.crowded,
    )
    return _Gateway(settings, parts, doorway)


def _neighbours(
    settings: GatewaySettings, pool: aiohttp.ClientSession, journal: Journal
) -> dict[PlaceKind, Serve]:
    known = {
        PlaceKind.HUB: (Beside.HUB, settings.hub_address),
        PlaceKind.IDENTITY: (Beside.IDENTITY, settings.identity_address),
    }
    return {
        kind: Neighbour(
            beside,
            address,
            session=pool,
            authority=settings.platform_authority,
            journal=journal,
            port=settings.front_door_port,
        ).serve
        for kind, (beside, address) in known.items()
        if address
    }


def _figures(gateway: _Gateway) -> CollectorRegistry:
    registry, parts = CollectorRegistry(), gateway.parts
    ProcessCollector(registry=registry)
    figures: dict[str, tuple[str, Callable[[], float]]] = {
        "carrel_gateway_connections": ("Connections of browsers", lambda: gateway.doorway.live),
        "carrel_gateway_sockets": ("WebSockets", lambda: parts.traffic.count(Kind.SOCKET)),
        "carrel_gateway_requests": ("Requests", lambda: parts.traffic.count(Kind.REQUEST)),
        "carrel_gateway_sessions": ("Logins that hold", lambda: len(parts.sessions)),
    }
    for name, (sentence, value) in figures.items():
        Gauge(name, f"{sentence} now.", registry=registry).set_function(value)
    return registry
