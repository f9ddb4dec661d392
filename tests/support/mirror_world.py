"""The real mirror on loopback between a test index and whoever asks, with a cluster in memory."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
from aiohttp import web
from typing_extensions import override

from carrel.cluster import Answer, Deadline
from carrel.cluster.protocol import Body
from carrel.flows.certificates import make_authority, make_server
from carrel.flows.clock import FixedClock
from carrel.mirror.serve import serve
from carrel.mirror.settings import MirrorSettings
from support.fake_cluster import FakeCluster
from support.package_index import PackageIndex
from support.samples import egress_policy

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
NODE = "system:serviceaccount:carrel-system:carrel-node"
TOKEN = "a node agent's"  # noqa: S105 - no secret


class ReviewingCluster(FakeCluster):
    """Knows what tokens are worth."""

    def __init__(self, clock: FixedClock) -> None:
        super().__init__(now=clock.now)
        self.users = {TOKEN: NODE, "the operator's": "system:serviceaccount:carrel-system:other"}
        """Token -> user."""
        self.reviews = 0
        """How often a token was reviewed."""
        self.away = False
        """Whether reviews are refused."""

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
        assert (method, path) == ("POST", "/apis/authentication.k8s.io/v1/tokenreviews")
        assert isinstance(body, bytes)
        self.reviews += 1
        if self.away:
            return Answer(503, b"{}", {})
        asked = json.loads(body)["spec"]
        user = self.users.get(asked["token"])
        status: dict[str, object] = {"authenticated": user is not None}
        if user is not None:
            status |= {"user": {"username": user}, "audiences": asked["audiences"]}
        return Answer(201, json.dumps({"status": status}).encode(), {})


@dataclass
class MirrorWorld:
    """A mirror that serves."""

    port: int
    cluster: ReviewingCluster
    clock: FixedClock
    trust: ssl.SSLContext
    cache: Path

    async def ask(
        self, path: str, *, method: str = "GET", token: str = TOKEN, **headers: str
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Return status, body and headers of an answer; redirects are not followed."""
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                method,
                f"https://127.0.0.1:{self.port}{path}",
                headers={"Authorization": f"Bearer {token}"} | headers,
                ssl=self.trust,
                server_hostname="localhost",
                allow_redirects=False,
            ) as answer,
        ):
            return answer.status, await answer.read(), answer.headers

    async def until_listed(self, project: str, *, status: int = 200) -> None:
        """Wait until the page of a package is answered with `status`."""
        async with asyncio.timeout(30):
            while (await self.ask(f"/pypi/simple/{project}/"))[0] != status:
                pass

    async def later(self, step: timedelta) -> None:
        """Move the clock; what is due is done when the mirror looks next."""
        self.clock.advance(step)
        await self.policy("wakes-the-mirror", "wakes-the-mirror")

    async def policy(self, name: str, *projects: str) -> None:
        """Apply a policy that lists packages of index pypi; a name is used once."""
        entries = [{"index": "pypi", "projects": list(projects)}]
        policy = egress_policy(name=name, allow="Listed", packages=entries).to_wire()
        await self.cluster.create(policy)


@asynccontextmanager
async def mirror_world(
    tmp_path: Path, index: PackageIndex, **settings: object
) -> AsyncIterator[MirrorWorld]:
    """Run the mirror before `index` until the block ends."""
    clock = FixedClock(NOW)
    cluster, trust = ReviewingCluster(clock), ssl.create_default_context()
    authority = make_authority(now=datetime.now(UTC))  # noqa: TID251 - TLS takes the real time
    pair = make_server(["localhost"], authority=authority, now=datetime.now(UTC))  # noqa: TID251
    trust.load_verify_locations(cadata=authority.certificate.decode())
    (tmp_path / "tls.crt").write_bytes(pair.certificate)
    (tmp_path / "tls.key").write_bytes(pair.key)
    told = MirrorSettings.model_validate(
        {
            "mirror_upstreams": [{"name": "pypi", "url": index.url}],
            "mirror_cache_dir": tmp_path / "cache",
            "mirror_callers": [NODE],
            "mirror_spare_bytes": 0,
            "tls_cert": tmp_path / "tls.crt",
            "tls_key": tmp_path / "tls.key",
            "port": 0,
            "metrics_port": 0,
        }
        | settings
    )
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(told, cluster=cluster, clock=clock, ready=ready))
    try:
        done, _ = await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            await task
        yield MirrorWorld(ready.result(), cluster, clock, trust, told.mirror_cache_dir)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def plain_relay(world: MirrorWorld) -> AsyncIterator[str]:
    """Stand in for a node's relay: plain HTTP on loopback, one index; yield its address."""

    async def passed_on(request: web.Request) -> web.Response:
        accept = request.headers.get("Accept", "*/*")
        status, body, headers = await world.ask(
            f"/pypi{request.path}", method=request.method, Accept=accept
        )
        kept = {key: headers[key] for key in ("Content-Type", "Location") if key in headers}
        return web.Response(status=status, body=body, headers=kept)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", passed_on)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
