"""Control groups of an instance: one below each root, under both versions."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from carrel.embedded.instance import Instance

_ROOT: Final = Path("/sys/fs/cgroup")
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
    """Remove the instance's groups, deepest first; no process may be left in them."""
    for root in _roots():
        top = root / instance.cgroup
        for folder, _, _ in os.walk(top, topdown=False):
            Path(folder).rmdir()


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
