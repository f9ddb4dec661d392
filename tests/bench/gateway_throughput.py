"""How many requests a second the gateway passes on, and how fast it takes sockets away.

    python tests/bench/gateway_throughput.py --seconds 10 --output FILE.json

TLS on both sides, a certificate of the gateway's towards the backend, 20 connections, answers of
1 KiB and 1 MiB; every request is judged, counted and recorded. Then idle sockets are held, and
100 open ones lose their grant. Asker and backend share the machine's cores with the gateway, so
the rate for each second that the gateway computed says more than the rate.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from carrel.flows.certificates import Use, make_authority, make_server
from support.door_bench import SECRET, desks
from support.door_world import DESK, HOST
from support.machine import machine

SIZES = {"1KiB": "/api/status", "1MiB": "/static/a.js"}
PROGRAM = Path(__file__).parents[1] / "support" / "door_bench.py"
KERNEL = "/api/kernels/0a1b2c3d-0000-4000-8000-000000000000/channels"


def prepare(folder: Path) -> None:
    """Write certificates."""
    now = datetime.now(UTC)  # noqa: TID251 - TLS takes the real time
    authority = make_authority(now=now)
    pairs = {
        "public": make_server([HOST, f"*.{HOST}"], authority=authority, now=now),
        "own": make_server(["localhost"], authority=authority, now=now, use=Use.SERVE_AND_CALL),
        "desk": make_server(["localhost"], authority=authority, now=now),
    }
    for name, pair in pairs.items():
        (folder / f"{name}.crt").write_bytes(pair.certificate)
        (folder / f"{name}.key").write_bytes(pair.key)
    (folder / "ca.crt").write_bytes(authority.certificate)


@contextmanager
def running(*command: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program until left."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a program prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def head(path: str, *, desk: str = DESK, more: str = "") -> bytes:
    """Return a request as Lab's page sends it."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {desk}.{HOST}\r\nAccept: */*\r\n"
        f"Accept-Encoding: gzip, deflate, br\r\nSec-Fetch-Site: same-origin\r\n"
        f"Sec-Fetch-Dest: empty\r\nCookie: __Host-carrel-desk={SECRET} {desk}\r\n{more}\r\n"
    ).encode()


def trusting() -> ssl.SSLContext:
    """Return the asker's side of TLS; who answers was started here."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a proxy, with room for an answer in one piece."""
    return await asyncio.open_connection(
        "127.0.0.1", port, ssl=trusting(), limit=2**21, server_hostname=f"{DESK}.{HOST}"
    )


async def ask(
    port: int, path: str, *, pid: int, seconds: float, connections: int
) -> dict[str, float]:
    """Ask over so many connections at once; return rate, times, and what the proxy computed."""
    computed = cpu(pid)
    took: list[float] = []
    held = 0
    request = head(path)

    async def one() -> None:
        nonlocal held
        reader, writer = await connect(port)
        while (began := time.perf_counter()) < end:
            writer.write(request)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", answer)
            assert length is not None, answer
            body = await reader.readexactly(int(length[1]))
            if b"records_are_behind" in body:
                # What the gateway does by design where the disk takes longer than a second.
                held += 1
                continue
            assert answer.startswith(b"HTTP/1.1 200"), body
            took.append(time.perf_counter() - began)
        writer.transport.abort()

    end = time.perf_counter() + seconds
    await asyncio.gather(*(one() for _ in range(connections)))
    took.sort()
    return {
        "perSecond": round(len(took) / seconds),
        "perSecondOfProxyCPU": round(len(took) / (cpu(pid) - computed)),
        "p50ms": round(1000 * statistics.median(took), 2),
        "p99ms": round(1000 * took[int(len(took) * 0.99)], 2),
        "heldForRecords": held,
    }


async def until_open(port: int) -> None:
    """Wait until the workspace is served: a gateway lists the cluster before it believes."""
    async with asyncio.timeout(60):
        while True:
            reader, writer = await connect(port)
            writer.write(head(SIZES["1KiB"]))
            answer = await reader.readuntil(b"\r\n\r\n")
            writer.transport.abort()
            if answer.startswith(b"HTTP/1.1 200"):
                return


async def opened(port: int, desk: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a WebSocket."""
    reader, writer = await connect(port)
    more = (
        f"Origin: https://{desk}.{HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    writer.write(head(KERNEL, desk=desk, more=more))
    answer = await reader.readuntil(b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 101"), answer
    return reader, writer


async def revoked(port: int, process: subprocess.Popen[str], count: int) -> dict[str, object]:
    """Return how long after the revocation sockets ended."""
    sockets = [await opened(port, DESK) for _ in range(count)]

    async def end(reader: asyncio.StreamReader) -> float:
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
        return time.monotonic()

    ends = [asyncio.create_task(end(reader)) for reader, _ in sockets]
    await asyncio.sleep(1)
    process.send_signal(signal.SIGUSR1)
    moments = await asyncio.gather(*ends)
    decided = float(await asyncio.to_thread(line, process))
    for _, writer in sockets:
        writer.transport.abort()
    return {
        "sockets": count,
        "firstMs": round(1000 * (min(moments) - decided), 1),
        "lastMs": round(1000 * (max(moments) - decided), 1),
    }


async def idle(port: int, pid: int, count: int, names: list[str]) -> dict[str, object]:
    """Return what idle sockets cost in memory."""
    before = resident(pid)
    held = [await opened(port, names[number % len(names)]) for number in range(count)]
    await asyncio.sleep(2)
    after = resident(pid)
    for _, writer in held:
        writer.transport.abort()
    return {
        "sockets": count,
        "beforeMiB": round(before / 2**20, 1),
        "afterMiB": round(after / 2**20, 1),
        "eachKiB": round((after - before) / 1024 / count, 1),
    }


def cpu(pid: int) -> float:
    """Return the seconds that a process has computed."""
    usage = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(usage[11]) + int(usage[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Return the memory of a process, in bytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def measured(given: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Run everything once."""
    count = 10
    rates: dict[str, list[dict[str, float]]] = {}
    with running(sys.executable, str(PROGRAM), "backend", str(folder)) as behind:
        target = line(behind)
        command = [sys.executable, str(PROGRAM), "gateway", str(folder), target, str(count)]
        with running(*command) as door:
            port = int(line(door))
            asyncio.run(until_open(port))
            for _ in range(given.rounds):
                for size, path in SIZES.items():
                    rate = asyncio.run(
                        ask(port, path, pid=door.pid, seconds=given.seconds, connections=20)
                    )
                    rates.setdefault(size, []).append(rate)
            held = asyncio.run(idle(port, door.pid, given.sockets, desks(count)))
            ended = asyncio.run(revoked(port, door, 100))
    return {"rates": rates, "idle": held, "revocation": ended}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sockets", type=int, default=2000)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    before = machine()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        result = {"machine": before, **measured(given, Path(folder))}
    text = json.dumps(result, indent=2) + "\n"
    if given.output:
        given.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
