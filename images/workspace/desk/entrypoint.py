"""First process of a container: takes the runtime's pipes away, then starts server or kernels.

Whatever a process writes to the container's stdout, or to the termination message, leaves the
workspace: node files, pod status, log shippers. So nothing here ever writes to them, and no user
code starts while they are open to it:

1. descriptors 0, 1 and 2 become /dev/null at once, all others are closed;
2. the node agent makes the termination message's file read-only; until then nothing starts;
3. 1 and 2 become a log file in the home;
4. the self-check runs if the workspace asks for it, where kernels run;
5. the program runs as a child that holds no pipe of the runtime.

A workspace is two containers of two users with the home in common: `server`, which speaks to the
gateway and runs nothing of its user's, and `kernel`.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from desk.session_log import open_session_log

TERMINATION_MESSAGE = Path("/dev/termination-log")
WAIT_SECONDS = 60.0
SELF_CHECK_SECONDS = 180.0

_LOOK_SECONDS = 0.1
_HOME = Path("/home/carrel")
_UMASK = 0o002
"""Both users read and write the home by its group."""
_SELF_CHECK = ("/opt/workspace/bin/python", "/opt/carrel/selfcheck/run.py")
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_HANDLED = frozenset({*_FORWARDED, signal.SIGCHLD})
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Exit(IntEnum):
    """Exit codes of our own; any other is the program's."""

    TERMINATION_MESSAGE_OPEN = 91
    """The node agent did not close the termination message within `WAIT_SECONDS`."""
    STOPPED_EARLY = 92
    """The stop came before the program was started."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One container of a workspace."""

    name: str
    """How its logs are called."""
    program: tuple[str, ...]
    """What runs in it."""
    folder: Path
    """Where it runs."""
    environment: Callable[[Mapping[str, str]], Mapping[str, str]]
    """What the program is told, from what the container is told."""


def server_environment(told: Mapping[str, str]) -> Mapping[str, str]:
    """Return what the server is told: nothing of it is in the home, where kernel code writes."""
    private = Path("/run/server")
    return {
        "CARREL_WORKSPACE": told.get("CARREL_WORKSPACE", "workspace"),
        "HOME": "/opt/carrel/server-home",
        "LANG": "C.UTF-8",
        "PATH": "/opt/workspace/bin:/usr/bin:/bin",
        "PYTHONSAFEPATH": "1",
        "JUPYTER_CONFIG_DIR": "/opt/carrel/server-home",
        "JUPYTER_DATA_DIR": str(private / "data"),
        "JUPYTER_RUNTIME_DIR": str(private / "runtime"),
        "JUPYTER_PLATFORM_DIRS": "0",
        "TMPDIR": str(private),
    }


def kernel_environment(told: Mapping[str, str]) -> Mapping[str, str]:
    """Return what kernels are told: all that their container is told, which is an allow-list."""
    return {**told, "KG_ENV_PROCESS_WHITELIST": ",".join(sorted(told))}


SERVER = Part(
    name="server",
    program=("/opt/carrel/lib/notebook_server/serve.py",),
    folder=Path("/"),
    environment=server_environment,
)
# -P: a file in the home that is called like a module must not replace it.
KERNEL = Part(
    name="session",
    program=("/opt/workspace/bin/python", "-P", "/opt/carrel/lib/desk/kernels.py"),
    folder=_HOME,
    environment=kernel_environment,
)


def main(part: Part, told: Mapping[str, str]) -> int:
    """Run a container until its program ends; return the exit code."""
    hold_no_pipe()
    os.umask(_UMASK)
    os.chdir(part.folder)
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    early = wait_while(lambda: can_write(TERMINATION_MESSAGE), seconds=WAIT_SECONDS)
    if early is not None:
        return early
    log = open_session_log(_HOME, name=part.name, moment=time.gmtime())
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    adopt_orphans()
    if part is KERNEL and told.get("CARREL_SELF_CHECK") == "Imaging":
        run(_SELF_CHECK, environment=told, seconds=SELF_CHECK_SECONDS)
    return run(part.program, environment=part.environment(told), seconds=None)


def hold_no_pipe() -> None:
    """Point 0, 1 and 2 at /dev/null and close the rest."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def can_write(message: Path) -> bool:
    """Tell whether this user can write to `message`.

    A container that was started by hand has no such file: nothing can leave by it.
    """
    return message.exists() and os.access(message, os.W_OK)


def wait_while(is_open: Callable[[], bool], *, seconds: float) -> Exit | None:
    """Wait until `is_open` says no; None when it did, else why the wait ended."""
    end = time.monotonic() + seconds
    while is_open():
        if time.monotonic() >= end:
            return Exit.TERMINATION_MESSAGE_OPEN
        if signal.sigtimedwait(_FORWARDED, _LOOK_SECONDS) is not None:
            return Exit.STOPPED_EARLY
    return None


def adopt_orphans() -> None:
    """Become the parent of every orphan below, so that none stays a zombie."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(command: tuple[str, ...], *, environment: Mapping[str, str], seconds: float | None) -> int:
    """Run `command`, forward stops to it, reap whatever dies; return its exit code.

    After `seconds` its whole process group is killed. A program killed by signal n gives 128 + n.
    """
    child = subprocess.Popen(
        command,
        env=environment,
        start_new_session=True,
        preexec_fn=_unblock,  # noqa: PLW1509 - one thread only; a blocked mask would be inherited
    )
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            os.killpg(child.pid, signal.SIGKILL)
            end = None
            continue
        got = _next_signal(left)
        if got in _FORWARDED:
            os.kill(child.pid, got)
        status = _reap(child.pid)
        if status is not None:
            return status if status >= 0 else 128 - status


def _next_signal(seconds: float | None) -> int | None:
    if seconds is None:
        return signal.sigwait(_HANDLED)
    info = signal.sigtimedwait(_HANDLED, seconds)
    return None if info is None else info.si_signo


def _reap(main_child: int) -> int | None:
    """Collect every dead child; return the exit status of `main_child` once it is among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == main_child:
            found = os.waitstatus_to_exitcode(status)


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
