"""What a probe and a scraper may ask of a container of the agent."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_STALE = 180.0
"""A watch gives a sign of life at least once a minute; three missed ones are a dead watch."""


class Health:
    """Figures of one process, and when each of its watches was last alive."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.lock_seconds = Histogram(
            "carrel_node_lock_seconds",
            "The agent's own work of a start: loading the lock, and the proof from inside.",
            registry=self.registry,
            buckets=(0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 5),
        )
        self.events = Counter(
            "carrel_node_events_total",
            "What the agent did, by activity.",
            ["activity"],
            registry=self.registry,
        )
        self.desks = Gauge(
            "carrel_node_pods", "Workspace pods attended to.", registry=self.registry
        )
        self._alive: dict[str, float] = {}

    def pulse(self, name: str) -> Callable[[], None]:
        """Return what a watch calls at each sign of life."""

        def beat() -> None:
            self._alive[name] = asyncio.get_running_loop().time()

        beat()
        return beat

    def stale(self) -> tuple[str, ...]:
        """Return the watches that gave no sign of life for 3 min."""
        now = asyncio.get_running_loop().time()
        return tuple(sorted(name for name, at in self._alive.items() if now - at > _STALE))

    async def serve(self, port: int) -> None:
        """Serve /healthz and /metrics until cancelled."""
        application = web.Application()
        application.router.add_get("/healthz", self._healthz)
        application.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, port=port).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _healthz(self, request: web.Request) -> web.Response:  # noqa: ARG002 - aiohttp passes it
        stale = self.stale()
        text = f"watch_is_dead: {', '.join(stale)}\n" if stale else "ok\n"
        return web.Response(text=text, status=503 if stale else 200)

    async def _metrics(self, request: web.Request) -> web.Response:  # noqa: ARG002 - as above
        return web.Response(
            body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )
