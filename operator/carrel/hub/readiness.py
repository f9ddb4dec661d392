"""What JupyterHub asks in place of a single-user server, to learn whether it answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from jupyterhub import __version__ as jupyterhub_version

from carrel.hub.desks import Desks
from carrel.rules.opening import Ready, way_of


@asynccontextmanager
async def readiness_listener(desks: Desks, *, port: int) -> AsyncIterator[str]:
    """Answer `GET /<workspace>/api` on loopback: 200 once it is Ready, 503 before; give the origin.

    JupyterHub takes every answer below 500 as a running server.
    """

    async def answer(request: web.Request) -> web.Response:
        workspace = desks.named(request.match_info["workspace"])
        ready = workspace is not None and isinstance(way_of(workspace), Ready)
        return web.Response(
            status=200 if ready else 503,
            headers={"X-JupyterHub-Version": jupyterhub_version},
        )

    application = web.Application()
    application.router.add_get("/{workspace}/api", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host="127.0.0.1", port=port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
