"""Operator and revoker as processes of their own, and waiting for what they bring about."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import aiohttp

from support.examples import PLATFORM_IMAGE

T = TypeVar("T")

_NOTHING_ELSE: Mapping[str, str] = MappingProxyType({})


class Process:
    """`python -m carrel.<part>` against an API server."""

    def __init__(
        self, part: str, *, kubeconfig: Path, folder: Path, site: Mapping[str, str] = _NOTHING_ELSE
    ) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self._command = [sys.executable, "-m", f"carrel.{part}"]
        self._environment = {
            **os.environ,
            "CARREL_NAMESPACE": "carrel-system",
            "CARREL_PLATFORM_IMAGE": PLATFORM_IMAGE,
            "CARREL_USER_PREFIX": "oidc:",
            "CARREL_NETWORK_POLICY": "Enforced",
            "CARREL_HOMES": "NodeImage",
            "CARREL_USER_NAMESPACES": "Used",
            "CARREL_LEDGER_DIR": str(folder),
            "CARREL_METRICS_PORT": str(self.port),
            "CARREL_AUDIT_SECONDS": "10",
            "CARREL_KUBECONFIG": str(kubeconfig),
            **site,
        }
        self.log = folder / f"{part}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=output, stderr=output
            )

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it; return its exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(timeout=30)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Its process ID."""
        assert self._process is not None
        return self._process.pid

    async def healthz(self) -> tuple[int, str]:
        """Return status and text of /healthz."""
        url = f"http://127.0.0.1:{self.port}/healthz"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status, (await answer.text()).strip()

    async def metrics(self) -> str:
        """Return the text of /metrics."""
        url = f"http://127.0.0.1:{self.port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return await answer.text()


@contextmanager
def running(
    part: str, *, kubeconfig: Path, folder: Path, site: Mapping[str, str] = _NOTHING_ELSE
) -> Iterator[Process]:
    """Run a process for the time of a test, at a site with these settings."""
    process = Process(part, kubeconfig=kubeconfig, folder=folder, site=site)
    process.start()
    try:
        yield process
    finally:
        if process.alive:
            process.end(signal.SIGKILL)


async def eventually(
    ask: Callable[[], Awaitable[T | None]], *, within: float, what: str
) -> tuple[T, float]:
    """Ask until there is an answer that is not None; return it and the seconds it took."""
    begun = time.monotonic()
    while True:
        answer = await ask()
        took = time.monotonic() - begun
        if answer is not None:
            return answer, took
        assert took < within, f"not within {within:g} s: {what}"
        await asyncio.sleep(0.05)
