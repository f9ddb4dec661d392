"""The Hub process: JupyterHub, the watch of workspaces, and TLS in front of both."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from jupyterhub.app import JupyterHub
from jupyterhub.handlers.base import BaseHandler
from prometheus_client import CollectorRegistry, ProcessCollector
from tornado.httpserver import HTTPServer

from carrel.cluster import Cluster
from carrel.flows.process import endpoint
from carrel.flows.served_certificate import ServedCertificate
from carrel.hub.configuration import configuration
from carrel.hub.desks import Desks
from carrel.hub.provider import Asked, discover
from carrel.hub.readiness import readiness_listener
from carrel.hub.settings import HubSettings
from carrel.hub.spawner import spawner_of

_log = logging.getLogger(__name__)
_CERTIFICATE_SECONDS = 30.0
_KEY_BYTES = 32


async def serve(
    settings: HubSettings, *, cluster: Cluster, ready: asyncio.Future[int] | None = None
) -> None:
    """Serve until cancelled; `ready` gets the port of the service once it listens."""
    desks = Desks(cluster)
    certificate = ServedCertificate(settings.tls_cert, settings.tls_key)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    trouble: str | None = "the Hub waits for the identity provider"
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        await stack.enter_async_context(
            endpoint(port=settings.metrics_port, health=lambda: trouble, registry=registry)
        )
        _ = group.create_task(desks.follow())
        _ = group.create_task(certificate.follow(every=_CERTIFICATE_SECONDS))
        readiness = await stack.enter_async_context(
            readiness_listener(desks, port=settings.readiness_port)
        )
        hub = await stack.enter_async_context(_jupyterhub(settings, desks, readiness=readiness))
        port = _listen(hub, settings.port, certificate)
        trouble = None
        if ready is not None:
            ready.set_result(port)
        _log.info("the Hub listens on %d", port)
        await asyncio.Event().wait()


@asynccontextmanager
async def _jupyterhub(settings: HubSettings, desks: Desks, *, readiness: str) -> AsyncIterator[Any]:
    asked = Asked(
        url=settings.oidc_discovery_url,
        issuer=settings.oidc_issuer,
        authorities=settings.authorities,
    )
    provider = await discover(asked)
    await desks.synced()
    secret = await asyncio.to_thread(settings.oidc_client_secret_file.read_text, encoding="utf-8")
    config = configuration(
        settings,
        provider,
        spawner=spawner_of(desks, readiness=readiness),
        client_secret=secret.strip(),
        crypt_key=await asyncio.to_thread(_kept_key, settings.state_dir / "crypt_key"),
    )
    hub = _Application.instance(config=config)
    # Our own logging: JupyterHub's would be a second format on the same stream.
    await hub.initialize([])
    await hub.start()
    try:
        yield hub
    finally:
        await hub.cleanup()
        _Application.clear_instance()


# JupyterHub 6.1.1 sets this only where it looked for a token: a person with a cookie whose login
# cannot be renewed got an internal error in place of a refusal.
BaseHandler._token_authenticated = False  # noqa: SLF001 - see above


class _Application(JupyterHub):  # type: ignore[misc]  # JupyterHub ships no type information
    """JupyterHub without files of its own, signals and an end of its own."""

    def load_config_file(self, *_: Any, **__: Any) -> None:
        """Read nothing: a file in the working directory would be configuration."""

    def init_signal(self) -> None:
        """Leave signals to the process."""


def _listen(hub: Any, port: int, certificate: ServedCertificate) -> int:
    """Serve JupyterHub's application over TLS; its own listener stays on loopback."""
    server = HTTPServer(hub.tornado_application, ssl_options=certificate.context, xheaders=False)
    server.listen(port)
    (first, *_) = server._sockets.values()  # noqa: SLF001 - the only place where port 0 is answered
    return int(first.getsockname()[1])


def _kept_key(path: Path) -> bytes:
    """Return the key of tokens at rest; made once, whole or not at all."""
    if not path.is_file():
        partial = path.with_suffix(".partial")
        partial.touch(mode=0o600)
        partial.write_bytes(os.urandom(_KEY_BYTES))
        partial.replace(path)
    return path.read_bytes()
