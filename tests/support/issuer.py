"""A small identity provider that speaks OpenID Connect over TLS and signs with a real key."""

import base64
import errno
import hashlib
import secrets
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey

ISSUER = "https://id.carrel.localhost/realms/carrel"
CLIENT, SECRET = "carrel-gateway", "a secret of tests"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


@dataclass
class Issuer:
    """The provider; a test says who logs in and may bend every claim."""

    now: Callable[[], datetime]
    port: int = 0
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "first"}))
    subject: str = "ada"
    bent: dict[str, Any] = field(default_factory=dict)
    """Claims laid over those of the next ID tokens; None leaves one out."""
    stranger: ECKey | None = None
    """Signs instead of the key that is published."""
    keys_asked: int = 0
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def discovery_url(self) -> str:
        """Address of the discovery document, as the gateway reaches it."""
        return f"https://localhost:{self.port}/realms/carrel/.well-known/openid-configuration"

    def authorize(self, address: str) -> str:
        """Play the person who logs in at `address`; return the path to come back to."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = secrets.token_urlsafe(16)
        self.codes[code] = query
        back = urlsplit(query["redirect_uri"]).path
        return f"{back}?code={code}&state={query['state']}"

    def id_token(self, **claims: Any) -> str:
        """Return a signed ID token."""
        moment = int(self.now().timestamp())
        said = {
            "iss": ISSUER,
            "aud": CLIENT,
            "sub": self.subject,
            "sid": f"sid-{self.subject}",
            "iat": moment,
            "exp": moment + 300,
        }
        return self.signed(said | claims | self.bent)

    def logout_token(self, **claims: Any) -> str:
        """Return a signed logout token."""
        said = {
            "iss": ISSUER,
            "aud": CLIENT,
            "iat": int(self.now().timestamp()),
            "jti": secrets.token_hex(8),
            "sub": self.subject,
            "events": {LOGOUT_EVENT: {}},
        }
        return self.signed(said | claims)

    def signed(self, claims: dict[str, Any]) -> str:
        """Return claims with a signature; those that are None are left out."""
        kept = {name: each for name, each in claims.items() if each is not None}
        key = self.stranger or self.key
        return jwt.encode({"alg": "ES256", "kid": self.key.kid}, kept, key)

    def application(self) -> web.Application:
        """Return the routes."""
        application = web.Application()
        base = "/realms/carrel"
        application.router.add_get(f"{base}/.well-known/openid-configuration", self._document)
        application.router.add_get(f"{base}/keys", self._keys)
        application.router.add_post(f"{base}/token", self._token)
        return application

    async def _document(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "issuer": ISSUER,
                "authorization_endpoint": f"{ISSUER}/auth",
                "token_endpoint": f"{ISSUER}/token",
                "jwks_uri": f"{ISSUER}/keys",
                "end_session_endpoint": f"{ISSUER}/logout",
            }
        )

    async def _keys(self, _: web.Request) -> web.Response:
        self.keys_asked += 1
        public = self.key.as_dict(private=False) | {"use": "sig", "kid": self.key.kid}
        unknown = {"kty": "OKP", "crv": "X448", "kid": "odd", "x": "AA"}
        return web.json_response({"keys": [unknown, public]})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form.get("code")), None)
        pair = base64.b64encode(f"{CLIENT}:{SECRET}".replace(" ", "%20").encode()).decode()
        verifier = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        fits = (
            asked is not None
            and asked["code_challenge_method"] == "S256"
            and asked["code_challenge"] == challenge
            and asked["redirect_uri"] == form.get("redirect_uri")
            and request.headers.get("Authorization") == f"Basic {pair}"
        )
        if asked is None or not fits:
            return web.json_response({"error": "invalid_grant"}, status=400)
        access = secrets.token_urlsafe(16)
        half = hashlib.sha256(access.encode()).digest()[:16]
        token = self.id_token(
            nonce=asked["nonce"], at_hash=base64.urlsafe_b64encode(half).rstrip(b"=").decode()
        )
        return web.json_response(
            {"access_token": access, "token_type": "Bearer", "id_token": token}
        )


@asynccontextmanager
async def issuer(now: Callable[[], datetime], context: ssl.SSLContext) -> AsyncIterator[Issuer]:
    """Serve a provider until the block ends."""
    made = Issuer(now)
    runner = web.AppRunner(made.application(), access_log=None)
    await runner.setup()
    listeners = _listeners()
    made.port = int(listeners[0].getsockname()[1])
    try:
        for each in listeners:
            await web.SockSite(runner, each, ssl_context=context).start()
        yield made
    finally:
        await runner.cleanup()


def _listeners() -> tuple[socket.socket, ...]:
    """Listen on one port of both loopback addresses.

    `localhost` is either, and on the other one the port may be another test's.
    """
    while True:
        four = socket.create_server(("127.0.0.1", 0))
        try:
            six = socket.create_server(("::1", four.getsockname()[1]), family=socket.AF_INET6)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                four.close()
                continue
            return (four,)
        return (four, six)
