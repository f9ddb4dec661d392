"""Configuration files of the processes inside an instance, as values that are written at `up`."""

import json
from typing import Any, Final

import yaml

from carrel.embedded.instance import Instance
from carrel.embedded.parts import Network

POD_RANGE: Final = "10.244.0.0/17"
SERVICE_RANGE: Final = "10.96.0.0/16"
DNS_IP: Final = "10.96.0.10"
RUN: Final = "/run/carrel"
"""Folder on the instance's own /run for sockets and state that end with it."""
CONTAINERD_SOCKET: Final = f"{RUN}/containerd/containerd.sock"
PAUSE_IMAGE: Final = "localhost/carrel/pause:1"
COREDNS_IMAGE: Final = "localhost/carrel/coredns:1"


def files(instance: Instance) -> dict[str, str]:
    """Every configuration file by its path below the instance's state folder."""
    made = {
        "etc/containerd.toml": _containerd(instance),
        "etc/kubelet.yaml": _yaml(_kubelet(instance)),
        "etc/proxy.yaml": _yaml(_proxy(instance)),
        "etc/audit.yaml": _yaml(_audit()),
        "etc/authentication.yaml": _yaml(_authentication()),
        # Pods that ask for the node's resolver get one that knows nothing.
        "etc/resolv.conf": f"nameserver {DNS_IP}\n",
        "llvm/clang": _CLANG,
    }
    match instance.network:
        case Network.BRIDGE:
            made["cni/10-carrel.conflist"] = json.dumps(_bridge())
        case Network.CILIUM:
            made["etc/cilium.conflist"] = json.dumps(_cilium())
    return made


# Cilium 1.15's datapath narrows 64-bit values, which clang 18 and later refuse under -Werror.
_CLANG: Final = '#!/bin/sh\nexec /usr/bin/clang-19 "$@" -Wno-shorten-64-to-32\n'


def _yaml(document: dict[str, Any]) -> str:
    return yaml.safe_dump(document, sort_keys=False)


def _containerd(instance: Instance) -> str:
    return f"""\
version = 3  # with 4 the address below is ignored
root = "{instance.state}/containerd"
state = "{RUN}/containerd"
[grpc]
  address = "{CONTAINERD_SOCKET}"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{PAUSE_IMAGE}"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true  # root may lack CAP_SYS_RESOURCE
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["{instance.programs}"]
  conf_dir = "{instance.state}/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
    SystemdCgroup = false
    BinaryName = "{instance.programs}/runc"
"""


def _kubelet(instance: Instance) -> dict[str, Any]:
    keys = instance.keys
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failCgroupV1": False,  # 1.35 and later refuse hosts with cgroup v1 otherwise
        "cgroupDriver": "cgroupfs",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{keys}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{keys}/kubelet.crt",
        "tlsPrivateKeyFile": f"{keys}/kubelet.key",
        "clusterDNS": [DNS_IP],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{instance.state}/etc/resolv.conf",
        "containerRuntimeEndpoint": f"unix://{CONTAINERD_SOCKET}",
        "failSwapOn": False,
        "maxPods": 200,
        # The disk is the host's: its owner decides how full it may be, and images that were
        # loaded by hand could not be pulled again.
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "2%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "2%",
            "imagefs.inodesFree": "1%",
        },
        "imageGCHighThresholdPercent": 100,
    }


def _proxy(instance: Instance) -> dict[str, Any]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": f"{instance.keys}/proxy.conf"},
        "clusterCIDR": POD_RANGE,
        "hostnameOverride": instance.name,
        "conntrack": {"maxPerCore": 0},  # a sysctl of the host, which is not ours to set
    }


def _authentication() -> dict[str, Any]:
    # Whoever has no name may ask for health and nothing else, whatever RBAC would say.
    paths = [{"path": f"/{name}"} for name in ("livez", "readyz", "healthz")]
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "anonymous": {"enabled": True, "conditions": paths},
    }


def _audit() -> dict[str, Any]:
    """First rule that matches decides: bodies of what governs access, never of a Secret."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {
                # Bodies of these hold keys and tokens.
                "level": "Metadata",
                "resources": [
                    {"group": "", "resources": ["secrets", "configmaps", "serviceaccounts/token"]},
                    {"group": "authentication.k8s.io", "resources": ["tokenreviews"]},
                ],
            },
            {
                "level": "RequestResponse",
                "verbs": ["create", "update", "patch", "delete", "deletecollection"],
                "resources": [
                    {"group": "carrel.dev"},
                    {"group": "rbac.authorization.k8s.io"},
                    {"group": "networking.k8s.io", "resources": ["networkpolicies"]},
                    {"group": "admissionregistration.k8s.io"},
                ],
            },
            {
                "level": "RequestResponse",
                "resources": [
                    {
                        "group": "",
                        "resources": [
                            *("pods/exec", "pods/attach", "pods/portforward"),
                            *("pods/proxy", "services/proxy", "nodes/proxy"),
                            "pods/ephemeralcontainers",
                        ],
                    }
                ],
            },
            {"level": "None", "nonResourceURLs": ["/livez*", "/readyz*", "/healthz*"]},
            # The node's own heartbeats say nothing about anybody and would be most of the log.
            {
                "level": "None",
                "verbs": ["get", "list", "watch", "update", "patch"],
                "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
            },
            {"level": "Metadata"},
        ],
    }


def _portmap() -> dict[str, Any]:
    return {"type": "portmap", "capabilities": {"portMappings": True}, "backend": "nftables"}


def _bridge() -> dict[str, Any]:
    addresses = {
        "type": "host-local",
        "ranges": [[{"subnet": "10.244.0.0/24"}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": f"{RUN}/cni",
    }
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "ipMasqBackend": "nftables",
        "hairpinMode": True,
        "ipam": addresses,
    }
    return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge, _portmap()]}


def _cilium() -> dict[str, Any]:
    cilium = {"type": "cilium-cni", "log-file": "/run/cilium/cilium-cni.log"}
    return {"cniVersion": "0.3.1", "name": "cilium", "plugins": [cilium, _portmap()]}
