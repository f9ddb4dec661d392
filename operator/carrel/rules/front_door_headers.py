"""Which header fields pass between a browser and a workspace, and which the door adds.

Both ways a list says what passes; what it does not name stays outside. So a workspace never
sees a cookie, a token or the way by which a request came, and a page that its user wrote can
set no cookie, widen no service worker and name no file to be saved.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from carrel.rules.front_door import Traffic

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

ALWAYS: Mapping[str, str] = MappingProxyType(
    {
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Origin-Agent-Cluster": "?1",
        "X-DNS-Prefetch-Control": "off",
        "Server": "Carrel",
        "Strict-Transport-Security": "max-age=31536000",
        "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), "
        "payment=(), serial=(), usb=()",
    }
)
"""What every answer of the front door carries, its own pages included."""


def to_workspace(sent: Iterable[tuple[str, str]]) -> Fields:
    """Return those fields of a browser's request that a workspace is sent.

    None of them says who asks: the server knows the door by the certificate of its connection.
    """
    return tuple((name, value) for name, value in sent if name.lower() in _TO_WORKSPACE)


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
        *ALWAYS.items(),
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


_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Fields of one connection (RFC 9110, 7.6.1)."""
_OF_THE_WAY = frozenset({"forwarded", "host", "x-real-ip"})


def beside_to_server(
    sent: Iterable[tuple[str, str]], *, host: str, port: int, remote: str, without: frozenset[str]
) -> Fields:
    """Return the fields that a service of the platform is sent.

    Parameters
    ----------
    sent
        Fields of the browser's request.
    host, port
        Authority and port that the browser asked.
    remote
        Address that it asked from.
    without
        Names of cookies that are the gateway's own.
    """
    kept: list[tuple[str, str]] = []
    for name, value in sent:
        lower = name.lower()
        if lower in _HOP or lower in _OF_THE_WAY or lower.startswith("x-forwarded-"):
            continue
        if lower == "cookie":
            parts = (part.strip() for part in value.split(";"))
            value = "; ".join(part for part in parts if part.partition("=")[0] not in without)  # noqa: PLW2901 - the field as it goes on
            if not value:
                continue
        kept.append((name, value))
    return (
        *kept,
        ("Host", host),
        ("X-Forwarded-For", remote),
        ("X-Forwarded-Host", host),
        ("X-Forwarded-Port", str(port)),
        ("X-Forwarded-Proto", "https"),
    )


def beside_to_browser(answered: Iterable[tuple[str, str]]) -> Fields:
    """Return the fields of a service's answer that the browser gets."""
    kept = tuple((name, value) for name, value in answered if name.lower() not in _HOP)
    return (*kept, ("Strict-Transport-Security", ALWAYS["Strict-Transport-Security"]))
