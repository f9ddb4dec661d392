"""What a process waits for before it is started, asked again and again without waiting itself."""

import http.client
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Gate(Protocol):
    """Something that is open or not yet."""

    def is_open(self) -> bool:
        """Answer within a second; an error is "not yet"."""
        ...


@dataclass(frozen=True, kw_only=True)
class UnixSocket:
    """Open once somebody listens on this path."""

    path: str

    def is_open(self) -> bool:
        """Whether a connection is taken."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            return probe.connect_ex(self.path) == 0


@dataclass(frozen=True, kw_only=True)
class FileThere:
    """Open once this file exists."""

    path: Path

    def is_open(self) -> bool:
        """Whether it exists."""
        return self.path.exists()


@dataclass(frozen=True, kw_only=True)
class LoopbackPort:
    """Open once somebody listens on this port of the instance's loopback."""

    port: int

    def is_open(self) -> bool:
        """Whether a connection is taken."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@dataclass(frozen=True, kw_only=True)
class Https:
    """Open once this path answers 200, under the instance's own authority."""

    port: int
    path: str
    authority: Path

    def is_open(self) -> bool:
        """Whether the answer is 200."""
        try:
            context = ssl.create_default_context(cafile=str(self.authority))
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=1, context=context
            )
            try:
                connection.request("GET", self.path)
                return connection.getresponse().status == http.client.OK
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return False
