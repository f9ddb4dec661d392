"""What the host must be able to do, looked at before anything is started, with how to mend it."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from carrel.embedded import build, parts
from carrel.embedded.errors import EmbeddedError
from carrel.embedded.instance import state_root
from carrel.embedded.parts import Network
from carrel.embedded.toolchain import GO_RELEASE, cache_root, look_for_go

_MEMORY_AT_LEAST: Final = 6 * 2**30
"""Cluster 0.6 GiB, platform 0.5, a workspace 2; the rest is for linking kube-apiserver."""
_CACHE_AT_LEAST: Final = 12 * 2**30
_STATE_AT_LEAST: Final = 10 * 2**30


class Verdict(StrEnum):
    """What a check found."""

    OK = "ok"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of `carrel doctor`."""

    subject: str
    verdict: Verdict
    found: str
    """What was seen, in a few words."""
    mend: str
    """What to do; empty when nothing is to be done."""
    packages: tuple[str, ...] = ()
    """Debian packages that mend it."""


@dataclass(frozen=True, kw_only=True)
class _Tool:
    name: str
    package: str
    path: str = ""
    """A file that must exist, for what is not a command."""


_TOOLS: Final = (
    _Tool(name="ip", package="iproute2"),
    _Tool(name="nft", package="nftables"),
    _Tool(name="nsenter", package="util-linux"),
    _Tool(name="setpriv", package="util-linux"),
    _Tool(name="mount", package="mount"),
    _Tool(name="mkfs.ext4", package="e2fsprogs"),
    _Tool(name="gcc", package="gcc"),
    _Tool(name="C library", package="libc6-dev", path="/usr/include/stdlib.h"),
    _Tool(name="pkg-config", package="pkg-config"),
    _Tool(name="libseccomp", package="libseccomp-dev", path="/usr/include/seccomp.h"),
    _Tool(name="buildah", package="buildah"),
    _Tool(name="debootstrap", package="debootstrap"),
    _Tool(name="CA bundle", package="ca-certificates", path="/etc/ssl/certs/ca-certificates.crt"),
)
_CILIUM_TOOLS: Final = (
    _Tool(name="clang-19", package="clang-19"),
    _Tool(name="llc-19", package="llvm-19"),
    _Tool(name="iptables", package="iptables"),
    _Tool(name="bpftool", package="bpftool"),
)


def examine(network: Network) -> tuple[Check, ...]:
    """Look at everything that an instance with this network needs; changes nothing."""
    to_compile = _CACHE_AT_LEAST if build.missing(parts.needed(network)) else 0
    tools = _TOOLS if network is Network.BRIDGE else (*_TOOLS, *_CILIUM_TOOLS)
    return (
        _rights(),
        *(_tool(tool) for tool in tools),
        *_kernel(network),
        _go(),
        _memory(),
        _disk("disk for compiled programs", cache_root(), to_compile, "CARREL_CACHE"),
        _disk("disk for instances", state_root(), _STATE_AT_LEAST, "CARREL_STATE"),
    )


def missing(checks: Iterable[Check]) -> tuple[Check, ...]:
    """Those checks that found something missing."""
    return tuple(check for check in checks if check.verdict is Verdict.MISSING)


def mend(checks: Iterable[Check]) -> tuple[str, ...]:
    """Install the Debian packages that are missing; returns their names."""
    packages = sorted({package for check in missing(checks) for package in check.packages})
    if not packages:
        return ()
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise EmbeddedError(
            f"Installing {', '.join(packages)} needs root and apt-get; install them with the "
            "tool of this system and run `carrel doctor` again."
        )
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(command, env=quiet, capture_output=True, text=True, check=False)
        if done.returncode:
            raise EmbeddedError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-300:]}")
    return tuple(packages)


def _check(subject: str, *, good: bool, found: str, mend: str, package: str = "") -> Check:
    return Check(
        subject=subject,
        verdict=Verdict.OK if good else Verdict.MISSING,
        found=found,
        mend="" if good else mend,
        packages=(package,) if package and not good else (),
    )


def _rights() -> Check:
    return _check(
        "rights",
        good=os.geteuid() == 0,
        found=f"user {os.geteuid()}",
        mend="run as root: namespaces, mounts and cgroups are made",
    )


def _kernel(network: Network) -> Iterable[Check]:
    yield _tried(
        "kernel: nftables",
        ["unshare", "--net", "nft", "add table inet probe"],
        "use a kernel with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET",
    )
    yield _tried(
        "kernel: veth and bridge",
        [
            *("unshare", "--net", "sh", "-c"),
            "ip link add probe0 type veth peer name probe1 && ip link add probe2 type bridge",
        ],
        "use a kernel with CONFIG_VETH and CONFIG_BRIDGE",
    )
    yield _tried(
        "kernel: user namespaces",
        ["unshare", "--user", "--map-root-user", "true"],
        "set user.max_user_namespaces above 0 (sysctl), or use a kernel with CONFIG_USER_NS",
    )
    yield _file_system("overlay", "CONFIG_OVERLAY_FS")
    if network is Network.CILIUM:
        yield _file_system("bpf", "CONFIG_BPF_SYSCALL")
        yield _file_system("cgroup2", "CONFIG_CGROUPS with version 2")
    yield _check(
        "kernel: loop devices",
        good=Path("/dev/loop-control").exists(),
        found="/dev/loop-control",
        mend="load the module `loop`, or use a kernel with CONFIG_BLK_DEV_LOOP",
    )


def _tried(subject: str, command: list[str], mend: str) -> Check:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        good, said = done.returncode == 0, done.stderr.strip()[-80:]
    except FileNotFoundError as error:
        good, said = False, f"{error.filename} is missing"
    return _check(subject, good=good, found="tried" if good else said, mend=mend)


def _file_system(name: str, option: str) -> Check:
    listed = Path("/proc/filesystems").read_text(encoding="ascii").split()
    good = name in listed or _modprobe(name)
    return _check(
        f"kernel: {name}",
        good=good,
        found="known" if good else "not in /proc/filesystems",
        mend=f"use a kernel with {option}",
    )


def _modprobe(name: str) -> bool:
    try:
        return subprocess.run(["modprobe", name], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def _tool(tool: _Tool) -> Check:
    found = tool.path if tool.path and Path(tool.path).exists() else shutil.which(tool.name)
    return _check(
        f"tool: {tool.name}",
        good=bool(found),
        found=found or "not found",
        mend=f"apt-get install {tool.package}",
        package=tool.package,
    )


def _go() -> Check:
    found = look_for_go()
    return _check(
        "compiler: Go",
        good=True,
        found=str(found) if found else f"not on the host; {GO_RELEASE} is fetched with pip",
        mend="",
    )


def _memory() -> Check:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return _check(
        "memory",
        good=size >= _MEMORY_AT_LEAST,
        found=_gib(size),
        mend=f"use a machine with {_gib(_MEMORY_AT_LEAST)} or more",
    )


def _disk(subject: str, folder: Path, at_least: int, variable: str) -> Check:
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    return _check(
        subject,
        good=free >= at_least,
        found=f"{_gib(free)} free at {there}",
        mend=f"free {_gib(at_least)}, or set {variable} to a larger disk",
    )


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
