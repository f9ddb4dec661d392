"""Processes of pods, forked from one that has everything loaded: what races, races at once.

An interpreter takes longer to begin than the lock to load. A fork does not, so what is started
here reaches out within a millisecond of its first moment.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SERVE = """
import ctypes, json, os, signal, socket, sys
from carrel.node.gate import main

NEWNET, DIE_WITH_PARENT = 0x40000000, 1
libc = ctypes.CDLL(None, use_errno=True)

def check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")

def join(group):
    with open(group + "/cgroup.procs", "w") as procs:
        procs.write("0")

def reach_out():
    # A workspace's first instruction, and those that follow.
    for _ in range(3):
        for family, kind, address in (
            (socket.AF_INET, socket.SOCK_STREAM, ("203.0.113.1", 80)),
            (socket.AF_INET, socket.SOCK_DGRAM, ("8.8.8.8", 53)),
            (socket.AF_INET6, socket.SOCK_DGRAM, ("2001:db8::1", 53)),
        ):
            channel = socket.socket(family, kind)
            channel.settimeout(0.05)
            try:
                channel.connect(address)
                channel.send(b"secret")
            except OSError:
                pass
            channel.close()

def sandbox(order, ready):
    join(order["group"])
    check(libc.unshare(NEWNET))
    # An address that is still checked for duplicates answers nobody for a second.
    for name, value in (
        ("ipv6/conf/default/accept_dad", "0"), ("ipv6/conf/all/accept_dad", "0"),
        ("ipv4/ping_group_range", "0 2147483647"),
    ):
        with open("/proc/sys/net/" + name, "w") as setting:
            setting.write(value)
    os.write(ready, b"y")
    while True:
        signal.pause()

def workspace(order, ready):
    join(order["group"])
    with open(f"/proc/{order['sandbox']}/ns/net") as namespace:
        check(libc.setns(namespace.fileno(), NEWNET))
    code = main() if order["gate"] else 0
    if code == 0:
        reach_out()
    return code

def fork(work, order):
    seen, ready = os.pipe()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            libc.prctl(DIE_WITH_PARENT, signal.SIGKILL)
            nothing = os.open("/dev/null", os.O_RDWR)
            for each in (0, 1, 2):
                os.dup2(nothing, each)
            code = work(order, ready)
        finally:
            os._exit(code)
    os.close(ready)
    os.read(seen, 1)
    os.close(seen)
    return child

for line in sys.stdin:
    order = json.loads(line)
    if order["op"] == "sandbox":
        answer = fork(sandbox, order)
    elif order["op"] == "workspace":
        answer = os.waitstatus_to_exitcode(os.waitpid(fork(workspace, order), 0)[1])
    else:
        os.kill(order["pid"], signal.SIGKILL)
        answer = os.waitstatus_to_exitcode(os.waitpid(order["pid"], 0)[1])
    print(json.dumps(answer), flush=True)
"""


@dataclass
class Nursery:
    """A process that forks sandboxes and workspaces; one order at a time."""

    process: subprocess.Popen[str]

    def sandbox(self, group: Path) -> int:
        """Start the first process of a pod in a new network namespace; return its number."""
        return self._order({"op": "sandbox", "group": str(group)})

    def gated(self, group: Path, *, sandbox: int) -> int:
        """Run the gate and then, in the same process, attacks; return the gate's exit code."""
        return self._order(
            {"op": "workspace", "group": str(group), "sandbox": sandbox, "gate": True}
        )

    def ungated(self, group: Path, *, sandbox: int) -> None:
        """Run the same attacks with no gate before them."""
        order = {"op": "workspace", "group": str(group), "sandbox": sandbox, "gate": False}
        assert self._order(order) == 0

    def end(self, pid: int) -> None:
        """Kill a sandbox."""
        self._order({"op": "end", "pid": pid})

    def _order(self, order: dict[str, object]) -> int:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the process that forks has ended"
        return int(line)


@contextmanager
def nursery() -> Iterator[Nursery]:
    """Start a process that forks; with it end all that it forked and nobody ended."""
    with subprocess.Popen(
        [sys.executable, "-c", _SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Nursery(process)
        finally:
            process.kill()
