"""Carrel's Helm releases: installed, looked at and removed the same way on every cluster."""

import asyncio
import ipaddress
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

import carrel
from carrel.cluster import JSON, Cluster, KindRef, Ref, connect
from carrel.cluster.refs import CONFIG_MAP, NAMESPACE, POD
from carrel.embedded import EmbeddedError
from carrel.embedded.build import program
from carrel.embedded.parts import HELM
from carrel.flows.clock import SystemClock, wait_until

__all__ = [
    "NAMESPACE_NAME",
    "Images",
    "ReleaseError",
    "find_helm",
    "install",
    "problems",
    "uninstall",
]

NAMESPACE_NAME = "carrel-system"
MANAGER = "carrel-installer"
_ENDPOINT_SLICE = KindRef("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", namespaced=True)
_DAEMON_SET = KindRef("apps/v1", "DaemonSet", "daemonsets", namespaced=True)
_LABELS = {
    # The node agent mounts homes and enters network namespaces; every other pod here keeps to
    # `restricted` by its own specification, which a test of the chart holds.
    "pod-security.kubernetes.io/enforce": "privileged",
    "pod-security.kubernetes.io/warn": "privileged",
    "pod-security.kubernetes.io/audit": "restricted",
}
_PODS = "app.kubernetes.io/name=carrel"
_CRDS_TIMEOUT = timedelta(minutes=2)


class ReleaseError(Exception):
    """Helm or the cluster refused; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """The platform's images, each as `name@sha256:digest`."""

    platform: str
    """Operator, revoker, ingest and hooks."""
    node: str
    """Node agent."""
    workspace: str | None = None
    """Image of the class that the chart offers; None offers none."""
    identity: str | None = None
    """The demo's identity provider; None where it does not run."""

    def values(self) -> JSON:
        """Return them as values of the chart."""
        refs = {
            "platform": self.platform,
            "node": self.node,
            "workspace": self.workspace or "",
            "identity": self.identity or "",
        }
        return {name: {"ref": ref} for name, ref in refs.items()}


def charts() -> Path:
    """Return the folder with the charts: that of the source tree."""
    folder = Path(carrel.__file__).resolve().parents[2] / "charts"
    if not (folder / "carrel" / "Chart.yaml").is_file():
        raise ReleaseError(f"{folder} holds no charts. Run this from a checkout of Carrel.")
    return folder


def find_helm(given: Path | None) -> Path:
    """Return the `helm` to run: the one named, the one on PATH, or the embedded cluster's."""
    found = given or shutil.which("helm") or _built_helm()
    if found is None or not Path(found).is_file():
        raise ReleaseError(
            f"{given or 'helm'} was not found. Install Helm 3, or name it by --helm."
        )
    return Path(found)


def _built_helm() -> Path | None:
    try:
        return program(HELM, "helm")
    except EmbeddedError:
        return None


def install(
    kubeconfig: Path,
    *,
    images: Images,
    values: Mapping[str, Any],
    helm: Path,
    say: Callable[[str], None] = print,
    timeout: timedelta = timedelta(minutes=5),
) -> None:
    """Install or upgrade both charts and wait until every process is ready.

    What `values` does not say of the cluster (the API server's addresses; whether
    policies are enforced on the embedded cluster) is read from it.

    Raises
    ------
    ReleaseError
        If Helm refuses or a process does not become ready; the message names it.
    ClusterError
        If the API server refuses or does not answer.
    """
    whole = _merged(_merged(asyncio.run(_prepare(kubeconfig)), values), {"images": images.values()})
    folder = charts()
    for name in ("carrel-crds", "carrel"):
        _go_on(helm, name, kubeconfig=kubeconfig, say=say)
    say("Installing the kinds (chart carrel-crds).")
    crds = ["upgrade", "--install", "carrel-crds", str(folder / "carrel-crds")]
    _helm(helm, [*crds, "--wait", f"--timeout={_seconds(_CRDS_TIMEOUT)}"], kubeconfig=kubeconfig)
    say("Installing the platform (chart carrel) and waiting for its processes.")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix="carrel-values-") as file:
        yaml.safe_dump(whole, file)
        file.flush()
        platform = ["upgrade", "--install", "carrel", str(folder / "carrel"), "-f", file.name]
        arguments = [*platform, "--wait", f"--timeout={_seconds(timeout)}"]
        try:
            _helm(helm, arguments, kubeconfig=kubeconfig)
            asyncio.run(_wait_for_agents(kubeconfig, patience=timeout))
        except ReleaseError as error:
            found = asyncio.run(_problems(kubeconfig))
            raise ReleaseError("\n".join((str(error), *found))) from error


def uninstall(
    kubeconfig: Path,
    *,
    helm: Path,
    say: Callable[[str], None] = print,
    timeout: timedelta = timedelta(minutes=6),
) -> None:
    """Remove the platform; kinds, grants, homes and ledgers stay.

    Raises
    ------
    ReleaseError
        If something still runs at the deadline; nothing was removed then.
    """
    say("Suspending grants and waiting until nothing runs, then removing the platform.")
    try:
        arguments = ["uninstall", "carrel", "--wait", f"--timeout={_seconds(timeout)}"]
        _helm(helm, [*arguments, "--ignore-not-found"], kubeconfig=kubeconfig)
        asyncio.run(_wait_for_end_of_pods(kubeconfig))
    except ReleaseError as error:
        found = asyncio.run(_problems(kubeconfig))
        raise ReleaseError("\n".join((str(error), *found))) from error


def _go_on(helm: Path, name: str, *, kubeconfig: Path, say: Callable[[str], None]) -> None:
    """Make a release that an interrupted run or a refused uninstall left behind usable again.

    Helm upgrades nothing that is pending or uninstalling; a rollback to the same revision
    is its way out.
    """
    listed = _helm(helm, ["list", "--all", f"--filter=^{name}$", "-o=json"], kubeconfig=kubeconfig)
    for release in json.loads(listed):
        status = str(release["status"])
        if status.startswith("pending-") or status == "uninstalling":
            say(f"The release {name} was left {status}; going on from there.")
            _helm(helm, ["rollback", name, str(release["revision"])], kubeconfig=kubeconfig)


def _helm(helm: Path, arguments: Sequence[str], *, kubeconfig: Path) -> str:
    common = [f"--kubeconfig={kubeconfig}", f"--namespace={NAMESPACE_NAME}"]
    done = subprocess.run(
        [str(helm), *arguments, *common], capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = done.stderr.strip().removeprefix("Error: ")
        raise ReleaseError(f"helm {arguments[0]} failed: {words or 'without a word'}")
    return done.stdout


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.0f}s"


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one tree of values over another; lists and scalars of `above` win whole."""
    tree = dict(below)
    for key, value in above.items():
        under = tree.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            tree[key] = _merged(under, value)
        else:
            tree[key] = value
    return tree


async def _prepare(kubeconfig: Path) -> JSON:
    """Make the namespace and read from the cluster what the chart must be told of it."""
    async with connect(kubeconfig, user_agent=MANAGER) as cluster:
        metadata = {"name": NAMESPACE_NAME, "labels": _LABELS}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        await _wait_for_end(cluster)
        await cluster.apply(namespace, manager=MANAGER)
        network: JSON = {"apiServer": await _api_server(cluster)}
        embedded = await cluster.get(Ref(CONFIG_MAP, "carrel-embedded", "kube-system"))
        if embedded is None:
            return {"network": network}
        enforced = embedded["data"]["networkPolicyEnforced"] == "true"
        network["policyEnforcement"] = "Enforced" if enforced else "NotEnforced"
        return {
            "network": network,
            "node": {"kubeletRoot": embedded["data"]["kubeletRoot"]},
            "persistence": {"storageClass": "carrel-local"},
            "ledger": {"service": "Offered", "origin": "carrel.localhost/log"},
        }


async def _wait_for_end(cluster: Cluster) -> None:
    """Wait until a namespace that is being deleted is gone; nothing can be made in it."""
    clock = SystemClock()
    ends = clock.now() + timedelta(minutes=1)
    ref = Ref(NAMESPACE, NAMESPACE_NAME)
    while found := await cluster.get(ref):
        if "deletionTimestamp" not in found["metadata"]:
            return
        if clock.now() > ends:
            raise ReleaseError(
                f"The namespace {NAMESPACE_NAME} is being deleted and does not end. "
                f"`kubectl describe namespace {NAMESPACE_NAME}` says what holds it."
            )
        await wait_until(clock.now() + timedelta(seconds=1), clock=clock)


async def _wait_for_end_of_pods(kubeconfig: Path) -> None:
    """Wait until every pod has ended: Helm waits for what owns them only."""
    clock = SystemClock()
    ends = clock.now() + timedelta(minutes=2)
    async with connect(kubeconfig, user_agent=MANAGER) as cluster:
        while pods := await cluster.list(POD, namespace=NAMESPACE_NAME, labels=_PODS):
            if clock.now() > ends:
                names = ", ".join(pod["metadata"]["name"] for pod in pods)
                raise ReleaseError(
                    f"The release is removed, but {names} did not end within two minutes. "
                    "See whether their nodes are up."
                )
            await wait_until(clock.now() + timedelta(seconds=1), clock=clock)


async def _wait_for_agents(kubeconfig: Path, *, patience: timedelta) -> None:
    """Wait until every node has its agent: Helm counts one that may be away as there."""
    clock = SystemClock()
    ends = clock.now() + patience
    ref = Ref(_DAEMON_SET, "carrel-node", NAMESPACE_NAME)
    async with connect(kubeconfig, user_agent=MANAGER) as cluster:
        while True:
            found = await cluster.get(ref) or {}
            status = found.get("status", {})
            ready, wanted = status.get("numberReady", 0), status.get("desiredNumberScheduled", 0)
            if ready == wanted and status.get("updatedNumberScheduled", 0) == wanted:
                return
            if clock.now() > ends:
                raise ReleaseError(
                    f"Only {ready} of {wanted} node agents became ready within "
                    f"{_seconds(patience)}. Without one a node starts no workspace."
                )
            await wait_until(clock.now() + timedelta(seconds=1), clock=clock)


async def _api_server(cluster: Cluster) -> JSON:
    """Return the API server's own addresses and ports, which policies see behind its Service."""
    slices = await cluster.list(
        _ENDPOINT_SLICE, namespace="default", labels="kubernetes.io/service-name=kubernetes"
    )
    addresses = {
        ipaddress.ip_address(address)
        for one in slices
        for endpoint in one.get("endpoints") or ()
        for address in endpoint["addresses"]
    }
    ports = {int(port["port"]) for one in slices for port in one.get("ports") or ()}
    cidrs = [f"{address}/{address.max_prefixlen}" for address in sorted(addresses, key=str)]
    return {"cidrs": cidrs, "ports": sorted({443, *ports})}


async def _problems(kubeconfig: Path) -> tuple[str, ...]:
    async with connect(kubeconfig, user_agent=MANAGER) as cluster:
        return problems(await cluster.list(POD, namespace=NAMESPACE_NAME))


def problems(pods: Sequence[JSON]) -> tuple[str, ...]:
    """Say of each pod that is not well what its kubelet says about it, one sentence each."""
    found: list[str] = []
    for pod in pods:
        name, status = pod["metadata"]["name"], pod.get("status", {})
        scheduled = [c for c in status.get("conditions", []) if c["type"] == "PodScheduled"]
        found += [
            f"Pod {name} has no node: {one.get('message', 'not yet scheduled')}"
            for one in scheduled
            if one["status"] != "True"
        ]
        containers = [
            *status.get("initContainerStatuses", []),
            *status.get("containerStatuses", []),
        ]
        found += [f"Pod {name}, {said}" for one in containers if (said := _complaint(one))]
    return tuple(found)


def _complaint(container: JSON) -> str:
    """Return what is wrong with a container; empty for one that runs well or ended well."""
    state = container.get("state", {})
    last = container.get("lastState", {})
    ended = state.get("terminated") or last.get("terminated") or {}
    waiting = state.get("waiting", {})
    if container.get("ready") or (ended and not ended.get("exitCode") and not waiting):
        return ""
    words = " ".join(
        part
        for part in (
            waiting.get("reason", ""),
            waiting.get("message", ""),
            f"ended with {ended['exitCode']}." if ended.get("exitCode") else "",
            ended.get("message", "").strip()[-800:],
        )
        if part
    )
    return f"container {container['name']}: {words or 'runs but is not ready.'}"
