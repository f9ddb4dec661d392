"""Serving over TLS."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def listening(
    application: web.Application, port: int, context: ssl.SSLContext
) -> AsyncIterator[int]:
    """Serve until left; gives the port, of IPv4 where 0 was asked for."""
    runner = web.AppRunner(application, access_log=None, lingering_time=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port, ssl_context=context).start()
        # Port 0 gives each address family a port of its own; tests speak IPv4.
        yield next(int(address[1]) for address in runner.addresses if len(address) == 2)
    finally:
        await runner.cleanup()
