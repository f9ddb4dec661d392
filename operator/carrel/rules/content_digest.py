"""The content digest of a dataset version: what is in it, whatever the manifest looks like."""

import hashlib
from collections.abc import Iterable


def content_digest(files: Iterable[tuple[str, int, str]]) -> str:
    """Return `sha256:...` over the sorted lines `<sha256> <size> <path>`.

    Args:
        files: SHA-256 in hexadecimal, bytes, and path below the dataset's folder.

    """
    lines = sorted(f"{sha256} {size} {path}\n".encode() for sha256, size, path in files)
    return "sha256:" + hashlib.sha256(b"".join(lines)).hexdigest()
