"""Cilium's source with one change, made in the cache at build time.

Cilium reads `/proc/modules` when it starts and stops when that file does not exist, which is so
on kernels built without loadable modules (cilium/cilium, pkg/datapath/linux/modules). Go refuses
overlays inside its module cache, so the module is copied and a second go.mod points at the copy.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from carrel.embedded.errors import EmbeddedError
from carrel.embedded.parts import CILIUM_MODULE, CILIUM_VERSION
from carrel.embedded.toolchain import cache_root

_FILE: Final = "pkg/datapath/linux/modules/modules_linux.go"
_BEFORE: Final = "\tfModules, err := os.Open(loadedModulesFilepath)\n\tif err != nil {\n"
_AFTER: Final = (
    "\tfModules, err := os.Open(loadedModulesFilepath)\n"
    "\tif errors.Is(err, os.ErrNotExist) {\n"
    "\t\treturn nil, nil // a kernel without loadable modules has none loaded\n"
    "\t}\n"
    "\tif err != nil {\n"
)
FINGERPRINT: Final = f"{CILIUM_VERSION}\0{_FILE}\0{_AFTER}"
"""Changes whenever the change does."""


def source() -> Path:
    """Return the patched copy; its folder `bpf/` is what the agent compiles at run time."""
    return cache_root() / "src" / f"cilium-{CILIUM_VERSION}"


def prepare(module: Path, *, go: Path) -> Path:
    """Make the patched copy if it is missing; returns the go.mod that points at it."""
    copy = source()
    if not copy.is_dir():
        _copy(_download(module, go=go), to=copy)
    modfile = copy.with_name(f"{copy.name}.mod")
    replaced = f"\nreplace {CILIUM_MODULE} => {copy}\n"
    modfile.write_text((module / "go.mod").read_text(encoding="utf-8") + replaced, encoding="utf-8")
    shutil.copyfile(module / "go.sum", modfile.with_suffix(".sum"))
    return modfile


def _download(module: Path, *, go: Path) -> Path:
    done = subprocess.run(
        [go, "mod", "download", "-json", CILIUM_MODULE],
        cwd=module,
        env={**os.environ, "GOFLAGS": "-mod=readonly"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise EmbeddedError(
            f"The module {CILIUM_MODULE} could not be downloaded ({done.stderr.strip()[-200:]}); "
            "check the network, or use `--network bridge`."
        )
    return Path(json.loads(done.stdout)["Dir"])


def _copy(downloaded: Path, *, to: Path) -> None:
    staging = to.with_name(f"{to.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    shutil.copytree(downloaded, staging)
    for path in (staging, *staging.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)  # the module cache is read-only
    file = staging / _FILE
    text = file.read_text(encoding="utf-8")
    if text.count(_BEFORE) != 1:
        raise EmbeddedError(
            f"{_FILE} of {CILIUM_MODULE} {CILIUM_VERSION} is not what this change was made for; "
            "use `--network bridge` and report it."
        )
    file.write_text(text.replace(_BEFORE, _AFTER), encoding="utf-8")
    staging.rename(to)
