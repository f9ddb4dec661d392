"""The folder that is uploaded: which files can go, and how their names are shown.

Names never leave the machine: files travel by number.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LocalFile:
    """A regular file that can be uploaded."""

    index: int
    """Its number in the upload."""
    path: Path
    size: int


@dataclass(frozen=True)
class LocalRefusal:
    """A file that does not even leave the machine."""

    path: Path
    rule: str
    detail: str


@dataclass(frozen=True)
class Survey:
    """What a folder holds."""

    files: tuple[LocalFile, ...]
    refused: tuple[LocalRefusal, ...]

    @property
    def bytes(self) -> int:
        """Size of all files that can go."""
        return sum(file.size for file in self.files)


def survey(folder: Path) -> Survey:
    """Look at everything below `folder`, in a stable order; links are never followed.

    Raises:
        OSError: when `folder` itself cannot be listed.

    """
    os.scandir(folder).close()
    refused: list[LocalRefusal] = []
    files: list[LocalFile] = []
    for path in _below(folder, refused):
        try:
            found = path.lstat()
        except OSError as error:
            refused.append(unreadable(path, error))
            continue
        if stat.S_ISLNK(found.st_mode):
            refused.append(
                LocalRefusal(path, "file_is_a_symlink", "a link may lead out of the folder")
            )
        elif not stat.S_ISREG(found.st_mode):
            refused.append(
                LocalRefusal(path, "file_is_not_regular", "a device, pipe or socket has no content")
            )
        else:
            files.append(LocalFile(len(files), path, found.st_size))
    return Survey(tuple(files), tuple(refused))


def shown(path: Path) -> str:
    """Return a path as text that cannot steer a terminal or mislead an eye."""
    # Bytes that are no UTF-8 come back as \\xNN; control and direction marks as escapes.
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _below(folder: Path, refused: list[LocalRefusal]) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        refused.append(unreadable(Path(os.fsdecode(error.filename)), error))

    for parent, folders, names in os.walk(folder, onerror=failed):
        # A link to a folder is told among the folders; it is reported, not entered.
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        folders[:] = sorted(name for name in folders if name not in links)
        for name in sorted([*names, *links]):
            yield Path(parent) / name


def unreadable(path: Path, error: OSError) -> LocalRefusal:
    """Return the refusal of a file or folder that cannot be read."""
    return LocalRefusal(path, "file_cannot_be_read", error.strerror or type(error).__name__)
