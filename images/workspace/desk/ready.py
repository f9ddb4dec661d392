"""Answers an exec probe by its exit code alone: what a probe prints becomes a cluster event."""

import os
import socket
import ssl
import sys
from pathlib import Path

KERNEL = ("127.0.0.1", 8889)
SERVER = ("127.0.0.1", 8888)
CERTIFICATE, KEY = Path("/run/server/tls.crt"), Path("/run/server/tls.key")
SECONDS = 2.0

_REQUEST = b"GET /api HTTP/1.0\r\nHost: localhost\r\n\r\n"


def is_ready(address: tuple[str, int], *, tls: ssl.SSLContext | None) -> bool:
    """Tell whether what listens at `address` answers `/api` with anything below 500."""
    try:
        with socket.create_connection(address, timeout=SECONDS) as plain:
            connection = plain if tls is None else tls.wrap_socket(plain)
            with connection:
                connection.sendall(_REQUEST)
                answer = connection.makefile("rb").readline(64)
    except OSError:
        return False
    words = answer.split()
    return len(words) >= 2 and words[0].startswith(b"HTTP/") and words[1][:1] in b"1234"


def own_context(certificate: Path, key: Path) -> ssl.SSLContext | None:
    """Return a context that knows the server by its own certificate and shows the same.

    None while the server has not made it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    try:
        context.load_verify_locations(certificate)
        context.load_cert_chain(certificate, key)
    except OSError:
        return None
    return context


def main(arguments: list[str]) -> int:
    """Return 0 when the part of the workspace that is named, `server` or `kernel`, is ready."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    if arguments == ["kernel"]:
        return 0 if is_ready(KERNEL, tls=None) else 1
    context = own_context(CERTIFICATE, KEY)
    return 0 if context is not None and is_ready(SERVER, tls=context) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
