"""Compiling the parts: resumable, remembered, outside the checkout.

A part is done when its folder `<cache>/bin/<part>-<hash>` exists: programs are compiled into a
folder beside it that is renamed at the very end, so a build that was stopped leaves nothing that
looks finished, and Go's own cache makes the next try continue where this one stopped.
"""

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from carrel.embedded import cilium_source
from carrel.embedded.errors import EmbeddedError
from carrel.embedded.parts import CILIUM, Compiler, Part
from carrel.embedded.toolchain import cache_root, find_go, module_root

_SOURCES: Final = ("*.go", "*.c", "go.mod", "go.sum")
_BYTES_FREE: Final = 12 * 2**30
"""A cold build of everything writes 8 GiB of Go cache and 1.2 GiB of programs."""
_BYTES_PER_COMPILE: Final = 5 * 2**30
"""Linking kube-apiserver while another part compiles peaked at 3.9 GiB."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of progress: a part begins or ends."""

    part: Part
    expected: float
    """Seconds that it took last time on this machine, or the committed estimate."""
    took: float | None
    """Seconds, once it is done; None when it begins."""


Report = Callable[[Step], None]


def folder(part: Part) -> Path:
    """Where the programs of this part are or will be; the name changes with every input."""
    digest = hashlib.sha256()
    source = module_root() / part.name
    for pattern in _SOURCES:
        for file in sorted(source.glob(pattern)):
            digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
            digest.update(file.read_bytes())
    digest.update(repr(part.programs).encode() + repr((part.tags, part.stamps)).encode())
    if part is CILIUM:
        digest.update(cilium_source.FINGERPRINT.encode())
    return cache_root() / "bin" / f"{part.name}-{digest.hexdigest()[:16]}"


def missing(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Those parts that are not compiled yet, or not with these inputs."""
    return tuple(part for part in parts if not folder(part).is_dir())


def program(part: Part, name: str) -> Path:
    """Path of one compiled program; refuses when the part is not compiled."""
    path = folder(part) / name
    if not path.is_file():
        raise EmbeddedError(
            f"The program {name} is not compiled; run `carrel cluster build` and try again."
        )
    return path


def build(parts: Iterable[Part], *, report: Report) -> None:
    """Compile what is missing, two parts at a time where memory allows."""
    wanted = missing(parts)
    if not wanted:
        return
    _check_space()
    go = find_go() if any(p.compiler is not Compiler.C for p in wanted) else Path("go")
    at_once = 2 if _available_memory() > 2 * _BYTES_PER_COMPILE else 1
    failure: EmbeddedError | None = None
    with ThreadPoolExecutor(max_workers=at_once) as pool:
        for outcome in [pool.submit(_build_one, p, go=go, report=report) for p in wanted]:
            try:
                outcome.result()
            except EmbeddedError as error:
                failure = failure or error
                pool.shutdown(wait=False, cancel_futures=True)
                break
    if failure:
        raise failure


def expected_seconds(part: Part) -> float:
    """How long this part took here last time, or the committed estimate."""
    remembered = _read_durations().get(part.name)
    return float(remembered) if remembered is not None else float(part.estimate)


def _build_one(part: Part, *, go: Path, report: Report) -> None:
    expected = expected_seconds(part)
    report(Step(part=part, expected=expected, took=None))
    begin = time.monotonic()
    target = folder(part)
    staging = target.with_name(f"{target.name}.part")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    match part.compiler:
        case Compiler.C:
            _compile_c(part, staging=staging)
        case Compiler.GO | Compiler.GO_WITH_C:
            _compile_go(part, go=go, staging=staging)
    staging.rename(target)
    took = time.monotonic() - begin
    _remember(part, took)
    report(Step(part=part, expected=expected, took=took))


def _compile_c(part: Part, *, staging: Path) -> None:
    for made in part.programs:
        source = module_root() / part.name / made.package
        flags = ("-Os", "-s", "-static", "-Wall", "-Werror")
        _run(part, ["gcc", *flags, "-o", str(staging / made.name), str(source)], cwd=source.parent)


def _compile_go(part: Part, *, go: Path, staging: Path) -> None:
    stamps = " ".join(f"-X {stamp}" for stamp in part.stamps)
    command = [str(go), "build", "-trimpath", "-buildvcs=false", "-mod=readonly"]
    if part is CILIUM:
        command.append(f"-modfile={cilium_source.prepare(module_root() / part.name, go=go)}")
    if part.tags:
        command += ["-tags", " ".join(part.tags)]
    command += ["-ldflags", f"-s -w {stamps}".strip(), "-o", f"{staging}/"]
    packages = [made.package for made in part.programs]
    _run(part, [*command, *packages], cwd=module_root() / part.name)
    for made in part.programs:
        built = staging / _go_name(made.package)
        if built.name != made.name:
            built.rename(staging / made.name)
    if part is CILIUM:
        # The agent compiles its datapath from C at run time.
        shutil.copytree(cilium_source.source() / "bpf", staging / "bpf")


def _go_name(package: str) -> str:
    """Name that `go build` gives a program: the last element that is not a major version."""
    *head, last = package.split("/")
    is_version = last.startswith("v") and last[1:].isdigit()
    return head[-1] if is_version else last


def _run(part: Part, command: list[str], *, cwd: Path) -> None:
    links_c = part.compiler is Compiler.GO_WITH_C
    environment = {**os.environ, "CGO_ENABLED": "1" if links_c else "0", "GOFLAGS": ""}
    try:
        done = subprocess.run(
            ["nice", *command],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise EmbeddedError(f"{command[0]} is missing; `carrel doctor` says how to mend it.") from (
            error
        )
    if done.returncode:
        log = cache_root() / f"build-{part.name}.log"
        log.write_text(done.stderr, encoding="utf-8")
        last = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise EmbeddedError(
            f"Compiling {part.name} failed ({last[0][:200]}); the whole output is in {log}, and "
            "`carrel cluster build` continues from here."
        )


def _check_space() -> None:
    root = cache_root()
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if free < _BYTES_FREE:
        raise EmbeddedError(
            f"Compiling needs {_BYTES_FREE // 2**30} GiB free at {root}, which has "
            f"{free // 2**30} GiB; free some or set CARREL_CACHE to a larger disk."
        )


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def _durations_file() -> Path:
    return cache_root() / "durations.json"


def _read_durations() -> dict[str, float]:
    # A half-written file costs a worse estimate and nothing else.
    with suppress(OSError, ValueError):
        read = json.loads(_durations_file().read_text(encoding="utf-8"))
        if isinstance(read, dict):
            return {str(k): float(v) for k, v in read.items()}
    return {}


def _remember(part: Part, took: float) -> None:
    known = {**_read_durations(), part.name: round(took, 1)}
    _durations_file().write_text(json.dumps(known, indent=1), encoding="utf-8")
