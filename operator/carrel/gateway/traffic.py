"""What is open between browsers and workspaces now, and how all of it ends at once."""

import asyncio
import socket
import struct
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from carrel.flows.clock import Clock
from carrel.gateway.state import Session
from carrel.kinds import Workspace
from carrel.rules.front_door import Refused

_NOT_A_BYTE_MORE = struct.pack("ii", 1, 0)
"""SO_LINGER: what the kernel still holds of a connection is dropped with it."""


class Kind(StrEnum):
    """What is under way."""

    REQUEST = "Request"
    SOCKET = "Socket"


@dataclass(eq=False)
class Crossing:
    """One request or socket that is under way."""

    workspace: Workspace
    session: Session
    transport: asyncio.Transport | None
    task: asyncio.Task[object] | None
    kind: Kind
    up: int = 0
    down: int = 0
    cut: Refused | None = None
    """Why it was ended; None while it goes on."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What was ended, and when."""

    workspace: Workspace
    subject: str
    refused: Refused
    decided: datetime
    last_byte: datetime
    """When the last connection was taken away: nothing was sent after it."""
    sockets: int
    requests: int


@dataclass
class Traffic:
    """Everything under way, by workspace."""

    clock: Clock
    _open: dict[str, dict[Crossing, None]] = field(default_factory=lambda: defaultdict(dict))

    @contextmanager
    def crossing(
        self,
        workspace: Workspace,
        session: Session,
        *,
        transport: asyncio.Transport | None,
        kind: Kind,
    ) -> Iterator[Crossing]:
        """Be under way until left; what is cut meanwhile loses its connection and its task."""
        name = workspace.metadata.name
        made = Crossing(workspace, session, transport, asyncio.current_task(), kind)
        self._open[name][made] = None
        try:
            yield made
        finally:
            del self._open[name][made]
            if not self._open[name]:
                del self._open[name]

    def open(self, workspaces: Iterable[str] | None = None) -> set[tuple[str, str]]:
        """Return who has something open of which workspace."""
        names = list(self._open) if workspaces is None else workspaces
        return {(name, each.session.subject) for name in names for each in self._open.get(name, ())}

    def of_workspace(self, workspace: str) -> int:
        """Return how much of one workspace is under way."""
        return len(self._open.get(workspace, ()))

    def count(self, kind: Kind) -> int:
        """Return how many of a kind are under way."""
        return sum(each.kind is kind for known in self._open.values() for each in known)

    def cut(
        self,
        refused: Refused,
        chosen: Callable[[Crossing], bool],
        workspaces: Iterable[str] | None = None,
    ) -> list[Cut]:
        """End everything that is chosen, at once; return what was ended."""
        decided = self.clock.now()
        ended: dict[tuple[str, str], list[Crossing]] = defaultdict(list)
        names = list(self._open) if workspaces is None else list(workspaces)
        for name in names:
            for each in list(self._open.get(name, ())):
                if each.cut is None and chosen(each):
                    each.cut = refused
                    _take_away(each.transport)
                    ended[name, each.session.subject].append(each)
        last = self.clock.now()
        for crossings in ended.values():
            for each in crossings:
                if each.task is not None:
                    each.task.cancel()
        return [
            Cut(
                workspace=crossings[0].workspace,
                subject=crossings[0].session.subject,
                refused=refused,
                decided=decided,
                last_byte=last,
                sockets=sum(each.kind is Kind.SOCKET for each in crossings),
                requests=sum(each.kind is Kind.REQUEST for each in crossings),
            )
            for crossings in ended.values()
        ]


def _take_away(transport: asyncio.Transport | None) -> None:
    if transport is None:
        return
    found = transport.get_extra_info("socket")
    if found is not None:
        with suppress(OSError):  # the browser was faster: the connection is gone
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOT_A_BYTE_MORE)
    transport.abort()
