"""Asking an index outside: always the same words, nobody's name, only hosts the site named."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
import certifi
from prometheus_client import Counter
from yarl import URL

from carrel.mirror.listing import HTML_TYPE, JSON_TYPE, Listing, PageError, read_page
from carrel.mirror.settings import UpstreamSettings

_HEADERS = {"User-Agent": "carrel-mirror", "Accept-Encoding": "identity"}
"""All that an index learns of who asks; no version, which would date the site's updates."""
_PAGES = f"{JSON_TYPE}, {HTML_TYPE};q=0.2, text/html;q=0.1"
_LARGEST_PAGE = 64 * 2**20
_PAGE_SECONDS, _FILE_SECONDS = 120.0, 3600.0
_REDIRECTS = 5
_CHUNK = 256 * 1024


class UpstreamError(Exception):
    """The index did not answer as an index does; the message says how."""


class UnknownProjectError(UpstreamError):
    """The index says that it does not have the package."""


class Upstream:
    """One client for all indexes; keeps no cookie and follows no proxy of the environment."""

    def __init__(self, *, asked: Counter, authorities: Path | None) -> None:
        self._asked = asked
        # An image of the platform has no authorities of its own.
        trusted = ssl.create_default_context(cafile=str(authorities or certifi.where()))
        self._session = aiohttp.ClientSession(
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10.0, sock_read=30.0),
            connector=aiohttp.TCPConnector(limit=16, limit_per_host=8, ssl=trusted),
        )

    async def __aenter__(self) -> Self:
        """Return this client."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every connection."""
        await self._session.close()

    async def page(self, index: UpstreamSettings, project: str) -> Listing:
        """Fetch a package's page.

        Raises:
            UnknownProjectError: when the index does not have the package.
            UpstreamError: when the index does not answer, or not with a page.

        """
        url = f"{index.url}{project}/"
        try:
            async with (
                asyncio.timeout(_PAGE_SECONDS),
                self._opened(index, url, kind="page", accept=_PAGES) as answer,
            ):
                body = await _read(answer, largest=_LARGEST_PAGE)
                return await asyncio.to_thread(
                    read_page,
                    body,
                    answer.content_type,
                    project=project,
                    url=str(answer.url),
                    may_fetch=index.may_ask,
                )
        except PageError as error:
            raise UpstreamError(str(error)) from error
        except TimeoutError as error:
            raise UpstreamError("the page came too slowly") from error

    async def file(
        self, index: UpstreamSettings, url: str, *, take: Callable[[bytes], None]
    ) -> None:
        """Fetch a file and give its parts to `take`, whose errors end it.

        Raises:
            UpstreamError: when the file does not come.

        """
        try:
            async with (
                asyncio.timeout(_FILE_SECONDS),
                self._opened(index, url, kind="file", accept="*/*") as answer,
            ):
                async for part in answer.content.iter_chunked(_CHUNK):
                    take(part)
        except TimeoutError as error:
            raise UpstreamError("it came too slowly") from error
        except aiohttp.ClientError as error:
            raise UpstreamError(f"the connection broke ({type(error).__name__})") from error

    @asynccontextmanager
    async def _opened(
        self, index: UpstreamSettings, url: str, *, kind: str, accept: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        for _ in range(_REDIRECTS):
            if not index.may_ask(url):
                raise UpstreamError("it led to a host that the site did not name for this index")
            self._asked.labels(index.name, kind).inc()
            try:
                answer = await self._session.get(
                    URL(url, encoded=True), headers={"Accept": accept}, allow_redirects=False
                )
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise UpstreamError(f"no answer ({type(error).__name__})") from error
            async with answer:
                if answer.status in (301, 302, 303, 307, 308):
                    url = _target(answer, url)
                    continue
                _check(answer)
                yield answer
                return
        raise UpstreamError(f"more than {_REDIRECTS} redirects")


def _target(answer: aiohttp.ClientResponse, url: str) -> str:
    try:
        return str(URL(url, encoded=True).join(URL(answer.headers.get("Location", ""))))
    except ValueError as error:
        raise UpstreamError("a redirect to what is no URL") from error


def _check(answer: aiohttp.ClientResponse) -> None:
    if answer.status in (404, 410):
        raise UnknownProjectError(f"status {answer.status}")
    if answer.status != 200:
        raise UpstreamError(f"status {answer.status}")
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        # It was asked not to; decompressing what a stranger sends is how a byte becomes a gigabyte.
        raise UpstreamError("the answer is compressed although that was not asked for")


async def _read(answer: aiohttp.ClientResponse, *, largest: int) -> bytes:
    parts, size = [], 0
    try:
        async for part in answer.content.iter_chunked(_CHUNK):
            size += len(part)
            if size > largest:
                raise UpstreamError(f"the page is larger than {largest:,} bytes")
            parts.append(part)
    except (aiohttp.ClientError, OSError) as error:
        raise UpstreamError(f"the connection broke ({type(error).__name__})") from error
    return b"".join(parts)
