"""Finds the layers of an image: in earlier archives, else in buildah's storage.

`buildah push` reads, hashes and writes every layer of an image at each call, also the hundreds of
megabytes that did not change: 15 s after each edit. Here only new layers are read. They are put
together as containers/storage does it: `<layer>.tar-split.gz` holds a tar file's headers and
padding, `overlay/<layer>/diff` the contents (format: github.com/vbatts/tar-split). What comes out
is believed only if it has the digest that the image names.
"""

import base64
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from carrel.embedded.images.archive import Blob, blobs_of

_FILE = 1
_SEGMENT = 2
_CHUNK = 1 << 20


class LayerUnreadableError(Exception):
    """The storage does not hold the layer in the form that is understood here."""


def known_layers(archives: Iterable[Path]) -> Mapping[str, Blob]:
    """Return place by hex digest of all that earlier archives hold."""
    return {digest: blob for archive in archives for digest, blob in blobs_of(archive)}


def layer_of_storage(digest: str, *, storage: Path, into: Path) -> Blob:
    """Write the layer with the hex `digest` to a file of `into`.

    Raises
    ------
    LayerUnreadableError
        When the storage lacks it or gives other bytes.
    """
    target = into / digest
    try:
        layer = _layer_name(digest, storage=storage)
        written = _assemble(
            storage / "overlay-layers" / f"{layer}.tar-split.gz",
            contents=storage / "overlay" / layer / "diff",
            target=target,
        )
    except (OSError, EOFError, ValueError, KeyError, zlib.error) as error:
        raise LayerUnreadableError(f"layer {digest}: {error}") from error
    if written != digest:
        raise LayerUnreadableError(f"layer {digest} came out as {written}")
    return Blob(file=target, offset=0, size=target.stat().st_size)


def _layer_name(digest: str, *, storage: Path) -> str:
    layers = json.loads((storage / "overlay-layers" / "layers.json").read_bytes())
    for layer in layers:
        if layer.get("diff-digest") == f"sha256:{digest}":
            return str(layer["id"])
    raise KeyError(f"no layer of {storage} has this digest")


def _assemble(split: Path, *, contents: Path, target: Path) -> str:
    summary = sha256()
    with gzip.open(split, "rt") as entries, target.open("wb") as output:
        for line in entries:
            for part in _parts(line, contents=contents):
                summary.update(part)
                output.write(part)
    return summary.hexdigest()


def _parts(line: str, *, contents: Path) -> Iterator[bytes]:
    if not line.strip():
        return
    entry = json.loads(line)
    if entry["type"] == _SEGMENT:
        yield base64.b64decode(entry["payload"] or "")
    elif entry["type"] == _FILE and entry.get("size"):
        with (contents / entry["name"]).open("rb") as source:
            while chunk := source.read(_CHUNK):
                yield chunk
