"""Finding a pod's processes and cgroups from what /proc says."""

import os
from pathlib import Path

import pytest

from carrel.node.cgroup import directories_of
from carrel.node.processes import Process, find_processes, pods_of
from carrel.node.termination import seal

UID = "8f14e45f-ceea-467f-a7b4-f2a5a5f4f7c1"
OTHER = "11111111-2222-3333-4444-555555555555"
CGROUPFS = f"4:memory:/carrel/kubepods/burstable/pod{UID}/abc\n0::/\n"
SYSTEMD = (
    f"0::/kubepods.slice/kubepods-burstable.slice/"
    f"kubepods-burstable-pod{UID.replace('-', '_')}.slice/cri-containerd-abc.scope\n"
)


def _process(proc: Path, pid: int, cgroup: str, *, state: str = "S", started: int = 5) -> None:
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "cgroup").write_text(cgroup)
    fields = " ".join(["0"] * 18)
    (folder / "stat").write_text(f"{pid} (a) name) (x) {state} {fields} {started} 0\n")


@pytest.mark.parametrize(
    ("text", "uids"),
    [
        (CGROUPFS, {UID}),
        (SYSTEMD, {UID}),
        ("0::/system.slice/ssh.service\n", set()),
        (f"0::/kubepods/pod{UID[:-1]}\n", set()),
        ("", set()),
    ],
)
def test_the_pods_uid_is_read_of_both_drivers(text: str, uids: set[str]) -> None:
    assert pods_of(text) == uids


def test_processes_are_told_oldest_first_and_the_dead_left_out(tmp_path: Path) -> None:
    _process(tmp_path, 30, CGROUPFS, started=100)
    _process(tmp_path, 40, CGROUPFS, started=50)
    _process(tmp_path, 41, CGROUPFS, started=50)
    _process(tmp_path, 50, CGROUPFS, state="Z", started=1)
    _process(tmp_path, 60, CGROUPFS.replace(UID, OTHER))
    (tmp_path / "70").mkdir()  # it vanished between listing and reading
    (tmp_path / "self").mkdir()
    found = find_processes([UID], proc=tmp_path)
    assert found == {UID: (Process(40, 50), Process(41, 50), Process(30, 100))}


def test_nothing_wanted_is_nothing_found(tmp_path: Path) -> None:
    _process(tmp_path, 30, CGROUPFS)
    assert find_processes([], proc=tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "folders", "unified"),
    [
        (
            f"6:freezer:/c/kubepods/pod{UID}/abc\n9:name=systemd:/c/kubepods/pod{UID}/abc\n0::/\n",
            [f"freezer/c/kubepods/pod{UID}", f"systemd/c/kubepods/pod{UID}"],
            True,
        ),
        (f"1:cpu,cpuacct:/pod{UID}\n", [f"cpu,cpuacct/pod{UID}"], True),
        (f"0::/kubepods/pod{UID}/abc\n", [f"kubepods/pod{UID}"], False),
        (f"0::/kubepods/pod{UID}/abc\n", [f"unified/kubepods/pod{UID}"], True),
        (f"0::/kubepods/pod{OTHER}/abc\n", [], False),
    ],
)
def test_a_pods_directories_are_cut_after_the_pod(
    tmp_path: Path, text: str, folders: list[str], *, unified: bool
) -> None:
    if unified:
        (tmp_path / "unified").mkdir()
    assert directories_of(UID, text, root=tmp_path) == tuple(tmp_path / each for each in folders)


def test_termination_messages_become_read_only_and_links_are_left_alone(tmp_path: Path) -> None:
    base = tmp_path / "pods" / UID / "containers"
    for name in ("lock-gate", "kernel", "server"):
        (base / name).mkdir(parents=True)
        (base / name / "1a2b").touch(mode=0o666)
        (base / name / "1a2b").chmod(0o666)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch()
    elsewhere.chmod(0o666)
    (base / "kernel" / "link").symlink_to(elsewhere)
    os.mkfifo(base / "kernel" / "pipe")
    assert seal(tmp_path, UID) == {"lock-gate": 1, "kernel": 1, "server": 1}
    modes = {path.name: path.stat().st_mode & 0o777 for path in base.glob("*/1a2b")}
    assert modes == {"1a2b": 0o444}
    assert elsewhere.stat().st_mode & 0o777 == 0o666


def test_a_pod_without_containers_has_nothing_to_seal(tmp_path: Path) -> None:
    assert seal(tmp_path, UID) == {}
