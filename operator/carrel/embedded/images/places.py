"""Where images are built: the checkout they come from and the cache that outlives it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from carrel.embedded.images.errors import ImageError
from carrel.embedded.images.recipes import ImageName

_MARK = Path("images/base/Containerfile")


@dataclass(frozen=True, kw_only=True)
class Places:
    """The folders of one builder; nothing outside them is written but mounts under `run`."""

    source: Path
    """Root of the checkout."""
    cache: Path
    """Archives, layer storage, logs; kept between checkouts."""

    @classmethod
    def of_environment(cls, environment: Mapping[str, str], *, source: Path) -> "Places":
        """Follow `CARREL_CACHE`, then `XDG_CACHE_HOME`, then `~/.cache`."""
        own = environment.get("CARREL_CACHE")
        shared = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        cache = Path(own) if own else Path(shared) / "carrel"
        return cls(source=source, cache=cache.absolute() / "images")

    @property
    def run(self) -> Path:
        """Mount state of buildah: must be empty after a reboot, so it cannot be in the cache."""
        return Path("/run") / f"carrel-images-{sha256(os.fsencode(self.cache)).hexdigest()[:12]}"

    @property
    def logs(self) -> Path:
        """One log per image, of its last build."""
        return self.cache / "logs"

    def archive(self, name: ImageName, content: str) -> Path:
        """Return the OCI archive of `name` made from inputs with the hash `content`."""
        return self.cache / f"{name}-{content}.tar"

    def digest_file(self, name: ImageName, content: str) -> Path:
        """Return the file that holds the manifest digest; it exists only beside a whole archive."""
        return self.cache / f"{name}-{content}.digest"


def find_source(start: Path) -> Path:
    """Return the checkout around `start`, or else the one that this package is installed from."""
    installed_from = Path(__file__).resolve().parents[4]
    for folder in (start.resolve(), *start.resolve().parents, installed_from):
        if (folder / _MARK).is_file():
            return folder
    raise ImageError(
        "Images are built from a checkout of Carrel",
        found=f"no {_MARK} in {start} or above it",
        next_step="Change into the checkout or name it with --source",
    )
