"""HTTP on a listening socket that was handed over: few connections, short headers."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web
from typing_extensions import override

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

MOST_CONNECTIONS = 64
"""Connections of a workspace to a service at a time; the next are closed at once."""
LONGEST_LINE = 8_190
"""Bytes of a request line or of a header."""
_IDLE_SECONDS = 15.0


class _TurnedAway(asyncio.Protocol):
    """A connection too many."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.abort()


async def serve_http(listener: socket.socket, answer: Answer) -> None:
    """Serve until cancelled; `listener` belongs to the server from now on."""

    async def hidden(request: web.BaseRequest) -> web.StreamResponse:
        response = await answer(request)
        # What serves is nobody's business.
        response.headers["Server"] = "carrel"
        return response

    server = web.Server(
        hidden,
        access_log=None,
        keepalive_timeout=_IDLE_SECONDS,
        lingering_time=2.0,
        max_line_size=LONGEST_LINE,
        max_field_size=LONGEST_LINE,
    )

    def accept() -> asyncio.Protocol:
        return server() if len(server.connections) < MOST_CONNECTIONS else _TurnedAway()

    loop = asyncio.get_running_loop()
    try:
        async with await loop.create_server(accept, sock=listener) as listening:
            await listening.serve_forever()
    finally:
        await server.shutdown(timeout=1.0)
