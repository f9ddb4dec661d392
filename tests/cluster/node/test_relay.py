"""The relay in a pod's own network namespace, on sockets that the holder keeps."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from carrel.node.handover import Handover, Kind
from carrel.node.netns import NetworkNamespace
from support.ground import Space, space
from support.loopback import BINDING
from support.stand import until

pytestmark = pytest.mark.root

POD = BINDING.pod_uid
ASK = """
import dns.message, dns.query, sys
query = dns.message.make_query(sys.argv[1], "TXT", use_edns=0)
ask = dns.query.tcp if sys.argv[2] == "tcp" else dns.query.udp
answer = ask(query, "127.0.0.1", timeout=60)
print(answer.rcode(), [each.to_text() for each in answer.options])
"""
REFUSED = "3 ['EDE 15 (Blocked): egress.name_never_forwarded']"
FETCH = """
import sys, urllib.request
print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())
"""


@contextmanager
def process(name: str, run: Path, *, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "CARREL_NODE_NAME": "node-1",
        "CARREL_RUN_DIR": str(run),
        "CARREL_RELAY_DIR": str(run / "relay"),
        "CARREL_METRICS_PORT": str(port),
    }
    started = subprocess.Popen([sys.executable, "-m", "carrel.node", name], env=environment)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def listening() -> dict[Kind, socket.socket]:
    """Open what the lock opens."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 53))
    ports = {Kind.DNS_TCP: 53, Kind.MIRROR: 3141, Kind.DESK: 3142}
    tcp = {kind: socket.create_server(("127.0.0.1", port)) for kind, port in ports.items()}
    return {Kind.DNS_UDP: udp, **tcp}


async def hand_over(pod: Space, run: Path) -> None:
    """Have the sockets of a pod kept, and keep none."""
    await until((run / "holder.sock").exists, seconds=120)
    namespace = NetworkNamespace.at(pod.path)
    opened = await namespace.inside(listening)
    namespace.close()
    for kind, each in opened.items():
        await Handover(run).put(kind, each.fileno(), BINDING)
        each.close()


def pip(pod: Space, target: Path, package: str) -> str:
    """Install with pip inside; return what a person sees."""
    done = subprocess.run(
        pod.enter(
            *(sys.executable, "-m", "pip", "--isolated", "install", "--no-cache-dir"),
            *("--disable-pip-version-check", "--retries=0", f"--target={target}"),
            *("--index-url=http://127.0.0.1:3141/simple", package),
        ),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 1
    return done.stderr


async def asked(pod: Space, source: str, *arguments: str) -> str:
    """Run Python inside while the loop goes on."""
    return await asyncio.to_thread(pod.python, source, *arguments, seconds=120)


async def test_a_workspace_is_served_and_stays_so_when_the_relay_is_killed(tmp_path: Path) -> None:
    with space() as pod, process("holder", tmp_path, port=18091):
        await hand_over(pod, tmp_path)
        with process("relay", tmp_path, port=18092) as relay:
            for over in ("udp", "tcp"):
                assert (
                    await asyncio.to_thread(pod.python, ASK, "evil.example", over, seconds=120)
                    == REFUSED
                )
            told = json.loads(
                await asyncio.to_thread(
                    pod.python, FETCH, "http://127.0.0.1:3142/v1/me", seconds=120
                )
            )
            assert told["grant"] == "brain-mri"
            said = await asyncio.to_thread(pip, pod, tmp_path / "target", "numpy")
            assert "egress.nothing_allowed" in said
            relay.kill()
            relay.wait()
            # Asked while nobody serves: the socket is kept, so the question waits.
            waiting = asyncio.create_task(asked(pod, ASK, "evil.example", "tcp"))
            with process("relay", tmp_path, port=18092):
                assert await waiting == REFUSED
                assert await asked(pod, ASK, "evil.example", "udp") == REFUSED
