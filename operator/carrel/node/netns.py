"""Network namespaces: a handle that keeps one alive, and work done inside it."""

import asyncio
import ctypes
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Self, TypeVar

_CLONE_NEWNET = 0x4000_0000
_NETLINK_NETFILTER = 12
_NFNLGRP_NFTABLES = 7
T = TypeVar("T")

_libc = ctypes.CDLL(None, use_errno=True)


class NamespaceError(Exception):
    """A network namespace could not be entered, or is one that must never be."""


class NetworkNamespace:
    """A network namespace held by an open descriptor, which outlives every process in it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        found = os.fstat(descriptor)
        self.identity = (found.st_dev, found.st_ino)

    @classmethod
    def of_process(cls, pid: int, *, proc: Path) -> Self:
        """Open the namespace of a process; OSError when the process is gone."""
        return cls(os.open(proc / str(pid) / "ns/net", os.O_RDONLY | os.O_CLOEXEC))

    @classmethod
    def at(cls, path: Path) -> Self:
        """Open the namespace that is bound to a path, as `ip netns` does."""
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    @property
    def descriptor(self) -> int:
        """The open descriptor, for a child that enters the namespace."""
        return self._descriptor

    def close(self) -> None:
        """Let go of the namespace."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    async def inside(self, work: Callable[[], T]) -> T:
        """Run `work` inside the namespace, in a thread of its own.

        A thread that entered a namespace would carry it into whatever it does next, so it is
        used once and ends: nothing has to be set back, and nothing can be forgotten.
        """
        outcome: Future[T] = Future()
        # Should somebody close us meanwhile, the number might come to mean another namespace.
        descriptor = os.dup(self._descriptor)

        def run() -> None:
            if not outcome.set_running_or_notify_cancel():
                os.close(descriptor)
                return
            try:
                try:
                    _enter(descriptor)
                finally:
                    os.close(descriptor)
                outcome.set_result(work())
            except BaseException as error:  # noqa: BLE001 - carried over to the caller, whole
                outcome.set_exception(error)

        threading.Thread(target=run, name="inside-netns", daemon=True).start()
        return await asyncio.wrap_future(outcome)


def namespaces_of(*paths: Path) -> frozenset[tuple[int, int]]:
    """Return the identities of namespaces; OSError where one cannot be read."""
    found = [path.stat() for path in paths]
    return frozenset((each.st_dev, each.st_ino) for each in found)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise NamespaceError(f"cannot enter the network namespace: {reason}")


def devices() -> tuple[str, ...]:
    """Return the names of the devices of the present namespace, without loopback, sorted."""
    return tuple(sorted(name for _, name in socket.if_nameindex() if name != "lo"))


def listen_abstract(name: str) -> socket.socket:
    """Listen on the abstract Unix socket `name` of the present namespace.

    Abstract names belong to a network namespace: nobody outside of it can connect.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.bind(b"\0" + name.encode())
        listener.listen(4)
    except OSError:
        listener.close()
        raise
    return listener


def watch_nftables() -> socket.socket:
    """Open a socket that becomes readable when a rule set of the present namespace changes."""
    watcher = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETLINK_NETFILTER
    )
    try:
        watcher.bind((0, 1 << (_NFNLGRP_NFTABLES - 1)))
    except OSError:
        watcher.close()
        raise
    return watcher


def reachable(family: socket.AddressFamily, address: str) -> bool:
    """Tell whether the present namespace has a route to `address`; nothing is sent."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
    except OSError:
        return False
    return True
