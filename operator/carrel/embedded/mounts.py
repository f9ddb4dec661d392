"""What an instance sees instead of the host's folders: private mounts, gone with its namespace."""

import os
import subprocess
from pathlib import Path
from typing import Final

from carrel.embedded.cgroups import unified
from carrel.embedded.config import RUN
from carrel.embedded.errors import EmbeddedError
from carrel.embedded.instance import Instance
from carrel.embedded.parts import Network

DISKS: Final = 12
"""Number of local volumes of the StorageClass `carrel-local`."""
DISK_BYTES: Final = 2 * 2**30
MOUNT_POINTS: Final = ("/var/lib/kubelet", "/var/lib/carrel")
"""Folders of the host that instances mount over; made at `up`, removed with the last instance."""


def disk_path(number: int) -> str:
    """Where a local volume is mounted inside the instance."""
    return f"{RUN}/local/{number}"


def volume_path(number: int) -> str:
    """Return the folder that is offered as a volume: the disk without its lost+found."""
    return f"{disk_path(number)}/data"


def prepare_volume(path: Path) -> None:
    """Make sure that a folder offered as a volume exists and that any pod's user may write."""
    path.mkdir(exist_ok=True)
    path.chmod(0o777)


def make(instance: Instance) -> None:
    """Mount everything; the caller is the first process of a new mount namespace."""
    # Pods may ask for mounts that travel both ways; that must end at this namespace's edge,
    # which `unshare` made private.
    _run("mount", "--make-rshared", "/")
    # Own sockets, network namespaces and locks; the host's are out of sight.
    _run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", "/run")
    _run("mount", "--make-rshared", "/run")
    for folder in (RUN, "/run/netns", "/run/cilium", "/run/lock"):
        Path(folder).mkdir(exist_ok=True)
    _bind(instance.state / "varlog", "/var/log")
    _bind(instance.state / "kubelet", "/var/lib/kubelet")
    _bind(instance.state / "lib-carrel", "/var/lib/carrel")
    for number in range(DISKS):
        _mount_disk(instance, number)
    if instance.network is Network.CILIUM:
        _mount_for_cilium()


def make_folders(instance: Instance) -> None:
    """On the host, before the namespace exists: folders and disks that the mounts come from."""
    modes = {"varlog": 0o755, "kubelet": 0o755, "lib-carrel": 0o755, "cni": 0o755}
    modes |= {"disks": 0o700, "log": 0o700, "audit": 0o700, "etcd": 0o700, "containerd": 0o711}
    for name, mode in modes.items():
        (instance.state / name).mkdir(mode=mode, exist_ok=True)
    for number in range(DISKS):
        make_disk(instance, number)
    for folder in MOUNT_POINTS:
        Path(folder).mkdir(mode=0o755, parents=True, exist_ok=True)


def make_disk(instance: Instance, number: int) -> None:
    """One sparse ext4 image, if it is not there; local volumes enforce no size otherwise."""
    image = _image(instance, number)
    if image.exists():
        return
    staging = image.with_suffix(".part")
    with staging.open("wb") as file:
        file.truncate(DISK_BYTES)
    _run("mkfs.ext4", "-q", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1", str(staging))
    staging.rename(image)


def _image(instance: Instance, number: int) -> Path:
    return instance.state / "disks" / f"{number}.img"


def _mount_disk(instance: Instance, number: int) -> None:
    target = Path(disk_path(number))
    target.mkdir(parents=True)
    _run("mount", "-o", "loop,nodev,nosuid", str(_image(instance, number)), str(target))
    prepare_volume(Path(volume_path(number)))


def _mount_for_cilium() -> None:
    # An inherited bpffs holds other instances' maps, and two of them make the agent stop.
    while os.path.ismount("/sys/fs/bpf"):
        _run("umount", "/sys/fs/bpf")
    _run("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
    root = unified()
    if not os.path.ismount(root):
        # Only a tmpfs lets us make the folder; it is where a hybrid host would have it.
        root.mkdir(exist_ok=True)
        _run("mount", "-t", "cgroup2", "none", str(root))


def _bind(source: Path, target: str) -> None:
    _run("mount", "--bind", str(source), target)
    _run("mount", "--make-rshared", target)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip() or done.returncode
        raise EmbeddedError(f"`{' '.join(command)}` failed: {said}; see `carrel doctor`.")
