"""The first process inside an instance: mounts, then starts, reaps, restarts and logs the others.

It is process 1 of its namespace, so it also reaps orphans, and its end is the end of everything:
the kernel kills what is left. One thread, one loop, signals taken synchronously: nothing races.
"""

import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from carrel.embedded import mounts
from carrel.embedded.children import Child, children, environment
from carrel.embedded.instance import Instance, read_instance

_SIGNALS: Final = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT)
_LOOK_EVERY: Final = 0.2
"""Seconds between looks at gates while something waits; signals wake at once."""
_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 15.0
_GOOD_RUN: Final = 30.0
"""A process that lived this many seconds starts without a pause the next time."""
_GRACE: Final = 5.0
_LOG_BYTES: Final = 64 * 2**20


@dataclass(kw_only=True)
class _Slot:
    """What is known about one child; the loop below is its only writer."""

    child: Child
    pid: int = 0
    started: float = 0.0
    starts: int = 0
    pause: float = 0.0
    not_before: float = 0.0


class Supervisor:
    """Keeps every child of one instance running until it is told to end."""

    def __init__(self, instance: Instance, *, wanted: Iterable[Child]) -> None:
        self._instance = instance
        self._slots = [_Slot(child=child) for child in wanted]
        self._environment = environment(instance)

    def run(self) -> None:
        """Return once SIGTERM has come and the children have had their time to end."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._tell()
        next_rotation = 0.0
        while True:
            now = time.monotonic()
            if now >= next_rotation:
                self._rotate_logs()
                next_rotation = now + 60
            self._start_due(now)
            waiting = any(not slot.pid for slot in self._slots)
            taken = signal.sigtimedwait(_SIGNALS, _LOOK_EVERY if waiting else 10.0)
            if taken is not None and taken.si_signo != signal.SIGCHLD:
                self._end()
                return
            self._reap()

    def _start_due(self, now: float) -> None:
        for slot in self._slots:
            if slot.pid or now < slot.not_before:
                continue
            if all(gate.is_open() for gate in slot.child.after):
                self._start(slot, now)

    def _start(self, slot: _Slot, now: float) -> None:
        log = self._log(slot.child)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        slot.pid = os.posix_spawn(
            slot.child.command[0],
            slot.child.command,
            {**self._environment, **slot.child.environment},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
            # This process blocks them; the child must not inherit that.
            setsigmask=(),
        )
        slot.started, slot.starts = now, slot.starts + 1
        self._tell()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for slot in self._slots:
                if slot.pid == pid:
                    self._note_end(slot, status)

    def _note_end(self, slot: _Slot, status: int) -> None:
        now = time.monotonic()
        lived = now - slot.started
        slot.pause = (
            _FIRST_PAUSE if lived > _GOOD_RUN else min(max(slot.pause, 0.25) * 2, _LONGEST_PAUSE)
        )
        slot.pid, slot.not_before = 0, now + slot.pause
        code = os.waitstatus_to_exitcode(status)
        _say(f"{slot.child.name} ended with {code} after {lived:.1f} s; again in {slot.pause} s")
        self._tell()

    def _end(self) -> None:
        for slot in self._slots:
            if slot.pid:
                os.kill(slot.pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while any(slot.pid for slot in self._slots) and time.monotonic() < deadline:
            signal.sigtimedwait((signal.SIGCHLD,), _LOOK_EVERY)
            self._reap()

    def _tell(self) -> None:
        """Write what runs, for `carrel cluster status`; its existence says that mounts are made."""
        known = {
            slot.child.name: {"running": bool(slot.pid), "restarts": max(slot.starts - 1, 0)}
            for slot in self._slots
        }
        staging = self._instance.state / "children.part"
        staging.write_text(json.dumps(known), encoding="utf-8")
        staging.rename(self._instance.state / "children.json")

    def _log(self, child: Child) -> Path:
        return self._instance.logs / f"{child.name}.log"

    def _rotate_logs(self) -> None:
        for slot in self._slots:
            log = self._log(slot.child)
            if log.exists() and log.stat().st_size > _LOG_BYTES:
                # The child writes with O_APPEND and goes on at the new end.
                shutil.copyfile(log, log.with_suffix(".log.1"))
                os.truncate(log, 0)


def _say(sentence: str) -> None:
    sys.stderr.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S%z')} {sentence}\n")
    sys.stderr.flush()


def main() -> None:
    """Entry point: `python -m carrel.embedded.supervisor NAME` in fresh namespaces."""
    instance = read_instance(sys.argv[1])
    if instance is None:
        raise SystemExit(f"There is no instance {sys.argv[1]!r} in the state root.")
    socket.sethostname(instance.name)
    mounts.make(instance)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1", encoding="ascii")
    Supervisor(instance, wanted=children(instance)).run()


if __name__ == "__main__":
    main()
