"""Which images there are, what each stands on and what goes into its build context."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class ImageName(StrEnum):
    """The images that the builder knows; each is a folder of `images/`."""

    BASE = "base"
    RUNTIME = "runtime"
    PLATFORM = "platform"
    NODE = "node"
    WORKSPACE = "workspace"
    IDENTITY = "identity"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What one image is made of, beside its own folder."""

    name: ImageName
    """Name of the image and of its folder."""
    parents: Mapping[str, ImageName] = field(default_factory=dict)
    """Build argument to the image that it names; empty for the image on plain Debian."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Path in the build context to a path in the checkout."""
    wheel_folder: str | None = None
    """Folder of the build context that gets Carrel's wheel; None where none of its code goes in."""
    expected_seconds: float
    """First build on two cores, for the time left until a build of this machine is remembered."""


RECIPES: Mapping[ImageName, Recipe] = MappingProxyType(
    {
        recipe.name: recipe
        for recipe in (
            Recipe(name=ImageName.BASE, expected_seconds=120),
            Recipe(
                name=ImageName.RUNTIME,
                parents={"BASE": ImageName.BASE},
                files={"platform.txt": "requirements/platform.txt"},
                expected_seconds=90,
            ),
            Recipe(
                name=ImageName.PLATFORM,
                parents={"BASE": ImageName.RUNTIME},
                wheel_folder="wheel",
                expected_seconds=15,
            ),
            Recipe(
                name=ImageName.NODE,
                parents={"BASE": ImageName.RUNTIME, "PLATFORM": ImageName.PLATFORM},
                expected_seconds=30,
            ),
            Recipe(
                name=ImageName.WORKSPACE,
                parents={"BASE": ImageName.BASE},
                files={"workspace.txt": "requirements/workspace.txt"},
                expected_seconds=420,
            ),
            Recipe(
                name=ImageName.IDENTITY,
                parents={"BASE": ImageName.BASE},
                expected_seconds=300,
            ),
        )
    }
)
"""Every image, parents before children."""

DEPLOYED = (ImageName.PLATFORM, ImageName.NODE, ImageName.WORKSPACE)
"""The images that every cluster runs; the others get no archive unless asked for."""


def build_order(wanted: frozenset[ImageName]) -> tuple[ImageName, ...]:
    """Return `wanted` and all that it stands on, parents before children."""
    needed: set[ImageName] = set()
    open_names = list(wanted)
    while open_names:
        name = open_names.pop()
        if name not in needed:
            needed.add(name)
            open_names.extend(RECIPES[name].parents.values())
    return tuple(name for name in RECIPES if name in needed)
