"""The real gateway on loopback between browsers of tests, a real provider and a real workspace."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typing_extensions import override
from yarl import URL

from carrel.cluster import KindRef, Ref
from carrel.flows.certificates import Pair, Use, make_authority, make_server
from carrel.flows.clock import FixedClock
from carrel.gateway.process import serve
from carrel.gateway.settings import GatewaySettings
from carrel.kinds import AccessGrant, NodeReport, Workspace
from carrel.ledger import open_chain
from support import samples
from support.fake_cluster import FakeCluster
from support.issuer import CLIENT, ISSUER, SECRET, Issuer, issuer
from support.notebook_server import NotebookServer, notebook_server

GRANT = Ref(KindRef.of(AccessGrant), "lungs")
HOST = "carrel.localhost"
PORTAL = f"https://{HOST}"
DESK = "ws-lungs"
WORKSPACE = Ref(KindRef.of(Workspace), DESK, DESK)
REPORT = Ref(KindRef.of(NodeReport), f"node-a.{DESK}")
DESK_HOST = f"{DESK}.{HOST}"
OWN = f"https://{DESK_HOST}"
SERVICE = "carrel-gateway.carrel-system.svc"
GATEWAY = "10.0.0.9"
POD = "pod-1"
VISIT = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "none"}
FRAMED = {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "same-site"}
FETCH = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
READY = [
    samples.condition(each) for each in ("ViewReady", "HomeReady", "Started", "Locked", "Ready")
]


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def rule(self) -> str:
        """Rule of a refusal."""
        return str(json.loads(self.body)["rule"])

    @property
    def where(self) -> str:
        """Where a redirect leads."""
        return self.headers.get("Location", "")


class _Loopback(AbstractResolver):
    """Finds every host on this machine, as browsers find names below `localhost`."""

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = {"hostname": host, "host": "127.0.0.1", "port": port, "proto": 0, "flags": 0}
        return [ResolveResult(**found, family=socket.AF_INET)]  # type: ignore[typeddict-item]  # as written above

    @override
    async def close(self) -> None:
        pass


@dataclass
class Browser:
    """Keeps cookies by host, as browsers keep `__Host-` cookies."""

    world: "DoorWorld"
    session: aiohttp.ClientSession
    cookies: dict[str, dict[str, str]] = field(default_factory=dict)

    def sent(self, host: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the fields of a request to `host`."""
        held = "; ".join(f"{name}={each}" for name, each in self.cookies.get(host, {}).items())
        return {"Host": host, **({"Cookie": held} if held else {}), **headers}

    async def ask(
        self,
        host: str,
        path: str,
        how: Mapping[str, str] = VISIT,
        *,
        method: str = "GET",
        **more: Any,
    ) -> Reply:
        """Send a request; cookies are kept, redirects are not followed."""
        async with self.session.request(
            method,
            self.world.url(host, path),
            headers=self.sent(host, how),
            ssl=self.world.trust,
            allow_redirects=False,
            **more,
        ) as answer:
            body = await answer.read()
            jar = self.cookies.setdefault(host, {})
            for name, morsel in answer.cookies.items():
                jar.pop(name, None)
                if morsel.value:
                    jar[name] = morsel.value
            return Reply(answer.status, answer.headers, body)

    async def log_in(self, subject: str = "ada") -> Reply:
        """Log in at the provider; return the answer that brings the session."""
        self.world.issuer.subject = subject
        begun = await self.ask(HOST, "/login")
        return await self.ask(HOST, self.world.issuer.authorize(begun.where))

    async def enter(self, desk: str = DESK) -> Reply:
        """Open a workspace: the portal's page, and the one-time code in its frame."""
        page = await self.ask(HOST, f"/workspaces/{desk}")
        code = page.body.decode().partition("enter?code=")[2].partition('"')[0]
        return await self.ask(f"{desk}.{HOST}", f"/.carrel/enter?code={code}", FRAMED)

    async def socket(
        self, path: str, *, protocols: tuple[str, ...] = (), **how: str
    ) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket to the workspace, as Lab's page does."""
        headers = self.sent(DESK_HOST, {"Origin": OWN, **how})
        return await self.session.ws_connect(
            self.world.url(DESK_HOST, path),
            headers=headers,
            protocols=protocols,
            ssl=self.world.trust,
        )


@dataclass
class DoorWorld:
    """A gateway that serves."""

    port: int
    cluster: FakeCluster
    clock: FixedClock
    trust: ssl.SSLContext
    issuer: Issuer
    server: NotebookServer
    ledger_dir: Path
    task: asyncio.Task[None]

    def url(self, host: str, path: str) -> URL:
        """Return an address of the gateway, spelled as it is given."""
        return URL(f"https://{host}:{self.port}{path}", encoded=True)

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[Browser]:
        """Give a browser without cookies."""
        jar = aiohttp.DummyCookieJar()
        connector = aiohttp.TCPConnector(resolver=_Loopback(), limit=0)
        async with aiohttp.ClientSession(cookie_jar=jar, connector=connector) as session:
            yield Browser(self, session)

    async def patch(self, ref: Ref, **spec: Any) -> None:
        """Change the specification of an object."""
        await self.cluster.patch(ref, {"spec": spec}, manager="test")

    def records(self, *activities: str) -> list[dict[str, Any]]:
        """Return what the gateway recorded, of these activities."""
        lines = [
            json.loads(line)
            for path in sorted((self.ledger_dir / "gateway").glob("*.jsonl"))
            for line in path.read_text().splitlines()
        ]
        said = [line["event"]["carrel"] for line in lines]
        return [each for each in said if each["activity"] in activities]

    async def recorded(self, activity: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until an activity was recorded so many times; return its records."""
        async with asyncio.timeout(20):
            while _times(found := self.records(activity)) < count:  # noqa: ASYNC110 - files tell nobody
                await asyncio.sleep(0.01)
        return found


def _times(records: Sequence[Mapping[str, Any]]) -> int:
    """Return how often something happened; like requests of a moment share a record."""
    return sum(each["detail"].get("count", 1) for each in records)


def self_signed(name: str, *, now: datetime) -> Pair:
    """Return a certificate that a server made for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(certificate.public_bytes(pem), private)


async def furnish(
    cluster: FakeCluster, certificate: bytes, *, desks: Sequence[str] = (DESK,)
) -> None:
    """Put one grant with ready workspaces of ada's into the cluster."""
    grant = await cluster.create(samples.grant().to_wire())
    for desk in desks:
        await _furnish_desk(cluster, grant["metadata"]["uid"], certificate, desk=desk)


async def _furnish_desk(
    cluster: FakeCluster, grant_uid: str, certificate: bytes, *, desk: str
) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": desk}}
    await cluster.create(namespace)
    about, reference = {"name": desk, "namespace": desk}, {"name": "lungs", "uid": grant_uid}
    stored = await cluster.create(samples.workspace(metadata=about, grant=reference).to_wire())
    ref = Ref(KindRef.of(Workspace), desk, desk)
    cluster.set_status(ref, {"conditions": READY, "podUID": POD, "node": "node-a"})
    report = samples.report().to_wire()
    report["metadata"]["name"] = f"node-a.{desk}"
    report["spec"] |= {"namespace": desk, "workspace": desk}
    report["spec"]["workspaceUID"] = stored["metadata"]["uid"]
    await cluster.create(report)
    said = {"address": "127.0.0.1", "certificate": certificate.decode()}
    status = {"conditions": [], "podUID": POD, "gateways": [GATEWAY], "server": said}
    cluster.set_status(Ref(KindRef.of(NodeReport), f"node-a.{desk}"), status)


@asynccontextmanager
async def door_world(
    tmp_path: Path, *, cluster: FakeCluster | None = None, **settings: Any
) -> AsyncIterator[DoorWorld]:
    """Run the gateway between a provider and a workspace until the block ends."""
    clock, real = FixedClock(samples.NOW), datetime.now(UTC)  # noqa: TID251 - TLS takes the real time
    authority = make_authority(now=real)
    public = make_server([HOST, f"*.{HOST}"], authority=authority, now=real)
    own = make_server([SERVICE, "localhost"], authority=authority, now=real, use=Use.SERVE_AND_CALL)
    desk = self_signed(DESK, now=real)
    for name, pair in {"public": public, "own": own, "desk": desk}.items():
        (tmp_path / f"{name}.crt").write_bytes(pair.certificate)
        (tmp_path / f"{name}.key").write_bytes(pair.key)
    (tmp_path / "ca.crt").write_bytes(authority.certificate)
    (tmp_path / "secret").write_text(SECRET)
    trust = ssl.create_default_context(cadata=authority.certificate.decode())
    provider_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    provider_tls.load_cert_chain(tmp_path / "own.crt", tmp_path / "own.key")
    async with AsyncExitStack() as stack:
        provider = await stack.enter_async_context(issuer(clock.now, provider_tls))
        server = await stack.enter_async_context(
            notebook_server(tmp_path / "desk.crt", tmp_path / "desk.key", authority.certificate)
        )
        if cluster is None:
            cluster = FakeCluster(now=clock.now)
            await furnish(cluster, desk.certificate)
        told = GatewaySettings.model_validate(
            {
                "ledger_dir": tmp_path / "ledger",
                "state_dir": tmp_path / "state",
                "pod_address": GATEWAY,
                "front_door_host": HOST,
                "service_host": SERVICE,
                "oidc_issuer": ISSUER,
                "oidc_discovery_url": provider.discovery_url,
                "oidc_client": CLIENT,
                "oidc_secret": tmp_path / "secret",
                "oidc_authority": tmp_path / "ca.crt",
                "tls_cert": tmp_path / "public.crt",
                "tls_key": tmp_path / "public.key",
                "own_cert": tmp_path / "own.crt",
                "own_key": tmp_path / "own.key",
                "platform_authority": tmp_path / "ca.crt",
                "port": 0,
                "workspace_port": server.port,
                "metrics_port": 0,
            }
            | settings
        )
        ledger = stack.enter_context(open_chain(told.ledger_dir, process="gateway", clock=clock))
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            serve(told, cluster=cluster, ledger=ledger, clock=clock, ready=ready)
        )
        try:
            done, _ = await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
            if task in done:
                await task
            yield DoorWorld(
                ready.result(), cluster, clock, trust, provider, server, told.ledger_dir, task
            )
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
