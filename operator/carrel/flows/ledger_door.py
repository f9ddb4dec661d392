"""The way to the central log over HTTPS, with the token of this pod."""

import json
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import aiohttp

from carrel.flows.forwarding import AwayError, Place

SECONDS = 30.0


class HTTPDoor:
    """A `Door` to the log's Service; use it as a context manager."""

    def __init__(self, address: str, *, token: Path, authority: Path | None) -> None:
        self._address = address.rstrip("/")
        self._token = token
        self._authority = authority
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the connection pool."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        if self._session:
            await self._session.close()

    async def place(self, *, process: str, chain: str) -> Place | None:
        """Return the last record of a chain that the log holds."""
        found = await self._asked("GET", "/v1/place", process, chain, None)
        return found if found.sequence else None

    async def send(self, lines: Sequence[bytes], *, process: str, chain: str) -> Place:
        """Append records and return the last one that the log holds."""
        return await self._asked("POST", "/v1/append", process, chain, b"".join(lines))

    async def _asked(
        self, method: str, path: str, process: str, chain: str, body: bytes | None
    ) -> Place:
        if self._session is None:
            raise AwayError("log_is_away: the connection has been closed.")
        try:
            # Token and authority are read each time: both are renewed while we run.
            headers = {"Authorization": f"Bearer {self._token.read_text().strip()}"}
            async with self._session.request(
                method,
                self._address + path,
                params={"process": process, "chain": chain},
                data=body,
                headers=headers,
                ssl=self._context(),
                allow_redirects=False,
            ) as answer:
                said = json.loads(await answer.content.read(64 * 1024))
                if answer.status != 200:
                    raise AwayError(str(said["sentence"]))
                return Place(int(said["sequence"]), str(said["digest"]))
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise AwayError(f"log_is_away: {type(error).__name__}: {error}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise AwayError("log_answers_nonsense: the answer is no place.") from error

    def _context(self) -> ssl.SSLContext | bool:
        if self._authority is None:
            return True
        return ssl.create_default_context(cafile=str(self._authority))
