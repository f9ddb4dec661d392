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

from support.desk import Desk

pytestmark = [pytest.mark.root, pytest.mark.image]

ENTRYPOINT = "/opt/carrel/entrypoint"
PROBE = ("/opt/carrel/closed-python", "-I", "-S", "/opt/carrel/lib/desk/ready.py")
START_SECONDS = 60.0

ASK = """
import json, re, sys, urllib.error, urllib.request
token = open("/tmp/jupyter-token").read()
def get(path, **headers):
    request = urllib.request.Request("http://127.0.0.1:8888" + path, headers=headers)
    try:
        return urllib.request.urlopen(request).read().decode()
    except urllib.error.HTTPError as error:
        return error.code
page = get("/lab", Authorization="token " + token)
config = json.loads(re.search("jupyter-config-data.*?>(.*?)</script>", page, re.S)[1])
print(json.dumps({
    "without token": get("/api/contents"),
    "terminals": get("/api/terminals", Authorization="token " + token),
    "terminals in the page": config["terminalsAvailable"],
    "news": config.get("news", {}).get("disabled", config.get("newsUrl")),
    "version": config["appVersion"].split(".")[:2],
}))
"""

RUN_A_CELL = """
import json, urllib.request, uuid, websocket
headers = {"Authorization": "token " + open("/tmp/jupyter-token").read()}
made = urllib.request.Request("http://127.0.0.1:8888/api/kernels", data=b"{}", headers=headers)
kernel = json.load(urllib.request.urlopen(made))["id"]
address = "ws://127.0.0.1:8888/api/kernels/" + kernel + "/channels"
channel = websocket.create_connection(address, header=headers, timeout=60)
code = "import highdicom, nibabel, pydicom, SimpleITK; print(pydicom.__version__)"
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


@contextmanager
def running(desk: Desk, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a container to the end of the block and stop it as the runtime does."""
    with desk.start(*command) as container:
        try:
            yield container
        finally:
            container.kill()


def wait_until_ready(desk: Desk, container: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    """Ask the probe as kubelet does until it says yes."""
    pause = threading.Event()
    answer = (1, b"", b"")
    for _ in range(int(START_SECONDS / 0.5)):
        pause.wait(0.5)
        if container.poll() is not None:
            raise AssertionError(container.communicate())
        answer = desk.call(container, *PROBE)
        if answer[0] == 0:
            break
    return answer


def test_jupyterlab_starts_on_a_read_only_root_and_prints_nothing(desk: Desk):
    with running(desk, ENTRYPOINT) as container:
        assert wait_until_ready(desk, container) == (0, b"", b"")
        code, output, errors = desk.call(container, "/opt/workspace/bin/python", "-c", ASK)
        assert (code, errors) == (0, b"")
        assert json.loads(output) == {
            "without token": 403,
            "terminals": 404,
            "terminals in the page": False,
            "news": True,
            "version": ["4", "6"],
        }
        first = desk.call(container, "/bin/sh", "-c", "kill -TERM 1")
        assert first == (0, b"", b"")
        assert container.communicate(timeout=30) == (b"", b"")
    (log,) = (desk.home / ".carrel/logs").iterdir()
    assert "Jupyter Server" in log.read_text()
    assert "token=..." in log.read_text()


def test_a_kernel_of_the_server_runs_the_imaging_stack(desk: Desk):
    with running(desk, ENTRYPOINT) as container:
        wait_until_ready(desk, container)
        answer = desk.call(container, "/opt/workspace/bin/python", "-c", RUN_A_CELL)
    assert answer == (0, f"{pydicom.__version__}\nok\n".encode(), b"")


def test_the_self_check_loads_a_real_series_and_finds_the_locks_closed(desk: Desk, real_ct: Path):
    desk.settings["CARREL_SELF_CHECK"] = "Imaging"
    with running(desk, ENTRYPOINT) as container:
        assert wait_until_ready(desk, container) == (0, b"", b"")
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
    with running(desk, ENTRYPOINT) as container:
        wait_until_ready(desk, container)
    result = json.loads((desk.home / ".carrel/selfcheck/result.json").read_text())
    assert (result["outcome"], result["reason"]) == (
        "Failed",
        "LookupError: no series of images below /datasets",
    )


def test_no_notebook_starts_while_the_termination_message_is_open(desk: Desk):
    desk.message_mode = "666"
    with running(desk, ENTRYPOINT) as container:
        pause = threading.Event()
        pause.wait(3)
        assert container.poll() is None
        assert not (desk.home / ".carrel").exists()
        assert desk.call(container, *PROBE) == (1, b"", b"")
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
        "etc/pip.conf",
        "run/ca.pem",
        "etc/apt/sources.list.d/host.list",
        "etc/apt/apt.conf.d/99host",
        "opt/workspace/bin/pip",
    }
    assert {path for path in leftovers if (mounted / path).exists()} == set()
    emptied = ("var/lib/apt/lists", "var/cache/apt", "tmp")
    assert [path for name in emptied for path in (mounted / name).iterdir()] == []
