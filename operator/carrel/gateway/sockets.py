"""WebSockets between a browser and a workspace: message by message, counted, never compressed."""

import asyncio
from collections.abc import Callable

import aiohttp
from aiohttp import web

from carrel.flows.clock import Clock
from carrel.gateway.control import Control
from carrel.gateway.journal import Journal
from carrel.gateway.sessions import short
from carrel.gateway.traffic import Crossing
from carrel.ledger import Activity

LARGEST = 32 * 2**20
"""Largest message, both ways."""
PING_SECONDS = 60.0
"""A browser that went to sleep is noticed within this."""


async def carry(
    request: web.BaseRequest,
    server: aiohttp.ClientWebSocketResponse,
    crossing: Crossing,
    *,
    template: str,
    control: Control,
    journal: Journal,
    clock: Clock,
) -> web.WebSocketResponse:
    """Carry messages until either side ends, or the socket is cut; record its sums."""
    protocols = (server.protocol,) if server.protocol else ()
    browser = web.WebSocketResponse(
        protocols=protocols, compress=False, max_msg_size=LARGEST, heartbeat=PING_SECONDS
    )
    begun, reason = clock.now(), "ended"
    try:
        await browser.prepare(request)

        def came_up(size: int) -> None:
            crossing.up += size

        def goes_down(size: int) -> None:
            crossing.down += size
            control.count(crossing, down=size)

        async with asyncio.TaskGroup() as group:
            up = group.create_task(_pump(browser, server, came_up))
            down = group.create_task(_pump(server, browser, goes_down))
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            down.cancel()
        await browser.close(code=server.close_code or aiohttp.WSCloseCode.GOING_AWAY)
    except* (ConnectionError, aiohttp.ClientError):
        reason = "broken"
    finally:
        if crossing.cut is not None:
            reason = crossing.cut.rule
        await journal.tell(
            Activity.DOOR_SOCKET_CLOSED,
            subject=crossing.session.subject,
            workspace=crossing.workspace,
            template=template,
            reason=reason,
            up=crossing.up,
            down=crossing.down,
            milliseconds=round((clock.now() - begun).total_seconds() * 1000),
            session=short(crossing.session.name),
        )
    return browser


async def _pump(
    source: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
    sink: aiohttp.ClientWebSocketResponse | web.WebSocketResponse,
    count: Callable[[int], None],
) -> None:
    async for message in source:
        if message.type is aiohttp.WSMsgType.TEXT:
            count(len(message.data.encode()))
            await sink.send_str(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            count(len(message.data))
            await sink.send_bytes(message.data)
