"""Who asks: the API server says it of the token, and of nothing that the asker writes himself."""

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from carrel.cluster import Cluster
from carrel.cluster.errors import ClusterError
from carrel.ledgerd.writers import Identity, RefusedError

AUDIENCE = "carrel-ledger"
"""Audience that a token must be made for, so that one made for another service is no use here."""
REMEMBERED_SECONDS = 10.0
"""A token of a deleted pod may append this much longer."""
_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_NODE = "authentication.kubernetes.io/node-name"


class Doorkeeper:
    """Asks the API server whose a token is."""

    def __init__(self, cluster: Cluster, *, namespace: str) -> None:
        self._cluster = cluster
        self._prefix = f"system:serviceaccount:{namespace}:"
        self._known: dict[bytes, tuple[float, Identity]] = {}

    async def identity(self, authorization: str) -> Identity:
        """Return who holds the token of an Authorization header.

        Raises:
            RefusedError: 401 when it is no valid token for this service, 503 when the API
                server cannot be asked.

        """
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or not token:
            raise RefusedError(401, "token_is_missing: send a ServiceAccount token as Bearer.")
        digest, now = hashlib.sha256(token.encode()).digest(), time.monotonic()
        self._known = {key: each for key, each in self._known.items() if each[0] > now}
        if digest not in self._known:
            found = self._read(await self._reviewed(token))
            self._known[digest] = (now + REMEMBERED_SECONDS, found)
        return self._known[digest][1]

    async def _reviewed(self, token: str) -> Mapping[str, Any]:
        review = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        try:
            answer = await self._cluster.request(
                "POST",
                _REVIEWS,
                headers={"Content-Type": "application/json"},
                body=json.dumps(review).encode(),
            )
            status = json.loads(answer.body).get("status", {})
        except (ClusterError, ValueError, AttributeError) as error:
            raise RefusedError(503, "api_server_is_away: the token cannot be checked.") from error
        if answer.status not in {200, 201} or not isinstance(status, dict):
            raise RefusedError(503, f"api_server_refuses: a token review gave {answer.status}.")
        return status

    def _read(self, status: Mapping[str, Any]) -> Identity:
        user = status.get("user", {})
        name = str(user.get("username", ""))
        # An API server that ignores audiences does not repeat them: then nothing is proven.
        if status.get("authenticated") is not True or AUDIENCE not in status.get("audiences", []):
            raise RefusedError(
                401, f"token_is_not_valid: it must be a valid token for the audience {AUDIENCE}."
            )
        if not name.startswith(self._prefix):
            raise RefusedError(403, f"account_is_no_writer: {name[:200]} may not append.")
        nodes = user.get("extra", {}).get(_NODE, [])
        return Identity(name.removeprefix(self._prefix), nodes[0] if len(nodes) == 1 else "")
