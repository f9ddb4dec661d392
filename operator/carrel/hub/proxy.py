"""The Hub's idea of a proxy: it keeps what it is told. The gateway routes by the cluster alone."""

from typing import Any

from jupyterhub.proxy import Proxy
from typing_extensions import override

__all__ = ["FrontDoorProxy"]


class FrontDoorProxy(Proxy):  # type: ignore[misc]  # JupyterHub ships no type information
    """A proxy without a process.

    JupyterHub insists on one. Whether a request reaches a workspace is decided by the gateway
    from its own watch, so that no route of the Hub ever lets anybody in.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Else the Hub awaits the start of a process.
        self.should_start = False
        self._routes: dict[str, dict[str, Any]] = {}

    @override
    async def add_route(self, routespec: str, target: str, data: dict[str, Any]) -> None:
        """Remember a route."""
        spec = self.validate_routespec(routespec)
        self._routes[spec] = {"routespec": spec, "target": target, "data": dict(data)}

    @override
    async def delete_route(self, routespec: str) -> None:
        """Forget a route; fine where there is none."""
        self._routes.pop(self.validate_routespec(routespec), None)

    @override
    async def get_all_routes(self) -> dict[str, dict[str, Any]]:
        """Return every route that was told and not taken back."""
        return dict(self._routes)
