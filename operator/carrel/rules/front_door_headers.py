"""Which header fields pass between a browser and a workspace, and which the door adds.

Both ways a list says what passes; what it does not name stays outside. So a workspace never
sees a cookie, a token or the way by which a request came, and a page that its user wrote can
set no cookie, widen no service worker and name no file to be saved.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from carrel.rules.front_door import Traffic

IDENTITY = "X-Carrel-Door"
"""Header that proves to a workspace's server that a request came through the door."""

Fields = tuple[tuple[str, str], ...]
"""Header fields in their order."""

_TO_WORKSPACE = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-type",
        "if-modified-since",
        "if-none-match",
    }
)
_TO_BROWSER = frozenset({"content-type", "content-encoding", "date", "etag", "last-modified"})

_NOT_KEPT = frozenset({Traffic.API, Traffic.CONTENTS, Traffic.PAGE})
"""A browser's cache outlives a grant: what a user wrote is not left there."""

_ALWAYS: Mapping[str, str] = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Origin-Agent-Cluster": "?1",
        "X-DNS-Prefetch-Control": "off",
        "Strict-Transport-Security": "max-age=31536000",
        "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), "
        "payment=(), serial=(), usb=()",
    }
)


def to_workspace(sent: Iterable[tuple[str, str]], *, identity: str) -> Fields:
    """Return the fields that a workspace is sent.

    Parameters
    ----------
    sent
        Fields of the browser's request.
    identity
        The door's secret, known to the workspace's server and to no kernel.
    """
    kept = tuple((name, value) for name, value in sent if name.lower() in _TO_WORKSPACE)
    return (*kept, (IDENTITY, identity))


def to_browser(
    answered: Iterable[tuple[str, str]], *, traffic: Traffic, own: str, portal: str
) -> Fields:
    """Return the fields that the browser gets.

    Parameters
    ----------
    answered
        Fields of the workspace's answer.
    traffic
        What was asked for.
    own, portal
        Origins of this workspace and of the portal, which alone may frame it.
    """
    kept = tuple((name, value) for name, value in answered if name.lower() in _TO_BROWSER)
    cache = "no-store" if traffic in _NOT_KEPT else "private, max-age=3600"
    return (
        *kept,
        *_ALWAYS.items(),
        ("Cache-Control", cache),
        ("Content-Security-Policy", content_security_policy(own=own, portal=portal)),
    )


def content_security_policy(*, own: str, portal: str) -> str:
    """Return the policy of a workspace's pages (CSP level 3).

    It closes what a policy can. What it cannot (navigation, links, forms to elsewhere) is
    closed by the sandbox of the portal's frame, and what neither closes is stated in the
    threat model.
    """
    socket = own.replace("https://", "wss://", 1)
    directives = {
        "default-src": "'self'",
        # Lab compiles schemas of its settings, and its page carries its configuration inline.
        "script-src": "'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "worker-src": "'self' blob:",
        "connect-src": f"'self' {socket}",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-src": "'self' blob:",
        "frame-ancestors": portal,
        "webrtc": "'block'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())
