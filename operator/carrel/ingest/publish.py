"""Makes a dataset version of what passed: manifest, signature and the Dataset object."""

import base64
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from carrel.cluster import JSON, Cluster, KindRef
from carrel.cluster.errors import Conflict
from carrel.ingest import manifest
from carrel.ingest.collected import Row, content_digest, counts, modalities
from carrel.ingest.reporting import Reported
from carrel.ingest.store import Store, write_whole
from carrel.kinds import Dataset, DatasetIngest
from carrel.kinds.dataset import DatasetProfile, DatasetSpec
from carrel.rules.dataset_signature import message

DATASETS = KindRef.of(Dataset)


class SigningKeyError(Exception):
    """The platform's signing key cannot be used; the message says what to do."""


def load_signing_key(path: Path) -> Ed25519PrivateKey:
    """Read the platform's signing key.

    Raises:
        SigningKeyError: when there is none or it is of another kind.

    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(
            f"signing_key_cannot_be_read: {path}: {type(error).__name__}; make the platform's "
            "trust anew with `carrel trust ensure`."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(
            f"signing_key_is_of_another_kind: {path} is not an Ed25519 key; make the platform's "
            "trust anew with `carrel trust ensure`."
        )
    return key


def write_manifest(rows: tuple[Row, ...], store: Store, *, reported: Reported) -> str:
    """Store manifest and report durably and return the manifest's SHA-256 in hexadecimal."""
    data = manifest.encoded(rows, metadata=reported.metadata)
    digest = manifest.digest(data)
    # The manifest comes last: where it stands, the report that it names stands too.
    write_whole(store.report(digest, "json"), reported.json, mode=0o444)
    write_whole(store.report(digest, "html"), reported.page, mode=0o444)
    if not store.manifest(digest).exists():
        write_whole(store.manifest(digest), data, mode=0o444)
    return digest


async def published_already(ingest: DatasetIngest, *, digest: str, cluster: Cluster) -> str | None:
    """Return the name of the Dataset that this ingest made of this content, if it did."""
    for stored in await _family(ingest, cluster):
        if stored["spec"]["ingest"] == ingest.metadata.name and stored["spec"]["digest"] == digest:
            return str(stored["metadata"]["name"])
    return None


async def publish(
    ingest: DatasetIngest,
    rows: tuple[Row, ...],
    *,
    manifest_digest: str,
    profile: DatasetProfile,
    key: Ed25519PrivateKey,
    cluster: Cluster,
) -> str:
    """Create the Dataset under the next free version and return its name.

    A second run, after a kill between creating and saying so, finds what the first one made.
    """
    digest = content_digest(rows)
    while True:
        done = await published_already(ingest, digest=digest, cluster=cluster)
        if done:
            return done
        versions = [int(each["spec"]["version"]) for each in await _family(ingest, cluster)]
        spec = _signed(
            ingest,
            rows,
            version=max(versions, default=0) + 1,
            manifest_digest=manifest_digest,
            profile=profile,
            key=key,
        )
        try:
            return await _created(spec, cluster)
        except Conflict:
            # Another ingest of the family took the number: look again for the next one.
            continue


async def _created(spec: DatasetSpec, cluster: Cluster) -> str:
    name = f"{spec.name}.v{spec.version}"
    obj: JSON = {
        "apiVersion": DATASETS.api_version,
        "kind": DATASETS.kind,
        "metadata": {"name": name},
        "spec": spec.to_wire(),
    }
    await cluster.create(obj)
    return name


def _signed(
    ingest: DatasetIngest,
    rows: tuple[Row, ...],
    *,
    version: int,
    manifest_digest: str,
    profile: DatasetProfile,
    key: Ed25519PrivateKey,
) -> DatasetSpec:
    digest, manifest_sha = content_digest(rows), f"sha256:{manifest_digest}"
    signature = key.sign(
        message(name=ingest.spec.name, version=version, digest=digest, manifest_digest=manifest_sha)
    )
    return DatasetSpec(
        name=ingest.spec.name,
        version=version,
        title=ingest.spec.title,
        source=ingest.spec.source,
        digest=digest,
        manifest_digest=manifest_sha,
        signature=base64.b64encode(signature).decode(),
        counts=counts(rows),
        modalities=modalities(rows),
        profile=profile,
        use=ingest.spec.use,
        approvals=ingest.spec.approvals,
        ingest=ingest.metadata.name,
    )


async def _family(ingest: DatasetIngest, cluster: Cluster) -> list[JSON]:
    stored = await cluster.list(DATASETS)
    return [each for each in stored if each["spec"]["name"] == ingest.spec.name]
