"""Control groups of an instance: one below each root, under both versions."""

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from carrel.embedded.instance import Instance

_ROOT: Final = Path("/sys/fs/cgroup")
_SECONDS_TO_END: Final = 10.0
_V2_CONTROLLERS: Final = ("cpuset", "cpu", "io", "memory", "hugetlb", "pids")


def is_unified() -> bool:
    """Whether the host has version 2 alone."""
    return (_ROOT / "cgroup.controllers").exists()


def unified() -> Path:
    """Root of the version 2 hierarchy, on hosts that mount it beside version 1 too."""
    return _ROOT if is_unified() else _ROOT / "unified"


def make(instance: Instance) -> None:
    """Make the instance's group below each root."""
    if is_unified():
        _share_controllers()
    for root in _roots():
        group = root / instance.cgroup
        group.mkdir(exist_ok=True)
        # Version 1: a cpuset without processors and memory can hold no process.
        for name in ("cpuset.cpus", "cpuset.mems"):
            if (group / name).exists() and (root / name).exists() and not is_unified():
                (group / name).write_text((root / name).read_text(encoding="ascii"))


def remove(instance: Instance) -> None:
    """Remove the instance's groups, deepest first, as the last processes in them end.

    A pod that stands still (its lock was changed, say) does not even end when it is killed:
    everything is let go first.

    Raises
    ------
    OSError
        When a process is still there after 10 s.
    """
    tops = [root / instance.cgroup for root in _roots()]
    for top in tops:
        _thaw(top)
    ends = time.monotonic() + _SECONDS_TO_END
    for top in tops:
        for folder, _, _ in os.walk(top, topdown=False):
            _remove(Path(folder), ends=ends)


def _thaw(top: Path) -> None:
    # From the top: on version 1 a group stands still for as long as one above it does.
    for folder, _, files in os.walk(top):
        for name, moving in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            if name in files:
                Path(folder, name).write_text(moving, encoding="ascii")


def _remove(group: Path, *, ends: float) -> None:
    while True:
        try:
            group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= ends:
                raise
            time.sleep(0.05)  # noqa: TID251 - version 1 tells nobody that a group is empty
        else:
            return


def exists(instance: Instance) -> bool:
    """Whether any group of the instance is left."""
    return any((root / instance.cgroup).exists() for root in _roots())


def _roots() -> Iterator[Path]:
    if is_unified():
        yield _ROOT
        return
    yield from (p for p in sorted(_ROOT.iterdir()) if p.is_dir() and not p.is_symlink())


def _share_controllers() -> None:
    has = (_ROOT / "cgroup.controllers").read_text(encoding="ascii").split()
    for name in _V2_CONTROLLERS:
        if name in has:
            (_ROOT / "cgroup.subtree_control").write_text(f"+{name}")
