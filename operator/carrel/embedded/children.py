"""The processes inside an instance: their commands, and what each waits for."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from carrel.embedded import config
from carrel.embedded.gates import FileThere, Gate, Https, LoopbackPort, UnixSocket
from carrel.embedded.instance import API_SERVER_PORT, Instance
from carrel.embedded.parts import Network

_SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True)
class Child:
    """One supervised process."""

    name: str
    command: tuple[str, ...]
    after: tuple[Gate, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to PATH and HOME, which is all that a child inherits."""


def environment(instance: Instance) -> dict[str, str]:
    """Environment of every process of the instance."""
    return {
        "PATH": f"{instance.state}/llvm:{instance.programs}:{_SYSTEM_PATH}",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        # Moved state and caches must mean the same to the processes as to the command.
        **{k: v for k, v in os.environ.items() if k in {"CARREL_STATE", "CARREL_CACHE"}},
    }


def children(instance: Instance) -> tuple[Child, ...]:
    """Every process, in the order in which they can start."""
    api = Https(port=API_SERVER_PORT, path="/readyz", authority=instance.keys / "ca.crt")
    runtime = UnixSocket(path=config.CONTAINERD_SOCKET)
    ground = (
        _etcd(instance),
        _child(instance, "containerd", "--config", f"{instance.state}/etc/containerd.toml"),
        _api_server(instance, after=(LoopbackPort(port=2379),)),
        _controller_manager(instance, after=(api,)),
        _child(
            instance,
            "kube-scheduler",
            f"--kubeconfig={instance.keys}/scheduler.conf",
            *("--leader-elect=false", "--profiling=false"),
            after=(api,),
        ),
        _kubelet(instance, after=(api, runtime)),
        _child(instance, "kube-proxy", f"--config={instance.state}/etc/proxy.yaml", after=(api,)),
        Child(
            name="volumes",
            command=(sys.executable, "-m", "carrel.embedded.volumes", instance.name),
            # Its rights are among the objects that `up` applies.
            after=(FileThere(path=instance.state / "ready"),),
        ),
    )
    match instance.network:
        case Network.BRIDGE:
            return ground
        case Network.CILIUM:
            return (*ground, *_cilium(instance, after=(api,)))


def _child(instance: Instance, name: str, *arguments: str, after: tuple[Gate, ...] = ()) -> Child:
    return Child(name=name, command=(f"{instance.programs}/{name}", *arguments), after=after)


def _etcd(instance: Instance) -> Child:
    keys = instance.keys
    client, peer = "https://127.0.0.1:2379", "http://127.0.0.1:2380"
    return _child(
        instance,
        "etcd",
        f"--data-dir={instance.state}/etcd",
        # A crash of the whole machine may cost the cluster's objects; a killed process does not.
        "--unsafe-no-fsync",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        f"--cert-file={keys}/etcd.crt",
        f"--key-file={keys}/etcd.key",
        "--client-cert-auth",
        f"--trusted-ca-file={keys}/etcd-ca.crt",
        "--log-level=warn",
    )


def _api_server(instance: Instance, *, after: tuple[Gate, ...]) -> Child:
    keys, etc = instance.keys, instance.state / "etc"
    audit = instance.state / "audit"
    return _child(
        instance,
        "kube-apiserver",
        "--etcd-servers=https://127.0.0.1:2379",
        f"--etcd-cafile={keys}/etcd-ca.crt",
        f"--etcd-certfile={keys}/apiserver-etcd.crt",
        f"--etcd-keyfile={keys}/apiserver-etcd.key",
        f"--service-cluster-ip-range={config.SERVICE_RANGE}",
        f"--advertise-address={instance.node_ip}",
        f"--tls-cert-file={keys}/apiserver.crt",
        f"--tls-private-key-file={keys}/apiserver.key",
        f"--client-ca-file={keys}/ca.crt",
        f"--authentication-config={etc}/authentication.yaml",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        # Else exec and logs ask a resolver for the node's name.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={keys}/ca.crt",
        f"--kubelet-client-certificate={keys}/apiserver-kubelet.crt",
        f"--kubelet-client-key={keys}/apiserver-kubelet.key",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={keys}/service-accounts.key",
        f"--service-account-signing-key-file={keys}/service-accounts.key",
        # Else a projected token that says one hour lives for a year.
        "--service-account-extend-token-expiration=false",
        f"--requestheader-client-ca-file={keys}/front-proxy-ca.crt",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={keys}/front-proxy.crt",
        f"--proxy-client-key-file={keys}/front-proxy.key",
        f"--audit-policy-file={etc}/audit.yaml",
        f"--audit-log-path={audit}/audit.log",
        *("--audit-log-maxsize=100", "--audit-log-maxbackup=5"),
        "--profiling=false",
        after=after,
    )


def _controller_manager(instance: Instance, *, after: tuple[Gate, ...]) -> Child:
    keys = instance.keys
    return _child(
        instance,
        "kube-controller-manager",
        f"--kubeconfig={keys}/controller-manager.conf",
        f"--service-account-private-key-file={keys}/service-accounts.key",
        f"--root-ca-file={keys}/ca.crt",
        f"--cluster-signing-cert-file={keys}/ca.crt",
        f"--cluster-signing-key-file={keys}/ca.key",
        "--use-service-account-credentials",
        *("--leader-elect=false", "--profiling=false"),
        after=after,
    )


def _kubelet(instance: Instance, *, after: tuple[Gate, ...]) -> Child:
    return _child(
        instance,
        "kubelet",
        f"--config={instance.state}/etc/kubelet.yaml",
        f"--kubeconfig={instance.keys}/kubelet.conf",
        f"--hostname-override={instance.name}",
        f"--node-ip={instance.node_ip}",
        f"--cgroup-root=/{instance.cgroup}",
        "--node-labels=carrel.dev/pool=workspaces",
        after=after,
    )


def _cilium(instance: Instance, *, after: tuple[Gate, ...]) -> tuple[Child, ...]:
    kubeconfig = f"--k8s-kubeconfig-path={instance.keys}/cilium.conf"
    known = {"CILIUM_K8S_NAMESPACE": "kube-system", "K8S_NODE_NAME": instance.name}
    operator = Child(
        name="cilium-operator",
        command=(
            f"{instance.programs}/cilium-operator-generic",
            kubeconfig,
            "--ipam=cluster-pool",
            f"--cluster-pool-ipv4-cidr={config.POD_RANGE}",
            "--cluster-pool-ipv4-mask-size=24",
            "--identity-allocation-mode=crd",
            *("--enable-ipv4=true", "--enable-ipv6=false"),
            "--operator-api-serve-addr=127.0.0.1:9234",
            "--enable-metrics=false",
        ),
        after=after,
        environment=known,
    )
    agent = Child(
        name="cilium-agent",
        command=(
            f"{instance.programs}/cilium-agent",
            kubeconfig,
            f"--lib-dir={instance.state}/cilium",
            "--state-dir=/run/cilium",
            "--bpf-root=/sys/fs/bpf",
            f"--read-cni-conf={instance.state}/etc/cilium.conflist",
            f"--write-cni-conf-when-ready={instance.state}/cni/05-cilium.conflist",
            *_CILIUM_AGENT,
        ),
        after=after,
        # On another file system than the CNI folder: else the agent moves its file in from
        # outside, which containerd's watch takes for a creation and ignores (2.4.2).
        environment={**known, "TMPDIR": config.RUN},
    )
    return operator, agent


_CILIUM_AGENT: Final = (
    *("--ipam=cluster-pool", "--identity-allocation-mode=crd"),
    *("--cluster-name=default", "--cluster-id=0"),
    *("--enable-ipv4=true", "--enable-ipv6=false"),
    *("--enable-ipv4-masquerade=false", "--enable-ipv6-masquerade=false"),
    *("--routing-mode=native", "--ipv4-native-routing-cidr=10.244.0.0/16"),
    *("--auto-direct-node-routes=false", "--enable-host-legacy-routing=true"),
    *("--kube-proxy-replacement=false", "--bpf-lb-sock=false", "--enable-l7-proxy=false"),
    *("--enable-health-checking=false", "--enable-endpoint-health-checking=false"),
    *("--enable-bandwidth-manager=false", "--mtu=1500"),
    *("--enable-policy=default", "--enable-k8s-networkpolicy=true"),
    # Else an ipBlock never matches the node's own address.
    "--policy-cidr-match-mode=nodes",
    # Sized for one small machine; the defaults take a share of its memory.
    *("--bpf-map-dynamic-size-ratio=0", "--bpf-ct-global-tcp-max=65536"),
    *("--bpf-ct-global-any-max=65536", "--bpf-nat-global-max=65536"),
    "--bpf-policy-map-max=16384",
    *("--cni-exclusive=false", "--install-no-conntrack-iptables-rules=false"),
    *("--enable-hubble=true", "--hubble-socket-path=/run/cilium/hubble.sock"),
    *("--hubble-disable-tls=true", "--hubble-listen-address=127.0.0.1:4244"),
    # Drops alone and long queues: with the defaults 60 % of the drops were lost under load.
    *("--hubble-monitor-events=drop", "--hubble-event-queue-size=262144"),
    "--monitor-queue-size=65536",
    *("--agent-health-port=9879", "--prometheus-serve-addr=127.0.0.1:9962"),
)
