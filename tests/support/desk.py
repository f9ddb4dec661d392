"""The workspace image in namespaces of its own: read-only root, no network, two containers.

What a pod would give it, without a cluster: /tmp, the home, the datasets, a termination message;
and the server's memory, which the kernels' container does not have.
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
{mounts}
ip link set lo up
exec chroot --userspec={user}:1000 {root} env -i HOME=/home/carrel {settings} "$@"
"""

MOUNTS = {
    1000: "mount --bind {data} {root}/datasets; mount -o remount,ro,bind {root}/datasets",
    1001: """\
mount -t tmpfs -o mode=2777,gid=1000,size=64m tmpfs {root}/run/server
mount --bind {door} {root}/run/front-door; mount -o remount,ro,bind {root}/run/front-door""",
}
KERNEL, SERVER = 1000, 1001
"""Users of the two containers."""


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

    @property
    def door(self) -> Path:
        """What is mounted as /run/front-door."""
        return self.folder / "door"

    def start(
        self,
        *command: str,
        user: int = KERNEL,
        beside: subprocess.Popen[bytes] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start `command` in a container; its output is what the runtime would see.

        `beside` is a container of the same pod: their network is one, nothing else is.
        """
        root = self.folder / f"root-{user}"
        for path in (self.home, self.data, self.door, root):
            path.mkdir(exist_ok=True)
        os.chown(self.home, 1000, 1000)
        self.home.chmod(0o2770)
        places = {"root": root, "data": self.data, "door": self.door}
        script = STAGE.format(
            image=self.image,
            root=root,
            home=self.home,
            mounts=MOUNTS[user].format(**places),
            user=user,
            message_mode=self.message_mode,
            settings=" ".join(
                f"{key}={shlex.quote(value)}" for key, value in self.settings.items()
            ),
        )
        net = ["--net"] if beside is None else []
        enter = [] if beside is None else ["nsenter", f"--net=/proc/{first_of(beside)}/ns/net"]
        spaces = ["--mount", "--pid", *net, "--fork", "--kill-child"]
        return subprocess.Popen(
            [*enter, "unshare", *spaces, "bash", "-c", script, "bash", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def call(
        self, container: subprocess.Popen[bytes], *command: str, user: int = KERNEL
    ) -> tuple[int, bytes, bytes]:
        """Run `command` beside what runs in `container`, as an exec probe does."""
        enter = ["nsenter", f"--target={first_of(container)}", "--mount", "--pid", "--net"]
        root = str(self.folder / f"root-{user}")
        inside = ["chroot", f"--userspec={user}:1000", root, *command]
        result = subprocess.run([*enter, *inside], capture_output=True, check=False)
        return result.returncode, result.stdout, result.stderr


def first_of(container: subprocess.Popen[bytes]) -> str:
    """Return the first process of a container, as this machine numbers it."""
    children = Path(f"/proc/{container.pid}/task/{container.pid}/children")
    return children.read_text().split()[0]
