"""What the agent last heard, kept on the node's disk.

An agent that starts while the API server is away still knows whose time will come when.
"""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from carrel.kinds.resource import Digest
from carrel.node.watched import WatchedPod, WatchedWorkspace

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recollection:
    """Workspaces and pods of this node, as they were last heard of."""

    workspaces: tuple[WatchedWorkspace, ...] = ()
    pods: tuple[WatchedPod, ...] = ()
    digests: Mapping[str, Digest] = field(default_factory=dict)
    """What was loaded into each pod, by its UID: an agent of another version loads another."""
    gateways: tuple[str, ...] = ()
    """Whom the locks let in."""


_FORM = TypeAdapter(Recollection)


class Memory:
    """A file that holds the last recollection; it is lost rather than half."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept: bytes = b""

    def recall(self) -> Recollection:
        """Return what was kept; nothing where there is no file, or one of another version."""
        try:
            self._kept = self._path.read_bytes()
            return _FORM.validate_json(self._kept)
        except FileNotFoundError:
            return Recollection()
        except (OSError, ValidationError) as error:
            log.warning("nothing recalled", extra={"error": str(error)})
            return Recollection()

    def keep(self, recollection: Recollection) -> None:
        """Keep it, if it differs from what is kept; trouble is logged and never stops a stop."""
        data = _FORM.dump_json(recollection)
        if data == self._kept:
            return
        arriving = self._path.with_name(f".{self._path.name}")
        try:
            with arriving.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            arriving.replace(self._path)
        except OSError as error:
            log.warning("not kept", extra={"error": str(error)})
            with suppress(OSError):
                arriving.unlink()
            return
        self._kept = data
