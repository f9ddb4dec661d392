"""Kubernetes objects that belong to the embedded cluster itself, applied by every `up`."""

from typing import Any, Final

from carrel.embedded import config
from carrel.embedded.instance import Instance
from carrel.embedded.mounts import DISK_BYTES, DISKS, volume_path
from carrel.embedded.parts import Network

STORAGE_CLASS: Final = "carrel-local"
_RBAC: Final = "rbac.authorization.k8s.io"
_DNS_LABELS: Final = {"k8s-app": "kube-dns"}
_CORE_FILE: Final = """\
.:53 {
  errors
  health :8080
  ready :8181
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    ttl 5
  }
  cache 5
}
"""
Object = dict[str, Any]


def every_object(instance: Instance) -> list[Object]:
    """All of them, in an order that works."""
    made = [
        _facts(instance),
        *_kubelet_access(),
        *_storage(instance),
        *_volumes_access(),
        *_dns(),
    ]
    match instance.network:
        case Network.BRIDGE:
            return made
        case Network.CILIUM:
            return [*_cilium_access(), *made]


def _facts(instance: Instance) -> Object:
    """Tell the platform what its conditions must be honest about."""
    enforced = "true" if instance.network is Network.CILIUM else "false"
    return {
        **_head("v1", "ConfigMap", "carrel-embedded", namespace="kube-system"),
        "data": {
            "network": instance.network.value,
            "networkPolicyEnforced": enforced,
            "kubeletRoot": "/var/lib/kubelet",
            "nodeName": instance.name,
        },
    }


def _head(version: str, kind: str, name: str, *, namespace: str = "") -> Object:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _bind(name: str, *, role: str, subject: Object) -> Object:
    return {
        **_head(f"{_RBAC}/v1", "ClusterRoleBinding", name),
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }


def _user(name: str) -> Object:
    return {"apiGroup": _RBAC, "kind": "User", "name": name}


def _role(name: str, rules: list[Object]) -> Object:
    return {**_head(f"{_RBAC}/v1", "ClusterRole", name), "rules": rules}


def _rule(group: str, resources: str, verbs: str) -> Object:
    return {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}


def _kubelet_access() -> list[Object]:
    """Let the API server ask the kubelet for logs, exec and port-forward."""
    name = "carrel-embedded:kubelet-client"
    return [
        _bind(
            name,
            role="system:kubelet-api-admin",
            subject=_user("kube-apiserver-kubelet-client"),
        )
    ]


def _storage(instance: Instance) -> list[Object]:
    storage_class = {
        **_head("storage.k8s.io/v1", "StorageClass", STORAGE_CLASS),
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
        "reclaimPolicy": "Retain",
    }
    return [storage_class, *(_volume(instance, number) for number in range(DISKS))]


def _volume(instance: Instance, number: int) -> Object:
    on_this_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [instance.name]}
    return {
        **_head("v1", "PersistentVolume", f"{STORAGE_CLASS}-{number}"),
        "spec": {
            "capacity": {"storage": f"{DISK_BYTES // 2**30}Gi"},
            "accessModes": ["ReadWriteOnce"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "local": {"path": volume_path(number)},
            "nodeAffinity": {
                "required": {"nodeSelectorTerms": [{"matchExpressions": [on_this_node]}]}
            },
        },
    }


def _volumes_access() -> list[Object]:
    """Allow emptied volumes to be offered again."""
    name = "carrel-embedded:volumes"
    rules = [_rule("", "persistentvolumes", "get list watch patch")]
    return [_role(name, rules), _bind(name, role=name, subject=_user(name))]


def _dns() -> list[Object]:
    name, namespace = "carrel-embedded:coredns", "kube-system"
    rules = [
        _rule("", "endpoints services pods namespaces", "list watch"),
        _rule("discovery.k8s.io", "endpointslices", "list watch"),
    ]
    subject = {"kind": "ServiceAccount", "name": "coredns", "namespace": namespace}
    ports = [
        {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
        {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53},
    ]
    return [
        _head("v1", "ServiceAccount", "coredns", namespace=namespace),
        _role(name, rules),
        _bind(name, role=name, subject=subject),
        {
            **_head("v1", "ConfigMap", "coredns", namespace=namespace),
            "data": {"Corefile": _CORE_FILE},
        },
        {
            **_head("v1", "Service", "kube-dns", namespace=namespace),
            "spec": {"clusterIP": config.DNS_IP, "selector": _DNS_LABELS, "ports": ports},
        },
        _dns_deployment(namespace),
    ]


def _dns_deployment(namespace: str) -> Object:
    container = {
        "name": "coredns",
        "image": config.COREDNS_IMAGE,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 20},
        "resources": {"requests": {"cpu": "20m", "memory": "40Mi"}, "limits": {"memory": "170Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    return {
        **_head("apps/v1", "Deployment", "coredns", namespace=namespace),
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": _DNS_LABELS},
            "template": {"metadata": {"labels": _DNS_LABELS}, "spec": pod},
        },
    }


def _cilium_access() -> list[Object]:
    """Agent and operator of Cilium share one name here: both run on the node itself."""
    name = "carrel-embedded:cilium"
    read = "get list watch"
    write = f"{read} create update patch delete deletecollection"
    rules = [
        _rule("", "namespaces services pods endpoints nodes", read),
        _rule("", "nodes nodes/status", "patch"),
        _rule("", "pods", "delete"),
        _rule("", "services/status", "update patch"),
        _rule("discovery.k8s.io", "endpointslices", read),
        _rule("networking.k8s.io", "networkpolicies", read),
        _rule("apiextensions.k8s.io", "customresourcedefinitions", f"{read} create update"),
        _rule("cilium.io", "*", write),
        _rule("coordination.k8s.io", "leases", "create get update"),
    ]
    return [_role(name, rules), _bind(name, role=name, subject=_user(name))]
