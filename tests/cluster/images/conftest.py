"""The workspace image, built once and mounted for the session."""

import os
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.data import get_testdata_file

from carrel.embedded.images import BuiltImage, ImageName, Places, build, find_source
from carrel.embedded.images.buildah import Buildah
from support.desk import Desk


@pytest.fixture(scope="session")
def places() -> Places:
    return Places.of_environment(os.environ, source=find_source(Path(__file__)))


@pytest.fixture(scope="session")
def workspace_image(places: Places) -> BuiltImage:
    (image,) = build([ImageName.WORKSPACE], places=places, progress=lambda _: None)
    return image


@pytest.fixture(scope="session")
def mounted(places: Places, workspace_image: BuiltImage) -> Iterator[Path]:
    """Mount the file system of the image."""
    buildah = Buildah.at(places)
    with buildah.mounted(f"{workspace_image.repository}:{workspace_image.content}") as path:
        yield path


@pytest.fixture
def desk(mounted: Path, tmp_path: Path) -> Desk:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    settings = {
        "PATH": "/opt/workspace/bin:/usr/bin:/bin",
        "JUPYTER_RUNTIME_DIR": "/tmp/jupyter",  # noqa: S108 - a path inside the container
        "XDG_CACHE_HOME": "/tmp/cache",  # noqa: S108 - a path inside the container
        "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108 - a path inside the container
        "OMP_NUM_THREADS": "1",
    }
    return Desk(image=mounted, folder=tmp_path, settings=settings)


@pytest.fixture
def real_ct(desk: Desk) -> Path:
    """One real CT slice of pydicom's samples, as a dataset view holds it."""
    header = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    series = desk.data / "demo" / "subject" / header.StudyInstanceUID / header.SeriesInstanceUID
    series.mkdir(parents=True)
    header.save_as(series / "1.dcm")
    return series
