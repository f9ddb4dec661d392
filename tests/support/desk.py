"""The workspace image in namespaces of its own: read-only root, no network, user 1000.

What a pod would give it, without a cluster: /tmp, the home, the datasets, a termination message.
"""

import os
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

STAGE = """
set -e
mount --make-rprivate /
mount --bind {image} {root}; mount -o remount,ro,bind {root}
mount -t proc proc {root}/proc
mount -t tmpfs -o mode=1777,size=256m tmpfs {root}/tmp
mount -t tmpfs -o mode=755 tmpfs {root}/dev
mkdir {root}/dev/shm; mount -t tmpfs -o mode=1777 tmpfs {root}/dev/shm
for node in null zero urandom; do
    touch {root}/dev/$node; mount --bind /dev/$node {root}/dev/$node
done
touch {root}/dev/termination-log; chmod {message_mode} {root}/dev/termination-log
mount --bind {home} {root}/home/carrel
mount --bind {data} {root}/datasets; mount -o remount,ro,bind {root}/datasets
ip link set lo up
exec chroot --userspec=1000:1000 {root} env -i HOME=/home/carrel {settings} "$@"
"""


@dataclass
class Desk:
    """One container of the workspace image."""

    image: Path
    folder: Path
    message_mode: str = "444"
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The home, as this machine sees it."""
        return self.folder / "home"

    @property
    def data(self) -> Path:
        """What is mounted as /datasets."""
        return self.folder / "data"

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start `command` in the container; its output is what the runtime would see."""
        root = self.folder / "root"
        for path in (self.home, self.data, root):
            path.mkdir(exist_ok=True)
        os.chown(self.home, 1000, 1000)
        script = STAGE.format(
            image=self.image,
            root=root,
            home=self.home,
            data=self.data,
            message_mode=self.message_mode,
            settings=" ".join(
                f"{key}={shlex.quote(value)}" for key, value in self.settings.items()
            ),
        )
        spaces = ["--mount", "--pid", "--net", "--fork", "--kill-child"]
        return subprocess.Popen(
            ["unshare", *spaces, "bash", "-c", script, "bash", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def call(self, container: subprocess.Popen[bytes], *command: str) -> tuple[int, bytes, bytes]:
        """Run `command` beside what runs in `container`, as an exec probe does."""
        first = Path(f"/proc/{container.pid}/task/{container.pid}/children").read_text().split()[0]
        enter = ["nsenter", f"--target={first}", "--mount", "--pid", "--net"]
        inside = ["chroot", "--userspec=1000:1000", str(self.folder / "root"), *command]
        result = subprocess.run([*enter, *inside], capture_output=True, check=False)
        return result.returncode, result.stdout, result.stderr
