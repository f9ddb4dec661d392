"""What every process of the platform has: JSON logs, an end by SIGTERM, `/healthz`, `/metrics`."""

import asyncio
import json
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from typing_extensions import override

Health = Callable[[], str | None]
"""Says what is wrong in a sentence, None when nothing is."""


class JSONLines(logging.Formatter):
    """One event a line: time, level, logger, message, and the traceback of an error."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_as_json(*, level: int = logging.INFO) -> None:
    """Send every log line of this process to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # One line per probe would drown the events.
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


async def until_told(work: Coroutine[object, object, None]) -> None:
    """Run `work` and end it at SIGTERM, which process 1 of a container otherwise ignores."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def endpoint(
    *, port: int, health: Health, registry: CollectorRegistry
) -> AsyncIterator[None]:
    """Serve `/healthz` (503 and the sentence when something is wrong) and `/metrics`."""

    async def healthz(_: web.Request) -> web.Response:
        trouble = health()
        return web.Response(text=f"{trouble or 'ok'}\n", status=503 if trouble else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/metrics", metrics)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield
    finally:
        await runner.cleanup()
