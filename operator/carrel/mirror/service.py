"""The mirror's service: the simple API of a package index (PEP 503, 691), and nothing else.

GET /<index>/simple/<project>/            the page of a package
GET /<index>/files/<project>/<filename>   a file of it, or its metadata (PEP 658)

Links in pages are relative, so a relay may take `/<index>` away before an installer sees them.
"""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter

from carrel.flows.service_token import Callers, CallersAwayError, NotACallerError
from carrel.mirror.arrival import Arrival
from carrel.mirror.errors import MirrorError
from carrel.mirror.listing import HTML_TYPE, JSON_TYPE, as_html, as_json
from carrel.mirror.stock import Stock

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_BINARY = "application/octet-stream"
_PATHS = (
    "The mirror answers GET and HEAD of /<index>/simple/<package>/ and "
    "/<index>/files/<package>/<file>, without a query."
)


class Service:
    """The handlers of the service and its figures."""

    def __init__(self, stock: Stock, callers: Callers, *, registry: CollectorRegistry) -> None:
        self._stock = stock
        self._callers = callers
        self._answers = Counter(
            "carrel_mirror_requests_total",
            "Requests of node agents by what became of them.",
            ["end"],
            registry=registry,
        )

    def application(self) -> web.Application:
        """Return the routes."""
        application = web.Application(middlewares=[self._judged], client_max_size=0)
        application.router.add_get("/{index}/simple/{project}/", self._page)
        application.router.add_get("/{index}/simple/{project}", self._slash)
        application.router.add_get("/{index}/files/{project}/{filename}", self._file)
        return application

    async def _slash(self, request: web.Request) -> web.Response:
        name = request.match_info["project"]
        listing = self._stock.listing(request.match_info["index"], name)
        return web.Response(status=301, headers={"Location": f"{listing.project}/"})

    async def _page(self, request: web.Request) -> web.Response:
        listing = self._stock.listing(request.match_info["index"], request.match_info["project"])
        accept = request.headers.get("Accept", "")
        headers = {"Vary": "Accept"}
        if JSON_TYPE in accept:
            headers["Content-Type"] = JSON_TYPE
            return web.Response(body=as_json(listing).encode(), headers=headers)
        kind = HTML_TYPE if HTML_TYPE in accept else "text/html"
        headers["Content-Type"] = f"{kind}; charset=utf-8"
        return web.Response(body=as_html(listing).encode(), headers=headers)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        info = request.match_info
        asked = (info["index"], info["project"], info["filename"])
        if request.method == "HEAD":
            # Whether a file exists says its page; nothing is fetched for the question.
            size = self._stock.promised(*asked)
            answer = web.Response(content_type=_BINARY)
            if size is not None:
                answer.headers["Content-Length"] = str(size)
            return answer
        held = self._stock.file(*asked)
        if isinstance(held, Path):
            return web.FileResponse(held, headers={"Content-Type": _BINARY})
        return await _passed_on(request, held)

    @web.middleware
    async def _judged(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            await self._callers.known(_token(request))
            _check(request)
            answer = await handler(request)
        except NotACallerError as error:
            return self._refusal(401, "mirror.caller_not_known", str(error))
        except CallersAwayError as error:
            return self._refusal(503, "mirror.callers_not_checked", str(error))
        except MirrorError as error:
            return self._refusal(error.status, error.rule, error.sentence)
        except web.HTTPException as error:
            return self._refusal(error.status, "mirror.no_such_path", _PATHS)
        self._answers.labels("given").inc()
        return answer

    def _refusal(self, status: int, rule: str, sentence: str) -> web.Response:
        self._answers.labels(rule.rpartition(".")[2]).inc()
        body = json.dumps({"rule": rule, "sentence": sentence})
        return web.Response(
            status=status, text=body, content_type="application/json", reason=_one_line(sentence)
        )


async def _passed_on(request: web.Request, arrival: Arrival) -> web.StreamResponse:
    """Answer with a file as it comes."""
    answer = web.StreamResponse(headers={"Content-Type": _BINARY})
    answer.content_length = arrival.size
    with arrival.reader() as parts:
        try:
            async for part in parts:
                # Headers wait for the first bytes: what fails at once is a plain refusal.
                if not answer.prepared:
                    await answer.prepare(request)
                await answer.write(part)
        except MirrorError:
            if not answer.prepared or request.transport is None:
                raise
            # The end never comes: an installer sees a broken connection, not a short file.
            request.transport.abort()
            return answer
    await answer.prepare(request)
    await answer.write_eof()
    return answer


def _token(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" else ""


def _check(request: web.Request) -> None:
    if request.method not in ("GET", "HEAD") or request.query_string or request.can_read_body:
        raise MirrorError(405, "mirror.only_reading", _PATHS)


def _one_line(sentence: str) -> str:
    # Installers show the reason phrase; a header line holds plain ASCII only.
    return "".join(each if " " <= each <= "~" else "?" for each in sentence)[:400]
