"""What of a workspace a browser may ask for: a list, and nothing beside it.

The list is what a full notebook session of JupyterLab 4.6 was seen to need. What it leaves
out leaves nothing to switch off: downloads, exports, terminals, the server's own settings
and its end. Pure: the gateway asks `admit` for every request and writes down the answer.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from carrel.rules.request_target import Target, TargetError, read_target

EXPLAINED = "docs/explanation/front-door.md"
"""Where every refusal is explained."""


class Traffic(StrEnum):
    """What a request is to the gateway: what is metered, and how."""

    PAGE = "Page"
    """The page of JupyterLab itself."""
    ASSET = "Asset"
    """Programs, styles and pictures of the image; no user wrote them."""
    API = "API"
    """Small questions and answers."""
    CONTENTS = "Contents"
    """Names and text of files in the home."""
    KERNEL_SOCKET = "KernelSocket"
    """Messages of a kernel, both ways."""
    EVENT_SOCKET = "EventSocket"
    """Events of the server."""


SOCKETS = frozenset({Traffic.KERNEL_SOCKET, Traffic.EVENT_SOCKET})
"""What is spoken to by WebSocket."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """One thing that may be asked for."""

    template: str
    """Path with `{name}` for one part and a last `{rest}` for one or more."""
    methods: frozenset[str]
    """Methods that are let through."""
    traffic: Traffic
    """What it is."""
    parameters: frozenset[str] = frozenset()
    """Names of parameters; anything else is refused, but for a number alone, which Lab adds
    so that no cache answers."""


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A request may go on."""

    route: Route
    """What was asked for; its template is what records name, never the path."""
    target: Target
    """What the workspace is sent."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A request ends here."""

    rule: str
    """Name of the rule, for people, records and tests."""
    status: int
    """HTTP status of the answer."""
    sentence: str
    """Why."""
    todo: str = ""
    """What to do instead, where there is something."""


_ASK_FOR_RELEASE = (
    "To take results out, ask for their release: select the files and choose Request release."
)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_GET = frozenset({"GET", "HEAD"})


def _route(
    template: str, traffic: Traffic = Traffic.API, *, also: str = "", parameters: str = ""
) -> Route:
    return Route(
        template=template,
        methods=_GET | frozenset(also.split()),
        traffic=traffic,
        parameters=frozenset(parameters.split()),
    )


ROUTES: tuple[Route, ...] = (
    _route("/lab", Traffic.PAGE, parameters="reset"),
    _route("/lab/tree/{rest}", Traffic.PAGE, parameters="reset"),
    _route("/static/{rest}", Traffic.ASSET, parameters="v"),
    _route("/lab/extensions/{rest}", Traffic.ASSET, parameters="v"),
    _route("/lab/api/themes/{rest}", Traffic.ASSET),
    _route("/kernelspecs/{name}/{file}", Traffic.ASSET),
    _route("/lab/api/translations"),
    _route("/lab/api/translations/{name}"),
    _route("/lab/api/settings", parameters="ids_only"),
    _route("/lab/api/settings/{rest}", also="PUT"),
    _route("/lab/api/workspaces"),
    _route("/lab/api/workspaces/{name}", also="PUT"),
    _route("/lab/api/build"),
    _route("/api"),
    _route("/api/status"),
    _route("/api/me", parameters="permissions"),
    _route("/api/kernelspecs"),
    _route("/api/sessions", also="POST"),
    _route("/api/sessions/{id}", also="PATCH DELETE"),
    _route("/api/kernels", also="POST"),
    _route("/api/kernels/{id}", also="DELETE"),
    Route(
        template="/api/kernels/{id}/interrupt",
        methods=frozenset({"POST"}),
        traffic=Traffic.API,
    ),
    Route(template="/api/kernels/{id}/restart", methods=frozenset({"POST"}), traffic=Traffic.API),
    Route(
        template="/api/kernels/{id}/channels",
        methods=frozenset({"GET"}),
        traffic=Traffic.KERNEL_SOCKET,
        parameters=frozenset({"session_id"}),
    ),
    Route(
        template="/api/events/subscribe",
        methods=frozenset({"GET"}),
        traffic=Traffic.EVENT_SOCKET,
    ),
    _route("/api/config/{name}", also="PUT PATCH"),
    _route(
        "/api/contents",
        Traffic.CONTENTS,
        also="POST",
        parameters="type format content hash",
    ),
    _route(
        "/api/contents/{rest}",
        Traffic.CONTENTS,
        also="PUT POST PATCH DELETE",
        parameters="type format content hash",
    ),
    Route(
        template="/api/contents/{rest}/checkpoints",
        methods=_GET | {"POST"},
        traffic=Traffic.CONTENTS,
    ),
)
"""Everything that may be asked for. Where two templates fit, the later one decides."""

_SPOKEN_OF = {
    "files": "Files are not downloaded from a workspace.",
    "view": "Files are not downloaded from a workspace.",
    "nbconvert": "Notebooks are not exported from a workspace.",
    "terminals": "There are no terminals behind this address.",
    "metrics": "The server's own figures are the platform's business.",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the checks look at."""

    method: str
    """Method."""
    upgrade: str
    """Value of the header `Upgrade`, empty without one."""
    route: Route
    """What was found to fit."""
    target: Target
    """What was asked for."""

    def parameter(self, name: str, *, absent: str = "") -> str:
        """Return the value of a parameter."""
        return dict(self.target.query).get(name, absent)

    @property
    def reads_contents(self) -> bool:
        """Whether the content of a file is asked for, not its name alone."""
        reads = self.route.traffic is Traffic.CONTENTS and self.method in _GET
        return reads and self.parameter("content", absent="1") != "0"


def upgrade_is_unknown(asked: Asked) -> Refused | None:
    """A connection becomes a WebSocket, where there is one, and nothing else."""
    if not asked.upgrade:
        return None
    if asked.upgrade.lower() == "websocket" and asked.route.traffic in SOCKETS:
        return None
    return _refused("Only kernels and events are spoken to by WebSocket.", status=400)


def socket_is_not_asked_for(asked: Asked) -> Refused | None:
    """What is a socket is no page: a plain answer would be outside of what is metered."""
    if asked.upgrade or asked.route.traffic not in SOCKETS:
        return None
    return _refused(f"{asked.route.template} is spoken to by WebSocket.", status=426)


def method_is_not_listed(asked: Asked) -> Refused | None:
    """Each route names its methods."""
    if asked.method in asked.route.methods:
        return None
    return _refused(f"{asked.route.template} is not for this method.", status=405)


def parameter_is_not_listed(asked: Asked) -> Refused | None:
    """Each route names its parameters."""
    names = {name for name, _ in asked.target.query if not name.isdecimal()}
    if names <= asked.route.parameters:
        return None
    takes = ", ".join(sorted(asked.route.parameters)) or "no parameter"
    return _refused(f"{asked.route.template} takes {takes}.", status=400)


def contents_are_bytes(asked: Asked) -> Refused | None:
    """What is not text does not leave through the file browser."""
    if asked.route.traffic is not Traffic.CONTENTS or asked.parameter("format") != "base64":
        return None
    return _refused(
        "Files that are not text are not shown through the file browser.",
        todo=f"Open it in a notebook. {_ASK_FOR_RELEASE}",
    )


def contents_question_is_unknown(asked: Asked) -> Refused | None:
    """The server would choose an answer of its own for what it does not know."""
    if asked.route.traffic is not Traffic.CONTENTS or asked.method not in _GET:
        return None
    known = (
        asked.parameter("content", absent="1") in {"0", "1"}
        and asked.parameter("type") in {"", "file", "notebook", "directory"}
        and asked.parameter("format") in {"", "text", "json"}
    )
    if known:
        return None
    return _refused(
        "content is 0 or 1; type is file, notebook or directory; format is text or json.",
        status=400,
    )


CHECKS: tuple[Callable[[Asked], Refused | None], ...] = (
    upgrade_is_unknown,
    socket_is_not_asked_for,
    method_is_not_listed,
    parameter_is_not_listed,
    contents_are_bytes,
    contents_question_is_unknown,
)
"""What is held against a request whose path is listed, in this order."""


def admit(method: str, raw: str, *, upgrade: str = "") -> Admitted | Refused:
    """Decide on one request to a workspace.

    Parameters
    ----------
    method
        Method as it was sent; methods are upper case (RFC 9110, 9.1).
    raw
        Request target as it was sent.
    upgrade
        Value of the header `Upgrade`, empty without one.
    """
    try:
        target = read_target(raw)
    except TargetError as error:
        return Refused(rule=error.rule, status=400, sentence=error.sentence)
    route = _found(target)
    if route is None:
        return _not_listed(target)
    asked = Asked(method=method, upgrade=upgrade, route=route, target=target)
    for check in CHECKS:
        refused = check(asked)
        if refused is not None:
            return replace(refused, rule=check.__name__)
    return Admitted(route=route, target=_settled(asked))


def _settled(asked: Asked) -> Target:
    """Write down what the server would choose by itself, so that nobody relies on its choice.

    A GET that names neither type nor format is answered with base64 for what is no text: asked
    as for a folder, a folder answers and a file refuses. The format is `text` for all three:
    jupyter_server answers 400 to any other but base64, also where it means nothing.
    """
    if not asked.reads_contents:
        return asked.target
    match asked.parameter("type"):
        case "file":
            return asked.target.with_query(type="file", format="text")
        case "notebook":
            return asked.target.with_query(type="notebook", format="text")
        case _:
            return asked.target.with_query(type="directory", format="text")


def _refused(sentence: str, *, status: int = 403, todo: str = "") -> Refused:
    return Refused(rule="", status=status, sentence=sentence, todo=todo)


def _found(target: Target) -> Route | None:
    fitting = [route for route in ROUTES if _fits(route.template, target)]
    return fitting[-1] if fitting else None


def _fits(template: str, target: Target) -> bool:
    if target.trailing_slash:
        return False
    parts = template[1:].split("/")
    segments = list(target.segments)
    if "{rest}" in parts:
        place = parts.index("{rest}")
        after = len(parts) - place - 1
        if len(segments) < place + 1 + after:
            return False
        segments[place : len(segments) - after] = ["rest"]
    if len(segments) != len(parts):
        return False
    return all(
        bool(_ID.fullmatch(segment)) if part == "{id}" else part.startswith("{") or part == segment
        for part, segment in zip(parts, segments, strict=True)
    )


def _not_listed(target: Target) -> Refused:
    known = next((_SPOKEN_OF[each] for each in target.segments[:2] if each in _SPOKEN_OF), None)
    return Refused(
        rule="path_is_not_listed",
        status=403,
        sentence=known or "A workspace serves what JupyterLab needs, and this is not part of it.",
        todo=_ASK_FOR_RELEASE if known else "",
    )
