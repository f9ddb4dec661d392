"""Which tokens and documents of the identity provider are believed."""

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from carrel.rules.oidc import (
    CHECKS,
    Ended,
    Endpoints,
    Expected,
    TokenError,
    challenge,
    check_id_token,
    check_logout_token,
    endpoints,
)

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
ISSUER, INSIDE = "https://id.example/realms/carrel", "https://inside.svc:8443/realms/carrel"
HALF = base64.urlsafe_b64encode(hashlib.sha256(b"access").digest()[:16]).rstrip(b"=").decode()
EXPECTED = Expected(
    issuer=ISSUER,
    client="gateway",
    nonce="nonce",
    access_token="access",  # noqa: S106 - no secret
    acr=frozenset(),
    amr=frozenset(),
    now=NOW,
)
GOOD = {
    "iss": ISSUER,
    "sub": "ada",
    "aud": "gateway",
    "exp": SECONDS + 60,
    "iat": SECONDS,
    "nonce": "nonce",
}
LOGOUT = {
    "iss": ISSUER,
    "aud": "gateway",
    "iat": SECONDS,
    "jti": "1",
    "sub": "ada",
    "sid": "s",
    "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"aud": ["gateway", "other"], "azp": "gateway"},
        {"at_hash": HALF},
        {"exp": SECONDS - 10},
        {"iat": SECONDS + 20},
        {"exp": SECONDS + 60.5},
    ],
)
def test_a_token_that_answers_our_question_names_a_person(more: dict[str, Any]):
    assert check_id_token(GOOD | more, EXPECTED) == "ada"


DENIED: list[tuple[dict[str, Any], str]] = [
    ({"iss": ISSUER + "/"}, "issuer_is_another"),
    ({"iss": None}, "issuer_is_another"),
    ({"sub": ""}, "subject_is_missing"),
    ({"sub": 7}, "subject_is_missing"),
    ({"sub": "a\nb"}, "subject_is_missing"),
    ({"sub": "a" * 256}, "subject_is_missing"),
    ({"aud": "other"}, "audience_is_another"),
    ({"aud": ["gateway", "other"]}, "audience_is_another"),
    ({"aud": "gateway", "azp": "other"}, "audience_is_another"),
    ({"aud": ["gateway", 7]}, "audience_is_another"),
    ({"aud": {"gateway": 1}}, "audience_is_another"),
    ({"exp": SECONDS - 31}, "token_is_expired"),
    ({"exp": str(SECONDS + 60)}, "token_is_expired"),
    ({"exp": True}, "token_is_expired"),
    ({"exp": float("nan")}, "token_is_expired"),
    ({"iat": SECONDS - 400}, "token_is_from_another_time"),
    ({"iat": SECONDS + 400}, "token_is_from_another_time"),
    ({"iat": None}, "token_is_from_another_time"),
    ({"nonce": "other"}, "nonce_is_another"),
    ({"nonce": None}, "nonce_is_another"),
    ({"at_hash": "AAAA"}, "access_token_is_another"),
    ({"at_hash": 1}, "access_token_is_another"),
]


@pytest.mark.parametrize(("bent", "rule"), DENIED)
def test_every_other_token_is_denied_by_name(bent: dict[str, Any], rule: str):
    with pytest.raises(TokenError) as denied:
        check_id_token(GOOD | bent, EXPECTED)
    assert denied.value.rule == rule


def test_a_site_that_demands_a_second_factor_gets_one():
    strict = replace(EXPECTED, acr=frozenset({"gold"}), amr=frozenset({"otp"}))
    assert check_id_token(GOOD | {"acr": "gold", "amr": ["pwd", "otp"]}, strict) == "ada"
    for weak in ({}, {"acr": "gold"}, {"acr": "gold", "amr": "pwd"}, {"amr": ["otp"]}):
        with pytest.raises(TokenError, match="login_is_too_weak"):
            check_id_token(GOOD | weak, strict)


def test_every_check_denies_something():
    assert {each.__name__ for each in CHECKS} == {rule for _, rule in DENIED} | {
        "login_is_too_weak"
    }


def test_a_logout_ends_what_it_names():
    ended = check_logout_token(LOGOUT, issuer=ISSUER, client="gateway", now=NOW)
    assert ended == Ended(subject="ada", session="s")


@pytest.mark.parametrize(
    ("bent", "rule"),
    [
        ({"iss": "https://other"}, "issuer_is_another"),
        ({"aud": "other"}, "audience_is_another"),
        ({"events": {}}, "event_is_no_logout"),
        ({"events": [1]}, "event_is_no_logout"),
        ({"nonce": "nonce"}, "token_is_of_a_login"),
        ({"iat": SECONDS - 301}, "token_is_from_another_time"),
        ({"exp": SECONDS - 31}, "token_is_expired"),
        ({"jti": ""}, "token_has_no_name"),
        ({"sub": "", "sid": ""}, "token_names_nobody"),
    ],
)
def test_every_other_logout_ends_nothing(bent: dict[str, Any], rule: str):
    with pytest.raises(TokenError) as denied:
        check_logout_token(LOGOUT | bent, issuer=ISSUER, client="gateway", now=NOW)
    assert denied.value.rule == rule


def _document(base: str) -> dict[str, str]:
    return {
        "issuer": ISSUER,
        "authorization_endpoint": f"{base}/auth",
        "token_endpoint": f"{base}/token",
        "jwks_uri": f"{base}/certs",
        "end_session_endpoint": f"{base}/logout",
    }


@pytest.mark.parametrize("base", [ISSUER, INSIDE])
def test_browsers_go_to_the_issuer_and_we_to_the_address_that_we_reach(base: str):
    found = endpoints(_document(base), issuer=ISSUER, discovery_url=f"{INSIDE}/.well-known/x")
    assert found == Endpoints(
        authorization=f"{ISSUER}/auth",
        token=f"{INSIDE}/token",
        keys=f"{INSIDE}/certs",
        end_session=f"{ISSUER}/logout",
    )


@pytest.mark.parametrize(
    ("bent", "rule"),
    [
        ({"issuer": "https://other"}, "issuer_is_another"),
        ({"jwks_uri": None}, "document_is_incomplete"),
        ({"token_endpoint": "javascript:x"}, "document_is_incomplete"),
        ({"jwks_uri": "http://elsewhere/keys"}, "address_is_not_safe"),
    ],
)
def test_a_document_of_somebody_else_is_not_followed(bent: dict[str, Any], rule: str):
    with pytest.raises(TokenError) as denied:
        endpoints(_document(ISSUER) | bent, issuer=ISSUER, discovery_url=f"{INSIDE}/x")
    assert denied.value.rule == rule


def test_the_challenge_is_that_of_the_standard():
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
