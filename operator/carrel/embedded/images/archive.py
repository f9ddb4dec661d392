"""Writes the OCI archive of an image: one tar file that any runtime imports.

Layout: OCI image layout specification 1.1, `index.json`, `oci-layout`, `blobs/sha256/<hex>`.
"""

import json
import tarfile
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from carrel.embedded.images.snapshot import EPOCH

_MANIFEST = "manifest.json"


def write_archive(export: Path, *, target: Path, tag: str) -> str:
    """Pack the files that `Buildah.export` wrote; return the manifest's digest, `sha256:<hex>`.

    `target` appears whole or not at all.
    """
    manifest = (export / _MANIFEST).read_bytes()
    digest = sha256(manifest).hexdigest()
    described = json.loads(manifest)
    index = _index(digest=digest, size=len(manifest), tag=tag)
    partial = target.with_suffix(".partial")
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _add(archive, "index.json", _canonical(index))
        _add(archive, f"blobs/sha256/{digest}", manifest)
        for blob in _blobs(described):
            with (export / blob).open("rb") as content:
                member = _member(f"blobs/sha256/{blob}", size=(export / blob).stat().st_size)
                archive.addfile(member, content)
    partial.replace(target)
    return f"sha256:{digest}"


def _index(*, digest: str, size: int, tag: str) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": f"sha256:{digest}",
                "size": size,
                "annotations": {"org.opencontainers.image.ref.name": tag},
            }
        ],
    }


def _blobs(manifest: dict[str, Any]) -> tuple[str, ...]:
    """Return the hex names of configuration and layers, each once: empty layers share one blob."""
    descriptors = [manifest["config"], *manifest["layers"]]
    return tuple(dict.fromkeys(entry["digest"].removeprefix("sha256:") for entry in descriptors))


def _canonical(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_member(name, size=len(content)), BytesIO(content))


def _member(name: str, *, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    member.mtime = EPOCH
    member.mode = 0o644
    return member
