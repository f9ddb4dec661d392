"""The file in the home that gets what processes write to stdout and stderr."""

import os
import time
from pathlib import Path

KEPT = 10
"""Logs kept per home, the new one included."""

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW


def open_session_log(home: Path, *, moment: time.struct_time) -> int:
    """Return a descriptor of `home/.carrel/logs/session-<UTC>.log`, 0600, and drop the oldest logs.

    A home that is full or broken must not keep its owner out, who alone can mend it: then what
    is written goes to /dev/null, never to the container's stdout.
    """
    folder = home / ".carrel" / "logs"
    try:
        for part in (folder.parent, folder):
            part.mkdir(exist_ok=True, mode=0o700)
        drop_oldest(folder, keep=KEPT - 1)
        name = time.strftime("session-%Y%m%dT%H%M%SZ.log", moment)
        return os.open(folder / name, _FLAGS, 0o600)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


def drop_oldest(folder: Path, *, keep: int) -> None:
    """Remove all but the `keep` newest session logs; their names sort by time."""
    for old in sorted(folder.glob("session-*.log"), reverse=True)[keep:]:
        old.unlink(missing_ok=True)
