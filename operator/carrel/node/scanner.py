"""One look at /proc serves every pod of the node."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from carrel.node.processes import PROC, Process, find_processes
from carrel.node.termination import seal
from carrel.node.watched import CONTAINERS

_HURRY = 0.01
_SEEK = 0.1
_CALM = 1.0
_HURRY_ROUNDS = 3_000

Observer = Callable[[tuple[Process, ...]], None]


class Scanner:
    """Looks for the processes of pods, quickly while one is about to start.

    Each look also seals the termination messages, so that they are read-only before user code
    of a container can run.
    """

    def __init__(self, *, kubelet_root: Path, proc: Path = PROC) -> None:
        self._kubelet_root = kubelet_root
        self._proc = proc
        self._observers: dict[str, Observer] = {}
        self._hurried: dict[str, int] = {}
        self._wake = asyncio.Event()

    def watch(self, uid: str, observer: Observer) -> None:
        """Tell `observer` the processes of a pod, oldest first, after every look."""
        self._observers[uid] = observer
        self.hurry(uid)

    def hurry(self, uid: str) -> None:
        """Look again every 10 ms, because this pod is about to change."""
        if uid in self._observers:
            self._hurried[uid] = _HURRY_ROUNDS
            self._wake.set()

    def ease(self, uid: str) -> None:
        """Look ten times a second until the workspace's termination messages are sealed."""
        if uid in self._hurried:
            self._hurried[uid] = 0

    def leave(self, uid: str) -> None:
        """Look no more for this pod."""
        self._observers.pop(uid, None)
        self._hurried.pop(uid, None)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await self.look()
            try:
                # Not wait_for: in Python 3.11 it can swallow a cancellation (bpo-42130).
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def look(self) -> None:
        """Look once."""
        uids = tuple(self._observers)
        found, sealed = await asyncio.to_thread(self._look, uids)
        for uid in uids:
            observer = self._observers.get(uid)
            if observer is not None:
                observer(found.get(uid, ()))
        self._hurried = {
            uid: left - 1 for uid, left in self._hurried.items() if left > 0 or uid not in sealed
        }

    def _look(
        self, uids: tuple[str, ...]
    ) -> tuple[Mapping[str, tuple[Process, ...]], frozenset[str]]:
        sealed = {uid for uid in uids if self._is_sealed(uid)}
        return find_processes(uids, proc=self._proc), frozenset(sealed)

    def _is_sealed(self, uid: str) -> bool:
        files = seal(self._kubelet_root, uid)
        return all(files.get(name) for name in CONTAINERS)

    def _pause(self) -> float:
        if not self._hurried:
            return _CALM
        # An image that takes minutes to arrive must not cost a core all the while.
        return _HURRY if max(self._hurried.values()) > 0 else _SEEK
