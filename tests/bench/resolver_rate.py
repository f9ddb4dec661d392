"""How many questions a second the resolver refuses, answers and has recorded.

    python tests/bench/resolver_rate.py --seconds 10 --output FILE.json

The resolver runs in a process of its own on real sockets; another asks as fast as it is
answered, keeping a window of questions under way; this one plays the recorder. After each
run the counts that were told must add up to the questions that were answered.
"""

import argparse
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.machine import machine

SERVE = """
import asyncio, signal, socket, sys
from pathlib import Path
from carrel.flows.clock import SystemClock
from carrel.node.relay.resolver import Resolver
from carrel.node.relay.telling import Telling
from carrel.rules.egress import egress_rules

async def main():
    clock = SystemClock()
    telling = Telling(Path(sys.argv[1]), clock=clock)
    resolver = Resolver(
        "bench", own_name="workspace", policy=egress_rules("nothing", None), telling=telling,
        clock=clock,
    )
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    udp.bind(("127.0.0.1", 0))
    print(udp.getsockname()[1], flush=True)
    task = asyncio.gather(resolver.serve_datagrams(udp), telling.run(resolver.collect))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        pass

asyncio.run(main())
"""
WINDOW = 64


def question(name: str) -> bytes:
    """Return a question for the address of `name`, without the identifier."""
    labels = b"".join(bytes([len(each)]) + each.encode() for each in name.split("."))
    return b"\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"


def ask(port: int, seconds: float, *, names: str) -> tuple[int, float, int]:
    """Ask for `seconds`; return questions answered, seconds, and answers that never came."""
    channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    channel.settimeout(2)
    channel.connect(("127.0.0.1", port))
    repeated = [question(f"host{number}.evil.example") for number in range(100)]
    answered = asked = lost = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for _ in range(WINDOW):
            ident = asked.to_bytes(4, "big")[2:]
            tail = (
                repeated[asked % 100] if names == "repeated" else question(f"n{asked}.evil.example")
            )
            channel.send(ident + tail)
            asked += 1
        for _ in range(WINDOW):
            try:
                channel.recv(600)
                answered += 1
            except TimeoutError:
                lost += 1
    took = time.perf_counter() - began
    channel.close()
    return answered, took, lost


def told(recorder: socket.socket, process: subprocess.Popen[str]) -> int:
    """Stop the resolver; return what it told meanwhile and at its end."""
    process.terminate()
    total = 0
    while True:
        ready, _, _ = select.select([recorder], [], [], 0.2)
        if ready:
            total += int(json.loads(recorder.recv(65_536))["count"])
        elif process.poll() is not None:
            return total


def run(seconds: float, *, names: str) -> dict[str, object]:
    """Measure one kind of questions."""
    with tempfile.TemporaryDirectory() as folder:
        recorder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        recorder.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**24)
        recorder.bind(f"{folder}/recorder.sock")
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, folder], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        port = int(process.stdout.readline())
        asker = subprocess.Popen(
            [sys.executable, __file__, f"--ask={port}", f"--names={names}", f"--seconds={seconds}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        heard = 0
        while asker.poll() is None:
            if select.select([recorder], [], [], 0.1)[0]:
                heard += int(json.loads(recorder.recv(65_536))["count"])
        answered, took, lost = json.loads(asker.communicate()[0])
        usage = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        cpu = (int(usage[11]) + int(usage[12])) / os.sysconf("SC_CLK_TCK")
        heard += told(recorder, process)
        recorder.close()
    assert heard == answered + lost, f"{heard} told, {answered} answered"
    return {
        "names": names,
        "questions": answered,
        "seconds": round(took, 2),
        "perSecond": round(answered / took),
        "perSecondOfResolverCPU": round(answered / cpu),
        "unanswered": lost,
        "toldToRecorder": heard,
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--ask", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--names", default="repeated", choices=["repeated", "unique"])
    given = parser.parse_args()
    if given.ask:
        print(json.dumps(ask(given.ask, given.seconds, names=given.names)))
        return
    result = {
        "machine": machine(),
        "runs": [run(given.seconds, names=names) for names in ("repeated", "unique")],
    }
    text = json.dumps(result, indent=2) + "\n"
    if given.output:
        given.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
