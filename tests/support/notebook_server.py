"""Stands in for a workspace's server: TLS with a certificate of its own, callers by certificate."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from carrel.flows.serving import listening


@dataclass
class NotebookServer:
    """What was asked, and what is answered; everything it serves is a user's."""

    port: int = 0
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    """Method, target, fields and body of each request that arrived."""
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)
    """Laid over the plain answer: `body`, `status`, `headers`."""

    def application(self) -> web.Application:
        """Return one route for everything."""
        application = web.Application(client_max_size=2**30)
        application.router.add_route("*", "/{path:.*}", self._any)
        return application

    async def _any(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade") == "websocket":
            return await self._socket(request)
        body = await request.read()
        self.asked.append((request.method, request.raw_path, dict(request.headers), body))
        return web.Response(
            body=self.answer.get("body", b"hello"),
            status=self.answer.get("status", 200),
            headers={"Content-Type": "text/html", **self.answer.get("headers", {})},
        )

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        self.asked.append((request.method, request.raw_path, dict(request.headers), b""))
        socket = web.WebSocketResponse(protocols=("v1.kernel.websocket.jupyter.org",))
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                await socket.send_bytes(message.data)
            elif message.data == "print in a loop":
                while not socket.closed:
                    await socket.send_str("x" * 1000)
                    await asyncio.sleep(0)
            else:
                await socket.send_str(message.data)
        return socket


@asynccontextmanager
async def notebook_server(cert: Path, key: Path, callers: bytes) -> AsyncIterator[NotebookServer]:
    """Serve until the block ends; `callers` is the authority of who may connect, PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.load_verify_locations(cadata=callers.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    made = NotebookServer()
    async with listening(made.application(), 0, context) as port:
        made.port = port
        yield made
