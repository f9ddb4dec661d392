"""The listening socket: who may connect, how slowly, and what of bytes that are no request."""

import asyncio
import logging
import ssl
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from typing_extensions import override

HANDSHAKE_SECONDS = 10.0
IDLE_SECONDS = 30.0
"""Time for a request's head, from the connection or the end of the request before it: whoever
sends it letter by letter is closed (slow loris), and so is whoever sends nothing."""
LONGEST_LINE = 4096 + 512
LONGEST_FIELD = 8192
MOST_FIELDS = 64
CLOSING_SECONDS = 2.0

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Unreadable = Callable[[], web.Response]
_log = logging.getLogger(__name__)


class _Connection(RequestHandler):
    """A browser's connection; what is no HTTP is answered in our words and counted."""

    unreadable: Unreadable

    @override
    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        # Upstream logs a traceback for each, which a stranger could fill a disk with.
        if status >= 500:
            _log.error("a request failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        if status < 500:
            answer = self.unreadable()
        else:
            answer = web.Response(status=status, text="The gateway failed; try again.\n")
        answer.force_close()
        return answer


class _Refusing(asyncio.Protocol):
    """A connection too many: it is closed before it is read."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of what asyncio promises
        transport.abort()


class Doorway(web.Server):
    """aiohttp's server with a ceiling on connections."""

    def __init__(
        self, handler: Handler, *, most: int, unreadable: Unreadable, crowded: Callable[[], None]
    ) -> None:
        super().__init__(handler)
        self._most = most
        self._unreadable = unreadable
        self._crowded = crowded
        self._live: weakref.WeakSet[_Connection] = weakref.WeakSet()

    @override
    def __call__(self) -> Any:
        # Asked at accept: what never ends its handshake counts as well.
        if len(self._live) >= self._most:
            self._crowded()
            return _Refusing()
        made = _Connection(
            self,
            loop=self._loop,
            access_log=None,  # type: ignore[arg-type]  # what switches it off
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=CLOSING_SECONDS,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_FIELD,
            max_headers=MOST_FIELDS,
            auto_decompress=False,
        )
        made.unreadable = self._unreadable
        self._live.add(made)
        return made

    @property
    def live(self) -> int:
        """How many connections there are."""
        return len(self._live)


@asynccontextmanager
async def open_doorway(doorway: Doorway, port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Listen until left; give the port, of IPv4 where 0 was asked for."""
    server = await asyncio.get_running_loop().create_server(
        doorway,
        port=port,
        ssl=context,
        backlog=1024,
        ssl_handshake_timeout=HANDSHAKE_SECONDS,
        ssl_shutdown_timeout=CLOSING_SECONDS,
    )
    try:
        names = (each.getsockname() for each in server.sockets)
        yield next(int(name[1]) for name in names if len(name) == 2)
    finally:
        server.close()
        doorway.pre_shutdown()
        await doorway.shutdown(CLOSING_SECONDS)
        await server.wait_closed()
