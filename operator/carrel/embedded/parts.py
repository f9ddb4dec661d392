"""What the embedded cluster is made of: upstream programs, their Go modules and how they compile.

Versions of modules stand in `images/embedded/*/go.mod`; here stands what a module cannot say.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

KUBERNETES_VERSION: Final = "v1.36.3"
CILIUM_MODULE: Final = "github.com/cilium/cilium"
CILIUM_VERSION: Final = "v1.15.19"

_COMPONENT_BASE = "k8s.io/component-base/version"
_CNI = "github.com/containernetworking/plugins"
_CONTAINERD = "github.com/containerd/containerd/v2"


class Network(StrEnum):
    """Who connects pods, and so whether NetworkPolicy is enforced."""

    CILIUM = "cilium"
    """Cilium connects and enforces."""
    BRIDGE = "bridge"
    """A Linux bridge: quick to build, enforces nothing."""


class Compiler(StrEnum):
    """What turns a part into programs."""

    GO = "go"
    """Go alone: static programs."""
    GO_WITH_C = "go-with-c"
    """Go that links C libraries of the host."""
    C = "c"
    """The C compiler alone."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """One executable: its file name and the package that it is compiled from."""

    name: str
    package: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """One folder below `images/embedded/` that becomes one folder of programs."""

    name: str
    compiler: Compiler
    programs: tuple[Program, ...]
    estimate: int
    """Seconds on two idle cores with a cold cache; later runs remember their own."""
    tags: tuple[str, ...] = ()
    stamps: tuple[str, ...] = ()
    """Linker variables `path=value` that tell the programs their versions."""


def _same_names(prefix: str, names: tuple[str, ...]) -> tuple[Program, ...]:
    return tuple(Program(name=n.rsplit("/", 1)[-1], package=f"{prefix}/{n}") for n in names)


KUBERNETES: Final = Part(
    name="kubernetes",
    compiler=Compiler.GO,
    programs=_same_names(
        "k8s.io/kubernetes/cmd",
        (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kube-proxy",
            "kubelet",
            "kubectl",
        ),
    ),
    estimate=620,
    # Without the stamp the server calls itself v0.0.0-master, and Cilium and Kueue refuse to start.
    stamps=(
        f"{_COMPONENT_BASE}.gitVersion={KUBERNETES_VERSION}",
        f"{_COMPONENT_BASE}.gitMajor=1",
        f"{_COMPONENT_BASE}.gitMinor=36",
    ),
)
CONTAINERD: Final = Part(
    name="containerd",
    compiler=Compiler.GO_WITH_C,
    programs=(
        *_same_names(f"{_CONTAINERD}/cmd", ("containerd", "containerd-shim-runc-v2", "ctr")),
        *_same_names(
            f"{_CNI}/plugins",
            ("ipam/host-local", "main/bridge", "main/loopback", "main/ptp", "meta/portmap"),
        ),
        Program(name="runc", package="github.com/opencontainers/runc"),
    ),
    estimate=200,
    tags=("seccomp", "no_btrfs", "no_zfs", "no_devmapper"),
    stamps=(
        f"{_CONTAINERD}/version.Version=v2.4.2",
        f"{_CNI}/pkg/utils/buildversion.BuildVersion=v1.9.1",
    ),
)
ETCD: Final = Part(
    name="etcd",
    compiler=Compiler.GO,
    programs=(
        Program(name="etcd", package="go.etcd.io/etcd/server/v3"),
        Program(name="etcdctl", package="go.etcd.io/etcd/etcdctl/v3"),
    ),
    estimate=60,
)
COREDNS: Final = Part(
    name="coredns",
    compiler=Compiler.GO,
    programs=(Program(name="coredns", package="carrel.dev/embedded/coredns"),),
    estimate=80,
)
HELM: Final = Part(
    name="helm",
    compiler=Compiler.GO,
    programs=(Program(name="helm", package="helm.sh/helm/v3/cmd/helm"),),
    estimate=110,
    stamps=("helm.sh/helm/v3/internal/version.version=v3.22.0",),
)
CILIUM: Final = Part(
    name="cilium",
    compiler=Compiler.GO,
    programs=(
        Program(name="cilium-agent", package=f"{CILIUM_MODULE}/daemon"),
        Program(name="cilium-operator-generic", package=f"{CILIUM_MODULE}/operator"),
        Program(name="cilium-cni", package=f"{CILIUM_MODULE}/plugins/cilium-cni"),
        Program(name="cilium-dbg", package=f"{CILIUM_MODULE}/cilium-dbg"),
    ),
    estimate=300,
    tags=("osusergo", "ipam_provider_operator"),
    stamps=(f"{CILIUM_MODULE}/pkg/version.ciliumVersion={CILIUM_VERSION.removeprefix('v')}",),
)
KWOK: Final = Part(
    name="kwok",
    compiler=Compiler.GO,
    programs=(Program(name="kwok", package="sigs.k8s.io/kwok/cmd/kwok"),),
    estimate=130,
)
PAUSE: Final = Part(
    name="pause",
    compiler=Compiler.C,
    programs=(Program(name="pause", package="pause.c"),),
    estimate=1,
)

EVERY_PART: Final = (PAUSE, KUBERNETES, CONTAINERD, ETCD, COREDNS, HELM, CILIUM, KWOK)


def needed(network: Network) -> tuple[Part, ...]:
    """Parts that an instance with this network runs, in the order in which they are compiled."""
    ground = (PAUSE, KUBERNETES, CONTAINERD, ETCD, COREDNS, HELM)
    match network:
        case Network.BRIDGE:
            return ground
        case Network.CILIUM:
            return (*ground, CILIUM)
