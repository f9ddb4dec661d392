#!/opt/workspace/bin/python -I
"""Starts JupyterLab as the gateway's back end."""

# ruff: noqa: E402 - what must not be imported is said before anything is
import os
import ssl
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, "/opt/carrel/lib")
# Jupyter's schemas name no IRI, and the grammar for checking them takes half the time of a start.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment] - how Python spells: not there

from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.serverapp import ServerApp

from notebook_server.callers import read_gateway, server_context
from notebook_server.certificate import CERTIFICATE, KEY, make_certificate

PRIVATE = Path("/run/server")
"""A memory file system that no other container has."""
FRONT_DOOR = Path("/run/front-door")

# Left out: nbconvert, view and files write or read files by their names, shutdown ends the pod.
SERVICES = ("api", "config", "contents", "kernels", "kernelspecs", "sessions", "security", "events")


class GatewayIdentity(IdentityProvider):
    """Whoever got through the handshake is the researcher: nobody else can.

    There is no token: the page would hand it to the browser.
    """

    token = ""
    login_available = False
    logout_available = False
    auth_enabled = True

    def validate_security(self, app: Any, ssl_options: dict[str, Any] | None = None) -> None:
        """Say nothing: Jupyter looks for a token or password, and at options that are not used."""

    def get_user(self, handler: Any) -> User | None:
        """Return the one user there is, for a connection that was verified."""
        if not handler.request.get_ssl_certificate(binary_form=True):
            return None
        return User(username="researcher", name="Researcher", display_name="Researcher")


class Server(ServerApp):
    """A server that speaks TLS to the gateway alone."""

    tls: ssl.SSLContext
    default_services = SERVICES

    def init_httpserver(self) -> None:
        """Give the HTTP server a context: its own options cannot look at a caller's name."""
        super().init_httpserver()
        self.http_server.ssl_options = self.tls


def main() -> None:
    """Make a certificate and serve until told to stop."""
    make_certificate(
        PRIVATE,
        name=os.environ["CARREL_WORKSPACE"],
        now=datetime.fromtimestamp(time.time(), tz=UTC),
    )
    Server.tls = server_context(
        PRIVATE / CERTIFICATE, PRIVATE / KEY, gateway=read_gateway(FRONT_DOOR)
    )
    Server.launch_instance([])


if __name__ == "__main__":
    main()
