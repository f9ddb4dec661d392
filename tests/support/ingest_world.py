"""The ingest without a cluster: the real service on loopback, the real job, objects in memory."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from typing_extensions import override

from carrel.cluster import JSON, Answer, Deadline, KindRef, Ref
from carrel.cluster.errors import Forbidden
from carrel.cluster.protocol import Body
from carrel.flows.certificates import make_authority, make_server, make_signing_key
from carrel.flows.clock import FixedClock
from carrel.ingest.condition import Progress
from carrel.ingest.job import Bench, run
from carrel.ingest.serve import serve
from carrel.ingest.settings import ServeSettings
from carrel.ingest.staging import Staging
from carrel.kinds import Dataset, DatasetIngest
from carrel.ledger import Chain, open_chain
from support.fake_cluster import FakeCluster

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMESPACE = "carrel-system"
INGESTS, DATASETS = KindRef.of(DatasetIngest), KindRef.of(Dataset)
_DOOR = f"/api/v1/namespaces/{NAMESPACE}/services/https:carrel-ingest:8443/proxy"


class LoopbackCluster(FakeCluster):
    """Passes requests for the ingest service on to it, as the API server's proxy does."""

    def __init__(self, clock: FixedClock, trust: ssl.SSLContext) -> None:
        super().__init__(now=clock.now)
        self.port = 0
        self.requests: list[str] = []
        """Every request passed on, as method and path."""
        self.refuse_after: int | None = None
        """Number of requests after which the line is cut."""
        self.trust = trust
        self.away: Exception | None = None
        """What every list of objects raises."""

    @override
    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        deadline: Deadline | None = None,
    ) -> Answer:
        assert path.startswith(_DOOR)
        if self.refuse_after is not None and len(self.requests) >= self.refuse_after:
            raise Forbidden("the line is cut", call=f"{method} {path}")
        self.requests.append(f"{method} {path.removeprefix(_DOOR)}")
        url = f"https://127.0.0.1:{self.port}{path.removeprefix(_DOOR)}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method,
                url,
                headers=headers,
                data=body,
                ssl=self.trust,
                server_hostname="localhost",
            ) as response,
        ):
            return Answer(response.status, await response.read(), {})

    @override
    async def list(
        self,
        kind: KindRef,
        *,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        deadline: Deadline | None = None,
    ) -> list[JSON]:
        if self.away is not None:
            raise self.away
        return await super().list(kind, namespace=namespace, labels=labels, fields=fields)


@dataclass(frozen=True)
class World:
    """Everything that an ingest touches."""

    root: Path
    cluster: LoopbackCluster
    clock: FixedClock
    ledger: Chain
    key: bytes

    @property
    def store(self) -> Path:
        """Root of the node store."""
        return self.root / "store"

    @property
    def staging(self) -> Staging:
        """The staging area."""
        return Staging(self.root / "staging")

    def bench(self) -> Bench:
        """Return what a job works with."""
        return Bench(
            root=self.store,
            staging=self.staging,
            cluster=self.cluster,
            ledger=self.ledger,
            clock=self.clock,
            key=load_pem_private_key(self.key, password=None),  # type: ignore[arg-type]  # made as Ed25519 below
            workers=2,
        )

    async def job(self, name: str) -> Progress:
        """Run the job of an ingest to its end."""
        return await run(name, self.bench())

    async def ingest(self, name: str) -> DatasetIngest:
        """Return an ingest as it is stored."""
        return DatasetIngest.model_validate(await self.cluster.get(Ref(INGESTS, name)))

    async def dataset(self, name: str) -> Dataset:
        """Return a dataset as it is stored."""
        return Dataset.model_validate(await self.cluster.get(Ref(DATASETS, name)))

    async def operator(self) -> None:
        """Run a job for each ingest that is sealed, for ever."""
        begun: set[str] = set()
        async for change in self.cluster.watch(INGESTS):
            stored: JSON = change.object
            name = stored.get("metadata", {}).get("name", "")
            if stored and stored["spec"]["upload"] == "Sealed" and name not in begun:
                begun.add(name)
                await self.job(name)


@asynccontextmanager
async def world(
    root: Path, *, file_bytes: int = 4 * 2**20, spare_bytes: int = 0
) -> AsyncIterator[World]:
    """Start the service in `root` and stop it at the end."""
    authority = make_authority(now=datetime.now(UTC))  # noqa: TID251 - TLS asks the real clock
    server = make_server(["localhost"], authority=authority, now=datetime.now(UTC))  # noqa: TID251 - as above
    (root / "tls.crt").write_bytes(server.certificate)
    (root / "tls.key").write_bytes(server.key)
    (root / "staging").mkdir()
    clock = FixedClock(NOW)
    cluster = LoopbackCluster(
        clock, ssl.create_default_context(cadata=authority.certificate.decode())
    )
    settings = ServeSettings(
        staging_dir=root / "staging",
        ledger_dir=root / "ledger",
        tls_cert=root / "tls.crt",
        tls_key=root / "tls.key",
        port=0,
        metrics_port=0,
        file_bytes=file_bytes,
        spare_bytes=spare_bytes,
    )
    with open_chain(settings.ledger_dir, process="ingest", clock=clock) as ledger:
        ready = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(
            serve(settings, cluster=cluster, ledger=ledger, clock=clock, ready=ready)
        )
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        cluster.port = await ready
        try:
            yield World(root, cluster, clock, ledger, make_signing_key())
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving
