"""Answers an exec probe by its exit code alone: what a probe prints becomes a cluster event."""

import os
import socket
import sys

ADDRESS = ("127.0.0.1", 8888)
SECONDS = 2.0

_REQUEST = b"GET /api HTTP/1.0\r\nHost: localhost\r\n\r\n"


def is_ready(address: tuple[str, int]) -> bool:
    """Tell whether the server at `address` answers `/api` with anything below 500."""
    try:
        with socket.create_connection(address, timeout=SECONDS) as connection:
            connection.sendall(_REQUEST)
            answer = connection.makefile("rb").readline(64)
    except OSError:
        return False
    words = answer.split()
    return len(words) >= 2 and words[0].startswith(b"HTTP/") and words[1][:1] in b"1234"


def main() -> int:
    """Return 0 when the workspace's server is ready."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    return 0 if is_ready(ADDRESS) else 1


if __name__ == "__main__":
    sys.exit(main())
