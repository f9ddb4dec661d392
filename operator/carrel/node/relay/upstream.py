"""The site's package mirror, as the relay of a node asks it.

`GET BASE/INDEX/simple/PROJECT/` is the page of a package (PEP 691, JSON), and
`GET BASE/INDEX/files/PROJECT/FILE` one of its files or, with `.metadata` at the end, its metadata
(PEP 658). 404 means that there is none. The relay says nothing about the person or the
workspace: its only headers are `Accept`, a fixed `User-Agent` and its own `Authorization`.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from carrel.node.relay.packages import JSON_TYPE, Part, Wanted, upstream_path

USER_AGENT = "carrel-relay"
_CONNECT_SECONDS = 5.0
_SILENT_SECONDS = 60.0
_AT_ONCE = 64


class UpstreamError(Exception):
    """The mirror does not answer as it should; the message says what it did."""


class Upstream:
    """The way to the site's mirror; none where the site runs none."""

    def __init__(
        self, base: str, *, authority: Path | None, token: Path | None, name: str = ""
    ) -> None:
        self._base = base.rstrip("/")
        self._name = name or None
        self._authority = authority
        self._token = token
        self._context: tuple[float, ssl.SSLContext] | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def is_there(self) -> bool:
        """Whether the site runs a mirror."""
        return bool(self._base)

    @asynccontextmanager
    async def asked(
        self, wanted: Wanted, *, method: str = "GET"
    ) -> AsyncIterator[aiohttp.ClientResponse | None]:
        """Ask for what was decided to be allowed; None when there is no such thing.

        Raises UpstreamError.
        """
        accept = JSON_TYPE if wanted.part is Part.PAGE else "application/octet-stream"
        try:
            async with self._opened().request(
                method,
                self._base + upstream_path(wanted),
                headers={"Accept": accept, "Accept-Encoding": "identity", **self._authorization()},
                allow_redirects=False,
                ssl=self._trust(),
                server_hostname=self._name,
            ) as response:
                if response.status == 404:
                    yield None
                elif response.status == 200:
                    yield response
                else:
                    raise UpstreamError(f"the site's mirror answered {response.status}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UpstreamError(f"the site's mirror cannot be reached: {error!r}") from error

    async def close(self) -> None:
        """Close what is open."""
        if self._session is not None:
            await self._session.close()
            # aiohttp closes TLS transports in the next turns of the loop.
            await asyncio.sleep(0)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_AT_ONCE),
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS
                ),
                headers={"User-Agent": USER_AGENT},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    def _authorization(self) -> dict[str, str]:
        # Read each time: the kubelet renews the token in place.
        return {"Authorization": f"Bearer {self._token.read_text().strip()}"} if self._token else {}

    def _trust(self) -> ssl.SSLContext | bool:
        if self._authority is None:
            return True
        changed = self._authority.stat().st_mtime
        if self._context is None or self._context[0] != changed:
            self._context = changed, ssl.create_default_context(cafile=str(self._authority))
        return self._context[1]
