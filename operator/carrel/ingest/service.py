"""The ingest service: takes files, never gives one back."""

import hashlib
import hmac
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter
from pydantic import ValidationError

from carrel.cluster import Cluster, KindRef, Ref
from carrel.cluster.errors import ClusterError
from carrel.flows.clock import Clock
from carrel.ingest.staging import (
    LARGEST_INDEX,
    DigestDiffersError,
    FileTooLargeError,
    NoSpaceError,
    Put,
    Staging,
    StagingError,
)
from carrel.kinds import DatasetIngest
from carrel.kinds.ingest import UploadState

INGESTS = KindRef.of(DatasetIngest)
TOKEN_HEADER = "Carrel-Upload-Token"  # noqa: S105 - the name of a header
DIGEST_HEADER = "Carrel-Content-SHA256"
RECEIVED_PER_ANSWER = 50_000

_REMEMBERED_SECONDS = 2.0
"""A burst of files asks the API server once. A file that slips in after the seal shows: the job
compares what it reads with the digest that was sealed."""
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_STATUS: dict[type[StagingError], int] = {
    FileTooLargeError: 413,
    DigestDiffersError: 422,
    NoSpaceError: 507,
}


class Ticker(Protocol):
    """A clock that only goes forward."""

    def __call__(self) -> float:
        """Return seconds since some moment."""
        ...


class RefusedError(Exception):
    """A request is refused; becomes an answer with status, rule and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(frozen=True)
class _Known:
    ingest: DatasetIngest | None
    until: float


class Register:
    """What the API server says of ingests, remembered for a moment."""

    def __init__(self, cluster: Cluster, *, ticker: Ticker) -> None:
        self._cluster = cluster
        self._ticker = ticker
        self._known: dict[str, _Known] = {}

    async def admitted(self, name: str, *, token: str) -> DatasetIngest:
        """Return the open ingest that `token` belongs to.

        Raises:
            RefusedError: when there is none, the token is another one's, or it is sealed.

        """
        ingest = await self._found(name)
        digest = "sha256:" + hashlib.sha256(token.encode()).hexdigest()
        # One answer for an unknown name and a wrong token: names are not for guessing.
        if ingest is None or not hmac.compare_digest(digest, ingest.spec.token_digest):
            raise RefusedError(
                403,
                "token_does_not_match: there is no ingest of this name with this upload token; "
                "only the command that began an ingest can continue it.",
            )
        return ingest

    async def _found(self, name: str) -> DatasetIngest | None:
        now = self._ticker()
        known = self._known.get(name)
        if known is None or known.until <= now:
            self._known = {key: each for key, each in self._known.items() if each.until > now}
            known = _Known(await self._asked(name), now + _REMEMBERED_SECONDS)
            self._known[name] = known
        return known.ingest

    async def _asked(self, name: str) -> DatasetIngest | None:
        try:
            found = await self._cluster.get(Ref(INGESTS, name))
            return None if found is None else DatasetIngest.model_validate(found)
        except ClusterError as error:
            raise RefusedError(
                503, "api_server_is_away: the ingest cannot be looked up now; try again."
            ) from error
        except ValidationError:
            return None


class Service:
    """The handlers of the service and its figures."""

    def __init__(
        self,
        staging: Staging,
        register: Register,
        *,
        clock: Clock,
        registry: CollectorRegistry,
        file_bytes: int,
        spare_bytes: int,
    ) -> None:
        self._staging = staging
        self._register = register
        self._clock = clock
        self._file_bytes = file_bytes
        self._spare_bytes = spare_bytes
        self._files = Counter(
            "carrel_ingest_files_total", "Files by what became of them.", ["end"], registry=registry
        )
        self._bytes = Counter(
            "carrel_ingest_bytes_total", "Bytes announced by files that came.", registry=registry
        )

    def application(self) -> web.Application:
        """Return the routes."""
        application = web.Application(middlewares=[_refusals], client_max_size=0)
        application.router.add_put("/v1/ingests/{name}/files/{index}", self._put)
        application.router.add_get("/v1/ingests/{name}/received", self._received)
        application.router.add_get("/healthz", _healthz)
        return application

    async def _put(self, request: web.Request) -> web.Response:
        ingest = await self._admitted(request)
        if ingest.spec.upload is UploadState.SEALED:
            raise RefusedError(
                409, "upload_is_sealed: no file can be added; begin a new ingest for more files."
            )
        digest = request.headers.get(DIGEST_HEADER, "")
        if not _HEX.match(digest):
            raise RefusedError(
                400, f"digest_is_missing: {DIGEST_HEADER} must hold 64 hexadecimal digits."
            )
        length = request.content_length or 0
        if self._staging.free_bytes() - length < self._spare_bytes:
            self._files.labels("full").inc()
            raise RefusedError(
                507,
                "staging_is_full: nothing is lost; run the same command again when other ingests "
                "have ended, or ask the administrator for a larger volume.",
            )
        put = await self._stored(request, uid=ingest.uid, digest=digest)
        self._files.labels(put.value).inc()
        self._bytes.inc(length)
        return web.json_response({"put": put})

    async def _stored(self, request: web.Request, *, uid: str, digest: str) -> Put:
        try:
            return await self._staging.area(uid).put(
                _number(request.match_info["index"]),
                digest=digest,
                content=request.content.iter_chunked(256 * 1024),
                largest=self._file_bytes,
                now=self._clock.now(),
            )
        except StagingError as error:
            self._files.labels(type(error).__name__).inc()
            raise RefusedError(_STATUS[type(error)], str(error)) from error

    async def _received(self, request: web.Request) -> web.Response:
        """Tell numbers and digests of what is held, so that an upload can be resumed."""
        ingest = await self._admitted(request)
        start = _number(request.query.get("from", "0"))
        files: list[tuple[int, str]] = []
        following: int | None = None
        for file in self._staging.area(ingest.uid).files(start=start):
            if len(files) == RECEIVED_PER_ANSWER:
                following = file.index
                break
            files.append((file.index, file.digest))
        return web.json_response({"files": files, "next": following})

    async def _admitted(self, request: web.Request) -> DatasetIngest:
        token = request.headers.get(TOKEN_HEADER, "")
        return await self._register.admitted(request.match_info["name"], token=token)


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,7}", text) or int(text) > LARGEST_INDEX:
        raise RefusedError(400, f"number_is_not_valid: files are numbered 0 to {LARGEST_INDEX:,}.")
    return int(text)


async def _healthz(request: web.Request) -> web.Response:  # noqa: ARG001 - aiohttp passes it
    return web.Response(text="ok\n")


@web.middleware
async def _refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as error:
        rule = error.sentence.partition(":")[0]
        body = json.dumps({"rule": rule, "sentence": error.sentence})
        answer = web.Response(status=error.status, text=body, content_type="application/json")
        # What was not read of the body is not read at all: the connection cannot be used again.
        answer.force_close()
        return answer
