"""First process of a workspace: takes the runtime's pipes away, then starts the notebook server.

Whatever a process writes to the container's stdout, or to the termination message, leaves the
workspace: node files, pod status, log shippers. So nothing here ever writes to them, and no user
code starts while they are open to it:

1. descriptors 0, 1 and 2 become /dev/null at once, all others are closed;
2. the node agent makes the termination message's file read-only; until then nothing starts;
3. 1 and 2 become a log file in the home;
4. the self-check runs if the workspace asks for it;
5. the server runs as a child that holds no pipe of the runtime.
"""

import ctypes
import os
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from enum import IntEnum
from pathlib import Path

from desk.session_log import open_session_log

TERMINATION_MESSAGE = Path("/dev/termination-log")
WAIT_SECONDS = 60.0
SELF_CHECK_SECONDS = 180.0

_LOOK_SECONDS = 0.1
_SERVER = ("/opt/workspace/bin/python", "-m", "jupyterlab")
_SELF_CHECK = ("/opt/workspace/bin/python", "/opt/carrel/selfcheck/run.py")
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_HANDLED = frozenset({*_FORWARDED, signal.SIGCHLD})
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Exit(IntEnum):
    """Exit codes of our own; any other is the server's."""

    TERMINATION_MESSAGE_OPEN = 91
    """The node agent did not close the termination message within `WAIT_SECONDS`."""
    STOPPED_EARLY = 92
    """The stop came before the server was started."""


def main(environment: Mapping[str, str]) -> int:
    """Run the workspace until its server ends; return the exit code."""
    hold_no_pipe()
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    early = wait_while(lambda: can_write(TERMINATION_MESSAGE), seconds=WAIT_SECONDS)
    if early is not None:
        return early
    log = open_session_log(Path(environment["HOME"]), moment=time.gmtime())
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    adopt_orphans()
    if environment.get("CARREL_SELF_CHECK") == "Imaging":
        run(_SELF_CHECK, environment=environment, seconds=SELF_CHECK_SECONDS)
    token = write_token(Path(environment.get("TMPDIR", "/tmp")))  # noqa: S108 - the pod's scratch
    return run(_SERVER, environment={**environment, "JUPYTER_TOKEN_FILE": str(token)}, seconds=None)


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


def write_token(scratch: Path) -> Path:
    """Write a random token that only this user reads; the server refuses whoever lacks it."""
    path = scratch / "jupyter-token"
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32))
    return path


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
