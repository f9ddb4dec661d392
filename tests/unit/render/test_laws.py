"""Laws of what is rendered, for every workspace, class and site."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from carrel.kinds import WorkspaceClass
from carrel.render.bundle import Bundle, bundle
from carrel.render.difference import differs, merge_patch
from carrel.render.pod import ALLOWED_ENVIRONMENT
from carrel.render.quantity import cpu, mebibytes
from carrel.render.site import Site, Toleration, UserNamespaces
from carrel.rules import HomeProvision
from support import examples
from support.workspaces import workspace

SIZES = {
    "cpuMillis": st.integers(100, 256_000),
    "memoryMiB": st.integers(256, 4_194_304),
    "scratchMiB": st.integers(64, 16_777_216),
    "sharedMemoryMiB": st.integers(16, 1_048_576),
    "homeMiB": st.integers(64, 16_777_216),
}
GPUS = st.none() | st.fixed_dictionaries(
    {"resource": st.sampled_from(["nvidia.com/gpu", "amd.com/gpu"]), "count": st.integers(1, 16)}
)
CLASSES = st.builds(
    lambda gpu, **sizes: WorkspaceClass.model_validate(
        examples.workspace_class(**sizes, **({"gpu": gpu} if gpu else {}))
    ),
    gpu=GPUS,
    **SIZES,
)
SITES = st.builds(
    Site,
    platform_namespace=st.just("carrel-system"),
    platform_image=st.just(examples.PLATFORM_IMAGE),
    store_root=st.just("/var/lib/carrel"),
    homes=st.sampled_from(HomeProvision),
    home_storage_class=st.none() | st.just("fast"),
    user_namespaces=st.sampled_from(UserNamespaces),
    priority_class=st.none() | st.just("carrel-workspace"),
    front_door=st.none() | st.just(examples.FRONT_DOOR),
    node_selector=st.just(()) | st.just((("pool", "workspaces"),)),
    tolerations=st.just(()) | st.just((Toleration(key="pool", operator="Exists"),)),
)
NAMES = st.from_regex(r"ws-[a-z0-9]{1,20}-[0-9a-f]{12}", fullmatch=True)
BUNDLES = st.builds(
    lambda name, shape, site: bundle(workspace(name), shape, site), NAMES, CLASSES, SITES
)

BRIEF = settings(max_examples=25)
"""A bundle is some thousand values: 25 of them, with sizes at their bounds, say enough."""


def containers(made: Bundle) -> list[dict[str, Any]]:
    """Return every container of the pod."""
    spec = made.pod["spec"]
    return [*spec["initContainers"], *spec["containers"]]


@BRIEF
@given(BUNDLES)
def test_every_pod_is_under_a_deny_all_policy(made: Bundle):
    """Same namespace, every pod, both ways, not one exception."""
    policy = made.network_policies[0]
    assert policy["metadata"]["namespace"] == made.pod["metadata"]["namespace"]
    assert policy["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [],
        "egress": [],
    }


@BRIEF
@given(BUNDLES)
def test_only_the_gateways_pods_are_let_in_and_nothing_out(made: Bundle):
    """Where there is no front door there is no second policy at all."""
    opened = made.network_policies[1:]
    assert [policy["metadata"]["name"] for policy in opened] in ([], ["front-door"])
    for policy in opened:
        assert policy["metadata"]["namespace"] == made.pod["metadata"]["namespace"]
        assert policy["spec"]["policyTypes"] == ["Ingress"]
        assert policy["spec"]["ingress"] == [
            {
                "from": [
                    {
                        "namespaceSelector": {
                            "matchLabels": {"kubernetes.io/metadata.name": "carrel-system"}
                        },
                        "podSelector": {
                            "matchLabels": {
                                "app.kubernetes.io/name": "carrel",
                                "app.kubernetes.io/component": "gateway",
                            }
                        },
                    }
                ],
                "ports": [{"protocol": "TCP", "port": 8888}],
            }
        ]


@BRIEF
@given(BUNDLES)
def test_servers_and_kernels_share_the_home_and_nothing_else(made: Bundle):
    """Two users; the server's memory is mounted nowhere else, and it holds no data."""
    kernel, server = made.pod["spec"]["containers"]
    assert (kernel["name"], server["name"]) == ("kernel", "server")
    shared = {m["name"] for m in kernel["volumeMounts"]} & {
        m["name"] for m in server["volumeMounts"]
    }
    assert shared == {"home"}
    assert server["securityContext"]["runAsUser"] == 1001
    assert made.pod["spec"]["securityContext"]["runAsUser"] == 1000
    assert "runAsUser" not in kernel["securityContext"]
    memory = next(v for v in made.pod["spec"]["volumes"] if v["name"] == "server")
    assert memory["emptyDir"]["medium"] == "Memory"
    assert not [name for name in server["resources"]["limits"] if "/" in name]


@BRIEF
@given(BUNDLES)
def test_the_lock_is_made_before_anything_that_could_run(made: Bundle):
    """First of its surroundings, and the pod is not among them."""
    kinds = [obj["kind"] for obj in made.surroundings()]
    assert kinds[0] == "NetworkPolicy"
    assert "Pod" not in kinds


@BRIEF
@given(BUNDLES)
def test_no_mount_of_a_dataset_is_writable(made: Bundle):
    """Read only at the volume, the claim's mode and the mount."""
    spec = made.pod["spec"]
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]
        for volume in spec["volumes"]
        if "persistentVolumeClaim" in volume
    }
    views = {name for name, claim in claims.items() if claim["claimName"] == "view"}
    assert [claims[name].get("readOnly") for name in views] == [True]
    mounts = [m for c in containers(made) for m in c.get("volumeMounts", ()) if m["name"] in views]
    assert [(mount["mountPath"], mount["readOnly"]) for mount in mounts] == [("/datasets", True)]
    assert made.view_claim["spec"]["accessModes"] == ["ReadOnlyMany"]
    assert made.view_volume["spec"]["accessModes"] == ["ReadOnlyMany"]


@BRIEF
@given(BUNDLES)
def test_every_container_is_closed(made: Bundle):
    """No capability, no way up, nothing to write to but volumes, bounded, and no text out."""
    for container in containers(made):
        closed = dict(container["securityContext"])
        closed.pop("runAsUser", None)
        assert closed == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert container["terminationMessagePolicy"] == "File"
        assert "@sha256:" in container["image"]
        assert "ports" not in container
        assert "lifecycle" not in container
        probes = [value for key, value in container.items() if key.endswith("Probe")]
        assert all(set(probe) & {"httpGet", "tcpSocket", "grpc"} == set() for probe in probes)


@BRIEF
@given(BUNDLES)
def test_the_pod_holds_no_identity_and_no_way_to_the_node(made: Bundle):
    """No token, service links, names, host namespaces or host paths, and never root."""
    spec = made.pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert made.service_account["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["dnsPolicy"] == "None"
    assert spec["dnsConfig"]["nameservers"] == ["127.0.0.1"]
    assert spec["restartPolicy"] == "Never"
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(spec)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert {next(iter(set(v) - {"name"})) for v in spec["volumes"]} <= {
        "persistentVolumeClaim",
        "emptyDir",
        "downwardAPI",
    }
    assert all(v["emptyDir"].get("sizeLimit") for v in spec["volumes"] if "emptyDir" in v)
    assert spec["schedulingGates"] == [{"name": "carrel.dev/view"}]


@BRIEF
@given(BUNDLES)
def test_environment_is_an_allow_list_and_no_gpu_is_seen_unasked(made: Bundle):
    """Plain values only; the variable that can expose every GPU is void without one."""
    for container in containers(made):
        environment = {each["name"]: each["value"] for each in container.get("env", ())}
        assert set(environment) <= ALLOWED_ENVIRONMENT
        assert "envFrom" not in container
        gpus = [name for name in container["resources"]["limits"] if "/" in name]
        if container["name"] == "kernel":
            assert environment.get("NVIDIA_VISIBLE_DEVICES", "asked") == (
                "asked" if gpus else "void"
            )


@BRIEF
@given(BUNDLES)
def test_the_pod_fits_into_its_own_quota(made: Bundle):
    """Nothing of the bundle is refused by the bundle, and a second pod is."""
    hard = made.resource_quota["spec"]["hard"]
    largest = made.limit_range["spec"]["limits"][0]["max"]
    limits = [each["resources"]["limits"] for each in made.pod["spec"]["containers"]]
    assert hard["pods"] == "1"
    for unit, read in (("cpu", millis), ("memory", mebibytes_of)):
        sizes = [read(each[unit]) for each in limits]
        assert read(hard[f"limits.{unit}"]) == sum(sizes)
        assert read(largest[unit]) == max(sizes)
        assert all(
            read(each["resources"]["limits"][unit]) <= max(sizes) for each in containers(made)
        )


def millis(spelt: str) -> int:
    """Return thousandths of a core."""
    return int(spelt[:-1]) if spelt.endswith("m") else int(spelt) * 1000


def mebibytes_of(spelt: str) -> int:
    """Return mebibytes."""
    return int(spelt[:-2]) * 1024 ** ("Mi", "Gi", "Ti", "Pi").index(spelt[-2:])


@given(st.integers(1, 1_000_000), st.integers(1, 2**24))
def test_quantities_are_spelt_as_the_server_keeps_them(millis: int, mib: int):
    """The canonical form has no smaller number with a larger unit."""
    spelt = cpu(millis)
    assert int(spelt[:-1]) == millis if spelt.endswith("m") else int(spelt) * 1000 == millis
    amount = mebibytes(mib)
    number, unit = int(amount[:-2]), amount[-2:]
    assert number * 1024 ** ("Mi", "Gi", "Ti", "Pi").index(unit) == mib
    assert number % 1024 or unit == "Pi"


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["", "a", "b"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3)
    ),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), JSONS, max_size=4)


@given(OBJECTS)
def test_nothing_differs_from_itself(obj: dict[str, Any]):
    """Else a pass over an unchanged world would write."""
    assert not differs(obj, obj)


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_makes_the_desired_of_the_live(desired: dict[str, Any], live: dict[str, Any]):
    """Applied once it is there, and a second time there is nothing to do."""
    desired = _without_null(desired)
    patched = _patched(live, merge_patch(desired, live))
    assert patched == desired
    assert merge_patch(desired, patched) == {}


def test_a_list_rendered_empty_must_be_empty():
    """The server drops empty lists; a rule that somebody added is a difference all the same."""
    desired = {"spec": {"egress": [], "podSelector": {}}}
    assert not differs(desired, {"spec": {}})
    assert not differs(desired, {"spec": {"podSelector": {}}})
    assert differs(desired, {"spec": {"egress": [{}]}})
    assert differs(desired, {"spec": {"podSelector": {"matchLabels": {"a": "b"}}}})


def test_a_merge_patch_leaves_what_belongs_to_others():
    """People and the portal set these two after creation."""
    patch = merge_patch(
        {"a": 1, "desired": "Running"}, {"a": 0, "desired": "Stopped"}, kept=["desired"]
    )
    assert patch == {"a": 1}


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return value


def _patched(live: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    result = dict(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _patched(result.get(key), value)
    return result
