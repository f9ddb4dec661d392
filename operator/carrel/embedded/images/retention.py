"""What the cache keeps: checkouts and processes share it, and each edit makes a new image."""

import time
from pathlib import Path

from carrel.embedded.images.recipes import ImageName

KEPT = 3
"""Archives kept per image, the last used ones."""

KEPT_SECONDS = 3600.0
"""Layers stay this long after their last use: another process may build on them."""


class Retention:
    """Remembers the last use of each image by the time of an empty file.

    buildah cannot tell: all images carry the same time, so that equal inputs give equal digests.
    """

    def __init__(self, cache: Path) -> None:
        self._folder = cache / "used"

    def used(self, name: ImageName, content: str) -> None:
        """Note that `name` with the input hash `content` is used now."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{name}-{content}").touch()

    def newest(self, name: ImageName) -> list[str]:
        """Return the input hashes of `name`, last used first."""
        marks = sorted(self._folder.glob(f"{name}-*"), key=_modified, reverse=True)
        return [mark.name.removeprefix(f"{name}-") for mark in marks]

    def out_of_use(self, name: ImageName) -> list[str]:
        """Return the input hashes that are neither among the last used nor used lately."""
        oldest = time.time() - KEPT_SECONDS
        return [
            content
            for content in self.newest(name)[KEPT:]
            if _modified(self._folder / f"{name}-{content}") < oldest
        ]

    def forgotten(self, name: ImageName, content: str) -> None:
        """Note that nothing of it is left."""
        (self._folder / f"{name}-{content}").unlink(missing_ok=True)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
