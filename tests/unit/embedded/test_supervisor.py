"""The first process of an instance, run here as an ordinary process with ordinary children."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from carrel.embedded import Instance, Network

_SOURCE = """
import sys
from pathlib import Path
from carrel.embedded.children import Child
from carrel.embedded.instance import Instance
from carrel.embedded.parts import Network
from carrel.embedded.supervisor import Supervisor

state = Path(sys.argv[1])
class There:
    def is_open(self):
        return (state / "gate").exists()
instance = Instance(name="one", index=0, state=state, port=1, network=Network.BRIDGE)
Supervisor(instance, wanted=[
    Child(name="steady", command=("/bin/sh", "-c", "echo hello; echo $$ > $0/pid; exec cat $0/fifo", str(state))),
    Child(name="waiting", command=("/bin/cat", str(state / "fifo")), after=(There(),)),
    Child(name="failing", command=("/bin/sh", "-c", "echo broken >&2; exit 3")),
]).run()
"""  # noqa: E501  # one command is one line
_SECONDS = 20


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    (tmp_path / "log").mkdir()
    os.mkfifo(tmp_path / "fifo")
    return Instance(name="one", index=0, state=tmp_path, port=1, network=Network.BRIDGE)


@pytest.fixture
def running(instance: Instance) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _SOURCE, str(instance.state)], stderr=subprocess.DEVNULL
    )
    yield process
    process.kill()
    process.wait()
    # Whoever still reads the pipe ends with its last writer.
    os.close(os.open(instance.state / "fifo", os.O_RDWR | os.O_NONBLOCK))


def told(instance: Instance) -> dict[str, Any]:
    try:
        read = json.loads((instance.state / "children.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    assert isinstance(read, dict)
    return read


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not what():
        assert time.monotonic() < deadline, "it did not come true in time"
        select.select([], [], [], 0.02)


def steady_pid(instance: Instance) -> int:
    text = (instance.state / "pid").read_text() if (instance.state / "pid").exists() else ""
    return int(text or 0)


@pytest.mark.usefixtures("running")
def test_a_killed_child_is_started_again(instance: Instance) -> None:
    wait_for(lambda: steady_pid(instance) > 0)
    before = steady_pid(instance)
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: steady_pid(instance) not in {0, before})
    wait_for(lambda: told(instance)["steady"] == {"running": True, "restarts": 1})


@pytest.mark.usefixtures("running")
def test_a_child_waits_until_its_gate_is_open(instance: Instance) -> None:
    wait_for(lambda: told(instance).get("steady", {}).get("running", False))
    assert told(instance)["waiting"] == {"running": False, "restarts": 0}
    (instance.state / "gate").touch()
    wait_for(lambda: bool(told(instance)["waiting"]["running"]))


@pytest.mark.long
@pytest.mark.usefixtures("running")
def test_a_child_that_fails_is_tried_again_with_longer_and_longer_pauses(
    instance: Instance,
) -> None:
    log = instance.logs / "failing.log"
    wait_for(lambda: told(instance).get("failing", {}).get("restarts", 0) >= 2)
    assert set(log.read_text(encoding="utf-8").split()) == {"broken"}


def test_on_sigterm_every_child_ends_before_it_does(
    instance: Instance, running: subprocess.Popen[bytes]
) -> None:
    wait_for(lambda: steady_pid(instance) > 0)
    running.terminate()
    assert running.wait(timeout=_SECONDS) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(steady_pid(instance), 0)
