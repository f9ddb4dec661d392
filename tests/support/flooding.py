"""A workspace that floods its lock, and a neighbour whose time is taken meanwhile."""

import asyncio
import json
import os
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from carrel.node import nft
from carrel.node.account import Outcome
from carrel.node.netns import NetworkNamespace
from carrel.node.nft import lock_of
from carrel.node.recording import NotRecordedError, Recording
from carrel.render.nft import Counts, WireLayer
from support.ground import Ground, Space
from support.loopback import STROKE
from support.stand import holding, recorder_process, said
from support.sums import reconciled

# Past the interpreter's own sockets: an exception for each refusal would halve the rate.
_FLOOD = """
import ctypes, json, socket, struct, sys, time
libc = ctypes.CDLL(None)
seconds, wanted = float(sys.argv[1]), float(sys.argv[2])
channel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
# Not connected: else the refusal of one datagram is the answer to the next, which is not sent.
where = struct.pack("=H", socket.AF_INET) + struct.pack("!H", 9)
where += socket.inet_aton("203.0.113.1") + bytes(8)
send, number = libc.sendto, channel.fileno()
send.argtypes = (
    ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_char_p, ctypes.c_int
)
began, sent = time.perf_counter(), 0
while (spent := time.perf_counter() - began) < seconds:
    if wanted and sent > spent * wanted:
        time.sleep(0.0005)
        continue
    for _ in range(200):
        send(number, b"x", 1, 0, where, 16)
    sent += 200
spent, cpu = time.perf_counter() - began, time.process_time()
print(json.dumps({"sent": sent, "seconds": spent, "cpu": cpu}))
"""

# A refused connect and a request to a service on loopback, by turns, each timed.
_PROBE = """
import json, socket, sys, threading, time
seconds = float(sys.argv[1])
server = socket.create_server(("127.0.0.1", 0))
def serve():
    while True:
        channel, _ = server.accept()
        channel.sendall(channel.recv(64))
        channel.close()
threading.Thread(target=serve, daemon=True).start()
times = {"refused": [], "loopback": []}
ends = time.perf_counter() + seconds
while time.perf_counter() < ends:
    began = time.perf_counter_ns()
    channel = socket.socket()
    try:
        channel.connect(("203.0.113.1", 80))
    except ConnectionRefusedError:
        times["refused"].append(time.perf_counter_ns() - began)
    channel.close()
    began = time.perf_counter_ns()
    with socket.create_connection(server.getsockname()) as channel:
        channel.sendall(b"GET")
        channel.recv(64)
    times["loopback"].append(time.perf_counter_ns() - began)
    time.sleep(0.001)
print(json.dumps(times))
"""


@dataclass
class Times:
    """Microseconds of one kind of request, without and with a flood beside it."""

    quiet: list[float] = field(default_factory=list)
    flooded: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, object]:
        """Return percentiles of both, and how the 99th changes."""
        quiet, flooded = _percentiles(self.quiet), _percentiles(self.flooded)
        change = 100 * (flooded["p99"] / quiet["p99"] - 1)
        return {"quiet": quiet, "flooded": flooded, "p99ChangePercent": round(change, 1)}


def _percentiles(values: list[float]) -> dict[str, float]:
    cut = statistics.quantiles(values, n=1000)
    found = {"p50": cut[499], "p99": cut[989], "p999": cut[998]}
    return {name: round(each, 1) for name, each in found.items()} | {"count": len(values)}


@dataclass
class Flood:
    """What a flood showed."""

    sent: int = 0
    seconds: float = 0.0
    counted: int = 0
    """Packets that the kernel counted, of the flooding workspace."""
    recorded: int = 0
    lost: int = 0
    """Packets known to be lost, and recorded as such."""
    leaked: int = 0
    flood_cpu: float = 0.0
    """CPU seconds of the flooding process, which the kernel's refusing is part of."""
    recorder_cpu: float = 0.0
    recorder_megabytes: int = 0
    """The recorder's memory at its largest."""
    refused: Times = field(default_factory=Times)
    loopback: Times = field(default_factory=Times)


async def flood(
    attacker: Ground, neighbour: Ground, directory: Path, *, seconds: float, rate: float, parts: int
) -> Flood:
    """Flood for `seconds`, in `parts` with quiet of the same length between them.

    `rate` is in packets a second; 0 is as fast as one process can. What was sent is compared to
    the last packet with the kernel's counters and the records.
    """
    told = Flood()
    arrived = attacker.arrived() + neighbour.arrived()
    (directory / "run").mkdir()  # before there is a holder to make it
    with recorder_process(directory) as process:
        async with (
            holding(directory / "run"),
            recorded(attacker, directory, number=1) as log,
            recorded(neighbour, directory, number=2),
        ):
            await _exact(log, uid(1))
            begun = _cpu_seconds(process.pid)
            for _ in range(parts):
                await _measure(neighbour.pod, seconds / parts, told, quiet=True)
                flooding = asyncio.create_task(_send(attacker.pod, seconds / parts, rate))
                await _measure(neighbour.pod, seconds / parts, told, quiet=False)
                done = await flooding
                told.sent += int(done["sent"])
                told.seconds += done["seconds"]
                told.flood_cpu += done["cpu"]
            await _exact(log, uid(1))
            told.recorder_cpu = _cpu_seconds(process.pid) - begun
            status = Path(f"/proc/{process.pid}/status").read_text()
        told.recorder_megabytes = int(status.partition("VmHWM:")[2].split()[0]) // 1024
    _sum_up(directory, told)
    told.leaked = attacker.arrived() + neighbour.arrived() - arrived
    return told


def uid(number: int) -> str:
    """Return the UID of one of the pods."""
    return f"0c5f7a4e-0000-4000-8000-{number:012}"


@asynccontextmanager
async def recorded(on: Ground, directory: Path, *, number: int) -> AsyncIterator[Recording]:
    """Lock a pod and have it recorded, as the lock does."""
    namespace = NetworkNamespace.at(on.pod.path)
    log = Recording(namespace, run_directory=directory / "run", wire=WireLayer.PRESENT)
    try:
        await log.open()
        lock = await lock_of(namespace, wire=WireLayer.PRESENT)
        await nft.load(namespace, lock, counts=Counts.FRESH)
        binding = replace(STROKE, pod_uid=uid(number), netns=number)
        await log.give(binding)
        yield log
    finally:
        log.close()
        namespace.close()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _send(pod: Space, seconds: float, rate: float) -> dict[str, float]:
    said = await asyncio.to_thread(
        pod.python, _FLOOD, str(seconds), str(rate), seconds=seconds + 60
    )
    return dict(json.loads(said))


async def _measure(pod: Space, seconds: float, told: Flood, *, quiet: bool) -> None:
    times = json.loads(
        await asyncio.to_thread(pod.python, _PROBE, str(seconds), seconds=seconds + 60)
    )
    for name in ("refused", "loopback"):
        kept: Times = getattr(told, name)
        (kept.quiet if quiet else kept.flooded).extend(each / 1000 for each in times[name])


async def _exact(log: Recording, pod_uid: str) -> None:
    for _ in range(600):
        try:
            if (await log.reconcile(pod_uid)).outcome is Outcome.EXACT:
                return
        except NotRecordedError:
            await asyncio.sleep(0.1)
    raise AssertionError("it never became exact")


def _sum_up(directory: Path, told: Flood) -> None:
    ours = [each for each in said(directory / "recorder") if each.get("podUID") == uid(1)]
    reconciled(ours)
    last = [each["detail"] for each in ours if each["activity"] == "CountsReconciled"][-1]
    told.counted = last["counted"] + last["wireCounted"]
    told.recorded = last["recorded"] + last["wireRecorded"]
    told.lost = last["lost"] + last["wireLost"]
