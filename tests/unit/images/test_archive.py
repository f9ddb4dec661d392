"""An archive is a whole OCI image layout, and the same image gives the same bytes."""

import json
import tarfile
from hashlib import sha256
from pathlib import Path

from carrel.embedded.images.archive import Blob, Described, blobs_of, write_archive

LAYER = b"layer" * 1000
LAYER_HEX = sha256(LAYER).hexdigest()
CONFIG = b'{"os":"linux"}'
MANIFEST = json.dumps(
    {
        "config": {"digest": f"sha256:{sha256(CONFIG).hexdigest()}", "size": len(CONFIG)},
        "layers": [{"digest": f"sha256:{LAYER_HEX}"}, {"digest": f"sha256:{LAYER_HEX}"}],
    }
).encode()
DESCRIBED = Described(manifest=MANIFEST, config=CONFIG)


def written(target: Path, *, skip: int = 0) -> Path:
    content = target.with_suffix(".layer")
    content.write_bytes(b"x" * skip + LAYER + b"rest")
    blob = Blob(file=content, offset=skip, size=len(LAYER))
    write_archive(DESCRIBED, layers={LAYER_HEX: blob}, target=target, tag="0123")
    return target


def members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        return {member.name: opened.extractfile(member).read() for member in opened}


def test_the_layout_is_complete_and_each_blob_has_its_digest(tmp_path: Path):
    found = members(written(tmp_path / "image.tar", skip=7))
    index = json.loads(found.pop("index.json"))
    assert index == {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": DESCRIBED.digest,
                "size": len(MANIFEST),
                "annotations": {"org.opencontainers.image.ref.name": "0123"},
            }
        ],
    }
    assert json.loads(found.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    assert found == {
        f"blobs/sha256/{sha256(blob).hexdigest()}": blob for blob in (MANIFEST, CONFIG, LAYER)
    }


def test_equal_images_give_equal_archives(tmp_path: Path):
    first, second = written(tmp_path / "first.tar"), written(tmp_path / "second.tar", skip=3)
    assert first.read_bytes() == second.read_bytes()


def test_blobs_of_an_archive_are_found_where_they_lie(tmp_path: Path):
    archive = written(tmp_path / "image.tar")
    blob = dict(blobs_of(archive))[LAYER_HEX]
    assert archive.read_bytes()[blob.offset : blob.offset + blob.size] == LAYER


def test_a_failed_write_leaves_no_archive(tmp_path: Path):
    target = tmp_path / "image.tar"
    try:
        write_archive(DESCRIBED, layers={}, target=target, tag="0123")
    except KeyError:
        assert not target.exists()
    else:
        raise AssertionError("an archive without its layer was written")
