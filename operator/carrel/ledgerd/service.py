"""The HTTP side of the log: chains ask where they stand and append."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from carrel.flows.forwarding import Place
from carrel.ledger import LedgerUnavailableError
from carrel.ledgerd.identity import Doorkeeper
from carrel.ledgerd.intake import Intake, split
from carrel.ledgerd.writers import RefusedError

LARGEST_BODY = 8 * 1024 * 1024
AT_ONCE = 8
"""Bodies held in memory; more writers are told to come back."""


class Service:
    """The routes for writers."""

    def __init__(self, intake: Intake, doorkeeper: Doorkeeper) -> None:
        self._intake = intake
        self._doorkeeper = doorkeeper
        self._bodies = asyncio.Semaphore(AT_ONCE)

    def application(self) -> web.Application:
        """Return the routes."""
        application = web.Application(middlewares=[_refusals], client_max_size=LARGEST_BODY)
        application.router.add_get("/v1/place", self._place)
        application.router.add_post("/v1/append", self._append)
        return application

    async def _place(self, request: web.Request) -> web.Response:
        identity = await self._doorkeeper.identity(request.headers.get("Authorization", ""))
        process, chain = _named(request)
        return _placed(self._intake.place(identity, process=process, chain=chain))

    async def _append(self, request: web.Request) -> web.Response:
        identity = await self._doorkeeper.identity(request.headers.get("Authorization", ""))
        process, chain = _named(request)
        if self._bodies.locked():
            raise LedgerUnavailableError("log_is_busy: too many batches at once; try again.")
        async with self._bodies:
            lines = split(await request.read())
            return _placed(await self._intake.take(identity, lines, process=process, chain=chain))


def _named(request: web.Request) -> tuple[str, str]:
    return request.query.get("process", ""), request.query.get("chain", "")


def _placed(place: Place | None) -> web.Response:
    if place is None:
        return web.json_response({"sequence": 0, "digest": ""})
    return web.json_response({"sequence": place.sequence, "digest": place.digest})


@web.middleware
async def _refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as error:
        status, sentence = error.status, str(error)
    except LedgerUnavailableError as error:
        status, sentence = 503, str(error)
    body = json.dumps({"rule": sentence.partition(":")[0], "sentence": sentence})
    headers = {"Retry-After": "1"} if status == 503 else {}
    answer = web.Response(
        status=status, text=body, content_type="application/json", headers=headers
    )
    # What was not read of the body is not read at all: the connection cannot be used again.
    answer.force_close()
    return answer
