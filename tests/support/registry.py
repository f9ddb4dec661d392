"""An image registry that takes pushes and gives pulls, with its content in a folder.

It speaks as much of the OCI distribution specification 1.1 as buildah and containerd use.
"""

import ctypes
import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory, mkstemp

_BLOB = re.compile(r"/v2/(?P<name>.+)/blobs/sha256:(?P<digest>[0-9a-f]{64})$")
_UPLOADS = re.compile(r"/v2/(?P<name>.+)/blobs/uploads/")
_MANIFEST = re.compile(r"/v2/(?P<name>.+)/manifests/(?P<tag>[^/]+)$")
_PIECE = 2**20
_NEW_NETWORK = 0x40000000
"""CLONE_NEWNET of setns(2)."""


class Registry(ThreadingHTTPServer):
    """Content by digest, manifests by `name:tag`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.manifests: dict[str, bytes] = {}

    @property
    def port(self) -> int:
        """Port on loopback."""
        return int(self.server_address[1])

    @property
    def host(self) -> str:
        """Address for a reference, `localhost:<port>`."""
        return f"localhost:{self.port}"

    @property
    def blobs(self) -> set[str]:
        """Digests of everything that was pushed, manifests aside."""
        return {path.name for path in self.folder.glob("[0-9a-f]" * 64)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Registry

    def do_GET(self) -> None:
        self._give(whole=True)

    def do_HEAD(self) -> None:
        self._give(whole=False)

    def do_POST(self) -> None:
        self._body()
        self._answer(202, Location=f"{self.path.split('?')[0]}1")

    def do_PATCH(self) -> None:
        self._body()
        self._answer(202, Location=self.path)

    def do_PUT(self) -> None:
        digest, content = self._body()
        if manifest := _MANIFEST.match(self.path):
            self.server.manifests[f"{manifest['name']}:{manifest['tag']}"] = content
        self._answer(201, **{"Docker-Content-Digest": f"sha256:{digest}"})

    def log_message(self, *_: object) -> None:
        """Say nothing: a test's output is its failures."""

    def _give(self, *, whole: bool) -> None:
        if self.path == "/v2/":
            self._answer(200)
        elif blob := _BLOB.match(self.path):
            self._give_blob(self.server.folder / blob["digest"], whole=whole)
        elif manifest := _MANIFEST.match(self.path):
            self._give_manifest(manifest["name"], manifest["tag"], whole=whole)
        else:
            self._answer(404)

    def _give_blob(self, path: Path, *, whole: bool) -> None:
        if not path.is_file():
            self._answer(404)
            return
        self._answer(200, **{"Content-Length": str(path.stat().st_size)})
        if whole:
            with path.open("rb") as content:
                while piece := content.read(_PIECE):
                    self.wfile.write(piece)

    def _give_manifest(self, name: str, tag: str, *, whole: bool) -> None:
        for known, content in self.server.manifests.items():
            digest = f"sha256:{sha256(content).hexdigest()}"
            if known == f"{name}:{tag}" or (tag == digest and known.startswith(f"{name}:")):
                kind = json.loads(content).get("mediaType", "application/json")
                size = str(len(content))
                told = {"Content-Length": size, "Docker-Content-Digest": digest}
                self._answer(200, **told, **{"Content-Type": kind})
                if whole:
                    self.wfile.write(content)
                return
        self._answer(404)

    def _body(self) -> tuple[str, bytes]:
        """Keep what is sent under its digest; return that, and a manifest's content."""
        handle, name = mkstemp(dir=self.server.folder)
        held = sha256()
        with os.fdopen(handle, "wb") as file:
            for piece in self._pieces():
                held.update(piece)
                file.write(piece)
        is_manifest = _MANIFEST.match(self.path) is not None
        content = Path(name).read_bytes() if is_manifest else b""
        if is_manifest or held.digest() == sha256().digest():
            Path(name).unlink()
        else:
            Path(name).rename(self.server.folder / held.hexdigest())
        return held.hexdigest(), content

    def _pieces(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") != "chunked":
            left = int(self.headers.get("Content-Length", 0))
            while left > 0 and (piece := self.rfile.read(min(left, _PIECE))):
                left -= len(piece)
                yield piece
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(key, value)
        self.end_headers()


@contextmanager
def serving(certificate: Path, *, key: Path, also: tuple[str, ...] = ()) -> Iterator[Registry]:
    """Serve by TLS until the end of the block, on loopback here and in other networks.

    Parameters
    ----------
    certificate, key
        Files in PEM; the certificate names `localhost`.
    also
        Paths of network namespaces in which `localhost:<port>` is this registry too, so that
        who pushes and who pulls know it by one name.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with TemporaryDirectory(prefix="carrel-registry-") as folder:
        registry = Registry(Path(folder))
        # The handshake belongs to the thread of the connection, not to the one that accepts.
        registry.socket = context.wrap_socket(
            registry.socket, server_side=True, do_handshake_on_connect=False
        )
        doors = [_door(registry, context, network=each) for each in also]
        threads = [threading.Thread(target=each.serve_forever) for each in (registry, *doors)]
        for thread in threads:
            thread.start()
        try:
            yield registry
        finally:
            for each in (registry, *doors):
                each.shutdown()
                each.server_close()
            for thread in threads:
                thread.join()


def _door(registry: Registry, context: ssl.SSLContext, *, network: str) -> Registry:
    door = Registry(registry.folder)
    door.manifests = registry.manifests
    door.socket.close()
    plain = _listening(registry.port, network=network)
    door.server_address = plain.getsockname()
    door.socket = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    return door


def _listening(port: int, *, network: str) -> socket.socket:
    """Return a socket of another network; a thread of its own goes there and ends."""
    made: list[socket.socket] = []

    def listen() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(network).open("rb") as namespace:
            if libc.setns(namespace.fileno(), _NEW_NETWORK) != 0:
                return
        made.append(socket.create_server(("127.0.0.1", port)))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert made, f"no socket in {network}"
    return made[0]
