"""A pod's network and a pretend Internet in bare namespaces, and processes in a pod's cgroup.

Nothing here needs a cluster. Everything hangs on child processes that end with the test, so
that a test that dies leaves no namespace behind.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
OUTSIDE = ("203.0.113.1", "198.51.100.7", "8.8.8.8", "169.254.169.254", "10.96.0.1", "10.96.0.10")
OUTSIDE_6 = "2001:db8::1"
NODE_ADDRESS = "10.77.0.1"

# ARP and neighbour discovery belong to the wire; everything else that arrives is a leak.
_COUNT = """
table netdev arrivals {
  counter arrived { }
  chain in {
    type filter hook ingress device "eth0" priority 0; policy accept;
    meta protocol arp accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept
    icmpv6 type { mld-listener-report, mld2-listener-report } accept
    counter name arrived
  }
}
"""

_ANSWER = """
import selectors, socket
watch = selectors.DefaultSelector()
for port in (80, 443, 6443, 10250):
    tcp = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    watch.register(tcp, selectors.EVENT_READ, "tcp")
for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    for port in (53, 123):
        udp = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        udp.bind((address, port))
        watch.register(udp, selectors.EVENT_READ, "udp")
print("ready", flush=True)
while True:
    for key, _ in watch.select():
        if key.data == "tcp":
            key.fileobj.accept()[0].close()
        else:
            data, sender = key.fileobj.recvfrom(2048)
            key.fileobj.sendto(data, sender)
"""


_KNOCK = f"""
import socket
for _ in range(100):
    try:
        socket.create_connection(("{OUTSIDE_6}", 80), 0.05).close()
        break
    except OSError:
        continue
else:
    raise SystemExit("the pretend Internet does not answer over IPv6")
"""


def run(*command: str, text: str = "") -> str:
    """Run a command; its error output is the failure's message."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout


@dataclass
class Space:
    """A network namespace that lives as long as its holder."""

    holder: subprocess.Popen[str]

    @property
    def path(self) -> Path:
        """Path of the namespace."""
        return Path(f"/proc/{self.holder.pid}/ns/net")

    def enter(self, *command: str) -> tuple[str, ...]:
        """Return the command that runs `command` inside."""
        return ("nsenter", f"--net={self.path}", *command)

    def run(self, *command: str, text: str = "") -> str:
        """Run a command inside."""
        return run(*self.enter(*command), text=text)

    def python(self, source: str, *arguments: str, seconds: float = 20) -> str:
        """Run Python source inside and return what it prints."""
        done = subprocess.run(
            self.enter(sys.executable, "-c", source, *arguments),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


# An address that is still checked for duplicates answers nobody for a second.
_PREPARE = """
sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0
ip link set lo up && echo ready && exec cat
"""


@contextmanager
def space() -> Iterator[Space]:
    """Make a network namespace."""
    with subprocess.Popen(
        ["unshare", "--net", "sh", "-c", _PREPARE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "ready\n"
        try:
            yield Space(holder)
        finally:
            holder.kill()


@dataclass
class Ground:
    """A pod's namespace beside a pretend Internet that answers everything."""

    pod: Space
    internet: Space

    def arrived(self) -> int:
        """Return how many packets reached the pretend Internet."""
        text = self.internet.run("nft", "-j", "list", "counters")
        return sum(
            each["counter"]["packets"] for each in json.loads(text)["nftables"] if "counter" in each
        )


@contextmanager
def ground() -> Iterator[Ground]:
    """Make a pod's namespace with a route to a pretend Internet that answers everything."""
    with space() as pod, space() as internet:
        peer = ("type", "veth", "peer", "name", "eth0", "netns", str(internet.holder.pid))
        run("ip", "link", "add", "eth0", "netns", str(pod.holder.pid), *peer)
        for inside, host in ((pod, 2), (internet, 1)):
            inside.run("ip", "addr", "add", f"10.77.0.{host}/24", "dev", "eth0")
            inside.run("ip", "addr", "add", f"fd77::{host}/64", "dev", "eth0", "nodad")
            inside.run("ip", "link", "set", "eth0", "up")
        pod.run("ip", "route", "add", "default", "via", "10.77.0.1")
        pod.run("ip", "-6", "route", "add", "default", "via", "fd77::1")
        pod.run("sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647")
        for address in (*OUTSIDE, OUTSIDE_6):
            internet.run("ip", "addr", "add", address, "dev", "lo")
        with far_side(internet):
            # IPv6 answers only once both ends know each other, up to a second later.
            pod.python(_KNOCK)
            yield Ground(pod, internet)


@contextmanager
def far_side(internet: Space) -> Iterator[None]:
    """Count what arrives at `eth0` of a namespace, and answer it."""
    internet.run("nft", "-f", "-", text=_COUNT)
    with subprocess.Popen(
        internet.enter(sys.executable, "-c", _ANSWER), stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        assert server.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            server.kill()


@dataclass
class Pod:
    """Processes in a pod's cgroup, as a runtime would start them."""

    ground: Ground
    uid: str
    directory: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(
        self, *command: str, kind: str = "container", inside: Space | None = None
    ) -> subprocess.Popen[str]:
        """Start a process in the pod's cgroup and network namespace."""
        group = self.directory / kind
        group.mkdir(exist_ok=True)
        place = inside or self.ground.pod
        join = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        process = subprocess.Popen(
            ["sh", "-c", join, "sh", *place.enter(*command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.started.append(process)
        return process

    def python(self, source: str) -> subprocess.Popen[str]:
        """Start Python source in the pod."""
        return self.start(sys.executable, "-c", source)

    def gate(self) -> subprocess.Popen[str]:
        """Start the gate in the pod."""
        return self.start(sys.executable, "-m", "carrel.node.gate", kind="gate")

    def running(self) -> int:
        """Return how many processes the pod's cgroup holds."""
        return sum(
            len((Path(parent) / "cgroup.procs").read_text().split())
            for parent, _, _ in os.walk(self.directory)
        )


def freezer() -> Path:
    """Return the root of the cgroups in which processes can be stopped."""
    found = CGROUP / "freezer"
    return found if found.is_dir() else CGROUP


@contextmanager
def pod(on: Ground) -> Iterator[Pod]:
    """Make a pod: a cgroup named after its UID, and the sandbox's first process."""
    uid = str(uuid.uuid4())
    directory = freezer() / "carrel-test" / f"pod{uid}"
    directory.mkdir(parents=True)
    made = Pod(on, uid, directory)
    try:
        made.start("sleep", "1000", kind="sandbox")
        yield made
    finally:
        _end(made)


def _end(made: Pod) -> None:
    # A process that stands still does not die.
    for name, word in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
        if (made.directory / name).exists():
            (made.directory / name).write_text(word)
    for process in made.started:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
    while made.running():
        for parent, _, _ in os.walk(made.directory):
            for pid in (Path(parent) / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
    for parent, _, _ in os.walk(made.directory, topdown=False):
        Path(parent).rmdir()


def line_of(process: subprocess.Popen[str], *, seconds: float = 20) -> str:
    """Return the next line that a process prints."""
    assert process.stdout
    ready, _, _ = select.select([process.stdout], [], [], seconds)
    assert ready, "nothing was printed in time"
    return process.stdout.readline().strip()


def tool(name: str) -> str:
    """Return the path of a tool that must be there."""
    found = shutil.which(name)
    assert found, f"{name} is needed; `carrel doctor` says how to get it"
    return found
