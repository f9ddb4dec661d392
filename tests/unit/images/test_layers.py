"""Layers are put together from the storage byte by byte, or refused."""

import base64
import gzip
import json
from hashlib import sha256
from pathlib import Path

import pytest

from carrel.embedded.images.layers import LayerUnreadableError, layer_of_storage

HEAD, BODY, PAD = b"tar header", b"the file's content", b"\0" * 12
DIGEST = sha256(HEAD + BODY + PAD).hexdigest()


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """Make a storage of one layer with one file, in the form of containers/storage."""
    root = tmp_path / "overlay-store"
    entries = [
        {"type": 2, "payload": base64.b64encode(HEAD).decode()},
        {"type": 1, "name": "etc/", "payload": None},
        {"type": 1, "name": "etc/file", "size": len(BODY), "payload": "crc"},
        {"type": 2, "payload": base64.b64encode(PAD).decode()},
        {"type": 2, "payload": ""},
    ]
    (root / "overlay-layers").mkdir(parents=True)
    (root / "overlay" / "one" / "diff" / "etc").mkdir(parents=True)
    (root / "overlay" / "one" / "diff" / "etc" / "file").write_bytes(BODY)
    with gzip.open(root / "overlay-layers" / "one.tar-split.gz", "wt") as split:
        split.write("\n".join(json.dumps(entry) for entry in entries) + "\n\n")
    layers = [{"id": "zero"}, {"id": "one", "diff-digest": f"sha256:{DIGEST}"}]
    (root / "overlay-layers" / "layers.json").write_text(json.dumps(layers))
    return root


def test_a_layer_comes_out_as_it_went_in(storage: Path, tmp_path: Path):
    blob = layer_of_storage(DIGEST, storage=storage, into=tmp_path)
    assert blob.file.read_bytes()[blob.offset :] == HEAD + BODY + PAD
    assert blob.size == len(HEAD + BODY + PAD)


def test_a_layer_whose_bytes_changed_is_refused(storage: Path, tmp_path: Path):
    (storage / "overlay/one/diff/etc/file").write_bytes(BODY.upper())
    with pytest.raises(LayerUnreadableError, match="came out as"):
        layer_of_storage(DIGEST, storage=storage, into=tmp_path)


@pytest.mark.parametrize(
    "broken", ["overlay-layers/layers.json", "overlay-layers/one.tar-split.gz"]
)
@pytest.mark.parametrize("content", [b"", b"not what was expected", b'[{"id": "other"}]'])
def test_a_storage_of_another_form_is_refused(
    storage: Path, tmp_path: Path, broken: str, content: bytes
):
    (storage / broken).write_bytes(content)
    with pytest.raises(LayerUnreadableError):
        layer_of_storage(DIGEST, storage=storage, into=tmp_path)
