"""Container images without Docker: Debian by debootstrap, layers by buildah, OCI archives.

`build` is the whole interface for whoever needs an image; each image is a folder of `images/`
whose Containerfile `docker build` understands too.
"""

from carrel.embedded.images.build import BuiltImage, build
from carrel.embedded.images.errors import ImageError
from carrel.embedded.images.places import Places, find_source
from carrel.embedded.images.progress import Progress, Step
from carrel.embedded.images.publish import PushedImage, push
from carrel.embedded.images.recipes import DEPLOYED, RECIPES, ImageName, Recipe

__all__ = [
    "DEPLOYED",
    "RECIPES",
    "BuiltImage",
    "ImageError",
    "ImageName",
    "Places",
    "Progress",
    "PushedImage",
    "Recipe",
    "Step",
    "build",
    "find_source",
    "push",
]
