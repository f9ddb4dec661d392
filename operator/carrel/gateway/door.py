"""Which origin is asked: the first decision about every request."""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import unquote

from aiohttp import web

from carrel.gateway import answers
from carrel.gateway.desk import Desks, Parts
from carrel.gateway.login import Login
from carrel.gateway.portal import Portal
from carrel.rules.front_door import Refused
from carrel.rules.front_door_place import Place, PlaceKind
from carrel.rules.opening import server_name

Serve = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
_UNKNOWN = Refused(
    rule="host_is_unknown", status=421, sentence="Nothing is served under this address."
)
UNREADABLE = Refused(rule="request_is_malformed", status=400, sentence="This is no HTTP request.")
CROWDED = Refused(rule="too_many_connections", status=503, sentence="Too many are connected.")


class Door:
    """Sends each request to whoever serves its origin."""

    def __init__(
        self,
        parts: Parts,
        login: Login,
        portal: Portal,
        *,
        neighbours: Mapping[PlaceKind, Serve],
        service_host: str,
    ) -> None:
        self._parts = parts
        self._login = login
        self._portal = portal
        self._desks = Desks(parts)
        self._neighbours = neighbours
        self._service_host = service_host

    async def serve(  # noqa: PLR0911 - one return per origin reads as the table it is
        self, request: web.BaseRequest
    ) -> web.StreamResponse:
        """Answer one request."""
        hosts = request.headers.getall("Host", ())
        if len(hosts) != 1 or _is_smuggled(request):
            return self.unreadable()
        place = self._parts.front.place(hosts[0])
        if place is None:
            return await self._by_service_name(request, hosts[0])
        match place:
            case Place(kind=PlaceKind.PORTAL):
                return await self._portal.serve(request)
            case Place(kind=PlaceKind.WORKSPACE, workspace=name):
                return await self._desks.serve(request, name)
            case Place(kind=PlaceKind.HUB) if request.raw_path.startswith("/user/"):
                return self._after_spawn(request)
            case Place(kind=kind) if kind in self._neighbours:
                return await self._neighbours[kind](request)
            case _:
                return self._refused(request, _UNKNOWN)

    def unreadable(self) -> web.Response:
        """Answer what is no request, and count it."""
        self._parts.journal.refused(UNREADABLE, method="OTHER")
        answer = web.Response(status=400, text=f"{UNREADABLE.sentence}\n")
        answer.force_close()
        return answer

    def crowded(self) -> None:
        """Count a connection that was one too many."""
        self._parts.journal.refused(CROWDED, method="OTHER")

    async def _by_service_name(self, request: web.BaseRequest, host: str) -> web.StreamResponse:
        """Pods know this one by its Service; only the provider has something to say there."""
        ours = host.partition(":")[0] == self._service_host
        if ours and (request.method, request.raw_path) == ("POST", "/backchannel-logout"):
            return await self._login.ended_elsewhere(request)
        return self._refused(request, _UNKNOWN)

    def _after_spawn(self, request: web.BaseRequest) -> web.StreamResponse:
        """Bring a browser that the Hub sent to `/user/<person>/<workspace>/` to the portal."""
        parts = [unquote(each) for each in request.raw_path.partition("?")[0].split("/")]
        subject, server = (*parts[2:4], "", "")[:2]
        for seen in self._parts.directory.of_person(subject):
            workspace = seen.workspace
            if workspace and server == server_name(workspace):
                where = f"{self._parts.front.portal}/workspaces/{workspace.metadata.name}"
                return answers.redirect(where)
        return answers.redirect(f"{self._parts.front.portal}/")

    def _refused(self, request: web.BaseRequest, refused: Refused) -> web.StreamResponse:
        self._parts.journal.refused(refused, method=request.method)
        return answers.refusal(refused, request, home=self._parts.front.portal)


def _is_smuggled(request: web.BaseRequest) -> bool:
    """Tell whether two readers could disagree about where this request ends (RFC 9112, 6.1)."""
    lengths = request.headers.getall("Content-Length", ())
    encodings = request.headers.getall("Transfer-Encoding", ())
    both = bool(lengths) and bool(encodings)
    return both or len(lengths) > 1 or len(encodings) > 1 or request.version < (1, 1)
