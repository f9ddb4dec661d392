"""An image registry that takes pushes and keeps them in memory."""

import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/sha256:(?P<digest>[0-9a-f]{64})$")
_UPLOADS = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/")
_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<tag>[^/]+)$")


class Registry(ThreadingHTTPServer):
    """Content by digest, manifests by `name:tag`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}

    @property
    def host(self) -> str:
        """Address for a reference, `localhost:<port>`."""
        return f"localhost:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/v2/" else 404)

    def do_HEAD(self) -> None:
        blob = _BLOB.match(self.path)
        held = blob is not None and blob["digest"] in self.server.blobs
        self._answer(200 if held else 404)

    def do_POST(self) -> None:
        self._body()
        self._answer(202, Location=f"{self.path.split('?')[0]}1")

    def do_PATCH(self) -> None:
        self._keep(self._body())
        self._answer(202, Location=self.path)

    def do_PUT(self) -> None:
        content = self._body()
        if manifest := _MANIFEST.match(self.path):
            self.server.manifests[f"{manifest['name']}:{manifest['tag']}"] = content
        elif content:
            self._keep(content)
        self._answer(201, **{"Docker-Content-Digest": f"sha256:{sha256(content).hexdigest()}"})

    def log_message(self, *_: object) -> None:
        """Say nothing: a test's output is its failures."""

    def _keep(self, content: bytes) -> None:
        self.server.blobs[sha256(content).hexdigest()] = content

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(key, value)
        self.end_headers()


@contextmanager
def serving(certificate: Path, *, key: Path) -> Iterator[Registry]:
    """Serve by TLS until the end of the block."""
    registry = Registry()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    registry.socket = context.wrap_socket(registry.socket, server_side=True)
    thread = threading.Thread(target=registry.serve_forever)
    thread.start()
    try:
        yield registry
    finally:
        registry.shutdown()
        thread.join()
        registry.server_close()
