"""The researcher's home as the notebook server may touch it: no name in it is ever followed.

Kernel code owns the home and can put a link in any name at any moment. Each path is therefore
walked from the opened home, one component after the other, and what is done is done to the
descriptor that was opened (openat(2) with O_NOFOLLOW), never to a name that was looked at before.
"""

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

LARGEST = 64 * 1024 * 1024
"""Bytes of a file that the server reads: it has less memory than the kernels."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK a pipe that somebody put there would hold the server up for ever.
_PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o660
_FOLDER_MODE = 0o2770


class Kind(StrEnum):
    """What a name stands for."""

    FILE = "File"
    FOLDER = "Folder"
    OTHER = "Other"
    """A link, pipe, socket or device: shown, never opened."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One name in the home."""

    name: str
    kind: Kind
    size: int
    """Bytes."""
    modified: float
    """Seconds since 1970."""
    created: float
    """Seconds since 1970; of the last change to the inode, Linux tells no other."""


class RefusedError(Exception):
    """Something that is not done in a home; the message says what and why."""


class OutsideError(RefusedError):
    """A path that is no path below the home."""


class NotPlainError(RefusedError):
    """A link, pipe, socket or device stands where a file or folder is expected."""


class TooLargeError(RefusedError):
    """A file that the server has no memory for."""


class Home:
    """A folder, held open; every method takes a path below it with `/` between the names.

    Raises OutsideError, NotPlainError, TooLargeError and OSError.
    """

    def __init__(self, root: Path) -> None:
        self._root = os.open(root, _FOLDER)

    def look(self, path: str) -> Entry:
        """Return what a name stands for. Raises FileNotFoundError where there is nothing."""
        names = _names(path)
        if not names:
            return _entry("", os.fstat(self._root))
        with self._folder(names[:-1]) as folder:
            return _entry(names[-1], _lstat(folder, names[-1]))

    def list(self, path: str) -> list[Entry]:
        """Return what a folder holds; what goes while we look is left out."""
        found = []
        with self._folder(_names(path)) as folder:
            for name in os.listdir(folder):  # noqa: PTH208 - by descriptor
                with suppress(FileNotFoundError):
                    found.append(_entry(name, _lstat(folder, name)))
        return found

    def read(self, path: str) -> tuple[bytes, Entry]:
        """Return a file's bytes."""
        with self._parent(path) as (folder, name):
            descriptor = _open_plain(name, os.O_RDONLY, folder)
            with os.fdopen(descriptor, "rb") as file:
                found = os.fstat(descriptor)
                data = file.read(LARGEST + 1) if found.st_size <= LARGEST else None
        if data is None or len(data) > LARGEST:
            size = LARGEST // 1024 // 1024
            raise TooLargeError(f"It is larger than {size} MiB: read it in a notebook.")
        return data, _entry(name, found)

    def write(self, path: str, data: bytes) -> Entry:
        """Replace a file, whole or not at all; what its owner may, its group may afterwards."""
        with self._parent(path) as (folder, name):
            mode = _replaced_mode(name, folder)
            arriving = f".{secrets.token_hex(8)}.arriving"
            descriptor = os.open(arriving, _NEW, _MODE, dir_fd=folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    if mode is not None:
                        os.fchmod(descriptor, mode)
                    file.write(data)
                    file.flush()
                    os.fsync(descriptor)
                os.rename(arriving, name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                with suppress(OSError):
                    os.unlink(arriving, dir_fd=folder)
                raise
            return _entry(name, _lstat(folder, name))

    def append(self, path: str, data: bytes) -> Entry:
        """Add to the end of a file that is there."""
        with self._parent(path) as (folder, name):
            descriptor = _open_plain(name, os.O_WRONLY | os.O_APPEND, folder)
            with os.fdopen(descriptor, "ab") as file:
                file.write(data)
                file.flush()
                return _entry(name, os.fstat(descriptor))

    def make_folder(self, path: str) -> None:
        """Make a folder; one that is there is left as it is."""
        with self._parent(path) as (folder, name):
            try:
                os.mkdir(name, _FOLDER_MODE, dir_fd=folder)
            except FileExistsError:
                os.close(_open_folder(name, folder))

    def remove(self, path: str) -> None:
        """Remove a file, a link itself, or a folder with all that is in it."""
        with self._parent(path) as (folder, name):
            if stat.S_ISDIR(_lstat(folder, name).st_mode):
                # It walks by descriptors and stops where a folder became a link.
                shutil.rmtree(name, dir_fd=folder)
            else:
                os.unlink(name, dir_fd=folder)

    def rename(self, old: str, new: str) -> None:
        """Rename a file or folder. Raises FileExistsError where the new name is taken."""
        with self._parent(old) as (source, name), self._parent(new) as (target, renamed):
            if _entry(name, _lstat(source, name)).kind is Kind.OTHER:
                raise NotPlainError(_not_plain(name))
            try:
                _lstat(target, renamed)
            except FileNotFoundError:
                os.rename(name, renamed, src_dir_fd=source, dst_dir_fd=target)
            else:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), renamed)

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        names = _names(path)
        if not names:
            raise OutsideError("The home itself is not a file: name something in it.")
        with self._folder(names[:-1]) as folder:
            yield folder, names[-1]

    @contextmanager
    def _folder(self, names: tuple[str, ...]) -> Iterator[int]:
        descriptor = os.open(".", _FOLDER, dir_fd=self._root)
        try:
            for name in names:
                below = _open_folder(name, descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)


def _names(path: str) -> tuple[str, ...]:
    names = tuple(path.strip("/").split("/")) if path.strip("/") else ()
    if any(name in {"", ".", ".."} or "\0" in name for name in names):
        raise OutsideError("A path names things below the home: no empty name, no `.`, no `..`.")
    return names


def _open_folder(name: str, folder: int) -> int:
    try:
        return os.open(name, _FOLDER, dir_fd=folder)
    except NotADirectoryError:
        # A link that is gone again by this look was one all the same.
        if _entry(name, _lstat(folder, name)).kind is not Kind.FILE:
            raise NotPlainError(_not_plain(name)) from None
        raise
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotPlainError(_not_plain(name)) from None
        raise


def _open_plain(name: str, flags: int, folder: int) -> int:
    try:
        descriptor = os.open(name, flags | _PLAIN, dir_fd=folder)
    except OSError as error:
        # A link; a pipe without a reader, or a socket.
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise NotPlainError(_not_plain(name)) from None
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotPlainError(_not_plain(name))
    return descriptor


def _replaced_mode(name: str, folder: int) -> int | None:
    """Return the permissions of what replaces a file, None where there is none.

    To rename over a file takes no right to it: what its owner may not write is not replaced. What
    the owner may, the group may afterwards, for the owner is then the server and not the kernels.
    """
    try:
        found = _lstat(folder, name)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise NotPlainError(_not_plain(name))
    mode = stat.S_IMODE(found.st_mode) & 0o777
    if not mode & stat.S_IWUSR:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
    return mode | (mode & 0o600) >> 3


def _lstat(folder: int, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)


def _entry(name: str, found: os.stat_result) -> Entry:
    kind = Kind.OTHER
    if stat.S_ISREG(found.st_mode):
        kind = Kind.FILE
    elif stat.S_ISDIR(found.st_mode):
        kind = Kind.FOLDER
    return Entry(
        name=name,
        kind=kind,
        size=found.st_size,
        modified=found.st_mtime,
        created=found.st_ctime,
    )


def _not_plain(name: str) -> str:
    return (
        f"{name!r} is a link, pipe, socket or device, and the notebook server follows none: "
        "put the file itself here, or read it in a notebook."
    )
