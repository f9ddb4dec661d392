"""The file in the home that gets what processes write to stdout and stderr."""

import os
import time
from contextlib import suppress
from pathlib import Path

KEPT = 10
"""Logs kept per home and program, the new one included."""

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_session_log(home: Path, *, name: str, moment: time.struct_time) -> int:
    """Return a descriptor of `home/.carrel/logs/<name>-<UTC>.log`, and drop the oldest of them.

    Two users write logs here, and the one must not be led by a link of the other: every folder is
    opened as it is walked, and the file is a new one. A home that is full or broken must not keep
    its owner out, who alone can mend it: then what is written goes to /dev/null, never to the
    container's stdout.
    """
    try:
        folder = os.open(home, _FOLDER)
        for part in (".carrel", "logs"):
            folder = _below(folder, part)
        try:
            drop_oldest(folder, name=name, keep=KEPT - 1)
            stamp = time.strftime("%Y%m%dT%H%M%SZ", moment)
            return os.open(f"{name}-{stamp}.log", _FLAGS, 0o660, dir_fd=folder)
        finally:
            os.close(folder)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


def drop_oldest(folder: int, *, name: str, keep: int) -> None:
    """Remove all but the `keep` newest logs of a program; their names sort by time."""
    found = (each for each in os.listdir(folder) if each.startswith(f"{name}-"))
    for old in sorted(found, reverse=True)[keep:]:
        os.unlink(old, dir_fd=folder)


def _below(folder: int, name: str) -> int:
    try:
        with suppress(FileExistsError):
            os.mkdir(name, 0o2770, dir_fd=folder)
        return os.open(name, _FOLDER, dir_fd=folder)
    finally:
        os.close(folder)
