"""The portal's own pages: a person's workspaces, how far each is, and the frame around one."""

import asyncio
import json
from urllib.parse import quote

from aiohttp import web

from carrel.gateway import answers, cookies
from carrel.gateway.desk import Parts
from carrel.gateway.login import Login, login_path
from carrel.gateway.state import Session
from carrel.render.door_pages import (
    Desk,
    Links,
    frame_page,
    list_page,
    portal_policy,
    progress_page,
    progress_part,
)
from carrel.rules.front_door import Refused
from carrel.rules.front_door_access import Seen, Sight, sight_is_stale, workspace_is_anothers
from carrel.rules.front_door_budget import Spent, budget_is_spent, budget_warning
from carrel.rules.front_door_progress import Progress, Stage, progress_of
from carrel.rules.opening import server_name
from carrel.rules.request_target import Target, TargetError, read_target

EVENTS_SECONDS = 1.0
"""How often a page that waits is told."""
LONGEST_WATCH = 3600.0
_FILES = ("door.css", "progress.js", "frame.js")


class Portal:
    """Serves the portal's origin."""

    def __init__(self, parts: Parts, login: Login, *, hub: str) -> None:
        self._parts = parts
        self._login = login
        self._hub = hub
        self._pages: asyncio.Semaphore = asyncio.Semaphore(4096)

    async def serve(  # noqa: PLR0911 - one return per path reads as the table it is
        self, request: web.BaseRequest
    ) -> web.StreamResponse:
        """Answer one request at the portal's origin."""
        try:
            target = read_target(request.raw_path)
        except TargetError as error:
            return self._refused(
                request, Refused(rule=error.rule, status=400, sentence=error.sentence)
            )
        match (request.method, target.segments):
            case ("GET", (".carrel", name)) if name in _FILES:
                return answers.own_file(name) or self._not_here(request)
            case ("GET", ("login",)):
                return await self._login.begin(request, target)
            case ("GET", ("login", "callback")):
                return await self._login.finish(request, target)
            case ("GET", ("logged-out",)):
                return self._login.left()
            case ("POST", ("backchannel-logout",)):
                return await self._login.ended_elsewhere(request)
            case ("POST", ("logout",)):
                foreign = self._foreign(request)
                return foreign or await self._login.leave(request)
            case ("GET", () | ("workspaces", *_)):
                return await self._of_person(request, target)
            case _:
                return self._not_here(request)

    async def _of_person(self, request: web.BaseRequest, target: Target) -> web.StreamResponse:
        session = self._parts.sessions.session(cookies.read(request, cookies.PORTAL))
        if session is None:
            if request.headers.get("Sec-Fetch-Dest", "document") == "document":
                return answers.redirect(login_path(target.text))
            refused = Refused(
                rule="login_is_missing", status=401, sentence="You are not logged in."
            )
            return self._refused(request, refused)
        match target.segments:
            case ():
                return self._list(session)
            case ("workspaces", name):
                return self._desk(request, session, name)
            case ("workspaces", name, "events"):
                return await self._events(request, session, name)
            case _:
                return self._not_here(request, session)

    def _list(self, session: Session) -> web.StreamResponse:
        seen = self._parts.directory.of_person(session.subject)
        shown = [(_shown(each), self._links(each)) for each in seen]
        return answers.page(list_page(shown, now=self._parts.clock.now()))

    def _desk(self, request: web.BaseRequest, session: Session, name: str) -> web.StreamResponse:
        parts = self._parts
        seen = parts.directory.seen(name, subject=session.subject)
        refused = sight_is_stale(seen) or workspace_is_anothers(seen)
        if refused is not None:
            rule = "sight_is_stale" if seen.sight is Sight.STALE else "workspace_is_anothers"
            named = Refused(
                rule=rule, status=refused.status, sentence=refused.sentence, todo=refused.todo
            )
            return self._refused(request, named, session)
        desk, links = _shown(seen, self._progress(seen, session)), self._links(seen)
        if desk.progress.stage is not Stage.OPEN:
            return answers.page(progress_page(desk, links))
        own = parts.front.origin(name)
        code = parts.sessions.code(session, workspace=name)
        text = frame_page(
            desk,
            enter=f"{own}/.carrel/enter?code={code}",
            now=parts.clock.now(),
            warning=self._warning(seen, session),
        )
        return answers.page(text, policy=portal_policy(frames=own))

    async def _events(
        self, request: web.BaseRequest, session: Session, name: str
    ) -> web.StreamResponse:
        """Tell a page how far its workspace is, until it is told to end (server-sent events)."""
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        answer.headers.update({"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
        await answer.prepare(request)
        last = ""
        async with asyncio.timeout(LONGEST_WATCH), self._pages:
            while request.transport is not None:
                text, stage = self._told(session, name)
                # A line in between shows a browser that left; a comment is no event.
                await answer.write((f"data: {text}\n\n" if text != last else ":\n\n").encode())
                last = text
                if stage is Stage.ENDED:
                    break
                await asyncio.sleep(EVENTS_SECONDS)
        await answer.write_eof()
        return answer

    def _told(self, session: Session, name: str) -> tuple[str, Stage]:
        parts = self._parts
        seen = parts.directory.seen(name, subject=session.subject)
        if session not in parts.sessions:
            progress = Progress(
                stage=Stage.ENDED, sentence="The login ended.", todo="Log in again to go on."
            )
        else:
            progress = self._progress(seen, session)
        told = {
            "stage": progress.stage.value,
            "html": progress_part(progress),
            "warning": self._warning(seen, session),
        }
        return json.dumps(told), progress.stage

    def _progress(self, seen: Seen, session: Session) -> Progress:
        if seen.workspace is not None and seen.workspace.spec.researcher == session.subject:
            meter, grant = self._parts.meter, seen.workspace.spec.grant.uid
            if meter.judge(session.subject, grant) is Spent.ALL:
                spent = budget_is_spent(meter.budget.limit)
                return Progress(stage=Stage.ENDED, sentence=spent.sentence, todo=spent.todo)
        return progress_of(seen)

    def _warning(self, seen: Seen, session: Session) -> str:
        if seen.workspace is None or seen.workspace.spec.researcher != session.subject:
            return ""
        meter, grant = self._parts.meter, seen.workspace.spec.grant.uid
        if meter.judge(session.subject, grant) is not Spent.MUCH:
            return ""
        return budget_warning(meter.spent(session.subject, grant), meter.budget.limit)

    def _links(self, seen: Seen) -> Links:
        if seen.workspace is None:
            return Links(open="/", start="")
        name = seen.workspace.metadata.name
        spawn = (
            f"{self._hub}/hub/spawn/{quote(seen.subject, safe='')}/"
            f"{quote(server_name(seen.workspace), safe='')}"
            if self._hub
            else ""
        )
        return Links(open=f"/workspaces/{name}", start=spawn)

    def _foreign(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Refuse what another origin's page sends, siblings' too."""
        portal, sent = self._parts.front.portal, request.headers
        if sent.get("Origin") == portal and sent.get("Sec-Fetch-Site") == "same-origin":
            return None
        refused = Refused(
            rule="origin_is_foreign",
            status=403,
            sentence="Only pages of the portal may ask this.",
            todo=f"Go to {portal}.",
        )
        return self._refused(request, refused)

    def _not_here(
        self, request: web.BaseRequest, session: Session | None = None
    ) -> web.StreamResponse:
        refused = Refused(
            rule="path_is_not_listed",
            status=404,
            sentence="There is no such page.",
            todo="Your workspaces are listed on the first page.",
        )
        return self._refused(request, refused, session)

    def _refused(
        self, request: web.BaseRequest, refused: Refused, session: Session | None = None
    ) -> web.StreamResponse:
        self._parts.journal.refused(refused, method=request.method, session=session)
        return answers.refusal(refused, request, home="/")


def _shown(seen: Seen, progress: Progress | None = None) -> Desk:
    workspace, grant = seen.workspace, seen.grant
    return Desk(
        workspace=workspace.metadata.name if workspace else "",
        grant=workspace.spec.grant.name if workspace else "",
        project=grant.spec.project if grant else "",
        purpose=grant.spec.purpose.statement if grant else "",
        datasets=tuple(
            f"{each.name}, version {each.version}"
            for each in (workspace.spec.datasets if workspace else ())
        ),
        ends=grant.spec.expires if grant else None,
        progress=progress or progress_of(seen),
    )
