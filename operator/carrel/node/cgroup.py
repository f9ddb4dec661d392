"""Killing everything in a pod's cgroup until nothing is left.

Version 2 has `cgroup.kill`. On version 1 the group is frozen first, so that nothing can fork
away between reading the list of processes and killing them, then killed, then thawed.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from carrel.node.processes import PROC, find_processes, pods_of

CGROUPS = Path("/sys/fs/cgroup")
_BETWEEN_ROUNDS = 0.01
_FREEZE_AT_MOST = 1.0
_ROUNDS_AT_ONCE = 500


@dataclass(frozen=True)
class Emptied:
    """What emptying a cgroup took."""

    killed: int
    """Processes that were sent SIGKILL."""
    rounds: int
    """How often the list had to be read."""


class StillRunningError(Exception):
    """Processes of a pod survive SIGKILL, as one in uninterruptible sleep does."""


def directories_of(uid: str, text: str, *, root: Path) -> tuple[Path, ...]:
    """Return the directories of a pod in every hierarchy that a /proc/<pid>/cgroup text names.

    A container's own group lies below the pod's: the path is cut after the pod's component.
    """
    found = []
    for line in text.splitlines():
        controllers, _, path = line.partition(":")[2].partition(":")
        parts = path.strip("/").split("/")
        cut = next((i for i, part in enumerate(parts) if uid in pods_of(part)), None)
        if cut is not None:
            found.append(_hierarchy(controllers, root).joinpath(*parts[: cut + 1]))
    return tuple(found)


def _hierarchy(controllers: str, root: Path) -> Path:
    if not controllers:  # version 2, alone or beside version 1
        return root / "unified" if (root / "unified").is_dir() else root
    return root / controllers.removeprefix("name=")


def read_directories(uid: str, pid: int, *, root: Path, proc: Path = PROC) -> tuple[Path, ...]:
    """Return the pod's directories as one of its processes shows them; none if it is gone."""
    try:
        text = (proc / str(pid) / "cgroup").read_text(errors="replace")
    except OSError:
        return ()
    return directories_of(uid, text, root=root)


async def empty(uid: str, directories: Iterable[Path], *, proc: Path = PROC) -> Emptied:
    """Kill what runs in a pod until nothing does.

    Raises StillRunningError after 500 rounds, about 5 s; the caller goes on trying.
    """
    known = tuple(directories)
    killed: set[int] = set()
    for round_ in range(_ROUNDS_AT_ONCE):
        pids = await asyncio.to_thread(_running, uid, known, proc)
        if not pids:
            return Emptied(killed=len(killed), rounds=round_)
        killed |= pids
        await _kill(uid, known, proc)
        await asyncio.sleep(_BETWEEN_ROUNDS)
    raise StillRunningError(f"{len(pids)} processes of pod {uid} survive SIGKILL")


def _running(uid: str, directories: tuple[Path, ...], proc: Path) -> set[int]:
    # Both, because a process can be in the list before /proc shows its group, and because the
    # directory of one hierarchy may be gone before the others'.
    by_proc = {process.pid for process in find_processes([uid], proc=proc).get(uid, ())}
    listed = {pid for directory in directories for pid in _listed(directory)}
    return by_proc | {pid for pid in listed if _alive(pid, proc)}


def _listed(directory: Path) -> set[int]:
    found: set[int] = set()
    for parent, _, files in os.walk(directory):
        if "cgroup.procs" in files:
            with contextlib.suppress(OSError):
                found |= {int(pid) for pid in Path(parent, "cgroup.procs").read_text().split()}
    return found


def _alive(pid: int, proc: Path) -> bool:
    try:
        stat = (proc / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


async def freeze(directories: Iterable[Path]) -> bool:
    """Have every process of a pod stand still; tell whether the kernel could be asked to."""
    asked = False
    for directory in directories:
        with contextlib.suppress(OSError):
            _write(directory / "cgroup.freeze", "1")
            asked = True
        if (directory / "freezer.state").is_file():
            await _freeze(directory)
            asked = True
    return asked


def is_frozen(directories: Iterable[Path]) -> bool:
    """Tell whether a pod's processes stand still, or are about to."""
    for directory in directories:
        for name, moving in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            with contextlib.suppress(OSError):
                if (directory / name).read_text().strip() != moving:
                    return True
    return False


async def _kill(uid: str, directories: tuple[Path, ...], proc: Path) -> None:
    for directory in directories:
        with contextlib.suppress(OSError):
            _write(directory / "cgroup.kill", "1")
    freezer = next((d for d in directories if (d / "freezer.state").is_file()), None)
    try:
        if freezer is not None:
            await _freeze(freezer)
        for pid in await asyncio.to_thread(_running, uid, directories, proc):
            # Between reading and killing, a number could only pass to another process if the
            # pod's own had ended, which frozen ones do not.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    finally:
        # A frozen process dies only once it is thawed, also when we are stopped half-way.
        if freezer is not None:
            with contextlib.suppress(OSError):
                _write(freezer / "freezer.state", "THAWED")


async def _freeze(directory: Path) -> None:
    state = directory / "freezer.state"
    with contextlib.suppress(OSError, TimeoutError):
        _write(state, "FROZEN")
        async with asyncio.timeout(_FREEZE_AT_MOST):
            while state.read_text().strip() != "FROZEN":
                # A process in uninterruptible sleep keeps the group FREEZING: kill what can be.
                await asyncio.sleep(0.002)
                _write(state, "FROZEN")


def _write(path: Path, text: str) -> None:
    # Never create: a control file that is not there is a kernel that has no such control.
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
