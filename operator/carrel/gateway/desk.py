"""A workspace's own origin: every request is judged, passed on or refused, metered and recorded."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from carrel.flows.clock import Clock
from carrel.gateway import answers, cookies
from carrel.gateway.control import Control
from carrel.gateway.directory import Directory
from carrel.gateway.errors import StateError
from carrel.gateway.journal import Journal, Like
from carrel.gateway.meter import Meter
from carrel.gateway.refusals import (
    AWAY,
    BEHIND,
    NOT_LOGGED_IN,
    TEXT_TOO_LARGE,
    TOO_LARGE,
    TOO_MUCH,
)
from carrel.gateway.sessions import Sessions, short
from carrel.gateway.sockets import LARGEST, carry
from carrel.gateway.state import Session
from carrel.gateway.traffic import Crossing, Kind, Traffic
from carrel.gateway.upstream import Upstream
from carrel.kinds import Workspace
from carrel.ledger import Activity, LedgerError
from carrel.rules.front_door import SOCKETS, Admitted, Refused, admit
from carrel.rules.front_door import Traffic as Sort
from carrel.rules.front_door_access import Way, way_to
from carrel.rules.front_door_budget import UNCOUNTED, Spent, budget_is_spent
from carrel.rules.front_door_headers import to_browser, to_workspace
from carrel.rules.front_door_origin import Provenance, ShownAlone, judge_provenance
from carrel.rules.front_door_place import FrontDoor

ENTER = "/.carrel/enter?code="
LARGEST_TEXT = 16 * 2**20
"""Largest text file or notebook that the file browser shows."""
AT_ONCE = 256
"""Requests and sockets of one workspace under way; a full session of Lab needs about twenty."""
_WHOLE = 128 * 1024
"""Answers up to this are passed on in one piece."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What the handlers of the front door share."""

    front: FrontDoor
    directory: Directory
    sessions: Sessions
    traffic: Traffic
    journal: Journal
    meter: Meter
    control: Control
    upstream: Upstream
    clock: Clock
    upload_bytes: int


@dataclass(frozen=True, kw_only=True)
class Visit:
    """A request that may go on."""

    admitted: Admitted
    session: Session
    way: Way
    request: web.BaseRequest
    own: str
    """Origin of the workspace."""

    @property
    def workspace(self) -> Workspace:
        """The workspace."""
        return self.way.workspace


class Desks:
    """Serves all origins of workspaces."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def serve(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        """Answer one request at the origin of a workspace."""
        raw = request.raw_path
        if raw.startswith("/.carrel/") and request.method == "GET":
            if raw.startswith(ENTER):
                return await self._enter(request, name, code=raw.removeprefix(ENTER))
            own = answers.own_file(raw.removeprefix("/.carrel/"))
            if own is not None:
                return own
        visit = self._judged(request, name)
        if isinstance(visit, web.StreamResponse):
            return visit
        kind = Kind.SOCKET if visit.admitted.route.traffic in SOCKETS else Kind.REQUEST
        traffic = self._parts.traffic.crossing(
            visit.workspace, visit.session, transport=request.transport, kind=kind
        )
        with traffic as crossing:
            if kind is Kind.SOCKET:
                return await self._socket(visit, crossing)
            return await self._passed(visit, crossing)

    async def _enter(self, request: web.BaseRequest, name: str, *, code: str) -> web.StreamResponse:
        """Change a one-time code for this origin's cookie."""
        parts = self._parts
        sent = request.headers
        framed = (
            sent.get("Sec-Fetch-Dest") == "iframe" and sent.get("Sec-Fetch-Site") == "same-site"
        )
        try:
            given = await parts.sessions.redeem(code, workspace=name) if framed else None
            if given is None:
                return self._refused(request, NOT_LOGGED_IN)
            secret, session = given
            seen = parts.directory.seen(name, subject=session.subject)
            answer = way_to(seen)
            if isinstance(answer, Refused):
                return self._refused(request, answer, session=session)
            await parts.journal.write(
                Activity.DOOR_OPENED,
                subject=session.subject,
                workspace=seen.workspace,
                pod_uid=answer.pod_uid,
                session=short(session.name),
            )
        except (LedgerError, StateError) as error:
            _log.error("%s", error)
            return self._refused(request, BEHIND)
        redirect = answers.redirect("/lab")
        framing = redirect.headers["Content-Security-Policy"]
        redirect.headers["Content-Security-Policy"] = framing.replace(
            "frame-ancestors 'none'", f"frame-ancestors {parts.front.portal}"
        )
        cookies.give(redirect, cookies.DESK, secret, seconds=72 * 3600, strict=True)
        return redirect

    def _judged(  # noqa: PLR0911 - one return per judgement
        self, request: web.BaseRequest, name: str
    ) -> Visit | web.StreamResponse:
        parts, sent = self._parts, request.headers
        own = parts.front.origin(name)
        alone = web_alone(request)
        secret = cookies.read(request, cookies.DESK)
        session = parts.sessions.of_workspace(secret, workspace=name)
        if session is None:
            if alone:
                return answers.redirect(f"{parts.front.portal}/workspaces/{name}")
            return self._refused(request, NOT_LOGGED_IN)
        admitted = admit(request.method, request.raw_path, upgrade=sent.get("Upgrade", ""))
        if isinstance(admitted, Refused):
            if alone and request.raw_path == "/":
                return answers.redirect(f"{parts.front.portal}/workspaces/{name}")
            return self._refused(request, admitted, session=session, workspace=name)
        shown = judge_provenance(
            Provenance(
                method=request.method,
                traffic=admitted.route.traffic,
                host=sent["Host"],
                origin=sent.get("Origin", ""),
                site=sent.get("Sec-Fetch-Site", ""),
                destination=sent.get("Sec-Fetch-Dest", ""),
            ),
            own=own,
            portal=parts.front.portal,
        )
        if isinstance(shown, ShownAlone):
            return answers.redirect(f"{parts.front.portal}/workspaces/{name}")
        template = admitted.route.template
        refused = shown if isinstance(shown, Refused) else self._held(name, session)
        if isinstance(refused, Refused):
            return self._refused(
                request, refused, session=session, workspace=name, template=template
            )
        return Visit(admitted=admitted, session=session, way=refused, request=request, own=own)

    def _held(self, name: str, session: Session) -> Way | Refused:
        """Return the way, or what holds everything back."""
        parts = self._parts
        answer = way_to(parts.directory.seen(name, subject=session.subject))
        if isinstance(answer, Refused):
            return answer
        if parts.journal.is_behind:
            return BEHIND
        if parts.traffic.of_workspace(name) >= AT_ONCE:
            return TOO_MUCH
        grant = answer.workspace.spec.grant.uid
        if parts.meter.judge(session.subject, grant) is Spent.ALL:
            return budget_is_spent(parts.meter.budget.limit)
        return answer

    async def _socket(self, visit: Visit, crossing: Crossing) -> web.StreamResponse:
        parts, request = self._parts, visit.request
        template = visit.admitted.route.template
        asked = tuple(
            each.strip()
            for each in request.headers.get("Sec-WebSocket-Protocol", "").split(",")
            if each.strip()
        )
        url = parts.upstream.address(visit.way, visit.admitted.target.text, scheme="wss")
        try:
            server = await parts.upstream.session.ws_connect(
                URL(url, encoded=True),
                protocols=asked[:4],
                headers=to_workspace(request.headers.items()),
                ssl=parts.upstream.context(visit.way),
                compress=0,
                max_msg_size=LARGEST,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return self._failed(visit, error)
        async with server:
            try:
                await parts.journal.write(
                    Activity.DOOR_SOCKET_OPENED,
                    subject=visit.session.subject,
                    workspace=visit.workspace,
                    pod_uid=visit.way.pod_uid,
                    template=template,
                    session=short(visit.session.name),
                )
            except LedgerError:
                return self._refused(request, BEHIND, session=visit.session)
            return await carry(
                request,
                server,
                crossing,
                template=template,
                control=parts.control,
                journal=parts.journal,
                clock=parts.clock,
            )

    async def _passed(self, visit: Visit, crossing: Crossing) -> web.StreamResponse:
        parts, request = self._parts, visit.request
        headers = CIMultiDict(to_workspace(request.headers.items()))
        length = request.content_length
        if length is not None and length > parts.upload_bytes:
            return self._refused(request, TOO_LARGE, session=visit.session)
        body = None
        if request.body_exists:
            body = _limited(request, crossing, most=parts.upload_bytes)
            if length is not None:
                headers["Content-Length"] = str(length)
        url = parts.upstream.address(visit.way, visit.admitted.target.text, scheme="https")
        try:
            async with parts.upstream.session.request(
                request.method,
                URL(url, encoded=True),
                headers=headers,
                data=body,
                ssl=parts.upstream.context(visit.way),
                allow_redirects=False,
            ) as answered:
                answer = await self._returned(visit, crossing, answered)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if crossing.up > parts.upload_bytes:
                return self._refused(request, TOO_LARGE, session=visit.session)
            return self._failed(visit, error)
        like = Like(
            Activity.DOOR_SERVED,
            visit.session.subject,
            short(visit.session.name),
            visit.workspace.metadata.name,
            request.method,
            visit.admitted.route.template,
            str(answer.status),
        )
        grant = visit.workspace.spec.grant
        parts.journal.served(
            like, grant=(grant.name, grant.uid), up=crossing.up, down=crossing.down
        )
        return answer

    async def _returned(
        self, visit: Visit, crossing: Crossing, answered: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        sort = visit.admitted.route.traffic
        headers = CIMultiDict(
            to_browser(
                answered.headers.items(),
                traffic=sort,
                own=visit.own,
                portal=self._parts.front.portal,
            )
        )
        length = answered.content_length
        largest = LARGEST_TEXT if sort is Sort.CONTENTS else None
        if largest is not None and length is not None and length > largest:
            return self._refused(visit.request, TEXT_TOO_LARGE, session=visit.session)
        if length is not None and length <= _WHOLE:
            body = await answered.read()
            self._count(crossing, sort, len(body))
            return web.Response(status=answered.status, headers=headers, body=body)
        answer = web.StreamResponse(status=answered.status, headers=headers)
        answer.content_length = length
        await answer.prepare(visit.request)
        async for part in answered.content.iter_any():
            self._count(crossing, sort, len(part))
            if largest is not None and crossing.down > largest:
                # The end never comes: a browser sees a broken answer, not a short file.
                visit.request.protocol.force_close()
                return answer
            await answer.write(part)
        await answer.write_eof()
        return answer

    def _count(self, crossing: Crossing, sort: Sort, size: int) -> None:
        crossing.down += size
        if sort not in UNCOUNTED:
            self._parts.control.count(crossing, down=size)

    def _failed(self, visit: Visit, error: BaseException) -> web.StreamResponse:
        _log.info("%s does not answer: %s", visit.workspace.metadata.name, error)
        if visit.request.writer.output_size > 0 or visit.request.transport is None:
            raise ConnectionResetError("the workspace ended in the middle of an answer")
        return self._refused(visit.request, AWAY, session=visit.session)

    def _refused(
        self,
        request: web.BaseRequest,
        refused: Refused,
        *,
        session: Session | None = None,
        workspace: str = "",
        template: str = "",
    ) -> web.StreamResponse:
        parts = self._parts
        found = None
        if session is not None and workspace:
            found = parts.directory.seen(workspace, subject=session.subject).workspace
            if found is not None and found.spec.researcher != session.subject:
                found = None
        parts.journal.refused(
            refused, method=request.method, template=template, session=session, workspace=found
        )
        portal = parts.front.portal
        return answers.refusal(refused, request, home=portal, framed_by=portal)


async def _limited(
    request: web.BaseRequest, crossing: Crossing, *, most: int
) -> AsyncIterator[bytes]:
    async for part in request.content.iter_any():
        crossing.up += len(part)
        if crossing.up > most:
            # The workspace sees a broken request, not a short file.
            raise aiohttp.ClientPayloadError("the body grew beyond what may be brought in")
        yield part


def web_alone(request: web.BaseRequest) -> bool:
    """Tell whether a person visits a page by itself."""
    sent = request.headers
    return request.method == "GET" and sent.get("Sec-Fetch-Dest") == "document"
