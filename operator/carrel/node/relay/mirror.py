"""The package mirror of a workspace: decides here, and asks the site's mirror for what is listed.

What is not listed is answered here and asked of nobody, so that no name of a package can carry
anything out. Nothing of a request goes on but what was decided: index, project and file.
"""

import logging

import aiohttp
from aiohttp import web

from carrel.flows.clock import Clock
from carrel.node.relay.budget import BudgetError, Budgets
from carrel.node.relay.packages import (
    LARGEST_PAGE,
    PROBLEM_TYPE,
    PageError,
    Part,
    Wanted,
    is_installer,
    list_of,
    page_of,
    problem,
    read_path,
    readdressed,
    reason,
    refused_page,
)
from carrel.node.relay.telling import Layer, Refusal, Telling
from carrel.node.relay.trouble import TROUBLE, Trouble, Words
from carrel.node.relay.upstream import Upstream, UpstreamError
from carrel.rules.egress import EgressRules, Outcome, decide, within_budget
from carrel.rules.egress_attempt import normalised_project, visible

log = logging.getLogger(__name__)

_CHUNK = 256 * 1024


class Mirror:
    """Serves packages to one workspace."""

    def __init__(
        self,
        pod_uid: str,
        *,
        grant_uid: str,
        policy: EgressRules,
        upstream: Upstream,
        budgets: Budgets,
        telling: Telling,
        clock: Clock,
    ) -> None:
        self._pod_uid = pod_uid
        self._grant_uid = grant_uid
        self._policy = policy
        self._upstream = upstream
        self._budgets = budgets
        self._telling = telling
        self._clock = clock

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if request.method not in {"GET", "HEAD"}:
            return self._turned_down(request, Trouble.METHOD, status=405)
        if request.can_read_body or request.headers.get("Upgrade"):
            return self._turned_down(request, Trouble.BODY, status=400)
        wanted = read_path(request.path)
        if wanted is not None:
            return await self._decided(request, wanted)
        if request.path in {"/", "/simple", "/simple/"}:
            projects = {name for names in self._policy.packages.values() for name in names}
            return _page(list_of(projects, accept=_accept(request)))
        return self._turned_down(request, Trouble.PATH, status=404)

    async def _decided(self, request: web.BaseRequest, wanted: Wanted) -> web.StreamResponse:
        asked = wanted.request
        if wanted.part is Part.REFUSED:
            # The file does not exist; the decision is the one about its package.
            asked = type(asked)(index=asked.index, project=asked.project, filename=None)
        ruling = decide(asked, self._policy)
        if ruling.outcome is Outcome.ALLOWED and wanted.part is not Part.REFUSED:
            try:
                ruling = within_budget(self._budgets.used(self._grant_uid), self._policy)
            except BudgetError:
                log.exception("budget is not known", extra={"grant_uid": self._grant_uid})
                return self._turned_down(request, Trouble.BUDGET, status=503)
        if ruling.outcome is Outcome.REFUSED:
            return self._refused(request, wanted, ruling)
        if wanted.part is Part.REFUSED:
            return self._turned_down(request, Trouble.PATH, status=404)
        return await self._fetched(request, wanted)

    def _refused(
        self, request: web.BaseRequest, wanted: Wanted, ruling: Words
    ) -> web.StreamResponse:
        leads_on = wanted.part is Part.PAGE and is_installer(_accept(request))
        self._tell(request, ruling, project=wanted.request.project)
        if not leads_on or not normalised_project(wanted.request.project):
            return _problem(ruling, status=403)
        return _page(refused_page(wanted.request.project, accept=_accept(request)))

    def _turned_down(
        self, request: web.BaseRequest, what: Trouble, *, status: int
    ) -> web.StreamResponse:
        ruling = TROUBLE[what]
        self._tell(request, ruling, project="")
        return _problem(ruling, status=status)

    def _tell(self, request: web.BaseRequest, ruling: Words, *, project: str) -> None:
        refusal = Refusal(
            Layer.MIRROR,
            visible(project),
            visible(f"{request.method} {request.path}"),
            ruling.rule,
            ruling.sentence,
            ruling.todo,
        )
        self._telling.add(self._pod_uid, refusal, count=1, since=self._clock.now())

    async def _fetched(self, request: web.BaseRequest, wanted: Wanted) -> web.StreamResponse:
        if not self._upstream.is_there:
            return self._turned_down(request, Trouble.NO_MIRROR, status=503)
        # What is let through only while somebody writes down what is refused.
        if not self._telling.recorder_is_there():
            return self._turned_down(request, Trouble.RECORDER, status=503)
        try:
            self._budgets.charge(self._grant_uid, requests=1, octets=0)
            if wanted.part is Part.PAGE:
                return await self._page(request, wanted)
            return await self._file(request, wanted)
        except BudgetError:
            log.exception("budget cannot be kept", extra={"grant_uid": self._grant_uid})
            return self._turned_down(request, Trouble.BUDGET, status=503)
        except (UpstreamError, PageError) as error:
            log.warning("mirror failed", extra={"error": str(error)})
            return self._turned_down(request, Trouble.UPSTREAM, status=502)

    async def _page(self, request: web.BaseRequest, wanted: Wanted) -> web.StreamResponse:
        project = normalised_project(wanted.request.project) or ""
        async with self._upstream.asked(wanted) as response:
            if response is None:
                return self._turned_down(request, Trouble.NOT_THERE, status=404)
            content = bytearray()
            async for chunk in response.content.iter_chunked(_CHUNK):
                content += chunk
                if len(content) > LARGEST_PAGE:
                    raise UpstreamError("the page of a package is too large")
        self._budgets.charge(self._grant_uid, requests=0, octets=len(content))
        files = readdressed(bytes(content), project=project)
        return _page(page_of(project, files, accept=_accept(request)))

    async def _file(self, request: web.BaseRequest, wanted: Wanted) -> web.StreamResponse:
        async with self._upstream.asked(wanted, method=request.method) as response:
            if response is None:
                return self._turned_down(request, Trouble.NOT_THERE, status=404)
            size = response.content_length
            answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
            if size is not None:
                answer.content_length = size
            if request.method == "GET":
                self._budgets.charge(self._grant_uid, requests=0, octets=size or 0)
            await answer.prepare(request)
            try:
                async for chunk in response.content.iter_chunked(_CHUNK):
                    if size is None:
                        self._budgets.charge(self._grant_uid, requests=0, octets=len(chunk))
                    await answer.write(chunk)
                await answer.write_eof()
            except (aiohttp.ClientError, BudgetError, OSError, TimeoutError) as error:
                # Too late for another answer: a file that ends early must look as if it did.
                log.warning("a file ended early", extra={"error": str(error)})
                if request.transport is not None:
                    request.transport.abort()
            return answer


def _accept(request: web.BaseRequest) -> str:
    return request.headers.get("Accept", "").lower()


def _page(page: tuple[bytes, str]) -> web.Response:
    body, kind = page
    return web.Response(body=body, headers={"Content-Type": kind, "Cache-Control": "no-store"})


def _problem(ruling: Words, *, status: int) -> web.Response:
    answer = web.Response(
        status=status,
        reason=reason(ruling),
        body=problem(ruling, status=status),
        headers={"Content-Type": PROBLEM_TYPE, "Cache-Control": "no-store"},
    )
    # A body that nobody read would be taken for the next request.
    answer.force_close()
    return answer
