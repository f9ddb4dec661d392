"""The identity provider's own word about its addresses (OpenID Connect Discovery 1.0)."""

import asyncio
import json
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from pydantic import BaseModel, ConfigDict, Field, ValidationError

_log = logging.getLogger(__name__)
_PAUSE_SECONDS = 2.0
_LARGEST = 2**20
_TIMEOUT = aiohttp.ClientTimeout(total=10)


class ProviderError(Exception):
    """The provider is not the one that was configured; waiting does not help."""


class Provider(BaseModel):
    """Addresses of the provider; those of browsers and those of processes may differ."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    issuer: str
    """The issuer that its tokens name."""
    authorization_endpoint: str = Field(pattern=r"^https://")
    """Where browsers log in."""
    token_endpoint: str = Field(pattern=r"^https://")
    """Where codes become tokens."""
    userinfo_endpoint: str = Field(pattern=r"^https://")
    """Where an access token becomes a person."""
    end_session_endpoint: str = Field(default="", pattern=r"^(https://.*)?$")
    """Where browsers log out; empty where the provider has none."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Whom to ask."""

    url: str
    """Address of the discovery document."""
    issuer: str
    """The issuer that it must name."""
    authorities: Path
    """Whom to believe its certificate."""


async def discover(asked: Asked) -> Provider:
    """Return what the provider says of itself; waits for as long as it does not answer.

    Raises
    ------
    ProviderError
        If it names another issuer, or its document lacks what a login needs.
    """
    context = ssl.create_default_context(cafile=asked.authorities)
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        while True:
            try:
                async with session.get(asked.url, ssl=context, allow_redirects=False) as answer:
                    if answer.status == 200:
                        return _checked(await answer.content.read(_LARGEST), issuer=asked.issuer)
                    _log.warning("%s answers %d; asking again", asked.url, answer.status)
            except (aiohttp.ClientError, TimeoutError) as error:
                _log.warning("%s does not answer: %s; asking again", asked.url, error)
            await asyncio.sleep(_PAUSE_SECONDS)


def _checked(body: bytes, *, issuer: str) -> Provider:
    try:
        found = Provider.model_validate(json.loads(body))
    except (ValidationError, ValueError) as error:
        raise ProviderError(f"provider_document_is_wrong: {error}") from error
    if found.issuer != issuer:
        raise ProviderError(
            f"provider_is_another: the document names {found.issuer!r}, but {issuer!r} is "
            "configured; grants name people of that one. Correct the issuer or the address."
        )
    return found
