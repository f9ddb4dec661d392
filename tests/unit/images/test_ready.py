"""The probe says by its exit code alone whether the server answers."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from desk.ready import is_ready, own_context

WORKSPACE = Path(__file__).resolve().parents[3] / "images" / "workspace"


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.mark.loopback
@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n{}", True),
        (b"HTTP/1.1 302 Found\r\n\r\n", True),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", True),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", False),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (b"SSH-2.0-OpenSSH\r\n", False),
        (b"HTTP/1.1\r\n", False),
        (b"", False),
    ],
)
def test_ready_is_any_answer_below_500(listener: socket.socket, answer: bytes, *, ready: bool):
    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1024)
            connection.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    assert is_ready(listener.getsockname(), tls=None) is ready
    thread.join()


@pytest.mark.loopback
def test_nobody_listening_is_not_ready(listener: socket.socket):
    address = listener.getsockname()
    listener.close()
    assert not is_ready(address, tls=None)


def test_a_server_without_a_certificate_is_not_ready(tmp_path: Path):
    assert own_context(tmp_path / "tls.crt", tmp_path / "tls.key") is None
    (tmp_path / "tls.crt").write_text("no certificate")
    assert own_context(tmp_path / "tls.crt", tmp_path / "tls.key") is None


@pytest.mark.parametrize("part", ["kernel", "server"])
def test_the_probe_prints_nothing(part: str):
    probe = [sys.executable, "-I", "-S", str(WORKSPACE / "desk" / "ready.py"), part]
    result = subprocess.run(probe, capture_output=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (1, b"", b"")
