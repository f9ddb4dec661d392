"""The real workspace image runs with a read-only root and says nothing to the runtime."""

import json
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pydicom
import pytest

from support.desk import KERNEL, SERVER, Desk

pytestmark = [pytest.mark.root, pytest.mark.image]

PROBE = ("/opt/carrel/closed-python", "-I", "-S", "/opt/carrel/lib/desk/ready.py")
KERNEL_PROBE = (*PROBE, "kernel")
SERVER_PROBE = (*PROBE, "server")
START_SECONDS = 60.0

SPEAK = """
import http.client, json, re, ssl, uuid, websocket
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
tls.check_hostname = False
tls.load_verify_locations("/run/server/tls.crt")
tls.load_cert_chain("/run/server/tls.crt", "/run/server/tls.key")
def ask(method, path, body=None):
    connection = http.client.HTTPSConnection("127.0.0.1", 8888, context=tls, timeout=60)
    connection.request(method, path, body=None if body is None else json.dumps(body))
    answer = connection.getresponse()
    return answer.status, answer.read().decode()
def status(method, path, body=None):
    return ask(method, path, body)[0]
"""

ASK = (
    SPEAK
    + """
page = ask("GET", "/lab")[1]
config = json.loads(re.search("jupyter-config-data.*?>(.*?)</script>", page, re.S)[1])
print(json.dumps({
    "token in the page": config["token"],
    "terminals": status("GET", "/api/terminals"),
    "terminals in the page": config["terminalsAvailable"],
    "raw files": status("GET", "/files/a.txt"),
    "converted": status("GET", "/nbconvert/html/a.ipynb"),
    "shut down": status("POST", "/api/shutdown"),
    "login": status("GET", "/login"),
    "news": config["news"]["disabled"],
    "entries gone": sorted(
        name.partition("/")[2] for name in config["disabledExtensions"]
        if re.search("download|export|share|print|browser-tab", name)
    ),
    "version": config["appVersion"].split(".")[:2],
    "settings": status("PUT", "/lab/api/settings/@jupyterlab/apputils-extension:themes",
                       {"raw": "{}"}),
}))
"""
)

RUN_A_CELL = (
    SPEAK
    + """
assert status("PUT", "/api/contents/study", {"type": "directory"}) == 201
empty = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
saved = {"type": "notebook", "format": "json", "content": empty}
assert status("PUT", "/api/contents/study/a.ipynb", saved) == 201
asked = {"path": "study/a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": "python3"}}
kernel = json.loads(ask("POST", "/api/sessions", asked)[1])["kernel"]["id"]
address = "wss://127.0.0.1:8888/api/kernels/" + kernel + "/channels"
channel = websocket.create_connection(address, sslopt={"context": tls}, timeout=60)
code = CODE
channel.send(json.dumps({
    "header": {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "session": "s",
               "username": "", "version": "5.3"},
    "parent_header": {}, "metadata": {}, "channel": "shell",
    "content": {"code": code, "silent": False, "store_history": False, "user_expressions": {},
                "allow_stdin": False, "stop_on_error": True},
}))
while True:
    message = json.loads(channel.recv())
    if message["msg_type"] == "stream":
        print(message["content"]["text"], end="")
    if message["msg_type"] == "execute_reply":
        print(message["content"]["status"])
        break
"""
)

IMAGING = """
import highdicom, nibabel, os, pydicom, SimpleITK
print(pydicom.__version__, os.getuid(), os.getcwd())
"""

ESCAPE = """
import os, socket, ssl
def told(act):
    try:
        act()
    except Exception as error:
        return type(error).__name__
    return "ALLOWED"
def take(family, address):
    with socket.socket(family) as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(address)
        taken.listen()
def speak(context):
    with socket.create_connection(("127.0.0.1", 8888), timeout=5) as plain:
        with context.wrap_socket(plain) as tls:
            tls.sendall(b"GET /api/status HTTP/1.0\\r\\n\\r\\n")
            if not tls.recv(64):
                raise ConnectionError
careless = ssl._create_unverified_context()
print("key", told(lambda: open("/run/server/tls.key").read()))
print("port", told(lambda: take(socket.AF_INET, ("0.0.0.0", 8888))))
print("loopback port", told(lambda: take(socket.AF_INET, ("127.0.0.1", 8888))))
print("without a certificate", told(lambda: speak(careless)))
seen = [pid for pid in os.listdir("/proc") if pid.isdigit()
        and b"notebook_server" in open("/proc/" + pid + "/cmdline", "rb").read()]
print("processes of the server seen", len(seen))
"""


@contextmanager
def running(
    desk: Desk,
    *command: str,
    user: int = KERNEL,
    beside: subprocess.Popen[bytes] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a container to the end of the block and stop it as the runtime does."""
    with desk.start(*command, user=user, beside=beside) as container:
        try:
            yield container
        finally:
            container.kill()


@contextmanager
def workspace(desk: Desk) -> Iterator[tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]]:
    """Run both containers; they are ready when the block begins."""
    with running(desk, "/opt/carrel/kernel") as kernel:
        # Its namespaces are there once the first process is that of the image.
        wait_until_ready(desk, kernel, KERNEL_PROBE)
        with running(desk, "/opt/carrel/server", user=SERVER, beside=kernel) as server:
            assert wait_until_ready(desk, server, SERVER_PROBE, user=SERVER) == (0, b"", b"")
            yield kernel, server


def wait_until_ready(
    desk: Desk, container: subprocess.Popen[bytes], probe: tuple[str, ...], *, user: int = KERNEL
) -> tuple[int, bytes, bytes]:
    """Ask the probe as kubelet does until it says yes."""
    pause = threading.Event()
    answer = (1, b"", b"")
    for _ in range(int(START_SECONDS / 0.5)):
        pause.wait(0.5)
        if container.poll() is not None:
            raise AssertionError(container.communicate())
        answer = desk.call(container, *probe, user=user)
        if answer[0] == 0:
            break
    return answer


def test_jupyterlab_starts_on_a_read_only_root_and_prints_nothing(desk: Desk):
    with workspace(desk) as (kernel, server):
        python = ("/opt/workspace/bin/python", "-c", ASK)
        code, output, errors = desk.call(server, *python, user=SERVER)
        assert (code, errors) == (0, b"")
        assert json.loads(output) == {
            "token in the page": "",
            "terminals": 404,
            "terminals in the page": False,
            "raw files": 404,
            "converted": 404,
            "shut down": 404,
            "login": 404,
            "news": True,
            "entries gone": [
                "apputils-extension:print",
                "docmanager-extension:download",
                "docmanager-extension:open-browser-tab",
                "filebrowser-extension:download",
                "filebrowser-extension:open-browser-tab",
                "filebrowser-extension:share-file",
                "notebook-extension:export",
            ],
            "version": ["4", "6"],
            "settings": 204,
        }
        for container, user in ((server, SERVER), (kernel, KERNEL)):
            stop = desk.call(container, "/bin/sh", "-c", "kill -TERM 1", user=user)
            assert stop == (0, b"", b"")
            assert container.communicate(timeout=30) == (b"", b"")
    logs = {path.name.partition("-")[0]: path for path in (desk.home / ".carrel/logs").iterdir()}
    assert set(logs) == {"server", "session"}
    assert "Jupyter Server" in logs["server"].read_text()
    assert "Kernel Gateway" in logs["session"].read_text()
    assert {path.stat().st_uid for path in logs.values()} == {SERVER, KERNEL}


def test_a_kernel_of_the_server_runs_the_imaging_stack_where_its_notebook_lies(desk: Desk):
    code = RUN_A_CELL.replace("CODE", repr(IMAGING))
    with workspace(desk) as (_, server):
        answer = desk.call(server, "/opt/workspace/bin/python", "-c", code, user=SERVER)
    told = f"{pydicom.__version__} 1000 /home/carrel/study\nok\n"
    assert answer == (0, told.encode(), b"")


def test_kernel_code_reaches_neither_the_servers_key_nor_its_port_nor_its_ear(desk: Desk):
    code = RUN_A_CELL.replace("CODE", repr(ESCAPE))
    with workspace(desk) as (_, server):
        answer = desk.call(server, "/opt/workspace/bin/python", "-c", code, user=SERVER)
        # The control arm: with the server's files and its user, each of these succeeds.
        key = desk.call(server, "/bin/sh", "-c", "test -r /run/server/tls.key", user=SERVER)
    assert key[0] == 0
    assert answer[1].decode().splitlines() == [
        "key FileNotFoundError",
        "port OSError",
        "loopback port OSError",
        "without a certificate SSLError",
        "processes of the server seen 0",
        "ok",
    ]


def test_the_self_check_loads_a_real_series_and_finds_the_locks_closed(desk: Desk, real_ct: Path):
    desk.settings["CARREL_SELF_CHECK"] = "Imaging"
    with running(desk, "/opt/carrel/kernel") as container:
        assert wait_until_ready(desk, container, KERNEL_PROBE) == (0, b"", b"")
    folder = desk.home / ".carrel/selfcheck"
    result = json.loads((folder / "result.json").read_text())
    assert 0 < result.pop("milliseconds") < 120_000
    assert result == {
        "version": 1,
        "outcome": "Passed",
        "series": 1,
        "slices": 1,
        "rows": 128,
        "columns": 128,
        "writeRefused": "Refused",
        "connectRefused": "Refused",
        "reason": "",
    }
    assert (folder / "montage.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((folder / "selfcheck.ipynb").read_text())["nbformat"] == 4
    assert [path.name for path in real_ct.iterdir()] == ["1.dcm"]


def test_the_self_check_fails_with_a_reason_where_there_is_no_series(desk: Desk):
    desk.settings["CARREL_SELF_CHECK"] = "Imaging"
    with running(desk, "/opt/carrel/kernel") as container:
        wait_until_ready(desk, container, KERNEL_PROBE)
    result = json.loads((desk.home / ".carrel/selfcheck/result.json").read_text())
    assert (result["outcome"], result["reason"]) == (
        "Failed",
        "LookupError: no series of images below /datasets",
    )


@pytest.mark.parametrize(
    ("program", "user", "probe"),
    [("/opt/carrel/kernel", KERNEL, KERNEL_PROBE), ("/opt/carrel/server", SERVER, SERVER_PROBE)],
)
def test_nothing_starts_while_the_termination_message_is_open(
    desk: Desk, program: str, user: int, probe: tuple[str, ...]
):
    desk.message_mode = "666"
    with running(desk, program, user=user) as container:
        pause = threading.Event()
        pause.wait(3)
        assert container.poll() is None
        assert not (desk.home / ".carrel").exists()
        assert desk.call(container, *probe, user=user) == (1, b"", b"")
        container.send_signal(signal.SIGKILL)
        assert container.communicate() == (b"", b"")


@pytest.mark.parametrize(
    "attempt",
    [
        "touch /home/new",
        "touch /usr/bin/new",
        "touch /datasets/new",
        "touch /dev/shm/../../new",
    ],
)
def test_a_researcher_changes_neither_programs_nor_data(desk: Desk, attempt: str):
    with running(desk, "/bin/sh", "-c", attempt) as container:
        _, errors = container.communicate(timeout=20)
    assert errors.endswith((b"Read-only file system\n", b"Permission denied\n"))


def test_no_cache_of_a_package_manager_and_no_certificate_is_left_inside(mounted: Path):
    leftovers = {
        "root/.cache",
        "home/carrel/.cache",
        "run/ca.pem",
        "etc/apt/sources.list.d/host.list",
        "etc/apt/apt.conf.d/99host",
    }
    assert {path for path in leftovers if (mounted / path).exists()} == set()
    # Not the builder's, which names this machine's own index.
    ours = Path(__file__).parents[3] / "images/workspace/notebook/pip.conf"
    assert (mounted / "etc/pip.conf").read_text() == ours.read_text()
    emptied = ("var/lib/apt/lists", "var/cache/apt", "tmp")
    assert [path for name in emptied for path in (mounted / name).iterdir()] == []
