"""An instance of these tests' own, because they uninstall what other tests stand on."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from carrel.cli.release import Images
from carrel.embedded import Network, find_instance, lifecycle, load_image
from carrel.embedded.images import ImageName, Places, build, find_source
from support.release_site import Site

NAME = "test-release"
PORT = 18447


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """Run an instance with Cilium that holds the platform's images.

    CARREL_RELEASE_INSTANCE names one that runs already and is kept.
    """
    given = os.environ.get("CARREL_RELEASE_INSTANCE")
    name = given or NAME
    if given is None:
        lifecycle.down(name, data=lifecycle.Data.REMOVE)
        lifecycle.up(name, port=PORT, with_network=Network.CILIUM, note=lambda _step, _took: None)
    instance = find_instance(name)
    places = Places.of_environment(os.environ, source=find_source(Path.cwd()))
    made = build((ImageName.PLATFORM, ImageName.NODE), places=places, progress=lambda _step: None)
    platform, node = (load_image(instance, one.archive, name=one.repository) for one in made)
    # No workspace starts here; any image gives the class its content.
    yield Site(instance=instance, images=Images(platform=platform, node=node, workspace=platform))
    if given is None:
        lifecycle.down(name, data=lifecycle.Data.REMOVE)


@pytest.fixture(scope="module")
def installed(site: Site) -> Site:
    """Have the platform installed, for tests that only look."""
    site.install()
    return site
