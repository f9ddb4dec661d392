"""Homes: one size-limited ext4 image each, mounted where the kubelet finds it.

A directory on the node's disk would let one researcher fill it for all; an image cannot grow
beyond its size, and takes only the space that is used.

The home is a folder in the image and not its root. After a start of the node, before the image is
mounted again, the kubelet may be told to use it by a report from before: it finds no such folder
and tries again later, instead of handing out a directory on the node's own disk.
"""

import asyncio
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from carrel.kinds.resource import Label
from carrel.rules.facts import HOME_FOLDER

OWNER = 1000
"""User and group of the workspace's processes."""
_MODE = 0o2770
_MIB = 1024 * 1024
_PATIENCE = 120.0
_REPAIRED = 1
"""e2fsck ends with 0 or 1 when the file system is sound, with more when it is not (e2fsck(8))."""


class HomeError(Exception):
    """A home cannot be made, mounted or released; `reason` is one CamelCase word."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Change(StrEnum):
    """What was done to have a home in place."""

    MADE = "Made"
    """A new image was made and mounted."""
    MOUNTED = "Mounted"
    """An image that was there was mounted, as after a start of the node."""
    NONE = "None"
    """It was in place already."""


@dataclass(frozen=True)
class Homes:
    """The homes of one node."""

    store_root: Path

    def prepare(self) -> None:
        """Make the folders. Raises OSError."""
        self._images.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._mounts.mkdir(mode=0o711, parents=True, exist_ok=True)

    async def ensure(self, home: Label, *, size_mib: int) -> Change:
        """Have a home mounted, made where there is none. Raises HomeError."""
        target = self._mounts / home
        if target in mounted():
            return Change.NONE
        image = self._image(home)
        change = Change.MOUNTED if image.exists() else Change.MADE
        if change is Change.MADE:
            await self._make(image, size_mib)
        else:
            await self._check(image)
        target.mkdir(mode=0o000, exist_ok=True)
        await _run(
            *("mount", "-t", "ext4", "-o", "loop,nodev,nosuid,noatime", str(image), str(target)),
            reason="HomeNotMounted",
        )
        _own(target / HOME_FOLDER)
        return change

    async def release(self, home: Label) -> bool:
        """Unmount and delete a home for good; tell whether there was one. Raises HomeError."""
        target, image = self._mounts / home, self._image(home)
        while target in mounted():
            await _run("umount", str(target), reason="HomeBusy")
        if target.is_dir():
            target.rmdir()
        there = image.exists()
        image.unlink(missing_ok=True)
        return there

    @property
    def _images(self) -> Path:
        return self.store_root / "home-images"

    @property
    def _mounts(self) -> Path:
        return self.store_root / "homes"

    def _image(self, home: Label) -> Path:
        return self._images / f"{home}.ext4"

    async def _make(self, image: Path, size_mib: int) -> None:
        arriving = image.with_name(f".{image.name}.arriving")
        try:
            with arriving.open("wb") as file:
                file.truncate(size_mib * _MIB)
            options = "lazy_itable_init=1,lazy_journal_init=1"
            await _run(
                *("mkfs.ext4", "-q", "-F", "-m", "0", "-E", options, str(arriving)),
                reason="HomeNotMade",
            )
            with arriving.open("rb") as file:
                os.fsync(file.fileno())
            arriving.replace(image)
        except OSError as error:
            raise HomeError(
                "HomeNotMade", f"The home's image cannot be written: {error}"
            ) from error
        finally:
            arriving.unlink(missing_ok=True)

    async def _check(self, image: Path) -> None:
        code, said = await _ended("e2fsck", "-p", str(image))
        if code > _REPAIRED:
            raise HomeError(
                "HomeDamaged",
                f"The home's file system needs repair by hand: run `e2fsck {image.name}` in "
                f"home-images on this node ({said}).",
            )


def mounted(mountinfo: Path = Path("/proc/self/mountinfo")) -> frozenset[Path]:
    """Return every mount point that this process sees."""
    lines = mountinfo.read_text().splitlines()
    return frozenset(Path(_unescaped(line.split()[4])) for line in lines)


def _unescaped(text: str) -> str:
    # The kernel writes space, tab, newline and backslash as octal escapes (proc(5)).
    return text.encode().decode("unicode_escape") if "\\" in text else text


def _own(target: Path) -> None:
    target.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if (found.st_uid, found.st_gid) != (OWNER, OWNER):
            os.fchown(descriptor, OWNER, OWNER)
        if found.st_mode & 0o7777 != _MODE:
            os.fchmod(descriptor, _MODE)
    finally:
        os.close(descriptor)


async def _run(*command: str, reason: str) -> None:
    code, said = await _ended(*command)
    if code != 0:
        raise HomeError(reason, f"{command[0]} refused: {said}")


async def _ended(*command: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_PATIENCE):
            out, _ = await process.communicate()
    except TimeoutError as error:
        process.kill()
        await process.wait()
        raise HomeError("HomeSlow", f"{command[0]} did not end within {_PATIENCE:.0f} s") from error
    lines = out.decode("utf-8", "replace").strip().splitlines()
    return process.returncode or 0, lines[-1] if lines else f"it ended with {process.returncode}"
