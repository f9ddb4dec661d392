"""Uploading a folder: begin or continue an ingest, send what is missing, seal."""

import asyncio
import hashlib
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from carrel.cluster import Answer, Cluster, Deadline, KindRef, Ref, service_path
from carrel.cluster.errors import ClusterError, Unavailable
from carrel.cluster.protocol import Body
from carrel.flows.upload_folder import LocalFile, LocalRefusal, Survey, unreadable
from carrel.flows.upload_memory import Begun, UploadMemory
from carrel.kinds import DatasetIngest
from carrel.kinds.ingest import DatasetIngestSpec, SealedUpload, UploadState

INGESTS = KindRef.of(DatasetIngest)
MANAGER = "carrel-cli"
PARALLEL = 8
_IN_MEMORY = 2**20
"""Larger bodies are streamed: aiohttp sends whole bytes without letting others run."""
_BLOCK = 2**20
_SLOWEST_BYTES_PER_SECOND = 256 * 1024
_PATIENCE_SECONDS = 600.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 10.0

_log = logging.getLogger(__name__)


class UploadError(Exception):
    """The upload cannot go on; the message says what to do. What arrived stays for a day."""


@dataclass(frozen=True)
class Plan:
    """What is to be published, as the data manager says it."""

    name: str
    title: str
    source: str
    use: tuple[str, ...]
    approvals: int


@dataclass(frozen=True)
class Uploaded:
    """How far an upload is."""

    files: int = 0
    bytes: int = 0
    held: int = 0
    """Files among them that an earlier run had sent."""


@dataclass(frozen=True)
class Sent:
    """A sealed upload."""

    ingest: str
    sealed: SealedUpload
    refused: tuple[LocalRefusal, ...]
    """Files that could not be read when their turn came."""


@dataclass
class _Tally:
    """What the senders share."""

    done: Uploaded = Uploaded()
    digests: dict[int, tuple[str, int]] = field(default_factory=dict)
    refused: list[LocalRefusal] = field(default_factory=list)


Tell = Callable[[Uploaded], None]


async def upload(
    found: Survey, plan: Plan, *, cluster: Cluster, namespace: str, memory: UploadMemory, tell: Tell
) -> Sent:
    """Upload everything that was found and seal it; the same call again continues.

    Raises:
        UploadError: when the service refuses in a way that waiting does not change.
        ClusterError: when the API server refuses.

    """
    begun, ingest = await _begun(plan, files=len(found.files), cluster=cluster, memory=memory)
    if ingest.spec.sealed is not None:
        return Sent(begun.ingest, ingest.spec.sealed, ())
    door = _Door(cluster, begun, namespace=namespace)
    held = await door.received()
    if any(index >= len(found.files) for index in held):
        # The folder holds less than it did: numbers would be left over in staging.
        memory.forget()
        begun, _ = await _begun(plan, files=len(found.files), cluster=cluster, memory=memory)
        door, held = _Door(cluster, begun, namespace=namespace), {}
    tally = _Tally()
    await _send_all(found.files, door, held=held, tally=tally, tell=tell)
    if not tally.digests:
        raise UploadError(
            "nothing_was_uploaded: no file could be read; see the list of refused files."
        )
    sealed = _sealed(tally)
    patch = {"spec": {"upload": UploadState.SEALED.value, "sealed": sealed.to_wire()}}
    await cluster.patch(Ref(INGESTS, begun.ingest), patch, manager=MANAGER)
    return Sent(begun.ingest, sealed, tuple(tally.refused))


async def _begun(
    plan: Plan, *, files: int, cluster: Cluster, memory: UploadMemory
) -> tuple[Begun, DatasetIngest]:
    if files == 0:
        raise UploadError("folder_is_empty: there is no file to upload; name another folder.")
    begun = memory.recall()
    if begun is not None:
        stored = await cluster.get(Ref(INGESTS, begun.ingest))
        ingest = DatasetIngest.model_validate(stored) if stored else None
        if ingest and ingest.uid == begun.uid and _same(ingest.spec, plan):
            return begun, ingest
    token = secrets.token_urlsafe(32)
    spec = DatasetIngestSpec(
        name=plan.name,
        title=plan.title,
        source=plan.source,
        manager=await cluster.whoami(),
        token_digest="sha256:" + hashlib.sha256(token.encode()).hexdigest(),
        use=plan.use,
        approvals=plan.approvals,
        upload=UploadState.OPEN,
    )
    created = await cluster.create(
        {
            "apiVersion": INGESTS.api_version,
            "kind": INGESTS.kind,
            "metadata": {"name": f"{plan.name[:54].rstrip('-')}-{secrets.token_hex(4)}"},
            "spec": spec.to_wire(),
        }
    )
    ingest = DatasetIngest.model_validate(created)
    begun = Begun(ingest=ingest.metadata.name, uid=ingest.uid, token=token)
    memory.keep(begun)
    return begun, ingest


def _same(spec: DatasetIngestSpec, plan: Plan) -> bool:
    return plan == Plan(spec.name, spec.title, spec.source, spec.use, spec.approvals)


async def _send_all(
    files: tuple[LocalFile, ...],
    door: "_Door",
    *,
    held: Mapping[int, str],
    tally: _Tally,
    tell: Tell,
) -> None:
    waiting = iter(files)

    async def send_some() -> None:
        # An iterator shared by all senders: next() has no await, so no file goes twice.
        for file in waiting:
            await _send(file, door, held=held.get(file.index, ""), tally=tally)
            tell(tally.done)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(PARALLEL, len(files))):
                group.create_task(send_some())
    except* (UploadError, ClusterError) as errors:
        raise errors.exceptions[0] from None


async def _send(file: LocalFile, door: "_Door", *, held: str, tally: _Tally) -> None:
    try:
        size, digest, body = await asyncio.to_thread(_read, file.path)
    except OSError as error:
        tally.refused.append(unreadable(file.path, error))
        return
    if digest != held:
        refusal = await door.put(file, digest=digest, size=size, body=body)
        if refusal is not None:
            tally.refused.append(refusal)
            return
    tally.digests[file.index] = (digest, size)
    done = tally.done
    tally.done = Uploaded(done.files + 1, done.bytes + size, done.held + (digest == held))


def _read(path: Path) -> tuple[int, str, bytes | None]:
    """Return size, SHA-256 and, where it is small, the content of a file."""
    with path.open("rb") as file:
        data = file.read(_IN_MEMORY)
        found, size = hashlib.sha256(data), len(data)
        if size < _IN_MEMORY:
            return size, found.hexdigest(), data
        while block := file.read(_BLOCK):
            found.update(block)
            size += len(block)
        return size, found.hexdigest(), None


async def _streamed(path: Path, *, size: int) -> AsyncIterator[bytes]:
    """Yield exactly `size` bytes, as announced."""
    with path.open("rb") as file:
        while size > 0:
            block = await asyncio.to_thread(file.read, min(_BLOCK, size))
            # A file that shrank is filled up: the digest then differs, and the service says so.
            block = block or bytes(min(_BLOCK, size))
            size -= len(block)
            yield block


def _sealed(tally: _Tally) -> SealedUpload:
    lines = hashlib.sha256()
    for index, (digest, _) in sorted(tally.digests.items()):
        lines.update(f"{index} {digest}\n".encode())
    return SealedUpload(
        files=len(tally.digests),
        bytes=sum(size for _, size in tally.digests.values()),
        digest="sha256:" + lines.hexdigest(),
    )


class _Door:
    """The ingest service, as seen through the API server."""

    def __init__(self, cluster: Cluster, begun: Begun, *, namespace: str) -> None:
        self._cluster = cluster
        self._begun = begun
        self._namespace = namespace

    async def received(self) -> dict[int, str]:
        """Return number and SHA-256 of what is held."""
        held: dict[int, str] = {}
        start: int | None = 0
        while start is not None:
            answer = await self._asked("GET", f"received?from={start}")
            page = json.loads(answer.body)
            held.update((int(index), str(digest)) for index, digest in page["files"])
            start = page["next"]
        return held

    async def put(
        self, file: LocalFile, *, digest: str, size: int, body: bytes | None
    ) -> LocalRefusal | None:
        """Send one file; return why this one file cannot go."""
        headers = {
            "Carrel-Content-SHA256": digest,
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size),
        }
        answer = await self._asked(
            "PUT",
            f"files/{file.index}",
            headers=headers,
            size=size,
            body=lambda: _streamed(file.path, size=size) if body is None else body,
        )
        match answer.status:
            case 413:
                return LocalRefusal(
                    file.path, "file_is_too_large", "larger than the platform takes"
                )
            case 422:
                return LocalRefusal(file.path, "file_changes", "it changed while it was read")
            case _:
                return None

    async def _asked(
        self,
        method: str,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        size: int = 0,
        body: Callable[[], Body] | None = None,
    ) -> Answer:
        path = service_path(
            namespace=self._namespace,
            service="carrel-ingest",
            port=8443,
            path=f"v1/ingests/{self._begun.ingest}/{what}",
        )
        sent = {"Carrel-Upload-Token": self._begun.token, **(headers or {})}
        give_up, pause = Deadline.after(_PATIENCE_SECONDS), _FIRST_PAUSE
        while True:
            try:
                answer = await self._cluster.request(
                    method,
                    path,
                    headers=sent,
                    body=body() if body else None,
                    deadline=Deadline.after(30 + size / _SLOWEST_BYTES_PER_SECOND),
                )
                if not _passes(answer):
                    return _judged(answer)
                trouble = _sentence(answer)
            except Unavailable as error:
                trouble = str(error)
            if give_up.left() < pause:
                raise UploadError(
                    f"service_is_away: {trouble}; what arrived is kept for a day: run the same "
                    "command again when the platform answers."
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def _passes(answer: Answer) -> bool:
    """Tell whether waiting may help: a full volume needs a person, anything else of 5xx time."""
    return answer.status == 429 or (answer.status >= 500 and answer.status != 507)


_OF_ONE_FILE = frozenset({413, 422})
"""Refusals that concern one file and leave the others to go on."""


def _judged(answer: Answer) -> Answer:
    if answer.status < 400 or answer.status in _OF_ONE_FILE:
        return answer
    raise UploadError(_sentence(answer))


def _sentence(answer: Answer) -> str:
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = {}
    if isinstance(body, dict):
        # The service speaks in sentences, the API server in a Status with a message.
        found = body.get("sentence") or body.get("message")
        if isinstance(found, str):
            return found
    return f"the service answered {answer.status} without a reason"
