"""Refusals of the loopback services on their way to the recorder, counted by second.

One datagram on `recorder.sock` is one JSON object: `pod_uid`, `layer` (dns or mirror), `name`,
`type` (of a name's record) or `path`, `rule`, `sentence`, `todo`, `count`, `first` and `last`
(RFC 3339). Whatever the recorder does not take is kept and told again with what came
meanwhile, so that a recorder that restarts misses nothing; where too many different refusals
wait, they are told together as one without a name.
"""

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from carrel.flows.clock import Clock

log = logging.getLogger(__name__)

SOCKET = "recorder.sock"
"""Name of the recorder's socket in the run directory."""
MOST_KINDS = 4_096
"""Different refusals of a pod that wait at a time; the rest is told as one."""
_EVERY = 1.0
_PATIENCE = 5.0
_LONGEST_NAME = 1_100
_OTHER = ""
_MANY = "So many different names were tried at once that only their number is kept."


class Layer(StrEnum):
    """Which service refused."""

    DNS = "dns"
    """The resolver."""
    MIRROR = "mirror"
    """The package mirror."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused; equal ones are counted together."""

    layer: Layer
    name: str
    """The name that was asked for, or the package; as text that can be shown."""
    detail: str
    """Type of the record, or path of the request."""
    rule: str
    sentence: str = field(default="", compare=False)
    """Why, for the person who tried; the recorder has words of its own for an empty one."""
    todo: str = field(default="", compare=False)
    """What the person can do."""


@dataclass(slots=True)
class _Count:
    count: int
    first: datetime
    last: datetime


class Telling:
    """Counts refusals of all pods, and tells the recorder each second."""

    def __init__(self, run_directory: Path, *, clock: Clock) -> None:
        self._path = run_directory / SOCKET
        self._clock = clock
        self._channel: socket.socket | None = None
        self._waiting: dict[str, dict[Refusal, _Count]] = {}
        self.told = 0
        """Refusals that the recorder took."""

    @property
    def untold(self) -> int:
        """Refusals that the recorder has not taken yet."""
        return sum(each.count for pod in self._waiting.values() for each in pod.values())

    def add(self, pod_uid: str, refusal: Refusal, *, count: int, since: datetime) -> None:
        """Count `count` equal refusals between `since` and now."""
        pod = self._waiting.setdefault(pod_uid, {})
        if refusal not in pod and len(pod) >= MOST_KINDS:
            refusal = Refusal(refusal.layer, _OTHER, _OTHER, refusal.rule, _MANY, refusal.todo)
        now = self._clock.now()
        known = pod.get(refusal)
        if known is None:
            pod[refusal] = _Count(count, since, now)
        else:
            known.count += count
            known.last = now

    def recorder_is_there(self) -> bool:
        """Tell whether the recorder listens at this moment."""
        try:
            # A connection outlives the one it led to: only a fresh one tells.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
                probe.connect(str(self._path))
        except OSError:
            return False
        return True

    async def run(self, collect: Callable[[], None]) -> None:
        """Tell each second, for ever; `collect` is asked first for what was counted elsewhere."""
        try:
            while True:
                collect()
                await self.tell()
                await asyncio.sleep(_EVERY)
        finally:
            # Nothing else runs any more, so this may block.
            collect()
            with suppress(OSError):
                self._connected().settimeout(_PATIENCE)
                for message, done in self._messages():
                    self._connected().send(message)
                    done()
            self.close()

    async def tell(self) -> None:
        """Tell everything that waits; what is not taken stays."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_PATIENCE):
                for message, done in self._messages():
                    await loop.sock_sendall(self._connected(), message)
                    done()
        except (OSError, TimeoutError) as error:
            self.close()
            log.warning(
                "the recorder does not take refusals; they are kept",
                extra={"error": str(error), "untold": self.untold},
            )

    def _messages(self) -> Iterator[tuple[bytes, Callable[[], None]]]:
        for pod_uid in list(self._waiting):
            pod = self._waiting[pod_uid]
            for refusal in list(pod):
                counted = pod[refusal]
                sent = counted.count

                def done(
                    pod: dict[Refusal, _Count] = pod, refusal: Refusal = refusal, sent: int = sent
                ) -> None:
                    # More of the same may have come while this was on its way.
                    pod[refusal].count -= sent
                    self.told += sent
                    if pod[refusal].count <= 0:
                        del pod[refusal]

                yield _message(pod_uid, refusal, counted), done
            if not pod:
                del self._waiting[pod_uid]

    def _connected(self) -> socket.socket:
        if self._channel is None:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                channel.connect(str(self._path))
            except OSError:
                channel.close()
                raise
            self._channel = channel
        return self._channel

    def close(self) -> None:
        """Let go of the recorder's socket; the next who tells connects again."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _message(pod_uid: str, refusal: Refusal, counted: _Count) -> bytes:
    said = {
        "pod_uid": pod_uid,
        "layer": refusal.layer,
        "name": refusal.name[:_LONGEST_NAME],
        "type" if refusal.layer is Layer.DNS else "path": refusal.detail[:_LONGEST_NAME],
        "rule": refusal.rule,
        "count": counted.count,
        "first": counted.first.isoformat(),
        "last": counted.last.isoformat(),
    }
    words = {"sentence": refusal.sentence, "todo": refusal.todo}
    return json.dumps(said | {key: text for key, text in words.items() if text}).encode()
