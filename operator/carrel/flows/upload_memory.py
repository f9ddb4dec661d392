"""What an interrupted upload leaves behind, so that the same command continues it."""

import hashlib
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError


class Begun(BaseModel):
    """An upload that was begun."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ingest: str
    """Name of the DatasetIngest."""
    uid: str
    """Its UID."""
    token: str
    """The upload token; nobody else holds it."""


class UploadMemory:
    """One small file per folder and dataset name, readable by its owner alone."""

    def __init__(self, directory: Path, *, folder: Path, dataset: str) -> None:
        key = os.fsencode(folder.resolve()) + b"\0" + dataset.encode()
        self._file = directory / f"{hashlib.sha256(key).hexdigest()[:32]}.json"

    def recall(self) -> Begun | None:
        """Return the upload that was begun; garbled memory is no memory."""
        try:
            return Begun.model_validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return None

    def keep(self, begun: Begun) -> None:
        """Remember an upload."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        arriving = self._file.with_suffix(".arriving")
        arriving.unlink(missing_ok=True)
        descriptor = os.open(arriving, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w") as file:  # noqa: PTH123 - a descriptor
            file.write(begun.model_dump_json())
        arriving.replace(self._file)

    def forget(self) -> None:
        """Forget the upload: it has ended."""
        self._file.unlink(missing_ok=True)


def default_directory() -> Path:
    """Return where memories are kept (XDG base directories)."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "carrel" / "uploads"
