"""Reading the figures of a workspace's own check, from a file that its user may have written.

Only numbers and fixed words are taken over; whatever else the file holds stays in the home.
"""

import json
import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from carrel.kinds.node_report import Figure
from carrel.rules.coarse import coarse

_PATH = (".carrel", "selfcheck", "result.json")
_LARGEST = 4096


class Outcome(StrEnum):
    """What the check says of itself."""

    PASSED = "Passed"
    FAILED = "Failed"


class Answer(StrEnum):
    """What an attempt that must fail met."""

    REFUSED = "Refused"
    ALLOWED = "Allowed"


_Number = Annotated[int, Field(ge=0, le=2**31 - 1, strict=True), AfterValidator(coarse)]
"""User code writes the file: what is told of it is coarse."""


class Result(BaseModel):
    """The file that the check writes; strict, and nothing but numbers and fixed words count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    outcome: Outcome
    series: _Number
    slices: _Number
    rows: _Number
    columns: _Number
    write_refused: Annotated[Answer, Field(alias="writeRefused")]
    connect_refused: Annotated[Answer, Field(alias="connectRefused")]
    milliseconds: _Number
    reason: Annotated[str, StringConstraints(max_length=200)] = ""

    def figures(self) -> tuple[Figure, ...]:
        """Return the figures for the report."""
        numbers = {
            "series": self.series,
            "slices": self.slices,
            "rows": self.rows,
            "columns": self.columns,
            "writeRefused": int(self.write_refused is Answer.REFUSED),
            "connectRefused": int(self.connect_refused is Answer.REFUSED),
            "milliseconds": self.milliseconds,
        }
        return tuple(Figure(name=name, value=value) for name, value in numbers.items())


@dataclass(frozen=True)
class Found:
    """A result and when it was written, in seconds since 1970."""

    result: Result
    written: float


class ResultError(Exception):
    """There is a file, but it is no result; the message never quotes it."""


def read_result(home: Path) -> Found | None:
    """Return the result in a home, None while there is none.

    No component is followed if it is a link, nothing but a plain file of at most 4 KiB is read,
    and no pipe or device can hold us up. Raises ResultError.
    """
    try:
        descriptor = _open(home)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResultError(f"result_is_no_plain_file: {os.strerror(error.errno or 0)}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            raise ResultError("result_is_no_plain_file: it is special, or larger than 4 KiB")
        data = os.read(descriptor, _LARGEST + 1)
    finally:
        os.close(descriptor)
    try:
        return Found(Result.model_validate(json.loads(data)), written=found.st_mtime)
    except (ValueError, RecursionError, ValidationError) as error:
        raise ResultError("result_is_malformed: it is not what the check writes") from error


def _open(home: Path) -> int:
    *folders, name = _PATH
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    for folder in folders:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = _step(descriptor, folder, flags)
    return _step(descriptor, name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _step(folder: int, name: str, flags: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    finally:
        os.close(folder)
