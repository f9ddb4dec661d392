"""The one pod of a workspace."""

from typing import Any

from carrel.kinds import Workspace, WorkspaceClass
from carrel.kinds.resource import API_VERSION
from carrel.kinds.workspace import SelfCheck
from carrel.render.labels import ROLE, VIEWS, workspace_labels
from carrel.render.namespace import (
    GATE_MEMORY_MIB,
    SERVER_CPU_MILLIS,
    SERVER_MEMORY_MIB,
    SERVICE_ACCOUNT,
)
from carrel.render.quantity import cpu, mebibytes
from carrel.render.site import Site, UserNamespaces
from carrel.render.volumes import HOME_CLAIM, VIEW_CLAIM
from carrel.rules import POD_NAME
from carrel.rules.facts import CLASS_DIGEST_ANNOTATION, SCHEDULING_GATE, VIEW_DIGEST_ANNOTATION

KERNEL_CONTAINER = "kernel"
SERVER_CONTAINER = "server"
GATE_CONTAINER = "lock-gate"

ALLOWED_ENVIRONMENT = frozenset(
    {"OMP_NUM_THREADS", "NVIDIA_VISIBLE_DEVICES", "CARREL_SELF_CHECK", "CARREL_WORKSPACE"}
)
"""Every variable that a workspace container may be given; a law of the tests."""

AUTHORITY_ANNOTATION = "carrel.dev/front-door-authority"
GATEWAY_ANNOTATION = "carrel.dev/front-door-gateway"
"""What the notebook server knows the gateway by. On the pod, where it takes no right to any
ConfigMap to write it, and reaches the server as files that Kubernetes writes."""

_USER = 1000
"""User of the kernels, and group of everything in the home."""
_SERVER_USER = 1001
"""Another user than the kernels': they are not to read its key or trace it."""
_GRACE_SECONDS = 5
_START_SECONDS = 180
_SERVER_PROMISED_MILLIS = 50
_SERVER_SCRATCH_MIB = 64

_READY = ("/opt/carrel/closed-python", "-I", "-S", "/opt/carrel/lib/desk/ready.py")
"""The probe runs as the container's user, and its output becomes an Event: the kernel keeps a
program that its user may not read from being traced, or having its descriptors opened, by him."""

_CLOSED_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def pod(workspace: Workspace, shape: WorkspaceClass, site: Site) -> dict[str, Any]:
    """Return the pod, held by its scheduling gate until a node acknowledged view and home."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(workspace, site),
        "spec": {
            **_placement(site),
            **_identity(site),
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": _GRACE_SECONDS,
            "enableServiceLinks": False,
            "hostname": POD_NAME,
            "dnsPolicy": "None",
            "dnsConfig": {
                "nameservers": ["127.0.0.1"],
                "options": [{"name": "ndots", "value": "1"}],
            },
            "initContainers": [_gate(shape, site)],
            "containers": [_kernel(workspace, shape), _server(workspace, shape, site)],
            "volumes": _volumes(shape, site),
        },
    }


def ungated(nodes: tuple[str, ...], *, uid: str) -> dict[str, Any]:
    """Return the merge patch that lets the pod of this UID go to one of `nodes`."""
    if not nodes:
        msg = "a pod is let go only to nodes that acknowledged its view; none did"
        raise ValueError(msg)
    by_name = {"key": "metadata.name", "operator": "In"}
    terms = [{"matchFields": [{**by_name, "values": [node]}]} for node in nodes]
    return {
        "metadata": {"uid": uid},
        "spec": {
            "schedulingGates": None,
            "affinity": {
                "nodeAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}
                }
            },
        },
    }


def _metadata(workspace: Workspace, site: Site) -> dict[str, Any]:
    door = site.front_door
    known = {AUTHORITY_ANNOTATION: door.authority, GATEWAY_ANNOTATION: door.gateway} if door else {}
    return {
        "name": POD_NAME,
        "namespace": workspace.metadata.name,
        "labels": {**workspace_labels(workspace), ROLE: "workspace"},
        "annotations": {
            VIEW_DIGEST_ANNOTATION: workspace.spec.view_digest,
            CLASS_DIGEST_ANNOTATION: workspace.spec.workspace_class.digest,
            **known,
        },
        # Should somebody tear the Workspace away with its finalizer, the pod goes too.
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": "Workspace",
                "name": workspace.metadata.name,
                "uid": workspace.uid,
            }
        ],
    }


def _placement(site: Site) -> dict[str, Any]:
    placement: dict[str, Any] = {
        "schedulingGates": [{"name": SCHEDULING_GATE}],
        "nodeSelector": {VIEWS: "ready", **dict(site.node_selector)},
    }
    if site.priority_class is not None:
        placement["priorityClassName"] = site.priority_class
    if site.tolerations:
        placement["tolerations"] = [taint.to_pod() for taint in site.tolerations]
    return placement


def _identity(site: Site) -> dict[str, Any]:
    identity: dict[str, Any] = {
        "serviceAccountName": SERVICE_ACCOUNT,
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    if site.user_namespaces is UserNamespaces.USED:
        identity["hostUsers"] = False
    return identity


def _gate(shape: WorkspaceClass, site: Site) -> dict[str, Any]:
    # The whole CPU of the class, which nobody uses yet: a tenth of a core would start Python
    # in seconds.
    size = {"cpu": cpu(shape.spec.cpu_millis), "memory": mebibytes(GATE_MEMORY_MIB)}
    return {
        "name": GATE_CONTAINER,
        "image": site.platform_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-m", "carrel.node.gate"],
        "resources": {"limits": size, "requests": {**size, "cpu": _promised_cpu(shape)}},
        "securityContext": _CLOSED_CONTAINER,
        "terminationMessagePolicy": "File",
    }


def _kernel(workspace: Workspace, shape: WorkspaceClass) -> dict[str, Any]:
    return {
        "name": KERNEL_CONTAINER,
        "image": shape.spec.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/carrel/kernel"],
        "env": _environment(workspace, shape),
        "resources": _resources(shape),
        "securityContext": _CLOSED_CONTAINER,
        "terminationMessagePolicy": "File",
        **_probes("kernel"),
        "volumeMounts": [
            {"name": "view", "mountPath": "/datasets", "readOnly": True},
            {"name": "home", "mountPath": "/home/carrel"},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - a mount of the pod's own
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - as above
        ],
    }


def _server(workspace: Workspace, shape: WorkspaceClass, site: Site) -> dict[str, Any]:
    """Return the container that speaks to the gateway: no data, no user code, a key of its own."""
    size = {"cpu": cpu(SERVER_CPU_MILLIS), "memory": mebibytes(SERVER_MEMORY_MIB)}
    environment = {
        "CARREL_WORKSPACE": workspace.metadata.name,
        # A class's GPU is the kernels'.
        "NVIDIA_VISIBLE_DEVICES": "void",
    }
    door = {"name": "front-door", "mountPath": "/run/front-door", "readOnly": True}
    return {
        "name": SERVER_CONTAINER,
        "image": shape.spec.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/carrel/server"],
        "env": [{"name": name, "value": value} for name, value in sorted(environment.items())],
        "resources": {"limits": size, "requests": {**size, "cpu": cpu(_SERVER_PROMISED_MILLIS)}},
        "securityContext": {**_CLOSED_CONTAINER, "runAsUser": _SERVER_USER},
        "terminationMessagePolicy": "File",
        **_probes("server"),
        "volumeMounts": [
            {"name": "home", "mountPath": "/home/carrel"},
            {"name": "server", "mountPath": "/run/server"},
            *([door] if site.front_door else []),
        ],
    }


def _probes(part: str) -> dict[str, Any]:
    # Probes are exec: any other kind comes from the node's address, which the lock drops.
    ready = {"exec": {"command": [*_READY, part]}, "timeoutSeconds": 5}
    return {
        "startupProbe": {**ready, "periodSeconds": 1, "failureThreshold": _START_SECONDS},
        "readinessProbe": {**ready, "periodSeconds": 15},
    }


def _environment(workspace: Workspace, shape: WorkspaceClass) -> list[dict[str, str]]:
    threads = max(1, shape.spec.cpu_millis // 1000)
    environment = {"OMP_NUM_THREADS": str(threads)}
    if shape.spec.gpu is None:
        # Set in an image, this variable can expose every GPU of a node on many runtimes.
        environment["NVIDIA_VISIBLE_DEVICES"] = "void"
    if workspace.spec.self_check is not SelfCheck.NONE:
        environment["CARREL_SELF_CHECK"] = workspace.spec.self_check.value
    return [{"name": name, "value": value} for name, value in sorted(environment.items())]


def _resources(shape: WorkspaceClass) -> dict[str, Any]:
    limits = {
        "cpu": cpu(shape.spec.cpu_millis),
        "memory": mebibytes(shape.spec.memory_mib),
    }
    requests = {**limits, "cpu": _promised_cpu(shape)}
    if shape.spec.gpu is not None:
        limits[shape.spec.gpu.resource] = str(shape.spec.gpu.count)
        requests[shape.spec.gpu.resource] = str(shape.spec.gpu.count)
    return {"limits": limits, "requests": requests}


def _promised_cpu(shape: WorkspaceClass) -> str:
    """Return a quarter of the limit: reading and thinking take no CPU."""
    return cpu(max(50, shape.spec.cpu_millis // 4))


def _volumes(shape: WorkspaceClass, site: Site) -> list[dict[str, Any]]:
    door = {
        "name": "front-door",
        "downwardAPI": {
            "items": [
                _annotation("ca.crt", AUTHORITY_ANNOTATION),
                _annotation("gateway-name", GATEWAY_ANNOTATION),
            ]
        },
    }
    return [
        {
            "name": "view",
            "persistentVolumeClaim": {"claimName": VIEW_CLAIM, "readOnly": True},
        },
        {"name": "home", "persistentVolumeClaim": {"claimName": HOME_CLAIM}},
        {"name": "scratch", "emptyDir": {"sizeLimit": mebibytes(shape.spec.scratch_mib)}},
        {
            "name": "shm",
            "emptyDir": {
                "medium": "Memory",
                "sizeLimit": mebibytes(shape.spec.shared_memory_mib),
            },
        },
        # The server's key and what it writes for itself: in memory, and in no other container.
        {
            "name": "server",
            "emptyDir": {"medium": "Memory", "sizeLimit": mebibytes(_SERVER_SCRATCH_MIB)},
        },
        *([door] if site.front_door else []),
    ]


def _annotation(path: str, name: str) -> dict[str, Any]:
    return {"path": path, "fieldRef": {"fieldPath": f"metadata.annotations['{name}']"}}
