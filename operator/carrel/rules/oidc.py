"""What a token of the identity provider must say before it is believed, once its signature holds.

OpenID Connect Core 1.0 (3.1.3.7), Back-Channel Logout 1.0 (2.6), Discovery 1.0, RFC 7636, RFC 9207.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

ALGORITHMS = ("ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
"""Signatures that count: asymmetric ones, so that a client secret signs nothing."""
LEEWAY_SECONDS = 30
"""How far clocks may differ."""
LOGOUT_LIFE_SECONDS = 300
"""A logout token is fresh; an old one is somebody's copy."""
_LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"

Claims = Mapping[str, Any]


class TokenError(Exception):
    """A token or a document of the provider is not believed; `rule` names the check."""

    def __init__(self, rule: str, sentence: str) -> None:
        super().__init__(f"{rule}: {sentence}")
        self.rule = rule
        self.sentence = sentence


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What an ID token is held against."""

    issuer: str
    """The provider, letter by letter."""
    client: str
    """Our client ID."""
    nonce: str
    """What we sent with the question that this token answers."""
    access_token: str
    """What came beside it."""
    acr: frozenset[str]
    """Authentication classes of which one is required; empty requires none."""
    amr: frozenset[str]
    """Authentication methods that are all required; empty requires none."""
    now: datetime
    """When."""


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Where the provider is asked, and where browsers are sent."""

    authorization: str
    """Where a browser logs in."""
    token: str
    """Where we change a code for tokens."""
    keys: str
    """Where we read the provider's keys."""
    end_session: str
    """Where a browser logs out; empty where the provider has no such place."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """Whose sessions a logout token ends."""

    subject: str
    """All of this person's; empty where the token names a session alone."""
    session: str
    """The provider's name of one session; empty where it names a person."""


def endpoints(document: Mapping[str, Any], *, issuer: str, discovery_url: str) -> Endpoints:
    """Read a discovery document.

    Behind the front door the provider has two addresses: the issuer, where browsers are, and the
    one that the document was read from. Browsers are sent to the first, we ask at the second.
    """
    if document.get("issuer") != issuer:
        raise TokenError("issuer_is_another", "The discovery document names another issuer.")
    return Endpoints(
        authorization=_moved(document, "authorization_endpoint", to=issuer, at=discovery_url),
        token=_moved(document, "token_endpoint", to=discovery_url, at=issuer),
        keys=_moved(document, "jwks_uri", to=discovery_url, at=issuer),
        end_session=_moved(document, "end_session_endpoint", to=issuer, at=discovery_url)
        if document.get("end_session_endpoint")
        else "",
    )


def _moved(document: Mapping[str, Any], key: str, *, to: str, at: str) -> str:
    """Return an address of the document; what lies at the origin `at` is moved to that of `to`."""
    found = document.get(key)
    if not isinstance(found, str) or urlsplit(found).scheme not in {"https", "http"}:
        raise TokenError("document_is_incomplete", f"The discovery document lacks {key}.")
    parts, known, wanted = urlsplit(found), urlsplit(at), urlsplit(to)
    if parts[:2] == known[:2]:
        parts = parts._replace(scheme=wanted.scheme, netloc=wanted.netloc)
    if parts.scheme != "https":
        raise TokenError("address_is_not_safe", f"{key} of the provider is not asked by https.")
    return urlunsplit(parts)


def challenge(verifier: str) -> str:
    """Return the S256 challenge of a PKCE verifier."""
    return _b64(hashlib.sha256(verifier.encode()).digest())


def issuer_is_another(claims: Claims, expected: Expected) -> str | None:
    """The token is of our provider."""
    return _unless(claims.get("iss") == expected.issuer, "It is of another issuer.")


def subject_is_missing(claims: Claims, expected: Expected) -> str | None:  # noqa: ARG001 - as the others
    """The token names a person in one way only."""
    return _unless(_is_subject(claims.get("sub")), "It names nobody.")


def audience_is_another(claims: Claims, expected: Expected) -> str | None:
    """The token is for us; one that is for others too names us as who asked."""
    audience = _listed(claims.get("aud"))
    party = claims.get("azp", expected.client if audience == (expected.client,) else None)
    fits = expected.client in audience and party == expected.client
    return _unless(fits, "It was made for another client.")


def token_is_expired(claims: Claims, expected: Expected) -> str | None:
    """The token's time has not passed."""
    end = _seconds(claims.get("exp"))
    fits = end is not None and expected.now.timestamp() < end + LEEWAY_SECONDS
    return _unless(fits, "It has expired, or does not say when it will.")


def token_is_from_another_time(claims: Claims, expected: Expected) -> str | None:
    """The token was made a moment ago, as an answer to us."""
    made = _seconds(claims.get("iat"))
    fits = made is not None and abs(expected.now.timestamp() - made) <= 10 * LEEWAY_SECONDS
    return _unless(fits, "It was not made just now; compare the clocks.")


def nonce_is_another(claims: Claims, expected: Expected) -> str | None:
    """The token answers the very question that this browser asked."""
    return _unless(_same(claims.get("nonce"), expected.nonce), "It answers another login.")


def access_token_is_another(claims: Claims, expected: Expected) -> str | None:
    """Where the token names its access token, it is the one that came beside it."""
    named = claims.get("at_hash")
    if named is None:
        return None
    # The hash is that of the token's own algorithm; SHA-256 halves for all that end in 256.
    digests = (hashlib.sha256, hashlib.sha384, hashlib.sha512)
    halves = [each(expected.access_token.encode()).digest() for each in digests]
    fits = any(_same(named, _b64(each[: len(each) // 2])) for each in halves)
    return _unless(fits, "It belongs to another access token.")


def login_is_too_weak(claims: Claims, expected: Expected) -> str | None:
    """The person logged in as strongly as the site demands."""
    strong = not expected.acr or claims.get("acr") in expected.acr
    methods = set(_listed(claims.get("amr")))
    return _unless(
        strong and expected.amr <= methods,
        "The site demands a stronger login, such as one with a second factor.",
    )


CHECKS: tuple[Callable[[Claims, Expected], str | None], ...] = (
    issuer_is_another,
    subject_is_missing,
    audience_is_another,
    token_is_expired,
    token_is_from_another_time,
    nonce_is_another,
    access_token_is_another,
    login_is_too_weak,
)
"""What is held against an ID token, in this order."""


def check_id_token(claims: Claims, expected: Expected) -> str:
    """Return the subject of an ID token whose signature holds; TokenError names what does not."""
    for check in CHECKS:
        sentence = check(claims, expected)
        if sentence is not None:
            raise TokenError(check.__name__, sentence)
    return str(claims["sub"])


def check_logout_token(claims: Claims, *, issuer: str, client: str, now: datetime) -> Ended:
    """Return whose sessions a logout token ends; TokenError names what does not hold."""
    events, made = claims.get("events"), _seconds(claims.get("iat"))
    end = _seconds(claims.get("exp"))
    subject, session = claims.get("sub", ""), claims.get("sid", "")
    faults = {
        "issuer_is_another": claims.get("iss") != issuer,
        "audience_is_another": client not in _listed(claims.get("aud")),
        "event_is_no_logout": not isinstance(events, dict)
        or not isinstance(events.get(_LOGOUT_EVENT), dict),
        # With a nonce it could be an ID token that somebody sends here (2.6, step 5).
        "token_is_of_a_login": "nonce" in claims,
        "token_is_from_another_time": made is None
        or abs(now.timestamp() - made) > LOGOUT_LIFE_SECONDS,
        "token_is_expired": end is not None and now.timestamp() >= end + LEEWAY_SECONDS,
        "token_has_no_name": not isinstance(claims.get("jti"), str) or not claims["jti"],
        "token_names_nobody": not (_is_subject(subject) or _is_subject(session)),
    }
    for rule, fault in faults.items():
        if fault:
            raise TokenError(rule, "This is no logout of ours.")
    return Ended(subject=str(subject), session=str(session))


def _is_subject(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()


def _unless(holds: bool, sentence: str) -> str | None:  # noqa: FBT001 - private, reads as a sentence
    return None if holds else sentence


def _same(value: object, expected: str) -> bool:
    return (
        isinstance(value, str)
        and bool(expected)
        and hmac.compare_digest(value.encode(), expected.encode())
    )


def _listed(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    return ()


def _seconds(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(float(value)) < 2**53 else None  # type: ignore[arg-type]  # checked


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
