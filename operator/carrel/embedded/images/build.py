"""Builds images: skips what is unchanged by the hash of its inputs, goes on where it stopped."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from carrel.embedded.images import debian, host, snapshot
from carrel.embedded.images.archive import write_archive
from carrel.embedded.images.buildah import Buildah
from carrel.embedded.images.errors import ImageError
from carrel.embedded.images.layers import known_layers
from carrel.embedded.images.places import Places
from carrel.embedded.images.progress import Pace, Progress, Step
from carrel.embedded.images.recipes import RECIPES, ImageName, build_order
from carrel.embedded.images.retention import KEPT, Retention

REPOSITORY = "localhost/carrel"
"""Prefix of every image's name in the storage and on the embedded cluster."""


class Origin(StrEnum):
    """Where an archive came from."""

    BUILT = "Built"
    CACHED = "Cached"


@dataclass(frozen=True, kw_only=True)
class BuiltImage:
    """An OCI archive that is ready to be imported."""

    name: ImageName
    repository: str
    """Name without tag or digest, such as `localhost/carrel/platform`."""
    digest: str
    """Digest of the manifest in the archive, `sha256:<hex>`."""
    archive: Path
    size: int
    """Bytes of the archive: layers are not compressed in it."""
    content: str
    """Hash of the inputs; also the tag."""
    origin: Origin
    seconds: float
    """Time that this call spent on it."""

    @property
    def reference(self) -> str:
        """The one name under which the image is immutable."""
        return f"{self.repository}@{self.digest}"


def build(
    wanted: Sequence[ImageName], *, places: Places, progress: Progress
) -> tuple[BuiltImage, ...]:
    """Return an archive for each of `wanted`, building what the cache lacks, parents first.

    Raises
    ------
    ImageError
        When a tool, a right or an input is missing or a step fails; what was finished is kept.
    """
    places.cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="carrel-images-") as scratch:
        run = _Run(places=places, progress=progress, scratch=Path(scratch))
        hashes = run.take_snapshots(frozenset(wanted))
        missing = [name for name in dict.fromkeys(wanted) if not run.cached(name)]
        if missing:
            _require_tools()
            run.fill(tuple(missing))
        return tuple(run.result(name, content=hashes[name]) for name in dict.fromkeys(wanted))


class _Run:
    """One call of `build`: its snapshots, hashes and times."""

    def __init__(self, *, places: Places, progress: Progress, scratch: Path) -> None:
        self._places = places
        self._progress = progress
        self._scratch = scratch
        self._pace = Pace(places.cache / "pace.json")
        self._retention = Retention(places.cache)
        self._hashes: dict[ImageName, str] = {}
        self._spent: dict[ImageName, float] = {}

    def take_snapshots(self, wanted: frozenset[ImageName]) -> dict[ImageName, str]:
        for name in build_order(wanted):
            folder = self._scratch / name
            snapshot.take(RECIPES[name], source=self._places.source, into=folder)
            parents = {key: self._hashes[up] for key, up in RECIPES[name].parents.items()}
            self._hashes[name] = snapshot.content_hash(folder, parents=parents)
            self._retention.used(name, self._hashes[name])
        return dict(self._hashes)

    def cached(self, name: ImageName) -> bool:
        """Tell whether the archive is whole: its digest is written last."""
        content = self._hashes[name]
        digest, archive = (
            self._places.digest_file(name, content),
            self._places.archive(name, content),
        )
        return digest.is_file() and archive.is_file()

    def fill(self, missing: tuple[ImageName, ...]) -> None:
        buildah = Buildah.at(self._places)
        order = build_order(frozenset(missing))
        pending = [
            name for name in order if name in missing or not buildah.exists(self._tagged(name))
        ]
        while pending:
            self._make(buildah, pending, archived=pending[0] in missing)
            pending.pop(0)

    def _make(self, buildah: Buildah, pending: list[ImageName], *, archived: bool) -> None:
        name = pending[0]
        started = time.monotonic()

        def heard(text: str) -> None:
            left = self._pace.left(pending, spent=time.monotonic() - started)
            self._progress(Step(image=name, text=text, seconds_left=left))

        with _alone(self._places, name):
            # Another process may have built it while this one waited for the lock.
            if not buildah.exists(self._tagged(name)):
                self._build(buildah, name, heard)
            if archived and not self.cached(name):
                self._archive(buildah, name, heard)
            self._spent[name] = time.monotonic() - started
            self._pace.remember(name, self._spent[name])
            self._prune(buildah, name)

    def result(self, name: ImageName, *, content: str) -> BuiltImage:
        archive = self._places.archive(name, content)
        return BuiltImage(
            name=name,
            repository=f"{REPOSITORY}/{name}",
            digest=self._places.digest_file(name, content).read_text().strip(),
            archive=archive,
            size=archive.stat().st_size,
            content=content,
            origin=Origin.BUILT if name in self._spent else Origin.CACHED,
            seconds=round(self._spent.get(name, 0.0), 1),
        )

    def _build(self, buildah: Buildah, name: ImageName, heard: Callable[[str], None]) -> None:
        recipe, folder = RECIPES[name], self._scratch / name
        with _alone(self._places, "debian"):
            sources = debian.ensure(
                buildah, cache=self._places.cache, sources=host.apt_sources(), heard=heard
            )
        if recipe.wheel_folder is not None:
            heard("wheel")
            snapshot.build_wheel(folder, folder=recipe.wheel_folder)
        arguments = {key: self._tagged(up) for key, up in recipe.parents.items()}
        secrets = folder / "secrets"
        secrets.mkdir(mode=0o700)
        buildah.build(
            folder / "context",
            reference=self._tagged(name),
            arguments=arguments or {"BASE": debian.REFERENCE},
            secrets=host.write_secrets(secrets, sources=sources),
            log=self._places.logs / f"{name}.log",
            heard=heard,
        )

    def _archive(self, buildah: Buildah, name: ImageName, heard: Callable[[str], None]) -> None:
        heard("writing the archive")
        content = self._hashes[name]
        target = self._places.archive(name, content)
        described = buildah.described(self._tagged(name))
        known = known_layers(self._places.cache.glob("*.tar"))
        wanted = [layer for layer in described.layers if layer not in known]
        with tempfile.TemporaryDirectory(prefix=".layers-", dir=self._places.cache) as folder:
            found = buildah.layers(self._tagged(name), wanted=wanted, into=Path(folder))
            write_archive(described, layers={**known, **found}, target=target, tag=content)
        self._places.digest_file(name, content).write_text(f"{described.digest}\n")

    def _prune(self, buildah: Buildah, name: ImageName) -> None:
        for content in self._retention.newest(name)[KEPT:]:
            self._places.digest_file(name, content).unlink(missing_ok=True)
            self._places.archive(name, content).unlink(missing_ok=True)
        for content in self._retention.out_of_use(name):
            buildah.forget(f"{REPOSITORY}/{name}:{content}")
            self._retention.forgotten(name, content)

    def _tagged(self, name: ImageName) -> str:
        return f"{REPOSITORY}/{name}:{self._hashes[name]}"


@contextmanager
def _alone(places: Places, name: str) -> Iterator[None]:
    """Let one process at a time make `name`; the kernel drops the lock of a killed one.

    One lock per image, not one for all: the minutes of a workspace must not hold up the seconds
    of a platform image. buildah guards its storage itself.
    """
    with (places.cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _require_tools() -> None:
    if os.geteuid() != 0:
        raise ImageError(
            "Building images needs root", found=f"user {os.geteuid()}", next_step="Run it with sudo"
        )
    absent = [tool for tool in ("buildah", "debootstrap") if shutil.which(tool) is None]
    if absent:
        raise ImageError(
            "Building images needs buildah and debootstrap",
            found=f"{' and '.join(absent)} not installed",
            next_step=f"Run: apt-get install --no-install-recommends {' '.join(absent)}",
        )
