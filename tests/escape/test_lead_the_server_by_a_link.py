"""Attack: put a link into the home and have the notebook server read or write what it means."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.embedded import kubectl
from support import arms
from support.arms import Arm
from support.authority import Authority
from support.gateway_pod import NAME, PLACE, GatewayPod, gateway_pod, wait_until_let_in

pytestmark = pytest.mark.cluster

PLANT = """
import os, shutil
os.umask(0o002)
os.chdir("/home/carrel")
shutil.rmtree("links", ignore_errors=True)
os.mkdir("links")
os.chdir("links")
os.symlink("/run/server/tls.key", "key.txt")
os.symlink("../../../run/server/tls.key", "relative.txt")
os.symlink("key.txt", "twice.txt")
os.symlink("/run/server", "folder")
os.symlink(os.path.join("/proc/self/root", "run/server"), "proc")
os.symlink("/proc/self/environ", "environment.txt")
os.symlink("/proc/self/fd/0", "descriptor.txt")
os.symlink("/opt/workspace/etc/jupyter/jupyter_server_config.py", "settings.txt")
os.mkfifo("pipe.txt")
open("plain.txt", "w").write("plain")
"""
FOLLOWED = """
import sys
try:
    print(open("/home/carrel/links/" + sys.argv[1], "rb").read(27))
except OSError as error:
    print(type(error).__name__)
"""
LINKS = [
    "key.txt",
    "relative.txt",
    "twice.txt",
    "folder/tls.key",
    "proc/tls.key",
    "environment.txt",
    "descriptor.txt",
    "settings.txt",
    "pipe.txt",
]
ASK = "type=file&format=text&content=1"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayPod]:
    """Run a pod with all that the gateway has."""
    at = ("get", "secret", "carrel-ca", "-n", PLACE, "-o", "json")
    data = json.loads(kubectl(arms.instance(), *at))["data"]
    pair = base64.b64decode(data["tls.crt"]), base64.b64decode(data["tls.key"])
    authority = Authority(tmp_path_factory.mktemp("ca") / "platform", pair=pair)
    made: tuple[Path, Path] = authority.vouch(NAME)
    tls = {"tls.crt": made[0].read_text(), "tls.key": made[1].read_text()}
    with gateway_pod(arms.instance(), "links", tls=tls) as pod:
        yield pod


@pytest.fixture(scope="module")
def planted(workspace: Arm) -> Arm:
    """Plant every kind of link, as kernel code would."""
    workspace.python(PLANT)
    return workspace


@pytest.mark.parametrize("path", ["key.txt", "relative.txt", "twice.txt", "folder/tls.key"])
def test_who_opens_it_by_its_name_as_the_server_reads_the_key(planted: Arm, path: str) -> None:
    as_the_server = planted.beside("server")
    assert as_the_server.python(FOLLOWED, path) == "b'-----BEGIN PRIVATE KEY-----'"


@pytest.mark.parametrize("path", LINKS)
def test_the_server_reads_nothing_through_it(planted: Arm, gateway: GatewayPod, path: str) -> None:
    report = wait_until_let_in(gateway, planted.namespace)
    status, body = gateway.request(report, "GET", f"/api/contents/links/{path}?{ASK}")
    assert (status, "follows none" in body) == (403, True)
    assert "PRIVATE" not in body


@pytest.mark.parametrize("path", LINKS)
def test_the_server_writes_nothing_through_it(planted: Arm, gateway: GatewayPod, path: str) -> None:
    report = wait_until_let_in(gateway, planted.namespace)
    model = {"type": "file", "format": "text", "content": "taken over"}
    status, body = gateway.request(report, "PUT", f"/api/contents/links/{path}", body=model)
    assert (status, "follows none" in body) == (403, True)


def test_what_is_no_link_is_read_and_written(planted: Arm, gateway: GatewayPod) -> None:
    report = wait_until_let_in(gateway, planted.namespace)
    path = "/api/contents/links/plain.txt"
    status, body = gateway.request(report, "GET", f"{path}?{ASK}")
    assert (status, json.loads(body)["content"]) == (200, "plain")
    model = {"type": "file", "format": "text", "content": "written"}
    assert gateway.request(report, "PUT", path, body=model)[0] == 200
    assert planted.python("print(open('/home/carrel/links/plain.txt').read())") == "written"


def test_the_kernels_see_neither_files_nor_processes_of_the_server(planted: Arm) -> None:
    look = """
import glob, os
print(os.path.exists("/run/server/tls.key"))
own = [p for p in glob.glob("/proc/[0-9]*") if os.stat(p).st_uid == 1001]
print(len(own))
"""
    assert planted.python(look).split() == ["False", "0"]
    # The control arm: to the server itself both are there.
    seen = planted.beside("server").python(look).split()
    assert seen[0] == "True"
    assert int(seen[1]) > 0


def test_the_kernels_cannot_take_the_servers_port_or_speak_to_it(workspace: Arm) -> None:
    attack = """
import socket, ssl, sys
def said(act):
    try:
        return act() or "done"
    except Exception as error:
        return type(error).__name__
def take(family, address):
    with socket.socket(family) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(address)
        taken.listen()
def speak():
    with socket.create_connection(("127.0.0.1", 8888), 5) as plain:
        with ssl._create_unverified_context().wrap_socket(plain) as tls:
            tls.sendall(b"GET /api/status HTTP/1.0\\r\\n\\r\\n")
            return tls.recv(64).decode()
port = int(sys.argv[1])
for address in ("0.0.0.0", "127.0.0.1"):
    print(said(lambda: take(socket.AF_INET, (address, port))))
print(said(lambda: take(socket.AF_INET6, ("::1", port))))
print(said(speak))
"""
    taken = workspace.python(attack, "8888").split()
    assert taken == ["OSError", "OSError", "OSError", "SSLError"]
    # The control arm: a port that nobody has is taken.
    assert workspace.python(attack, "8899").split()[:3] == ["done", "done", "done"]
