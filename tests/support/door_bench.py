"""What the gateway's bench runs in processes of its own: a bare backend and a gateway.

    python tests/support/door_bench.py backend FOLDER
    python tests/support/door_bench.py gateway FOLDER BACKEND_PORT DESKS

Each prints its port. The gateway revokes the grant at SIGUSR1 and prints the moment of the
monotonic clock.
"""
# ruff: noqa: T201 - a program of its own, which the bench runs and reads

import asyncio
import base64
import hashlib
import signal
import ssl
import sys
import time
from pathlib import Path

from typing_extensions import override

sys.path.insert(0, str(Path(__file__).parents[1]))

from carrel.flows.clock import FixedClock
from carrel.gateway.process import serve
from carrel.gateway.sessions import hashed
from carrel.gateway.settings import GatewaySettings
from carrel.gateway.state import Pass, Session, State
from carrel.ledger import open_chain
from support import samples
from support.door_world import DESK, GATEWAY, GRANT, HOST, furnish
from support.fake_cluster import FakeCluster
from support.issuer import CLIENT, ISSUER

SECRET = "the secret of a browser that measures"  # noqa: S105 - of nobody
PORTAL_SECRET = "the same at the portal"  # noqa: S105 - of nobody
_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def desks(count: int) -> list[str]:
    """Return the names of so many workspaces."""
    return [DESK, *(f"{DESK}-{number}" for number in range(1, count))]


class Backend(asyncio.Protocol):
    """The least HTTP server: 1 MiB below /static, 1 KiB elsewhere, silent WebSockets."""

    small = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024
    )
    large = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1048576\r\n\r\n"
        + b"x" * 2**20
    )

    def __init__(self) -> None:
        self._head = b""
        self._socket = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        if self._socket:
            return
        self._head += data
        if b"\r\n\r\n" not in self._head:
            return
        head, self._head = self._head, b""
        assert isinstance(self._transport, asyncio.Transport)
        if b"websocket" in head.lower():
            key = next(
                line.partition(b":")[2].strip()
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"sec-websocket-key")
            )
            accept = base64.b64encode(hashlib.sha1(key + _MAGIC.encode()).digest())  # noqa: S324 - RFC 6455
            self._transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            self._socket = True
            return
        self._transport.write(self.large if head.startswith(b"GET /static/") else self.small)


async def backend(folder: Path) -> None:
    """Serve until killed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "desk.crt", folder / "desk.key")
    context.load_verify_locations(folder / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    server = await asyncio.get_running_loop().create_server(
        Backend, "127.0.0.1", 0, ssl=context, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def gateway(folder: Path, port: int, count: int) -> None:
    """Serve until killed; the browser that measures is let in already."""
    clock = FixedClock(samples.NOW)
    cluster = FakeCluster(now=clock.now)
    await furnish(cluster, (folder / "desk.crt").read_bytes(), desks=desks(count))
    told = GatewaySettings.model_validate(
        {
            "ledger_dir": folder / "ledger",
            "state_dir": folder / "state",
            "pod_address": GATEWAY,
            "front_door_host": HOST,
            "oidc_issuer": ISSUER,
            "oidc_discovery_url": f"{ISSUER}/.well-known/openid-configuration",
            "oidc_client": CLIENT,
            "oidc_secret": folder / "secret",
            "budget_bytes": 2**50,
            "tls_cert": folder / "public.crt",
            "tls_key": folder / "public.key",
            "own_cert": folder / "own.crt",
            "own_key": folder / "own.key",
            "platform_authority": folder / "ca.crt",
            "port": 0,
            "workspace_port": port,
            "metrics_port": 0,
        }
    )
    state = State(told.state_dir)
    ends = clock.now().timestamp() + 36_000
    await state.add_session(Session(hashed(PORTAL_SECRET), "ada", "", ends))
    for desk in desks(count):
        await state.add_pass(Pass(hashed(f"{SECRET} {desk}"), hashed(PORTAL_SECRET), desk))
    state.close()
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[int] = loop.create_future()
    ready.add_done_callback(lambda done: print(done.result(), flush=True))

    def revoke() -> None:
        print(time.monotonic(), flush=True)
        change = cluster.patch(GRANT, {"spec": {"state": "Revoked"}}, manager="bench")
        running.append(loop.create_task(change))

    running: list[asyncio.Task[object]] = []
    loop.add_signal_handler(signal.SIGUSR1, revoke)
    with open_chain(told.ledger_dir, process="gateway", clock=clock) as ledger:
        await serve(told, cluster=cluster, ledger=ledger, clock=clock, ready=ready)


if __name__ == "__main__":
    if sys.argv[1] == "backend":
        asyncio.run(backend(Path(sys.argv[2])))
    else:
        asyncio.run(gateway(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
