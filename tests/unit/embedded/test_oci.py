"""Images of one program, written without an image builder."""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from carrel.embedded import EmbeddedError, inside, oci


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    program = tmp_path / "pause"
    program.write_bytes(b"\x7fELF and so on")
    oci.write_archive(tmp_path / "pause.tar", program=program, user=65532)
    return tmp_path / "pause.tar"


def blob(archive: Path, digest: str) -> bytes:
    with tarfile.open(archive) as tar:
        member = tar.extractfile(f"blobs/{digest.replace(':', '/')}")
        assert member is not None
        return member.read()


def read(archive: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Manifest, configuration and layer of the archive's one image."""
    manifest = json.loads(blob(archive, inside._manifest(archive)["digest"]))
    config = json.loads(blob(archive, manifest["config"]["digest"]))
    return manifest, config, blob(archive, manifest["layers"][0]["digest"])


def test_the_image_holds_the_program_and_runs_it_as_nobody(archive: Path) -> None:
    _, config, layer = read(archive)
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        entries = {e.name: (e.mode, e.uid, e.mtime) for e in tar}
    assert entries == {"pause": (0o755, 0, 0)}
    assert config["config"] == {"Entrypoint": ["/pause"], "User": "65532:65532"}


def test_every_digest_and_size_is_true(archive: Path) -> None:
    manifest, config, layer = read(archive)
    for described in (manifest["config"], *manifest["layers"]):
        content = blob(archive, described["digest"])
        assert described["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert described["size"] == len(content)
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]


def test_the_same_program_is_the_same_image(archive: Path) -> None:
    before = archive.read_bytes()
    oci.write_archive(archive, program=archive.with_name("pause"), user=65532)
    assert archive.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("localhost/carrel/pause:1", "localhost/carrel/pause"),
        ("localhost/carrel/pause", "localhost/carrel/pause"),
        ("localhost:5000/pause:1", "localhost:5000/pause"),
        ("localhost:5000/pause", "localhost:5000/pause"),
        ("pause:1", "pause"),
    ],
)
def test_a_tag_is_told_from_a_port(name: str, base: str) -> None:
    assert inside._without_tag(name) == base


@pytest.mark.parametrize("content", [b"", b"not a tar archive at all"])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "image.tar"
    file.write_bytes(content)
    with pytest.raises(EmbeddedError, match="is not an OCI archive"):
        inside._manifest(file)


def test_an_archive_of_two_images_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "image.tar"
    index = json.dumps({"manifests": [{"digest": "sha256:a"}, {"digest": "sha256:b"}]}).encode()
    file.write_bytes(oci._tar({"index.json": (index, 0o644)}))
    with pytest.raises(EmbeddedError, match="holds 2 images"):
        inside._manifest(file)
