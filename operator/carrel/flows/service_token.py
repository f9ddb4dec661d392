"""Who calls a service of the platform: a bound ServiceAccount token, checked by the API server.

A caller sends `Authorization: Bearer <token>`, made for the service's own audience. The API
server is asked what the token is worth (TokenReview), and its word is remembered for a moment,
so that a pod that is deleted soon calls in vain.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from carrel.cluster import Cluster
from carrel.cluster.errors import ClusterError

_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
_REMEMBERED_SECONDS = 30.0
_MOST_REMEMBERED = 4096
_LONGEST_TOKEN = 8192


class NotACallerError(Exception):
    """The caller is not known or may not ask here; the message says what a caller needs."""


class CallersAwayError(Exception):
    """Callers cannot be checked now."""


@dataclass(frozen=True)
class _Known:
    user: str | None
    until: float


class Callers:
    """Tells callers that may ask from all others."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        audience: str,
        allowed: frozenset[str],
        ticker: Callable[[], float],
    ) -> None:
        """Take the audience of the service, the users that may ask and a clock of seconds."""
        self._cluster = cluster
        self._audience = audience
        self._allowed = allowed
        self._ticker = ticker
        self._known: dict[str, _Known] = {}

    async def known(self, token: str) -> str:
        """Return the user name of a caller.

        Raises:
            NotACallerError: when the token is not worth anything here, or its user may not ask.
            CallersAwayError: when the API server does not say.

        """
        user = await self._user(token) if 0 < len(token) <= _LONGEST_TOKEN else None
        if user is None or user not in self._allowed:
            raise NotACallerError(
                f"This service answers {', '.join(sorted(self._allowed))} only, by a "
                f"ServiceAccount token made for the audience {self._audience}."
            )
        return user

    async def _user(self, token: str) -> str | None:
        key, now = hashlib.sha256(token.encode()).hexdigest(), self._ticker()
        known = self._known.get(key)
        if known is None or known.until <= now:
            user = await self._reviewed(token)
            kept = {name: each for name, each in self._known.items() if each.until > now}
            # Tokens that were never seen may be anybody's: they cannot fill the memory.
            self._known = kept if len(kept) < _MOST_REMEMBERED else {}
            known = self._known[key] = _Known(user, now + _REMEMBERED_SECONDS)
        return known.user

    async def _reviewed(self, token: str) -> str | None:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self._audience]},
        }
        try:
            answer = await self._cluster.request(
                "POST",
                _PATH,
                headers={"Content-Type": "application/json"},
                body=json.dumps(review).encode(),
            )
            status = json.loads(answer.body).get("status", {}) if answer.status < 300 else None
        except (ClusterError, ValueError) as error:
            raise CallersAwayError(
                "The API server cannot be asked who calls; try again."
            ) from error
        if status is None:
            raise CallersAwayError(f"Asked who calls, the API server answered {answer.status}.")
        # A server that does not know audiences answers without them (KEP-1205): not worth anything.
        if status.get("authenticated") is not True or self._audience not in status.get(
            "audiences", ()
        ):
            return None
        user = status.get("user", {}).get("username")
        return user if isinstance(user, str) else None
