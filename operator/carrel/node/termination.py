"""Termination messages: files on the node that a container could write secrets into.

The kubelet binds one file of mode 0666 into each container and copies what stands in it into
the pod's status. Made 0444 from outside, no container user can write it; the workspace's
entrypoint waits for that before it starts user code.
"""

import os
from pathlib import Path

READ_ONLY = 0o444


def seal(kubelet_root: Path, uid: str) -> dict[str, int]:
    """Make every termination message file of a pod read-only.

    Returns how many files each container has by now. Files that vanish while we look, and
    what is no regular file, are left alone.
    """
    found: dict[str, int] = {}
    base = kubelet_root / "pods" / uid / "containers"
    try:
        containers = os.listdir(base)  # noqa: PTH208 - runs 50 times a second at a start
    except OSError:
        return found
    for container in containers:
        try:
            with os.scandir(base / container) as entries:
                files = [each for each in entries if each.is_file(follow_symlinks=False)]
        except OSError:
            continue
        found[container] = sum(_seal_one(each.path) for each in files)
    return found


def _seal_one(path: str) -> int:
    try:
        # Not by name: between looking and changing, a name may come to mean something else.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        if os.fstat(descriptor).st_mode & 0o777 != READ_ONLY:
            os.fchmod(descriptor, READ_ONLY)
    finally:
        os.close(descriptor)
    return 1
