"""The ingest job: from a sealed upload to a Dataset; killed at any moment, it goes on."""

import asyncio
import json
import logging
import shutil
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from carrel.cluster import JSON, Cluster, KindRef, Ref
from carrel.cluster.errors import ClusterError, Unavailable
from carrel.dicom import READER_LIMITS, Accepted
from carrel.flows.clock import Clock
from carrel.ingest import condition as say
from carrel.ingest.collected import Collection, by_rule, collected, content_digest, upload_digest
from carrel.ingest.condition import Progress
from carrel.ingest.crew import performed
from carrel.ingest.publish import publish, write_manifest
from carrel.ingest.reading import Order, Seen, decoded
from carrel.ingest.reporting import reported
from carrel.ingest.staging import Staging
from carrel.ingest.store import Store, write_whole
from carrel.kinds import DatasetIngest
from carrel.kinds.ingest import SealedUpload, UploadState
from carrel.ledger import Activity, Event, Ledger, RecordClass
from carrel.rules import is_true, settle

INGESTS = KindRef.of(DatasetIngest)
MANAGER = "carrel-ingest"
CHUNK_FILES = 64
STATUS_SECONDS = 1.0
PATIENCE_SECONDS = 600
"""How long the job waits for an API server that is away before its pod ends and is made anew."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class JobError(Exception):
    """The job cannot do its work; the message says why."""


@dataclass(frozen=True)
class Bench:
    """What the job works with."""

    root: Path
    """Root of the node store."""
    staging: Staging
    cluster: Cluster
    ledger: Ledger
    clock: Clock
    key: Ed25519PrivateKey
    workers: int


async def run(name: str, bench: Bench) -> Progress:
    """Gate the upload of the ingest `name`, publish what passed, and return how it ended.

    Raises:
        JobError: when there is no such sealed ingest.
        ClusterError: when the API server refuses or stays away.
        LedgerError: when a record that must come first cannot be written.
        OSError: when staging or store fail; the next run goes on where this one ended.

    """
    ingest = await _ingest(name, bench)
    if is_true(ingest.status.conditions, "Published"):
        # The pod ended between saying so and ending: staging may be empty by now.
        return say.published(say.begun(), dataset=ingest.status.dataset or "")
    return await _Job(ingest, bench).run()


class _Job:
    def __init__(self, ingest: DatasetIngest, bench: Bench) -> None:
        self._ingest = ingest
        self._bench = bench
        self._store = Store(bench.root)
        self._progress = say.begun()
        self._said: JSON | None = None

    async def run(self) -> Progress:
        try:
            return await self._gate_and_publish()
        except OSError as error:
            # TimeoutError is one too: the API server is away, and cannot be told.
            if not isinstance(error, TimeoutError):
                self._progress = say.stumbled(self._progress, error.strerror or str(error))
                await _patient(self._tell)
            raise

    async def _gate_and_publish(self) -> Progress:
        self._store.prepare()
        work = self._store.work(self._ingest.uid)
        await self._record(Activity.INGEST_SEALED, RecordClass.BEFORE, digest=self._sealed.digest)
        enough = asyncio.Event()
        telling = asyncio.create_task(self._tell_until(enough))
        try:
            seen = await self._read(work)
        finally:
            # Ended, not cancelled: a request on its way could arrive after the next one.
            enough.set()
            await telling
        difference = self._difference(seen)
        if difference:
            self._progress = say.lacking(self._progress, difference)
        else:
            await self._publish(collected(seen), work)
        await _patient(self._tell)
        shutil.rmtree(work / "chunks", ignore_errors=True)
        return self._progress

    @property
    def _sealed(self) -> SealedUpload:
        if self._ingest.spec.sealed is None:
            raise JobError(f"upload_is_not_sealed: {self._ingest.metadata.name}")
        return self._ingest.spec.sealed

    async def _read(self, work: Path) -> list[Seen]:
        orders = list(self._orders(work))
        seen, accepted = list[Seen](), 0
        async for result in performed(orders, workers=self._bench.workers):
            chunk = decoded(result.read_bytes())
            seen += chunk
            accepted += sum(isinstance(each.outcome, Accepted) for each in chunk)
            self._progress = say.reading(
                self._progress,
                done=len(seen),
                accepted=accepted,
                total=self._sealed.files,
            )
        return seen

    def _orders(self, work: Path) -> Iterator[Order]:
        files = list(self._bench.staging.area(self._ingest.uid).files())
        for start in range(0, len(files), CHUNK_FILES):
            chunk = tuple(files[start : start + CHUNK_FILES])
            yield Order(self._bench.root, work, chunk, READER_LIMITS)

    def _difference(self, seen: list[Seen]) -> str:
        """Say how the files that were read differ from what the uploader sealed."""
        sealed = self._sealed
        if len(seen) != sealed.files:
            return (
                f"{len(seen):,} files are in staging and {sealed.files:,} were sealed; begin a new "
                "ingest."
            )
        size = sum(each.size for each in seen)
        if size != sealed.bytes or upload_digest(seen) != sealed.digest:
            return (
                "The files in staging have another size or SHA-256 than was sealed: they changed "
                "on the way. Begin a new ingest."
            )
        return ""

    async def _publish(self, found: Collection, work: Path) -> None:
        report = b"".join(json.dumps(each.to_wire()).encode() + b"\n" for each in found.refusals)
        write_whole(work / "report.jsonl", report)
        refused = by_rule(found.refusals)
        self._progress = say.gated(
            self._progress,
            accepted=len(found.rows),
            refusals=found.refusals,
            by_rule=refused,
        )
        for rule in refused:
            await self._record(
                Activity.FILE_REFUSED, RecordClass.AFTER, rule=rule.rule, files=rule.count
            )
        if not found.rows:
            return
        await _patient(self._tell)
        done = reported(self._ingest, found.rows, refused=refused)
        manifest_digest = write_manifest(found.rows, self._store, reported=done)
        await self._record(
            Activity.DATASET_PUBLISHED,
            RecordClass.BEFORE,
            family=self._ingest.spec.name,
            digest=content_digest(found.rows),
            manifestDigest=f"sha256:{manifest_digest}",
            instances=len(found.rows),
        )
        name = await _patient(
            lambda: publish(
                self._ingest,
                found.rows,
                manifest_digest=manifest_digest,
                profile=done.profile,
                key=self._bench.key,
                cluster=self._bench.cluster,
            )
        )
        self._progress = say.published(self._progress, dataset=name)

    async def _record(
        self, activity: Activity, record_class: RecordClass, **detail: str | int
    ) -> None:
        await self._bench.ledger.append(
            Event(
                activity=activity,
                time=self._bench.clock.now(),
                actor=MANAGER,
                detail={"ingest": self._ingest.metadata.name, **detail},
            ),
            record_class=record_class,
        )

    async def _tell_until(self, enough: asyncio.Event) -> None:
        while not enough.is_set():
            try:
                await self._tell()
            except ClusterError as error:
                _log.warning("progress was not told: %s", error)
            # Not wait_for: in Python 3.11 it can swallow a cancellation (bpo-42130).
            with suppress(TimeoutError):
                async with asyncio.timeout(STATUS_SECONDS):
                    await enough.wait()

    async def _tell(self) -> None:
        """Write the status unless it stands there already."""
        status = self._progress.status(generation=self._ingest.metadata.generation or 0)
        conditions = settle(
            status.conditions,
            present=self._ingest.status.conditions,
            now=self._bench.clock.now(),
        )
        status = status.model_copy(update={"conditions": conditions})
        # The next times are kept from what was said last, not from what stood at the start.
        self._ingest = self._ingest.model_copy(update={"status": status})
        wire = status.to_wire()
        if wire == self._said:
            return
        await self._bench.cluster.apply_status(
            {
                "apiVersion": INGESTS.api_version,
                "kind": INGESTS.kind,
                "metadata": {"name": self._ingest.metadata.name},
                "status": wire,
            },
            manager=MANAGER,
        )
        self._said = wire


async def _ingest(name: str, bench: Bench) -> DatasetIngest:
    stored = await _patient(lambda: bench.cluster.get(Ref(INGESTS, name)))
    if stored is None:
        raise JobError(f"ingest_is_unknown: there is no DatasetIngest {name}; it was deleted.")
    ingest = DatasetIngest.model_validate(stored)
    if ingest.spec.upload is not UploadState.SEALED:
        raise JobError(f"upload_is_not_sealed: files of {name} may still come; seal it first.")
    return ingest


async def _patient(call: Callable[[], Awaitable[_T]]) -> _T:
    """Repeat `call` while the API server is away, for ten minutes at most."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await call()
            except Unavailable as error:
                _log.warning("the API server is away: %s", error)
                await asyncio.sleep(STATUS_SECONDS)
