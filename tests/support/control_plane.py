"""A real API server without a node: etcd, kube-apiserver and the controllers, on loopback.

For what depends on the server alone: server-side apply, watches, finalizers, namespaces that
go, volumes that bind. It takes five seconds and leaves nothing; the binaries are those of the
embedded cluster (`carrel cluster build`).
"""

import asyncio
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from carrel.cluster import Cluster, connect
from carrel.cluster.errors import ClusterError
from carrel.cluster.refs import CUSTOM_RESOURCE_DEFINITION, Ref
from carrel.kinds import KINDS
from carrel.render.crd import custom_resource_definition

TOKEN = "only-on-loopback"  # noqa: S105 - the server listens on loopback and lives for a test
READY_SECONDS = 60

_CONTROLLERS = (
    "namespace-controller",
    "garbage-collector-controller",
    "resourcequota-controller",
    "persistentvolume-binder-controller",
    "persistentvolumeclaim-protection-controller",
    "persistentvolume-protection-controller",
)


@dataclass
class ControlPlane:
    """A running API server."""

    kubeconfig: Path
    server: subprocess.Popen[bytes]
    """The kube-apiserver."""
    command: list[str]
    """How it was started."""
    log: Path

    controllers_command: list[str]
    """How the kube-controller-manager is started."""
    controllers: subprocess.Popen[bytes] | None = None
    """The kube-controller-manager, while there is one."""

    def stop_server(self) -> None:
        """Take the API server away; etcd keeps what it held."""
        self.server.kill()
        self.server.wait()

    def start_server(self) -> None:
        """Bring it back."""
        self.server = _spawn(self.command, self.log)

    def start_controllers(self) -> None:
        """Start Kubernetes' own controllers, or have them begin anew.

        After a server that was away for long, their watches pause for as long again: what
        comes next would wait for them and not for us.
        """
        self.stop_controllers()
        log = self.log.with_name("controllers.log")
        self.controllers = _spawn(self.controllers_command, log)

    def stop_controllers(self) -> None:
        """End the controllers, if there are any."""
        if self.controllers is not None:
            self.controllers.kill()
            self.controllers.wait()


@contextmanager
def control_plane(*, controllers: bool = True) -> Iterator[ControlPlane]:
    """Start the processes, and end them afterwards."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="carrel-test-")))
        etcd, peer, port = (_free_port() for _ in range(3))
        _write_credentials(root, port=port)
        commands = _commands(root, etcd=etcd, peer=peer, port=port)
        _start(stack, commands["etcd"], root / "etcd.log")
        server = ControlPlane(
            kubeconfig=root / "admin.conf",
            server=_spawn(commands["apiserver"], root / "apiserver.log"),
            command=commands["apiserver"],
            log=root / "apiserver.log",
            controllers_command=commands["controllers"],
        )
        stack.callback(server.stop_server)
        asyncio.run(_prepare(server.kubeconfig))
        if controllers:
            server.start_controllers()
            stack.callback(server.stop_controllers)
        yield server


@asynccontextmanager
async def ready(kubeconfig: Path) -> AsyncIterator[Cluster]:
    """Connect once the server answers."""
    async with connect(kubeconfig) as cluster, asyncio.timeout(READY_SECONDS):
        while True:
            try:
                if (await cluster.request("GET", "/readyz")).status == 200:
                    break
            except ClusterError:
                pass
            await asyncio.sleep(0.1)
        yield cluster


def binary(name: str) -> str:
    """Return the path of a binary of the embedded cluster."""
    home = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    cache = Path(os.environ.get("CARREL_CACHE", f"{home}/carrel"))
    found = sorted(cache.glob(f"bin/*/{name}"), key=lambda path: path.stat().st_mtime)
    assert found, f"{name} is not built: run `carrel cluster build`"
    return str(found[-1])


async def _prepare(kubeconfig: Path) -> None:
    async with ready(kubeconfig) as cluster:
        for kind in KINDS:
            await cluster.apply(custom_resource_definition(kind), manager="test")
        await cluster.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "carrel-system"}},
            manager="test",
        )
        for kind in KINDS:
            await _served(cluster, Ref(CUSTOM_RESOURCE_DEFINITION, kind.resource.crd_name))


async def _served(cluster: Cluster, ref: Ref) -> None:
    while True:
        stored = await cluster.get(ref) or {}
        said = stored.get("status", {}).get("conditions", ())
        if any(each["type"] == "Established" and each["status"] == "True" for each in said):
            return
        await asyncio.sleep(0.1)


def _commands(root: Path, *, etcd: int, peer: int, port: int) -> dict[str, list[str]]:
    here = "http://127.0.0.1"
    return {
        "etcd": [
            binary("etcd"),
            f"--data-dir={root}/etcd",
            "--unsafe-no-fsync",
            f"--listen-client-urls={here}:{etcd}",
            f"--advertise-client-urls={here}:{etcd}",
            f"--listen-peer-urls={here}:{peer}",
            f"--initial-advertise-peer-urls={here}:{peer}",
            f"--initial-cluster=default={here}:{peer}",
        ],
        "apiserver": [
            binary("kube-apiserver"),
            f"--etcd-servers={here}:{etcd}",
            f"--secure-port={port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--cert-dir={root}/certificates",
            f"--token-auth-file={root}/tokens.csv",
            "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={root}/accounts.key",
            f"--service-account-signing-key-file={root}/accounts.key",
            # Nothing here makes the default ServiceAccounts or PriorityClasses of a real node.
            "--disable-admission-plugins=ServiceAccount,Priority",
            "--profiling=false",
        ],
        "controllers": [
            binary("kube-controller-manager"),
            f"--kubeconfig={root}/admin.conf",
            "--leader-elect=false",
            f"--service-account-private-key-file={root}/accounts.key",
            "--bind-address=127.0.0.1",
            "--secure-port=0",
            f"--controllers={','.join(_CONTROLLERS)}",
        ],
    }


def _write_credentials(root: Path, *, port: int) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (root / "accounts.key").write_bytes(pem)
    (root / "tokens.csv").write_text(f'{TOKEN},test,test,"system:masters"\n')
    named = {"name": "test"}
    server = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{**named, "cluster": server}],
        "users": [{**named, "user": {"token": TOKEN}}],
        "contexts": [{**named, "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    }
    (root / "admin.conf").write_text(yaml.safe_dump(json.loads(json.dumps(config))))


def _start(stack: ExitStack, command: list[str], log: Path) -> None:
    process = _spawn(command, log)

    def end() -> None:
        process.kill()
        process.wait()

    stack.callback(end)


def _spawn(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
