"""Writing files so that a reader never sees half of one."""

import os
from collections.abc import Iterable
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step; it may be lost in a power cut until `sync_all` has run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(data)
    fresh.replace(path)


def write_durable(path: Path, data: bytes) -> None:
    """Replace a file in one step, so that after a power cut it is the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(paths: Iterable[Path], *, below: Path) -> None:
    """Make files and the directories between them and `below` survive a power cut."""
    directories: set[Path] = set()
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # a partial tile that a full one has replaced
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        directories |= {each for each in path.parents if each.is_relative_to(below)}
    for directory in sorted(directories, key=lambda each: len(each.parts), reverse=True):
        sync_directory(directory)
