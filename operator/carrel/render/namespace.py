"""The namespace of a workspace and the objects that bound it."""

from typing import Any

from carrel.kinds import Workspace, WorkspaceClass
from carrel.render.labels import COMPONENT, workspace_labels
from carrel.render.nft import WORKSPACE_PORT
from carrel.render.quantity import cpu, mebibytes
from carrel.render.site import Site

SERVICE_ACCOUNT = "workspace"
DENY_ALL = "deny-all"
FRONT_DOOR = "front-door"
GATEWAY = "gateway"
"""Component of the pods that browsers reach, and that alone reach a workspace."""
QUOTA = "workspace"

GATE_MEMORY_MIB = 64
"""Less than the smallest class, so that the quota of a class holds its gate too."""

SERVER_CPU_MILLIS = 1000
SERVER_MEMORY_MIB = 512
"""What the notebook server gets beside what the class gives to kernels."""

_POD_SECURITY = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")
}


def namespace(name: str, *, labels: dict[str, str]) -> dict[str, Any]:
    """Return the namespace, under Pod Security `restricted`."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {**labels, **_POD_SECURITY}},
    }


def network_policy(workspace: Workspace) -> dict[str, Any]:
    """Return the deny-all policy: every pod of the namespace, both ways, no exception.

    The lists are empty and not left out, so that applying it also removes rules that
    somebody added.
    """
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(DENY_ALL, workspace),
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [],
            "egress": [],
        },
    }


def network_policies(workspace: Workspace, site: Site) -> tuple[dict[str, Any], ...]:
    """Return every policy of the namespace; the deny-all policy is the first."""
    opened = () if site.front_door is None else (front_door_policy(workspace, site),)
    return (network_policy(workspace), *opened)


def front_door_policy(workspace: Workspace, site: Site) -> dict[str, Any]:
    """Return the policy that lets the platform's gateway pods reach the notebook server."""
    gateway = {
        "namespaceSelector": {
            "matchLabels": {"kubernetes.io/metadata.name": site.platform_namespace}
        },
        "podSelector": {"matchLabels": {"app.kubernetes.io/name": "carrel", COMPONENT: GATEWAY}},
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(FRONT_DOOR, workspace),
        "spec": {
            "podSelector": {},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [gateway], "ports": [{"protocol": "TCP", "port": WORKSPACE_PORT}]}
            ],
        },
    }


def resource_quota(workspace: Workspace, shape: WorkspaceClass) -> dict[str, Any]:
    """Return the quota: one pod of class and server, its two claims, and nothing that exposes."""
    spec = shape.spec
    hard = {
        "pods": "1",
        "limits.cpu": cpu(spec.cpu_millis + SERVER_CPU_MILLIS),
        "limits.memory": mebibytes(spec.memory_mib + SERVER_MEMORY_MIB),
        "persistentvolumeclaims": "2",
        "services": "0",
        "secrets": "0",
        "count/jobs.batch": "0",
        "count/deployments.apps": "0",
        "count/statefulsets.apps": "0",
        "count/ingresses.networking.k8s.io": "0",
    }
    if spec.gpu is not None:
        hard[f"requests.{spec.gpu.resource}"] = str(spec.gpu.count)
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": _metadata(QUOTA, workspace),
        "spec": {"hard": hard},
    }


def limit_range(workspace: Workspace, shape: WorkspaceClass) -> dict[str, Any]:
    """Return the bounds of a container, so that none is without and none above class or server."""
    largest = {
        "cpu": cpu(max(shape.spec.cpu_millis, SERVER_CPU_MILLIS)),
        "memory": mebibytes(max(shape.spec.memory_mib, SERVER_MEMORY_MIB)),
    }
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": _metadata("workspace", workspace),
        "spec": {"limits": [{"type": "Container", "max": largest, "default": largest}]},
    }


def service_account(workspace: Workspace) -> dict[str, Any]:
    """Return an identity that holds no right and mounts no token."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(SERVICE_ACCOUNT, workspace),
        "automountServiceAccountToken": False,
    }


def _metadata(name: str, workspace: Workspace) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": workspace.metadata.name,
        "labels": workspace_labels(workspace),
    }
