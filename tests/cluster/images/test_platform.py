"""The images of the platform's processes hold what these need, ready to run."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from carrel.embedded.images import ImageName, Places, build
from carrel.embedded.images.buildah import Buildah

pytestmark = [pytest.mark.root, pytest.mark.image]

PROCESSES = ("handlers", "revoker", "ingest", "node", "node.gate")


@pytest.fixture(scope="module")
def root_of(places: Places) -> Iterator[Callable[[ImageName], Path]]:
    buildah = Buildah.at(places)
    with ExitStack() as mounts:

        def mount(name: ImageName) -> Path:
            (image,) = build([name], places=places, progress=lambda _: None)
            return mounts.enter_context(buildah.mounted(f"{image.repository}:{image.content}"))

        yield mount


def inside(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    user = ["chroot", "--userspec=65532:65532", str(root)]
    path = "PATH=/opt/carrel/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    clean = ["env", "-i", path, "PYTHONWARNINGS=error::ImportWarning"]
    return subprocess.run([*user, *clean, *command], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("image", [ImageName.PLATFORM, ImageName.NODE])
@pytest.mark.parametrize("process", PROCESSES)
def test_every_process_imports_as_the_user_of_the_image(
    root_of: Callable[[ImageName], Path], image: ImageName, process: str
):
    result = inside(root_of(image), "python", "-c", f"import carrel.{process}")
    assert (result.returncode, result.stderr) == (0, "")


def test_the_command_of_the_image_answers(root_of: Callable[[ImageName], Path]):
    result = inside(root_of(ImageName.PLATFORM), "/usr/local/bin/carrel", "--help")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("tool", ["nft", "ip", "mkfs.ext4", "losetup", "mount", "nsenter"])
def test_the_node_image_has_the_tools_of_its_agent(root_of: Callable[[ImageName], Path], tool: str):
    result = inside(root_of(ImageName.NODE), "sh", "-c", f"command -v {tool}")
    assert (result.returncode, result.stderr) == (0, "")


def test_byte_code_is_used_whatever_the_time_of_its_source(
    root_of: Callable[[ImageName], Path],
):
    result = inside(root_of(ImageName.PLATFORM), "python", "-v", "-c", "import carrel.cli")
    loaded = [line for line in result.stderr.splitlines() if line.startswith("# code object from")]
    ours = [line for line in loaded if "/opt/carrel/" in line]
    assert len(ours) > 100
    assert [line for line in ours if ".pyc" not in line] == []


def test_layers_read_from_the_storage_are_those_that_buildah_exports(
    places: Places, tmp_path: Path
):
    (image,) = build([ImageName.BASE], places=places, progress=lambda _: None)
    buildah, reference = Buildah.at(places), f"{image.repository}:{image.content}"
    wanted = buildah.described(reference).layers
    read = buildah.layers(reference, wanted=wanted, into=tmp_path)
    exported = buildah._export(reference, into=tmp_path / "export")
    assert set(read) == set(wanted) <= set(exported)
    assert {
        digest: read[digest].file.read_bytes() == exported[digest].file.read_bytes()
        for digest in wanted
    } == dict.fromkeys(wanted, True)
