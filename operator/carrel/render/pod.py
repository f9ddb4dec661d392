"""The one pod of a workspace."""

from typing import Any

from carrel.kinds import Workspace, WorkspaceClass
from carrel.kinds.resource import API_VERSION
from carrel.kinds.workspace import SelfCheck
from carrel.render.labels import ROLE, VIEWS, workspace_labels
from carrel.render.namespace import GATE_MEMORY_MIB, SERVICE_ACCOUNT
from carrel.render.quantity import cpu, mebibytes
from carrel.render.site import Site, UserNamespaces
from carrel.render.volumes import HOME_CLAIM, VIEW_CLAIM
from carrel.rules import POD_NAME
from carrel.rules.facts import CLASS_DIGEST_ANNOTATION, SCHEDULING_GATE, VIEW_DIGEST_ANNOTATION

WORKSPACE_CONTAINER = "workspace"
GATE_CONTAINER = "lock-gate"

ALLOWED_ENVIRONMENT = frozenset({"OMP_NUM_THREADS", "NVIDIA_VISIBLE_DEVICES", "CARREL_SELF_CHECK"})
"""Every variable that a workspace container may be given; a law of the tests."""

_USER = 1000
_GRACE_SECONDS = 5
_START_SECONDS = 180

_READY = ("/opt/carrel/closed-python", "-I", "-S", "/opt/carrel/lib/desk/ready.py")
"""The probe runs as the workspace's user, and its output becomes an Event: the kernel keeps a
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
        "metadata": _metadata(workspace),
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
            "containers": [_workspace(workspace, shape)],
            "volumes": _volumes(shape),
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


def _metadata(workspace: Workspace) -> dict[str, Any]:
    return {
        "name": POD_NAME,
        "namespace": workspace.metadata.name,
        "labels": {**workspace_labels(workspace), ROLE: "workspace"},
        "annotations": {
            VIEW_DIGEST_ANNOTATION: workspace.spec.view_digest,
            CLASS_DIGEST_ANNOTATION: workspace.spec.workspace_class.digest,
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


def _workspace(workspace: Workspace, shape: WorkspaceClass) -> dict[str, Any]:
    ready = {"exec": {"command": list(_READY)}, "timeoutSeconds": 5}
    return {
        "name": WORKSPACE_CONTAINER,
        "image": shape.spec.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/opt/carrel/entrypoint"],
        "env": _environment(workspace, shape),
        "resources": _resources(shape),
        "securityContext": _CLOSED_CONTAINER,
        "terminationMessagePolicy": "File",
        # Probes are exec: any other kind comes from the node's address, which the lock drops.
        "startupProbe": {**ready, "periodSeconds": 1, "failureThreshold": _START_SECONDS},
        "readinessProbe": {**ready, "periodSeconds": 15},
        "volumeMounts": [
            {"name": "view", "mountPath": "/datasets", "readOnly": True},
            {"name": "home", "mountPath": "/home/carrel"},
            {"name": "scratch", "mountPath": "/tmp"},  # noqa: S108 - a mount of the pod's own
            {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - as above
        ],
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


def _volumes(shape: WorkspaceClass) -> list[dict[str, Any]]:
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
    ]
