"""Connections to workspaces: TLS to exactly the server whose certificate the node read."""

import hashlib
import ssl
from pathlib import Path

import aiohttp

from carrel.rules.front_door_access import Way

_MOST_CONTEXTS = 4096
CONNECT_SECONDS = 5.0
SILENT_SECONDS = 120.0
"""How long a workspace may take between two parts of an answer."""


class Upstream:
    """One pool of connections; each belongs to one certificate of one pod."""

    def __init__(self, session: aiohttp.ClientSession, *, port: int, cert: Path, key: Path) -> None:
        self.session = session
        self._port = port
        self._cert, self._key = cert, key
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}

    def address(self, way: Way, path: str, *, scheme: str) -> str:
        """Return the URL of a path at a workspace's server."""
        host = f"[{way.address}]" if ":" in way.address else way.address
        return f"{scheme}://{host}:{self._port}{path}"

    def context(self, way: Way) -> ssl.SSLContext:
        """Return what a connection to this pod must prove, and what we prove to it."""
        digest = hashlib.sha256(way.certificate.encode()).hexdigest()
        known = self._contexts.get((way.pod_uid, digest))
        if known is None:
            if len(self._contexts) >= _MOST_CONTEXTS:
                self._contexts.clear()
            known = self._contexts[way.pod_uid, digest] = self._made(way.certificate)
        return known

    def renew(self) -> None:
        """Show a certificate of ours that has changed, from the next connection on."""
        self._contexts.clear()

    def _made(self, certificate: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_verify_locations(cadata=certificate)
        # The one certificate that is trusted is the server's own: a name would say nothing more.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_cert_chain(self._cert, self._key)
        return context


def open_pool() -> aiohttp.ClientSession:
    """Return a pool that keeps no cookie and changes no body."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers={"User-Agent", "Accept", "Accept-Encoding", "Content-Type"},
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS
        ),
    )
