"""One embedded cluster: its name, addresses and folders, and how a running one is found."""

import fcntl
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, Final

from carrel.embedded.errors import EmbeddedError
from carrel.embedded.parts import Network

DEFAULT_NAME: Final = "carrel"
DEFAULT_PORT: Final = 8443
FRONT_DOOR_NODE_PORT: Final = 30443
API_SERVER_PORT: Final = 6443
INSTANCES_AT_MOST: Final = 10
_NAME: Final = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")
_RECORD: Final = "instance.json"


class Person(StrEnum):
    """Who gets a kubeconfig: the administrator of the machine, and one per role to try things."""

    ADMIN = "admin"
    GRANT_ADMIN = "grant-admin"
    APPROVER = "approver"
    APPROVER_2 = "approver-2"
    DATA_MANAGER = "data-manager"
    AUDITOR = "auditor"
    RESEARCHER = "researcher"
    RESEARCHER_2 = "researcher-2"

    @property
    def subject(self) -> str:
        """OIDC subject that this person's user name carries behind `oidc:`."""
        return f"demo-{self.value}"


@dataclass(frozen=True, kw_only=True)
class Instance:
    """An embedded cluster as it was asked for; whether it runs is asked with `is_running`."""

    name: str
    """Also the name of its one node."""
    index: int
    """0 to 9; decides addresses, so that instances run side by side."""
    state: Path
    """Folder that holds everything of the instance and goes with `down`."""
    port: int
    """Port of the host's loopback that leads to the front door."""
    network: Network

    @property
    def node_ip(self) -> str:
        """Address of the node; the host reaches the API server here."""
        return f"10.2{self.index:02d}.0.2"

    @property
    def host_ip(self) -> str:
        """Address of the host on the one link that leads to the node."""
        return f"10.2{self.index:02d}.0.1"

    @property
    def server(self) -> str:
        """URL of the API server, as the host and every pod can use it."""
        return f"https://{self.node_ip}:{API_SERVER_PORT}"

    @property
    def netns(self) -> str:
        """Name of the node's network namespace on the host."""
        return f"carrel-{self.name}"

    @property
    def internet_netns(self) -> str:
        """Name of the network namespace that plays the Internet."""
        return f"carrel-{self.name}-internet"

    @property
    def host_link(self) -> str:
        """Name of the host's end of the link; at most 15 characters, so by index."""
        return f"carrel{self.index}"

    @property
    def cgroup(self) -> str:
        """Name of the cgroup below each root that holds every pod."""
        return f"carrel-{self.name}"

    @property
    def programs(self) -> Path:
        """Folder of links to the compiled programs that this instance runs."""
        return self.state / "bin"

    @property
    def keys(self) -> Path:
        """Folder of keys and certificates, readable by root alone."""
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        """Folder with one log file per process."""
        return self.state / "log"

    def kubeconfig(self, person: Person | str = Person.ADMIN) -> Path:
        """Path of the kubeconfig of a person; refuses a name that is not one of `Person`."""
        try:
            known = Person(person)
        except ValueError:
            raise EmbeddedError(
                f"There is no demo person {str(person)!r}; choose one of {', '.join(Person)}."
            ) from None
        return self.state / "kube" / f"{known.value}.conf"


def state_root() -> Path:
    """Folder that holds one folder per instance."""
    return Path(os.environ.get("CARREL_STATE") or "/var/lib/carrel-embedded")


def check_name(name: str) -> str:
    """Return the name itself, or refuse: node, cgroup and namespaces are called like it."""
    if not _NAME.fullmatch(name) or name.endswith("-internet"):
        raise EmbeddedError(
            f"{name!r} cannot name an instance: use 1 to 20 of a-z, 0-9 and -, beginning with a "
            "letter, ending with a letter or digit, and not with -internet."
        )
    return name


@contextmanager
def allocation_lock() -> Iterator[None]:
    """Held while instances are allocated or removed, so that two commands never share an index."""
    root = state_root()
    root.mkdir(parents=True, exist_ok=True, mode=0o755)
    with (root / ".lock").open("w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def read_instance(name: str) -> Instance | None:
    """Read the instance with this name, running or stopped; None when there is none."""
    try:
        record = json.loads((state_root() / name / _RECORD).read_text(encoding="utf-8"))
        return Instance(
            name=name,
            index=int(record["index"]),
            state=state_root() / name,
            port=int(record["port"]),
            network=Network(record["network"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def every_instance() -> tuple[Instance, ...]:
    """All instances of the state root by name, running or stopped."""
    try:
        names = sorted(p.name for p in state_root().iterdir() if p.is_dir())
    except FileNotFoundError:
        return ()
    return tuple(found for name in names if (found := read_instance(name)) is not None)


def find_instance(name: str = DEFAULT_NAME) -> Instance:
    """Find the running instance with this name; refuses with the command that starts it."""
    found = read_instance(check_name(name))
    if found is None or not is_running(found):
        raise EmbeddedError(
            f"No instance {name!r} is running; start it with `carrel cluster up --instance {name}`."
        )
    return found


def allocate(name: str, *, port: int, network: Network) -> Instance:
    """Record a new or stopped instance; call it with the allocation lock held."""
    before = read_instance(check_name(name))
    taken = {other.index for other in every_instance() if other.name != name}
    free = [i for i in range(INSTANCES_AT_MOST) if i not in taken]
    if not free:
        raise EmbeddedError(
            f"{INSTANCES_AT_MOST} instances exist already; remove one with `carrel cluster down`."
        )
    # Certificates name the address, so an instance with kept state keeps its index.
    index = before.index if before is not None and before.index in free else free[0]
    state = state_root() / name
    made = Instance(name=name, index=index, state=state, port=port, network=network)
    state.mkdir(mode=0o711, exist_ok=True)
    record = {"index": index, "port": port, "network": network.value}
    (state / _RECORD).write_text(json.dumps(record), encoding="utf-8")
    return made


def forget(instance: Instance) -> None:
    """Remove the instance's folder; call it with the allocation lock held and nothing mounted."""
    shutil.rmtree(instance.state, ignore_errors=True)
    if instance.state.exists():
        raise EmbeddedError(
            f"{instance.state} could not be removed completely; something still holds it: see "
            f"`grep {instance.state} /proc/mounts`, then run `carrel cluster down` again."
        )


def check_port(port: int) -> None:
    """Refuse a port that somebody listens on; the warden would fail on it much later."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise EmbeddedError(
                f"Port {port} of 127.0.0.1 cannot be used ({error.strerror}); choose another one "
                "with --port."
            ) from error


def hold_alive(instance: Instance) -> IO[str]:
    """Mark the instance as running for as long as this process holds the returned file open."""
    handle = (instance.state / "alive").open("w", encoding="ascii")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise EmbeddedError(f"The instance {instance.name!r} is already being run.") from None
    return handle


def is_running(instance: Instance) -> bool:
    """Whether a warden holds the instance: a lock, because process numbers come back."""
    try:
        with (instance.state / "alive").open("r", encoding="ascii") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def first_process(instance: Instance) -> int:
    """Process number, on the host, of the first process of a running instance."""
    try:
        return int((instance.state / "init.pid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise EmbeddedError(
            f"The instance {instance.name!r} has no first process yet; look at "
            f"{instance.logs / 'warden.log'}."
        ) from None
