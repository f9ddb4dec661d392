"""OCI archives: the one file per image that any runtime imports.

Layout: OCI image layout specification 1.1, `index.json`, `oci-layout`, `blobs/sha256/<hex>`.
"""

import json
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from carrel.embedded.images.snapshot import EPOCH

_BLOBS = "blobs/sha256/"


@dataclass(frozen=True, kw_only=True)
class Blob:
    """Content that lies in a file, from a byte on."""

    file: Path
    offset: int
    size: int


@dataclass(frozen=True, kw_only=True)
class Described:
    """What an image says of itself: bytes, because digests are taken over them."""

    manifest: bytes
    config: bytes

    @property
    def digest(self) -> str:
        """Digest of the manifest, `sha256:<hex>`: the image's own."""
        return f"sha256:{sha256(self.manifest).hexdigest()}"

    @property
    def layers(self) -> tuple[str, ...]:
        """Hex digests of the layers, each once: empty layers share one."""
        return tuple(
            dict.fromkeys(
                layer["digest"].removeprefix("sha256:")
                for layer in json.loads(self.manifest)["layers"]
            )
        )


def write_archive(
    described: Described, *, layers: Mapping[str, Blob], target: Path, tag: str
) -> None:
    """Write the archive; `target` appears whole or not at all."""
    config = sha256(described.config).hexdigest()
    partial = target.with_suffix(".partial")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, "index.json", _index(described, tag=tag))
        _add(archive, _BLOBS + described.digest.removeprefix("sha256:"), described.manifest)
        _add(archive, _BLOBS + config, described.config)
        for layer in described.layers:
            blob = layers[layer]
            with blob.file.open("rb") as content:
                content.seek(blob.offset)
                archive.addfile(_member(_BLOBS + layer, size=blob.size), content)
    partial.replace(target)


def blobs_of(archive: Path) -> Iterator[tuple[str, Blob]]:
    """Yield hex digest and place of every blob of `archive`, without reading its content."""
    with tarfile.open(archive, "r:") as members:
        for member in members:
            if member.name.startswith(_BLOBS):
                place = Blob(file=archive, offset=member.offset_data, size=member.size)
                yield member.name.removeprefix(_BLOBS), place


def _index(described: Described, *, tag: str) -> bytes:
    entry: dict[str, Any] = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": described.digest,
        "size": len(described.manifest),
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    }
    return json.dumps(index, sort_keys=True, separators=(",", ":")).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_member(name, size=len(content)), BytesIO(content))


def _member(name: str, *, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mtime = EPOCH
    member.mode = 0o644
    return member
