"""What is compiled, and that its name changes with every input."""

import dataclasses
import re

import pytest

from carrel.embedded import build, parts
from carrel.embedded.toolchain import module_root


def requirement(part: parts.Part, module: str) -> str:
    text = (module_root() / part.name / "go.mod").read_text(encoding="utf-8")
    found = re.search(rf"(?m)^(?:require )?\t?{re.escape(module)} (\S+)$", text)
    assert found, f"{module} is not required by {part.name}"
    return found.group(1)


@pytest.mark.parametrize(
    ("part", "module", "version"),
    [
        (parts.KUBERNETES, "k8s.io/kubernetes", parts.KUBERNETES_VERSION),
        (parts.CILIUM, parts.CILIUM_MODULE, parts.CILIUM_VERSION),
        (parts.CONTAINERD, "github.com/containerd/containerd/v2", "v2.4.2"),
        (parts.CONTAINERD, "github.com/containernetworking/plugins", "v1.9.1"),
        (parts.HELM, "helm.sh/helm/v3", "v3.22.0"),
    ],
)
def test_the_stamped_version_is_the_required_one(
    part: parts.Part, module: str, version: str
) -> None:
    assert requirement(part, module) == version
    stamped = [s for s in part.stamps if s.endswith((version, version.removeprefix("v")))]
    assert stamped, f"no stamp of {part.name} says {version}"


@pytest.mark.parametrize("part", parts.EVERY_PART, ids=lambda part: part.name)
def test_every_go_package_is_pinned_by_its_module(part: parts.Part) -> None:
    folder = module_root() / part.name
    source = "".join(p.read_text(encoding="utf-8") for p in folder.glob("tools.go"))
    for program in part.programs:
        is_own = (folder / program.package).is_file() or (folder / "main.go").is_file()
        assert is_own or f'_ "{program.package}"' in source, program


def test_no_two_parts_make_a_program_of_the_same_name() -> None:
    names = [program.name for part in parts.EVERY_PART for program in part.programs]
    assert sorted(set(names)) == sorted(names)


def test_a_bridge_instance_is_not_made_to_wait_for_cilium() -> None:
    assert set(parts.needed(parts.Network.CILIUM)) - set(parts.needed(parts.Network.BRIDGE)) == {
        parts.CILIUM
    }


@pytest.mark.parametrize(
    "change",
    [{"tags": ("other",)}, {"stamps": ("a.b=c",)}, {"programs": parts.ETCD.programs}],
    ids=["tags", "stamps", "programs"],
)
def test_another_way_of_compiling_is_another_folder(change: dict[str, object]) -> None:
    changed = dataclasses.replace(parts.KUBERNETES, **change)  # type: ignore[arg-type]  # one field at a time
    assert build.folder(changed) != build.folder(parts.KUBERNETES)


@pytest.mark.parametrize(
    ("package", "name"),
    [
        ("go.etcd.io/etcd/server/v3", "server"),
        ("k8s.io/kubernetes/cmd/kubelet", "kubelet"),
        ("example.org/vault", "vault"),
    ],
)
def test_the_name_that_go_gives_is_foreseen(package: str, name: str) -> None:
    assert build._go_name(package) == name
