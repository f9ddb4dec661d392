"""The Hub and the demo's identity provider: origins of their own, few paths, streamed."""

import logging
import ssl
from pathlib import Path

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from carrel.gateway import answers, cookies
from carrel.gateway.journal import Journal
from carrel.rules.front_door import Refused
from carrel.rules.front_door_beside import Beside, judge_beside
from carrel.rules.front_door_headers import beside_to_browser, beside_to_server

MOST_BODY = 4 * 2**20
_OURS = frozenset({cookies.PORTAL, cookies.DESK, cookies.LOGIN})
_log = logging.getLogger(__name__)


class Neighbour:
    """Passes requests on to one service of the platform."""

    def __init__(
        self,
        beside: Beside,
        address: str,
        *,
        session: aiohttp.ClientSession,
        authority: Path,
        journal: Journal,
        port: int,
    ) -> None:
        self._beside = beside
        self._address = address
        self._session = session
        self._authority = authority
        self._journal = journal
        self._port = port
        self._context: tuple[float, ssl.SSLContext] | None = None

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request at the service's origin."""
        target = judge_beside(self._beside, request.method, request.raw_path)
        if isinstance(target, Refused):
            return self._refused(request, target)
        if request.headers.get("Upgrade") or (request.content_length or 0) > MOST_BODY:
            return self._refused(request, _NOT_TAKEN)
        headers = CIMultiDict(
            beside_to_server(
                request.headers.items(),
                host=request.headers["Host"],
                port=self._port,
                remote=request.remote or "",
                without=_OURS,
            )
        )
        try:
            async with self._session.request(
                request.method,
                URL(f"{self._address}{target}", encoded=True),
                headers=headers,
                data=request.content if request.body_exists else None,
                ssl=self._tls(),
                allow_redirects=False,
            ) as answered:
                return await _streamed(request, answered)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.warning("%s does not answer: %s", self._beside.name, error)
            if request.writer.output_size > 0:
                raise ConnectionResetError(
                    "the service ended in the middle of an answer"
                ) from error
            return self._refused(request, _AWAY)

    def _tls(self) -> ssl.SSLContext:
        stamp = self._authority.stat().st_mtime
        if self._context is None or self._context[0] != stamp:
            self._context = stamp, ssl.create_default_context(cafile=str(self._authority))
        return self._context[1]

    def _refused(self, request: web.BaseRequest, refused: Refused) -> web.StreamResponse:
        self._journal.refused(refused, method=request.method)
        return answers.refusal(refused, request, home="")


async def _streamed(
    request: web.BaseRequest, answered: aiohttp.ClientResponse
) -> web.StreamResponse:
    headers = CIMultiDict(beside_to_browser(answered.headers.items()))
    answer = web.StreamResponse(status=answered.status, headers=headers)
    answer.content_length = answered.content_length
    await answer.prepare(request)
    async for part in answered.content.iter_any():
        await answer.write(part)
    await answer.write_eof()
    return answer


_NOT_TAKEN = Refused(
    rule="request_is_not_taken", status=400, sentence="This service takes small requests only."
)
_AWAY = Refused(
    rule="service_does_not_answer",
    status=502,
    sentence="This part of the platform does not answer.",
    todo="Open workspaces go on. Try again in a minute.",
)
