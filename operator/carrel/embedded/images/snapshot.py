"""One moment's copy of an image's inputs: what is hashed is what is built, whoever edits."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from carrel.embedded.images.errors import ImageError
from carrel.embedded.images.recipes import Recipe

EPOCH = 1735689600
"""Time of every file and image (2025-01-01T00:00:00Z), so that equal inputs give equal digests."""

_FORMAT = "1"
"""Part of every hash: raise it when the builder itself makes something else of the same inputs."""

_PACKAGE = ("pyproject.toml", "README.md", "LICENSE", "operator/carrel")
_UNREAD = frozenset({"README.md", "__pycache__", "wheel"})


def take(recipe: Recipe, *, source: Path, into: Path) -> None:
    """Copy what `recipe` is made of: `into/context` for buildah, `into/package` for the wheel."""
    context = into / "context"
    _copy(source / "images" / recipe.name, context, leave_out=_UNREAD)
    for target, origin in recipe.files.items():
        _copy(source / origin, context / target, leave_out=frozenset())
    if recipe.wheel_folder is not None:
        for part in _PACKAGE:
            _copy(source / part, into / "package" / part, leave_out=frozenset({"__pycache__"}))


def content_hash(snapshot: Path, *, parents: dict[str, str]) -> str:
    """Return 16 hex digits over every name, mode and byte of `snapshot` and its parents' hashes."""
    summary = sha256(_FORMAT.encode())
    for argument, parent in sorted(parents.items()):
        summary.update(f"\nparent {argument} {parent}".encode())
    for path in _files(snapshot):
        digest = sha256(path.read_bytes()).hexdigest()
        mode = f"{path.stat().st_mode & 0o777:o}"
        summary.update(f"\nfile {mode} {digest} {path.relative_to(snapshot)}".encode())
    return summary.hexdigest()[:16]


def build_wheel(snapshot: Path, *, folder: str) -> None:
    """Put Carrel's wheel into `folder` of the build context.

    Raises
    ------
    ImageError
        When hatchling refuses the package.
    """
    target = snapshot / "context" / folder
    target.mkdir()
    result = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)],
        cwd=snapshot / "package",
        env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode != 0:
        raise ImageError(
            "Carrel's package must build as a wheel",
            found=(result.stderr or result.stdout).strip()[-400:],
            next_step="Mend pyproject.toml; `make venv` installs hatchling",
        )


def _copy(source: Path, target: Path, *, leave_out: frozenset[str]) -> None:
    if not source.exists():
        raise ImageError(
            "Every input of an image is in the checkout",
            found=f"{source} does not exist",
            next_step="Restore it; requirements/*.txt are written by `make lock`",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        _copy_file(source, target)
        return
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(source.iterdir()):
        if entry.name not in leave_out and not entry.name.endswith(".pyc"):
            _copy(entry, target / entry.name, leave_out=leave_out)


def _copy_file(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    # Git keeps no more of a mode than this; the checkout's umask must not change an image.
    target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
