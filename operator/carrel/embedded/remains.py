"""Cleaning the host after an instance: safe to call at any time that no warden runs."""

import os
import select
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from carrel.embedded import cgroups, network
from carrel.embedded.errors import EmbeddedError
from carrel.embedded.instance import Instance

_SECONDS_TO_DIE = 10


def clean(instance: Instance) -> None:
    """End what is left in the instance's network namespaces, then remove those and its cgroups."""
    for namespace in (instance.netns, instance.internet_netns):
        _end_processes(namespace)
    network.remove(instance)
    cgroups.remove(instance)
    for name in ("children.json", "init.pid", "warden.pid", "ready"):
        (instance.state / name).unlink(missing_ok=True)


def found(instance: Instance) -> tuple[str, ...]:
    """Name what of the instance is still on the host, as words for a person; empty when clean."""
    left = []
    if network.exists(instance):
        left.append("network namespaces or their link")
    if cgroups.exists(instance):
        left.append("control groups")
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    if any(line.split()[1].startswith(f"{instance.state}/") for line in mounts.splitlines()):
        left.append("mounts")
    if f"{instance.state}/" in _loop_devices():
        left.append("loop devices")
    return tuple(left)


def _end_processes(namespace: str) -> None:
    if not Path("/run/netns", namespace).exists():
        return
    listed = subprocess.run(
        ["ip", "netns", "pids", namespace], capture_output=True, text=True, check=False
    )
    handles = []
    for pid in listed.stdout.split():
        with suppress(ProcessLookupError):
            handles.append(os.pidfd_open(int(pid)))
    for handle in handles:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    for handle in handles:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        gone = poll.poll(_SECONDS_TO_DIE * 1000)
        os.close(handle)
        if not gone:
            raise EmbeddedError(
                f"A process in {namespace} did not end within {_SECONDS_TO_DIE} s; look at "
                f"`ip netns pids {namespace}` and run `carrel cluster down` again."
            )


def _loop_devices() -> str:
    backing = Path("/sys/block").glob("loop*/loop/backing_file")
    lines = []
    for file in backing:
        with suppress(OSError):  # detached while we look
            lines.append(file.read_text(encoding="utf-8"))
    return "".join(lines)
