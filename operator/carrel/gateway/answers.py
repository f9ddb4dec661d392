"""Answers of the gateway's own: pages, refusals and redirects, each with hardened headers."""

import hashlib
from importlib.resources import files

from aiohttp import web

from carrel.render.door_pages import portal_policy, refusal_page
from carrel.rules.front_door import Refused
from carrel.rules.front_door_headers import ALWAYS

_TYPES = {"css": "text/css", "js": "text/javascript"}
_FILES = {
    name: (files("carrel.gateway") / "pages" / name).read_bytes()
    for name in ("door.css", "progress.js", "frame.js")
}


def page(text: str, *, status: int = 200, policy: str = "") -> web.Response:
    """Return a page of the portal."""
    answer = web.Response(status=status, text=text, content_type="text/html", charset="utf-8")
    _harden(answer, policy=policy or portal_policy())
    return answer


def redirect(where: str) -> web.Response:
    """Send a browser elsewhere; it asks there with GET."""
    answer = web.Response(status=303, headers={"Location": where})
    _harden(answer, policy=portal_policy())
    return answer


def data(value: str, *, status: int = 200) -> web.Response:
    """Return JSON."""
    answer = web.Response(status=status, text=value, content_type="application/json")
    _harden(answer, policy=portal_policy())
    return answer


def refusal(
    refused: Refused, request: web.BaseRequest, *, home: str, framed_by: str = ""
) -> web.Response:
    """Return a refusal: a page where a person reads it, else JSON that Lab shows as it stands."""
    shown = request.headers.get("Sec-Fetch-Dest", "") in {"document", "iframe"}
    if shown:
        policy = portal_policy()
        if framed_by:
            policy = policy.replace("frame-ancestors 'none'", f"frame-ancestors {framed_by}")
        answer = page(refusal_page(refused, home=home), status=refused.status, policy=policy)
    else:
        message = f"{refused.sentence} {refused.todo}".strip()
        answer = web.json_response(
            {"rule": refused.rule, "message": message, "reason": refused.rule},
            status=refused.status,
        )
        _harden(answer, policy=portal_policy())
    if request.body_exists:
        # What was not read of the body is not read at all: the connection cannot be used again.
        answer.force_close()
    return answer


def own_file(name: str) -> web.Response | None:
    """Return a file of the gateway's pages, None where there is no such."""
    content = _FILES.get(name)
    if content is None:
        return None
    answer = web.Response(body=content, content_type=_TYPES[name.rpartition(".")[2]])
    _harden(answer, policy=portal_policy())
    answer.headers["Cache-Control"] = "no-cache"
    answer.headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    return answer


def _harden(answer: web.Response, *, policy: str) -> None:
    answer.headers.update(ALWAYS)
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["Content-Security-Policy"] = policy
