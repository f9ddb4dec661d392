"""A browser without pages: cookies, redirects, forms, and `*.carrel.localhost` on loopback."""

import asyncio
import html
import re
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from typing_extensions import override

_FORM = re.compile(r'<form[^>]+id="kc-form-login"[^>]+action="([^"]+)"')


class _Loopback(AbstractResolver):
    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if not host.endswith("localhost"):
            raise OSError(f"{host} is not on this machine")
        address: Any = {
            "hostname": host,
            "host": "127.0.0.1",
            "port": port,
            "family": socket.AF_INET,
            "proto": 0,
            "flags": 0,
        }
        return [address]

    @override
    async def close(self) -> None:
        """Hold nothing."""


class Browser:
    """One person's browser."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def log_in(self, url: str, *, username: str, password: str) -> tuple[int, str, str]:
        """Open a page, log in where the provider asks, and return status, address and text."""
        async with self.session.get(url) as page:
            text = await page.text()
            form = _FORM.search(text)
            assert form is not None, f"{page.url} shows no form:\n{text[:2000]}"
        data = {"username": username, "password": password, "credentialId": ""}
        async with self.session.post(html.unescape(form[1]), data=data) as answer:
            return answer.status, str(answer.url), await answer.text()

    def cookie(self, url: str, ending: str) -> str:
        """Return the value of a cookie whose name ends so."""
        found = self.session.cookie_jar.filter_cookies(aiohttp.client.URL(url))
        return next(each.value for name, each in found.items() if name.endswith(ending))


@asynccontextmanager
async def browser(authorities: Sequence[Path]) -> AsyncIterator[Browser]:
    """Open a browser that believes these authorities and no other."""
    context = ssl.create_default_context()
    for each in authorities:
        context.load_verify_locations(each)
    connector = aiohttp.TCPConnector(resolver=_Loopback(), ssl=context)
    try:
        async with aiohttp.ClientSession(connector=connector, connector_owner=False) as session:
            yield Browser(session)
    finally:
        # Connections end with the test's loop; nobody would wait for a last word over TLS.
        await connector.close(abort_ssl=True)
        await asyncio.sleep(0)
