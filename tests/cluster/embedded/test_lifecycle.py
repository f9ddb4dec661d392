"""What survives, what comes back, and that nothing is left."""

import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.embedded import (
    EmbeddedError,
    Instance,
    Network,
    every_instance,
    find_instance,
    is_running,
    kubectl,
    lifecycle,
    processes,
    remains,
    run_inside,
)
from carrel.embedded.instance import first_process, read_instance
from support.probe_pods import wait_for

pytestmark = pytest.mark.root
_NAME, _PORT = "test-life", 18445


def up(name: str = _NAME, port: int = _PORT) -> Instance | None:
    return lifecycle.up(name, port=port, with_network=Network.BRIDGE, note=lambda _s, _t: None)


def volume_phase(instance: Instance, number: int) -> str:
    phase = "--output=jsonpath={.status.phase}"
    return kubectl(instance, "get", "pv", f"carrel-local-{number}", phase)


def command_lines() -> str:
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                lines.append((entry / "cmdline").read_bytes().decode(errors="replace"))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return "\n".join(lines)


@pytest.fixture
def instance() -> Instance:
    up()
    return find_instance(_NAME)


@pytest.fixture(scope="module", autouse=True)
def _clean_at_the_end() -> Iterator[None]:
    yield
    lifecycle.down(_NAME, data=lifecycle.Data.REMOVE)


@pytest.mark.usefixtures("instance")
def test_a_second_up_is_told_from_a_first() -> None:
    assert up() is None


def test_a_killed_process_is_started_again(instance: Instance) -> None:
    before = processes(instance)["kube-scheduler"]["restarts"]
    run_inside(instance, ["pkill", "-KILL", "-x", "kube-scheduler"])
    wait_for(
        lambda: processes(instance)["kube-scheduler"] == {"running": 1, "restarts": before + 1}
    )


def test_a_released_volume_is_emptied_and_offered_again(instance: Instance) -> None:
    data = "/run/carrel/local/7/data"
    run_inside(instance, ["sh", "-c", f"echo private > {data}/file"])
    claim = {"namespace": "default", "name": "gone", "uid": "00000000-0000-0000-0000-000000000001"}
    patch = json.dumps({"spec": {"claimRef": claim}})
    kubectl(instance, "patch", "pv", "carrel-local-7", "--type=merge", f"--patch={patch}")
    # The claim of the patch never existed, so the controller releases the volume at once.
    wait_for(lambda: run_inside(instance, ["ls", data]).stdout == "")
    wait_for(lambda: volume_phase(instance, 7) == "Available")


def test_kept_data_come_back_with_the_next_up(instance: Instance) -> None:
    kubectl(instance, "create", "configmap", "kept", "--namespace=default")
    run_inside(instance, ["sh", "-c", "echo kept > /var/lib/carrel/kept"])
    assert lifecycle.down(_NAME, data=lifecycle.Data.KEEP)
    assert not is_running(instance)
    assert remains.found(instance) == ()
    again = up()
    assert again == instance
    kubectl(instance, "get", "configmap", "kept", "--namespace=default")
    assert run_inside(instance, ["cat", "/var/lib/carrel/kept"]).stdout == "kept\n"


def test_a_killed_first_process_takes_everything_and_up_works_again(instance: Instance) -> None:
    os.kill(first_process(instance), signal.SIGKILL)
    wait_for(lambda: not is_running(instance))
    assert remains.found(instance) == ()
    assert up() == instance


def test_a_killed_warden_takes_everything_and_up_works_again(instance: Instance) -> None:
    first = os.pidfd_open(first_process(instance))
    warden = int((instance.state / "warden.pid").read_text(encoding="ascii"))
    os.kill(warden, signal.SIGKILL)
    poll = select.poll()
    poll.register(first, select.POLLIN)
    assert poll.poll(30_000)
    os.close(first)
    assert up() == instance


def test_a_port_that_is_taken_is_refused_and_nothing_is_left(instance: Instance) -> None:
    with pytest.raises(EmbeddedError, match=f"Port {instance.port} of 127.0.0.1 cannot be used"):
        up("test-refused", instance.port)
    assert read_instance("test-refused") is None


def test_down_leaves_nothing_behind(instance: Instance) -> None:
    assert lifecycle.down(_NAME, data=lifecycle.Data.REMOVE)
    assert remains.found(instance) == ()
    assert not instance.state.exists()
    assert str(instance.state) not in command_lines()
    assert str(instance.state) not in Path("/proc/self/mounts").read_text(encoding="utf-8")
    assert list(Path("/sys/fs/cgroup").glob(f"**/{instance.cgroup}")) == []
    if not every_instance():
        assert not Path("/var/lib/kubelet").exists()
    assert not lifecycle.down(_NAME, data=lifecycle.Data.REMOVE)
