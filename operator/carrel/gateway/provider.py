"""The identity provider: code flow with PKCE, its keys, and tokens that are believed."""

import asyncio
import json
import secrets
import ssl
from base64 import b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey
from joserfc.jws import extract_compact

from carrel.flows.clock import Clock
from carrel.gateway.errors import ProviderAwayError
from carrel.gateway.settings import GatewaySettings
from carrel.rules.oidc import (
    ALGORITHMS,
    Ended,
    Endpoints,
    Expected,
    TokenError,
    challenge,
    check_id_token,
    check_logout_token,
    endpoints,
)

ASK_SECONDS = 10.0
KEYS_SECONDS = 3600.0
"""Keys are read again after this, whether a token asks for it or not."""
UNKNOWN_KEY_SECONDS = 30.0
"""A token with an unknown key makes us look again, but not more often than this."""
_LARGEST_ANSWER = 512 * 1024
_LONGEST_TOKEN = 16 * 1024


@dataclass(frozen=True)
class Attempt:
    """One login on its way; the browser keeps it, sealed."""

    state: str
    nonce: str
    verifier: str
    onward: str
    """Path of the portal that was asked for."""


@dataclass(frozen=True)
class Person:
    """Who logged in."""

    subject: str
    session: str
    """The provider's name of its session, empty where it says none."""
    acr: str
    """How strong the login was, as the provider says it."""


class Provider:
    """Asks the identity provider and believes nothing without its signature."""

    def __init__(
        self,
        settings: GatewaySettings,
        session: aiohttp.ClientSession,
        clock: Clock,
        *,
        redirect: str,
        ticker: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._session = session
        self._clock = clock
        self._redirect = redirect
        self._ticker = ticker
        self._endpoints: Endpoints | None = None
        self._keys: dict[str, RSAKey | ECKey] = {}
        self._looked: float | None = None
        self._looking = asyncio.Lock()

    @property
    def issuer(self) -> str:
        """The provider, as its tokens name it."""
        return self._settings.oidc_issuer

    async def begin(self, *, onward: str) -> tuple[str, Attempt]:
        """Return where to send a browser, and what it must bring back."""
        attempt = Attempt(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            onward=onward,
        )
        query = {
            "response_type": "code",
            "client_id": self._settings.oidc_client,
            "redirect_uri": self._redirect,
            "scope": "openid",
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        if self._settings.oidc_acr:
            query["acr_values"] = " ".join(self._settings.oidc_acr)
        place = (await self._places()).authorization
        return f"{place}{'&' if '?' in place else '?'}{urlencode(query)}", attempt

    async def finish(self, code: str, attempt: Attempt) -> Person:
        """Change a code for tokens and return whom they name.

        Raises
        ------
        TokenError
            If the code is not good or the token is not believed.
        ProviderAwayError
            If the provider does not answer.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect,
            "code_verifier": attempt.verifier,
        }
        answer = await self._asked("POST", (await self._places()).token, form=form)
        token, access = answer.get("id_token"), answer.get("access_token", "")
        if not isinstance(token, str) or not isinstance(access, str):
            raise TokenError("code_is_not_good", "The provider gave no ID token for this login.")
        claims = await self._claims(token)
        expected = Expected(
            issuer=self._settings.oidc_issuer,
            client=self._settings.oidc_client,
            nonce=attempt.nonce,
            access_token=access,
            acr=frozenset(self._settings.oidc_acr),
            amr=frozenset(self._settings.oidc_amr),
            now=self._clock.now(),
        )
        subject = check_id_token(claims, expected)
        return Person(subject, str(claims.get("sid", "")), str(claims.get("acr", ""))[:64])

    async def ended(self, token: str) -> tuple[Ended, str]:
        """Return whose sessions a logout token ends, and its `jti`; errors as for `finish`."""
        claims = await self._claims(token)
        ended = check_logout_token(
            claims,
            issuer=self._settings.oidc_issuer,
            client=self._settings.oidc_client,
            now=self._clock.now(),
        )
        return ended, str(claims["jti"])

    async def logout_address(self, *, back: str) -> str:
        """Return where a browser logs out at the provider too; empty where there is no such."""
        try:
            place = (await self._places()).end_session
        except (ProviderAwayError, TokenError):
            return ""
        query = {"client_id": self._settings.oidc_client, "post_logout_redirect_uri": back}
        return f"{place}?{urlencode(query)}" if place else ""

    async def _claims(self, token: str) -> Mapping[str, Any]:
        if len(token) > _LONGEST_TOKEN:
            raise TokenError("token_is_too_long", "The token is longer than any that we know.")
        key = await self._key(_key_id(token))
        try:
            return jwt.decode(token, KeySet([key]), algorithms=ALGORITHMS).claims
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise TokenError(
                "signature_does_not_hold", "The token is not the provider's."
            ) from error

    async def _key(self, key_id: str) -> RSAKey | ECKey:
        async with self._looking:
            age = KEYS_SECONDS if self._looked is None else self._ticker() - self._looked
            if age >= KEYS_SECONDS or (key_id not in self._keys and age >= UNKNOWN_KEY_SECONDS):
                answer = await self._asked("GET", (await self._places()).keys)
                self._keys = _read_keys(answer)
                self._looked = self._ticker()
        if key_id not in self._keys:
            raise TokenError("key_is_unknown", "The provider has no key of this name.")
        return self._keys[key_id]

    async def _places(self) -> Endpoints:
        if self._endpoints is None:
            self._endpoints = endpoints(
                await self._asked("GET", self._settings.oidc_discovery_url),
                issuer=self._settings.oidc_issuer,
                discovery_url=self._settings.oidc_discovery_url,
            )
        return self._endpoints

    async def _asked(
        self, method: str, url: str, *, form: Mapping[str, str] | None = None
    ) -> Mapping[str, Any]:
        headers = {"Accept": "application/json"}
        if form is not None:
            headers["Authorization"] = self._credentials()
        try:
            async with self._session.request(
                method,
                url,
                data=form,
                headers=headers,
                ssl=self._context(),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=ASK_SECONDS),
            ) as answer:
                body = await _bounded(answer)
                if form is not None and answer.status in {400, 401}:
                    raise TokenError("code_is_not_good", "The provider does not take this login.")
                said = json.loads(body)
                if answer.status != 200 or not isinstance(said, dict):
                    raise ProviderAwayError(f"provider_answers_{answer.status}: at {url}")
                return said
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError, RecursionError) as error:
            raise ProviderAwayError(
                f"provider_is_away: {url}: {type(error).__name__}: {error}"
            ) from error

    def _credentials(self) -> str:
        # RFC 6749, 2.3.1: both halves are form-encoded before they are joined.
        secret = self._settings.oidc_secret.read_text().strip()
        pair = f"{quote(self._settings.oidc_client, safe='')}:{quote(secret, safe='')}"
        return f"Basic {b64encode(pair.encode()).decode()}"

    def _context(self) -> ssl.SSLContext | bool:
        if self._settings.oidc_authority is None:
            return True
        return ssl.create_default_context(cafile=str(self._settings.oidc_authority))


def _key_id(token: str) -> str:
    try:
        header = extract_compact(token.encode()).protected
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise TokenError("token_is_malformed", "This is no signed token.") from error
    found = header.get("kid")
    if not isinstance(found, str) or header.get("alg") not in ALGORITHMS:
        raise TokenError("token_is_malformed", "The token names no key, or no signature of ours.")
    return found


async def _bounded(answer: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in answer.content.iter_any():
        body += part
        if len(body) > _LARGEST_ANSWER:
            raise ProviderAwayError("provider_answers_too_much: more than 512 KiB.")
    return bytes(body)


def _read_keys(document: Mapping[str, Any]) -> dict[str, RSAKey | ECKey]:
    found: dict[str, RSAKey | ECKey] = {}
    listed = document.get("keys")
    for each in listed if isinstance(listed, list) else ():
        if not isinstance(each, dict) or each.get("use", "sig") != "sig":
            continue
        name, kind = each.get("kid"), each.get("kty")
        if not isinstance(name, str) or kind not in {"RSA", "EC"}:
            continue
        # A key that we cannot read signs nothing for us.
        with suppress(JoseError, ValueError, TypeError):
            found[name] = RSAKey.import_key(each) if kind == "RSA" else ECKey.import_key(each)
    return found
