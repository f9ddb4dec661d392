"""A stand-in for Debian's own slim image, made by debootstrap where no registry can be asked."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from carrel.embedded.images.buildah import Buildah
from carrel.embedded.images.errors import ImageError
from carrel.embedded.images.host import RELEASE, mirror

REFERENCE = f"localhost/carrel/debian:{RELEASE}-1"
"""Raise the number when what is made here changes."""

_CONTAINERFILE = "FROM scratch\nCOPY root /\n"
_FIRST_SOURCES = Path("etc/apt/sources.list")
# Caches, lists and whatever tells one build from the next.
_EMPTIED = (
    "var/cache/apt",
    "var/cache/debconf",
    "var/cache/ldconfig",
    "var/lib/apt/lists",
    "var/log",
)
_REMOVED = (
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "etc/hostname",
    "etc/resolv.conf",
)
# The day of a password's last change is the day of the build; 0 would force a change.
_SHADOW_DAY = re.compile(r"^([^:]*:[^:]*):\d+:", flags=re.MULTILINE)
_EPOCH_DAY = 20089


def ensure(
    buildah: Buildah, *, cache: Path, sources: tuple[str, ...], heard: Callable[[str], None]
) -> tuple[str, ...]:
    """Make `REFERENCE` unless it is there; return the package sources for builds on it.

    On a system that is not Debian `RELEASE` these are the ones that debootstrap chose.
    """
    kept_sources = cache / "debian.sources"
    if not (kept_sources.is_file() and buildah.exists(REFERENCE)):
        folder = cache / "debian"
        shutil.rmtree(folder, ignore_errors=True)
        root = folder / "root"
        root.mkdir(parents=True)
        heard("debootstrap, about a minute")
        _bootstrap(root, sources=sources, log=cache / "logs" / "debian.log")
        chosen = (root / _FIRST_SOURCES).read_text()
        _slim(root)
        (folder / "Containerfile").write_text(_CONTAINERFILE)
        log = cache / "logs" / "debian-image.log"
        buildah.build(folder, reference=REFERENCE, arguments={}, secrets=(), log=log, heard=heard)
        kept_sources.write_text(chosen)
        shutil.rmtree(folder)
    return sources or tuple(kept_sources.read_text().splitlines())


def _bootstrap(root: Path, *, sources: tuple[str, ...], log: Path) -> None:
    address = mirror(sources)
    command = ["nice", "debootstrap", "--variant=minbase", "--merged-usr", RELEASE, str(root)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as lines:
        result = subprocess.run(
            [*command, *([address] if address else [])],
            stdout=lines,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if result.returncode != 0:
        raise ImageError(
            f"debootstrap must make a Debian {RELEASE}",
            found=log.read_text(errors="replace")[-600:].strip(),
            next_step=f"The whole output is in {log}; a mirror must be reachable",
        )


def _slim(root: Path) -> None:
    for name in _EMPTIED:
        shutil.rmtree(root / name)
        (root / name).mkdir()
    for name in _REMOVED:
        path = root / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in (root / "usr/share/doc").rglob("*"):
        if not path.is_dir() and path.name != "copyright":
            path.unlink()
    (root / _FIRST_SOURCES).unlink()
    machine = root / "etc/machine-id"
    machine.write_text("")
    for name in ("shadow", "shadow-"):
        path = root / "etc" / name
        if path.is_file():
            text = _SHADOW_DAY.sub(rf"\1:{_EPOCH_DAY}:", path.read_text())
            path.write_text(text)
