"""Where an auditor's own files are kept."""

import hashlib
import os
from pathlib import Path


def index_path(log: Path) -> Path:
    """Return where the index of a folder is kept when nobody says: in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    name = hashlib.sha256(str(log.resolve()).encode()).hexdigest()[:16]
    return Path(cache) / "carrel" / "audit" / f"{name}.sqlite"
