"""The one door to the API server: what every part of Carrel may ask of it."""

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from carrel.cluster.refs import JSON, KindRef, Objects, Ref


@dataclass(frozen=True)
class Deadline:
    """The moment until which an answer is worth waiting for."""

    at: float
    """On the monotonic clock, in seconds."""

    @classmethod
    def after(cls, seconds: float) -> Self:
        """Return the deadline `seconds` from now."""
        return cls(at=time.monotonic() + seconds)

    def left(self) -> float:
        """Return the seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())


class ChangeType(StrEnum):
    """What happened to an object."""

    ADDED = "Added"
    MODIFIED = "Modified"
    DELETED = "Deleted"
    SYNCED = "Synced"
    """Everything that existed when the watch began has been told; carries no object."""


@dataclass(frozen=True)
class Change:
    """One thing that a watch tells.

    After a gap in the watch, `Deleted` carries what is remembered of the object:
    apiVersion, kind, and metadata with name, namespace, uid and labels.
    """

    type: ChangeType
    """What happened."""
    object: JSON
    """The object as it is now, or was last; empty for `Synced`."""


@dataclass(frozen=True)
class Answer:
    """What came back from a raw request."""

    status: int
    """HTTP status."""
    body: bytes
    """At most 16 MiB of the answer."""
    headers: Mapping[str, str]
    """Headers, names in lower case."""


Body = bytes | AsyncIterable[bytes]
"""What a raw request sends: bytes, or a stream of them."""


class Cluster(Protocol):
    """Everything that may be asked of the API server.

    Every call ends by its deadline; without one, by the connection's own limit (15 s).
    Errors are those of `carrel.cluster.errors` and nothing else.
    """

    async def get(self, ref: Ref, *, deadline: Deadline | None = None) -> JSON | None:
        """Return the object, None where there is none."""
        ...

    async def list(
        self,
        kind: KindRef,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        deadline: Deadline | None = None,
    ) -> Objects:
        """Return all objects of a kind, read in pages; selectors as kubectl writes them."""
        ...

    async def apply(self, obj: JSON, *, manager: str, deadline: Deadline | None = None) -> JSON:
        """Server-side apply `obj` as `manager`, taking over fields that others hold."""
        ...

    async def apply_status(
        self, obj: JSON, *, manager: str, deadline: Deadline | None = None
    ) -> JSON:
        """Server-side apply the status of `obj`, which must exist."""
        ...

    async def create(self, obj: JSON, *, deadline: Deadline | None = None) -> JSON:
        """Create `obj`; AlreadyExists where the name is taken."""
        ...

    async def patch(
        self, ref: Ref, patch: JSON, *, manager: str, deadline: Deadline | None = None
    ) -> JSON:
        """Merge `patch` (RFC 7386) into an object; NotFound where there is none.

        A `metadata.resourceVersion` in the patch makes a lost race a Conflict.
        """
        ...

    async def delete(
        self,
        ref: Ref,
        *,
        grace: int | None = None,
        uid: str | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        """Ask for deletion with `grace` seconds; fine where there is no such object.

        With `uid`, only that very object: another of the same name is a Conflict.
        Dependents go in the background.
        """
        ...

    def watch(
        self,
        kind: KindRef,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        pulse: Callable[[], None] | None = None,
    ) -> AsyncIterator[Change]:
        """Tell what is and what becomes, for ever; errors are waited out.

        Objects that exist come first as `Added`, then `Synced`, then changes. A gap
        is closed by listing again, which ends in another `Synced`. `pulse` is called
        at each sign of life of the server, at least once a minute on a good watch.
        """
        ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        deadline: Deadline | None = None,
    ) -> Answer:
        """Send a raw request with our credentials; any status comes back as an answer."""
        ...

    async def whoami(self, *, deadline: Deadline | None = None) -> str:
        """Return the user name that the API server knows us by."""
        ...


def service_path(*, namespace: str, service: str, port: int, path: str) -> str:
    """Return the URL path by which the API server passes a request on to an HTTPS service."""
    return (
        f"/api/v1/namespaces/{namespace}/services/https:{service}:{port}/proxy/{path.lstrip('/')}"
    )
