"""Pushes built images to a registry, for a cluster that is not the embedded one."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from carrel.embedded.images.build import BuiltImage
from carrel.embedded.images.buildah import Buildah
from carrel.embedded.images.errors import ImageError
from carrel.embedded.images.places import Places
from carrel.embedded.images.recipes import ImageName


@dataclass(frozen=True, kw_only=True)
class PushedImage:
    """An image as the registry knows it."""

    name: ImageName
    reference: str
    """`<registry>/carrel/<name>@sha256:<hex>`; compressed, so not the digest of the archive."""


def push(images: Sequence[BuiltImage], *, registry: str, places: Places) -> tuple[PushedImage, ...]:
    """Push `images` below `registry` (`host[:port][/path]`) and return them by digest.

    Raises
    ------
    ImageError
        When the registry refuses, or the layers are gone while the archive was kept.
    """
    buildah = Buildah.at(places)
    return tuple(_push(buildah, image, registry=registry.rstrip("/")) for image in images)


def _push(buildah: Buildah, image: BuiltImage, *, registry: str) -> PushedImage:
    local = f"{image.repository}:{image.content}"
    if not buildah.exists(local):
        raise ImageError(
            "An image is pushed from the layer storage",
            found=f"{local} is not in {buildah.storage}",
            next_step=f"Remove {image.archive} and build again",
        )
    repository = f"{registry}/carrel/{image.name}"
    with tempfile.TemporaryDirectory(prefix="carrel-push-") as folder:
        digest_file = Path(folder) / "digest"
        buildah.push(local, destination=f"{repository}:{image.content}", digest_file=digest_file)
        digest = digest_file.read_text().strip()
    return PushedImage(name=image.name, reference=f"{repository}@{digest}")
