"""What the in-cluster ingest signs when it publishes a dataset version."""

from carrel.kinds.resource import Digest, Label
from carrel.rules.canonical import canonical_json


def message(*, name: Label, version: int, digest: Digest, manifest_digest: Digest) -> bytes:
    """Return the bytes under the Ed25519 signature of a dataset version.

    Canonical JSON, so that no other name, version or digests give the same bytes.
    """
    return canonical_json(
        {"digest": digest, "manifestDigest": manifest_digest, "name": name, "version": version}
    ).encode()
