"""The Hub as a process, between a real API server and the real identity provider."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from carrel.cli.release import find_helm
from carrel.cluster import JSON, Cluster, Ref
from carrel.cluster.refs import KindRef
from carrel.flows.certificates import make_authority, make_server
from carrel.flows.clock import SystemClock
from carrel.kinds import Workspace
from support.keycloak import Keycloak, free_port
from support.workspaces import workspace

ROOT = Path(__file__).parents[2]
ACCOUNT = "system:serviceaccount:carrel-system:carrel-hub"
WORKSPACES = KindRef.of(Workspace)
_PATIENCE = 60


@dataclass
class Hub:
    """One pod of the Hub; its volume outlives its processes."""

    folder: Path
    port: int
    environment: Mapping[str, str]
    authority: Path
    """Who signed its certificate."""
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def origin(self) -> str:
        """Origin that browsers see."""
        return f"https://hub.carrel.localhost:{self.port}"

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with (self.folder / "hub.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "carrel.hub"],
                env={**os.environ, **self.environment},
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        ends = time.monotonic() + _PATIENCE
        health = f"http://127.0.0.1:{self.environment['CARREL_METRICS_PORT']}/healthz"
        while time.monotonic() < ends:
            assert self.process.poll() is None, self.log()[-4000:]
            try:
                with urlopen(health, timeout=2) as answer:
                    if answer.status == 200:
                        return
            except (URLError, TimeoutError, ConnectionError):
                subprocess.run(["sleep", "0.2"], check=True)
        raise AssertionError(self.log()[-4000:])

    def kill(self) -> None:
        """End it without a word."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def log(self) -> str:
        """Return what it said."""
        return (self.folder / "hub.log").read_text()


def hub_of(folder: Path, *, kubeconfig: Path, provider: Keycloak, port: int) -> Hub:
    """Describe a Hub that never ran."""
    (folder / "state").mkdir()
    now = SystemClock().now()
    authority = make_authority(now=now)
    pair = make_server(("hub.carrel.localhost",), authority=authority, now=now)
    for name, content in (
        ("ca.crt", authority.certificate),
        ("tls.crt", pair.certificate),
        ("tls.key", pair.key),
        ("client", b"secret-of-hub"),
    ):
        (folder / name).write_bytes(content)
    environment = {
        "CARREL_HUB_ORIGIN": f"https://hub.carrel.localhost:{port}",
        "CARREL_PORTAL_ORIGIN": "https://carrel.localhost",
        "CARREL_OIDC_ISSUER": f"{provider.public}/realms/carrel",
        "CARREL_OIDC_DISCOVERY_URL": (
            f"{provider.origin}/realms/carrel/.well-known/openid-configuration"
        ),
        "CARREL_OIDC_CLIENT_SECRET_FILE": str(folder / "client"),
        "CARREL_OIDC_CA_FILE": str(provider.authority),
        "CARREL_REFRESH_SECONDS": "5",
        "CARREL_STATE_DIR": str(folder / "state"),
        "CARREL_TLS_CERT": str(folder / "tls.crt"),
        "CARREL_TLS_KEY": str(folder / "tls.key"),
        "CARREL_PORT": str(port),
        "CARREL_HUB_LOOPBACK_PORT": str(free_port()),
        "CARREL_READINESS_PORT": str(free_port()),
        "CARREL_METRICS_PORT": str(free_port()),
        "CARREL_KUBECONFIG": str(kubeconfig),
    }
    return Hub(folder=folder, port=port, environment=environment, authority=folder / "ca.crt")


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    """Run a Hub."""
    try:
        hub.start()
        yield hub
    finally:
        hub.kill()


_RBAC, _ADMISSION = "apis/rbac.authorization.k8s.io/v1", "apis/admissionregistration.k8s.io/v1"
_PATHS = {
    "ClusterRole": f"{_RBAC}/clusterroles",
    "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
    "ServiceAccount": "api/v1/namespaces/carrel-system/serviceaccounts",
    "ValidatingAdmissionPolicy": f"{_ADMISSION}/validatingadmissionpolicies",
    "ValidatingAdmissionPolicyBinding": f"{_ADMISSION}/validatingadmissionpolicybindings",
}


async def give_rights(cluster: Cluster) -> None:
    """Give the Hub's account what the chart gives it, under the policy that narrows it."""
    policy = ROOT / "policies" / "workspace-writer"
    narrowing = [yaml.safe_load((policy / f"{name}.yaml").read_text()) for name in _PARTS]
    for obj in (*_rendered("templates/hub/"), *narrowing):
        if obj["kind"] in _PATHS:
            answer = await cluster.request(
                "POST",
                f"/{_PATHS[obj['kind']]}",
                headers={"Content-Type": "application/json"},
                body=json.dumps(obj).encode(),
            )
            assert answer.status == 201, answer.body.decode()


_PARTS = ("policy", "binding")


async def kubeconfig_of_hub(cluster: Cluster, *, admin: Path, target: Path) -> None:
    """Write a kubeconfig that speaks as the Hub's ServiceAccount, by a token of the server."""
    answer = await cluster.request(
        "POST",
        "/api/v1/namespaces/carrel-system/serviceaccounts/carrel-hub/token",
        headers={"Content-Type": "application/json"},
        body=json.dumps({"spec": {"expirationSeconds": 3600}}).encode(),
    )
    assert answer.status == 201, answer.body.decode()
    config = yaml.safe_load(admin.read_text())
    config["users"] = [
        {"name": "test", "user": {"token": json.loads(answer.body)["status"]["token"]}}
    ]
    target.write_text(yaml.safe_dump(config))


async def desk(cluster: Cluster, name: str, *, researcher: str, **spec: Any) -> JSON:
    """Store a Workspace as the operator does, stopped unless said otherwise; return it."""
    made = workspace(name, researcher=researcher, **{"desired": "Stopped", **spec}).to_wire()
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await cluster.apply(namespace, manager="carrel-operator")
    obj = {
        "apiVersion": made["apiVersion"],
        "kind": "Workspace",
        "metadata": {"name": name, "namespace": name},
        "spec": made["spec"],
    }
    answer = await cluster.request(
        "POST",
        WORKSPACES.path(namespace=name),
        headers={
            "Content-Type": "application/json",
            "Impersonate-User": "system:serviceaccount:carrel-system:carrel-operator",
            "Impersonate-Group": "system:masters",
        },
        body=json.dumps(obj).encode(),
    )
    assert answer.status == 201, answer.body.decode()
    created: JSON = json.loads(answer.body)
    return created


async def say(cluster: Cluster, name: str, **truths: bool) -> None:
    """Write conditions as the operator would, of the present specification."""
    present = await stored(cluster, name)
    conditions = [
        {
            "type": kind,
            "status": "True" if true else "False",
            "reason": "Seen",
            "message": f"{kind} is {'there' if true else 'not there yet'}.",
            "observedGeneration": present["metadata"]["generation"],
            "lastTransitionTime": "2026-03-02T09:00:00Z",
        }
        for kind, true in truths.items()
    ]
    await cluster.apply_status(
        {
            "apiVersion": present["apiVersion"],
            "kind": "Workspace",
            "metadata": {"name": name, "namespace": name},
            "status": {"conditions": conditions},
        },
        manager="carrel-operator",
    )


async def stored(cluster: Cluster, name: str) -> JSON:
    """Return a Workspace as the server has it."""
    found = await cluster.get(Ref(WORKSPACES, name, name))
    assert found is not None
    return found


def _rendered(prefix: str) -> Iterator[JSON]:
    command = [str(find_helm(None)), "template", "carrel", str(ROOT / "charts/carrel")]
    command += ["--namespace=carrel-system", "--kube-version=1.36.3"]
    command += [f"-f={ROOT}/charts/carrel/ci/embedded-values.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    for each in done.stdout.split("\n---\n"):
        if f"# Source: carrel/{prefix}" in each:
            yield from (obj for obj in yaml.safe_load_all(each) if obj)
