"""Finding the processes of a pod by the pod's UID in /proc/*/cgroup."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

_POD = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})")

_ENDED = frozenset("ZXx")
"""States of a process that runs nothing any more (proc(5))."""


@dataclass(frozen=True)
class Process:
    """A process as it was when it was looked at."""

    pid: int
    """Process ID in the namespace of whoever looks."""
    started: int
    """Clock ticks from boot to its start."""


def pods_of(cgroup: str) -> frozenset[str]:
    """Return the pod UIDs that the text of a /proc/<pid>/cgroup file names.

    The kubelet writes `pod<uid>` with its own driver and `pod<uid with _ for ->` with systemd's.
    """
    return frozenset(found.replace("_", "-") for found in _POD.findall(cgroup))


def find_processes(uids: Iterable[str], *, proc: Path = PROC) -> Mapping[str, tuple[Process, ...]]:
    """Return the processes of each pod, oldest first; pods without any are left out.

    Processes come and go while we look: an entry that vanishes was not there, and a zombie runs
    nothing any more.
    """
    wanted = frozenset(uids)
    found: dict[str, list[Process]] = defaultdict(list)
    if not wanted:
        return {}
    for name in os.listdir(proc):  # noqa: PTH208 - a tenth of the time of Path.iterdir
        if not name.isdecimal():
            continue
        try:
            belongs = pods_of(_read(f"{proc}/{name}/cgroup")) & wanted
            stat = _stat(f"{proc}/{name}/stat") if belongs else []
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if stat and stat[0] not in _ENDED:
            for uid in belongs:
                found[uid].append(Process(pid=int(name), started=int(stat[19])))
    return {uid: tuple(sorted(each, key=_age)) for uid, each in found.items()}


def pod_of_process(pid: int, *, proc: Path = PROC) -> frozenset[str]:
    """Return the UIDs of the pod that a process belongs to; empty if it is gone."""
    try:
        return pods_of(_read(f"{proc}/{pid}/cgroup"))
    except OSError:
        return frozenset()


def _age(process: Process) -> tuple[int, int]:
    return process.started, process.pid


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 65_536).decode("utf-8", "replace")
    finally:
        os.close(descriptor)


def _stat(path: str) -> list[str]:
    # The command's name stands in parentheses and may hold anything, also parentheses.
    return _read(path).rpartition(")")[2].split()
