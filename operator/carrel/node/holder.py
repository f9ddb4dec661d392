"""`python -m carrel.node holder`: keeps open sockets while the other containers come and go.

It reads nothing that comes over them. Only root gives and takes back, which is `lock`; the
containers that work with the sockets have users of their own and may only look on.
"""

import asyncio
import json
import logging
import os
import resource
import selectors
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from carrel.node.handover import (
    SOCKET,
    Binding,
    HandoverError,
    close_all,
    encode,
    is_name,
    receive,
)
from carrel.node.health import Health
from carrel.node.process import until_stopped
from carrel.node.settings import Settings

log = logging.getLogger(__name__)

_UCRED = struct.Struct("iII")
_LATER = 0.05


class _Watcher:
    """Somebody who looks on: what was not told yet, in order."""

    def __init__(self, channel: socket.socket, names: list[str]) -> None:
        self.channel = channel
        self.untold = dict.fromkeys(names)
        self.synced = False

    @property
    def waits(self) -> bool:
        return bool(self.untold) or not self.synced


class Holder:
    """Keeps sockets by name, and tells those who look on."""

    def __init__(self, run_directory: Path) -> None:
        self._path = run_directory / SOCKET
        self._kept: dict[str, tuple[int, dict[str, Any]]] = {}
        self._watchers: dict[socket.socket, _Watcher] = {}
        self._selector = selectors.DefaultSelector()
        self._listener = _listen(self._path)
        self._selector.register(self._listener, selectors.EVENT_READ)

    async def run(self) -> None:
        """Keep until cancelled."""
        ready = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._selector.fileno(), ready.set)
        try:
            while True:
                ready.clear()
                self.turn()
                # Somebody reads slowly, or too many descriptors are under way: ask again soon.
                late = any(watcher.waits for watcher in self._watchers.values())
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LATER if late else None):
                        await ready.wait()
        finally:
            loop.remove_reader(self._selector.fileno())
            self.close()

    def turn(self) -> None:
        """Attend to whatever is ready now."""
        for key, _ in self._selector.select(0):
            channel = key.fileobj
            assert isinstance(channel, socket.socket)  # noqa: S101 - nothing else is registered
            if channel is self._listener:
                self._welcome()
            else:
                self._hear(channel)
        for watcher in list(self._watchers.values()):
            self._tell(watcher)

    def close(self) -> None:
        """Let go of everything."""
        for channel in [key.fileobj for key in self._selector.get_map().values()]:
            assert isinstance(channel, socket.socket)  # noqa: S101 - as above
            channel.close()
        self._selector.close()
        close_all([descriptor for descriptor, _ in self._kept.values()])
        self._kept.clear()

    def _welcome(self) -> None:
        with suppress(OSError):
            channel, _ = self._listener.accept()
            channel.setblocking(False)
            self._selector.register(channel, selectors.EVENT_READ)

    def _hear(self, channel: socket.socket) -> None:
        received: list[int] = []
        try:
            data, received = receive(channel)
            if not data:
                self._part(channel)
                return
            answer = self._act(channel, json.loads(data), received)
        except BlockingIOError:
            return
        except (HandoverError, ValueError, RecursionError, TypeError, KeyError) as error:
            log.warning("refused", extra={"error": str(error)})
            answer = {"error": str(error)[:500]}
        except OSError:
            self._part(channel)
            return
        finally:
            close_all(received)
        if answer is not None:
            try:
                channel.send(encode(answer))
            except (OSError, HandoverError):
                self._part(channel)

    def _act(
        self, channel: socket.socket, message: dict[str, Any], received: list[int]
    ) -> dict[str, Any] | None:
        match message:
            case {"op": "watch"}:
                self._watchers[channel] = _Watcher(channel, list(self._kept))
                return None
            case {"op": "names"}:
                return {"names": sorted(self._kept)}
            case {"op": "put", "name": str(name), "meta": dict(meta)} if len(received) == 1:
                _only_root(channel)
                self._put(name, meta, received)
                return {"kept": name}
            case {"op": "bind", "name": str(name), "meta": dict(meta)} if not received:
                _only_root(channel)
                self._bind(name, meta)
                return {"kept": name}
            case {"op": "drop", "prefix": str(prefix)} if prefix:
                _only_root(channel)
                return {"dropped": self._drop(prefix)}
        raise HandoverError(
            "message_is_not_understood: watch, names, put with a name, a binding and one "
            "descriptor, bind with a name and a binding, or drop with a prefix"
        )

    def _put(self, name: str, meta: dict[str, Any], received: list[int]) -> None:
        _check(name, meta)
        if not stat.S_ISSOCK(os.fstat(received[0]).st_mode):
            raise HandoverError(f"descriptor_is_no_socket: {name}")
        before = self._kept.get(name)
        self._kept[name] = (received.pop(), meta)
        if before is not None:
            os.close(before[0])
        self._changed(name)

    def _bind(self, name: str, meta: dict[str, Any]) -> None:
        _check(name, meta)
        if name not in self._kept:
            raise HandoverError(f"nothing_is_kept: {name}; put it first")
        descriptor, before = self._kept[name]
        if meta != before:
            self._kept[name] = (descriptor, meta)
            self._changed(name)

    def _drop(self, prefix: str) -> int:
        gone = [name for name in self._kept if name.startswith(prefix)]
        for name in gone:
            os.close(self._kept.pop(name)[0])
            self._changed(name)
        return len(gone)

    def _changed(self, name: str) -> None:
        for watcher in self._watchers.values():
            watcher.untold[name] = None

    def _tell(self, watcher: _Watcher) -> None:
        try:
            while watcher.untold:
                name = next(iter(watcher.untold))
                self._tell_of(watcher.channel, name)
                del watcher.untold[name]
            if not watcher.synced:
                watcher.channel.send(encode({"synced": True}))
                watcher.synced = True
        except BlockingIOError:
            return  # it reads slowly, or has too many descriptors under way: later
        except OSError:
            self._part(watcher.channel)

    def _tell_of(self, channel: socket.socket, name: str) -> None:
        kept = self._kept.get(name)
        if kept is None:
            channel.send(encode({"name": name}))
        else:
            socket.send_fds(channel, [encode({"name": name, "meta": kept[1]})], [kept[0]])

    def _part(self, channel: socket.socket) -> None:
        self._watchers.pop(channel, None)
        with suppress(KeyError):
            self._selector.unregister(channel)
        channel.close()


def _check(name: str, meta: dict[str, Any]) -> None:
    if not is_name(name):
        raise HandoverError(f"name_is_odd: {name[:80]!r}; write <pod UID>/<kind>")
    if Binding.read(meta).pod_uid != name.partition("/")[0]:
        raise HandoverError(f"binding_is_of_another_pod: {name}")


def _only_root(channel: socket.socket) -> None:
    raw = channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, user, _ = _UCRED.unpack(raw)
    if user not in (0, os.geteuid()):
        raise HandoverError(f"user_may_only_look_on: user {user} is not the lock's")


def _listen(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Others make their own files here, and must not exchange each other's.
    path.parent.chmod(0o1777)
    with suppress(FileNotFoundError):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    return listener


async def run(settings: Settings) -> None:
    """Keep sockets until SIGTERM; every open copy elsewhere stays good."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    holder = Holder(settings.run_dir)
    log.info("holder begins", extra={"socket": str(settings.run_dir / SOCKET)})
    await until_stopped(holder.run(), Health().serve(settings.metrics_port))
