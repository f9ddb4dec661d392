"""`python -m carrel.node relay`: serves what workspaces find on their loopback address.

It has no right of any kind: the lock opened the sockets, the holder keeps them, and this
process works with copies. When it dies, whoever connects waits until it is back.
"""

import asyncio
import logging
import os
import resource
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from prometheus_client import Gauge

from carrel.flows.clock import Clock, SystemClock
from carrel.node.handover import Binding, Handed, Handover, Kind
from carrel.node.health import Health
from carrel.node.process import until_stopped
from carrel.node.relay.budget import Budgets
from carrel.node.relay.desk import Desk
from carrel.node.relay.http import serve_http
from carrel.node.relay.mirror import Mirror
from carrel.node.relay.resolver import Resolver
from carrel.node.relay.telling import Telling
from carrel.node.relay.upstream import Upstream
from carrel.node.settings import Settings
from carrel.rules import POD_NAME

log = logging.getLogger(__name__)

Serve = Callable[[socket.socket], Awaitable[None]]
_AGAIN = 1.0


class Relay:
    """Serves every socket that the holder keeps, as long as it keeps it."""

    def __init__(self, settings: Settings, *, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._handover = Handover(settings.run_dir)
        self.telling = Telling(settings.run_dir, clock=clock)
        self._budgets = Budgets(settings.relay_dir, clock=clock)
        self._upstream = Upstream(
            settings.mirror_url,
            authority=settings.mirror_ca,
            token=settings.mirror_token,
            name=settings.mirror_name,
        )
        self._serving: dict[tuple[str, Kind], asyncio.Task[None]] = {}
        self._resolvers: dict[tuple[str, Kind], Resolver] = {}

    async def run(self) -> None:
        """Serve until cancelled."""
        try:
            async for each in self._handover.watch():
                if isinstance(each, Handed) and each.kind is not Kind.NFLOG:
                    await self._take(each)
                elif isinstance(each, Handed) and each.descriptor is not None:
                    os.close(each.descriptor)  # the recorder's
        finally:
            for pod_uid, kind in list(self._serving):
                await self._leave(pod_uid, kind)
            await self._upstream.close()

    def collect(self) -> None:
        """Hand over what was refused since the last time."""
        for resolver in self._resolvers.values():
            resolver.collect()

    async def _take(self, handed: Handed) -> None:
        await self._leave(handed.pod_uid, handed.kind)
        if handed.binding is None or handed.descriptor is None:
            return
        channel = socket.socket(fileno=handed.descriptor)
        channel.setblocking(False)
        serve = self._service(handed.kind, handed.binding)
        self._serving[handed.pod_uid, handed.kind] = asyncio.create_task(_kept_up(serve, channel))

    async def _leave(self, pod_uid: str, kind: Kind) -> None:
        task = self._serving.pop((pod_uid, kind), None)
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        resolver = self._resolvers.pop((pod_uid, kind), None)
        if resolver is not None:
            resolver.collect()

    def _service(self, kind: Kind, binding: Binding) -> Serve:
        policy, spec = binding.rules(), binding.spec()
        if spec is None:
            # A policy that cannot be read opens nothing.
            about = {"pod": binding.pod_uid, "policy": binding.egress_policy}
            log.warning("policy is not readable", extra=about)
        if kind in {Kind.DNS_UDP, Kind.DNS_TCP}:
            resolver = Resolver(
                binding.pod_uid,
                own_name=POD_NAME,
                policy=policy,
                telling=self.telling,
                clock=self._clock,
            )
            self._resolvers[binding.pod_uid, kind] = resolver
            over_tcp = kind is Kind.DNS_TCP
            return resolver.serve_connections if over_tcp else resolver.serve_datagrams
        if kind is Kind.MIRROR:
            mirror = Mirror(
                binding.pod_uid,
                grant_uid=binding.grant_uid,
                policy=policy,
                upstream=self._upstream,
                budgets=self._budgets,
                telling=self.telling,
                clock=self._clock,
            )
            return lambda listener: serve_http(listener, mirror.answer)
        desk = Desk(
            binding,
            own_name=POD_NAME,
            policy=policy,
            spec=spec,
            refusals=self._settings.run_dir / "refusals" / f"{binding.pod_uid}.json",
        )
        return lambda listener: serve_http(listener, desk.answer)


async def _kept_up(serve: Serve, channel: socket.socket) -> None:
    """Serve until cancelled, again after each fault."""
    with channel:
        while True:
            copy = channel.dup()
            copy.setblocking(False)
            try:
                await serve(copy)
            except Exception:
                log.exception("service stumbled")
            finally:
                copy.close()
            await asyncio.sleep(_AGAIN)


async def run(settings: Settings) -> None:
    """Serve until SIGTERM."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    relay = Relay(settings, clock=SystemClock())
    health = Health()
    Gauge(
        "carrel_relay_untold_refusals",
        "Refusals of the loopback services that the recorder has not taken yet.",
        registry=health.registry,
    ).set_function(lambda: relay.telling.untold)
    log.info("relay begins")
    await until_stopped(
        relay.run(), relay.telling.run(relay.collect), health.serve(settings.metrics_port)
    )
