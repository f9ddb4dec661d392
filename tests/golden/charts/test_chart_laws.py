"""What holds for every rendering: laws that no value may break."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from carrel.flows.settings import ProcessSettings
from carrel.forwarder.settings import Settings as ForwarderSettings
from carrel.gateway.settings import GatewaySettings
from carrel.hub.settings import HubSettings
from carrel.ledger.note import VerifierKey
from carrel.ledgerd.cosigning import Place
from carrel.ledgerd.identity import AUDIENCE
from carrel.ledgerd.settings import Settings as LedgerSettings
from carrel.mirror.settings import MirrorSettings
from carrel.node.settings import Settings, SettingsError

S = TypeVar("S", bound=ProcessSettings)

Objects = list[dict[str, Any]]
Render = Callable[[str], Objects]
NAMES = ["minimal", "everything", "embedded"]


@pytest.fixture(params=NAMES)
def objects(request: pytest.FixtureRequest, render: Callable[[str], Objects]) -> Objects:
    """Each rendering in turn."""
    return render(request.param)


def _pods(objects: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    for each in objects:
        spec = each.get("spec", {})
        if each["kind"] in {"StatefulSet", "DaemonSet", "Job"}:
            yield each["metadata"]["name"], spec["template"]
        elif each["kind"] == "CronJob":
            yield each["metadata"]["name"], spec["jobTemplate"]["spec"]["template"]


def _containers(objects: Objects) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, pod in _pods(objects):
        for each in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            yield f"{name}/{each['name']}", each


def _told(container: dict[str, Any], settings: type[S]) -> S:
    """Return what a process makes of its environment; it must know every variable."""
    told = {each["name"]: each.get("value", "carrel-system") for each in container["env"]}
    assert set(told) - {f"CARREL_{name.upper()}" for name in settings.model_fields} == set()
    return settings.from_environment(told)


def test_no_secret_is_written_in_a_template(objects: Objects):
    """A Secret of a template would be kept in every record of the release."""
    assert [each["metadata"]["name"] for each in objects if each["kind"] == "Secret"] == []


def test_every_image_is_named_by_its_content(objects: Objects):
    """A tag can be moved."""
    by_digest = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
    tags = [name for name, one in _containers(objects) if not by_digest.fullmatch(one["image"])]
    assert tags == []


def test_only_the_node_agent_has_privileges(objects: Objects):
    """Everything else keeps to Pod Security `restricted`."""
    free = {
        name
        for name, one in _containers(objects)
        if one["securityContext"]
        != {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    }
    assert {name.partition("/")[0] for name in free} == {"carrel-node"}


def test_no_pod_but_the_node_agent_sees_the_node(objects: Objects):
    """No host path, no namespace of the host, no user 0; the reader of the audit log sees that."""
    for name, pod in _pods(objects):
        if name in {"carrel-node", "carrel-apiaudit"}:
            continue
        spec = pod["spec"]
        assert not {"hostPID", "hostIPC", "hostNetwork"} & set(spec), name
        assert not [each for each in spec.get("volumes", []) if "hostPath" in each], name
        assert spec["securityContext"]["runAsNonRoot"] is True, name


def test_the_reader_of_the_audit_log_sees_one_folder_and_holds_no_token(render: Render):
    """User 0, because only that one may read the log, and nothing else of the node."""
    (pod,) = (pod for name, pod in _pods(render("everything")) if name == "carrel-apiaudit")
    spec = pod["spec"]
    host = [each for each in spec["volumes"] if "hostPath" in each]
    assert host == [{"name": "audit", "hostPath": {"path": "/var/log/audit", "type": "Directory"}}]
    mounts = {
        one["name"]: {each["name"]: each.get("readOnly", False) for each in one["volumeMounts"]}
        for one in spec["containers"]
    }
    assert mounts == {
        "apiaudit": {"audit": True, "ledger": False, "tmp": False},
        "forwarder": {"ledger": True, "ledger-door": True, "tmp": False},
    }
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostPID", "hostIPC", "hostNetwork"} & set(spec)


def test_no_pod_uses_the_network_of_its_node(objects: Objects):
    """There a NetworkPolicy would not hold."""
    assert [name for name, pod in _pods(objects) if pod["spec"].get("hostNetwork")] == []


def test_every_root_file_system_is_read_only(objects: Objects):
    """The privileged containers too."""
    writable = [
        name
        for name, one in _containers(objects)
        if one["securityContext"].get("readOnlyRootFilesystem") is not True
    ]
    assert writable == []


def test_every_container_states_its_memory(objects: Objects):
    """A process without a limit takes the node with it."""
    without = [
        name for name, one in _containers(objects) if not one["resources"]["limits"].get("memory")
    ]
    assert without == []


def test_every_platform_pod_may_reach_the_api_server_and_only_the_mirror_more(objects: Objects):
    """The deny-all policy holds for all; only the mirror, where it runs, leads outside."""
    policies = {
        each["metadata"]["name"]: each for each in objects if each["kind"] == "NetworkPolicy"
    }
    deny = policies["carrel-deny-all"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    leading_out = {name for name, each in policies.items() if "egress" in each["spec"]}
    has_mirror = "carrel-mirror" in dict(_pods(objects))
    of_mirror = {"carrel-mirror", "carrel-mirror-callers"} if has_mirror else set()
    inside = {"carrel-hub", "carrel-identity", "carrel-gateway"} & set(policies)
    has_log = "carrel-ledger" in dict(_pods(objects))
    of_log = {"carrel-ledger", "carrel-ledger-writers"} if has_log else set()
    canaries = {"canary", "canary-control"}
    flies = any("carrel-canary" in name for name, _ in _pods(objects))
    of_canary = {"carrel-canary-control"} if flies else set()
    expected = {"carrel-api-server"} | of_mirror | of_log | of_canary | inside
    assert leading_out == expected
    (rule,) = policies["carrel-api-server"]["spec"]["egress"]
    assert all(set(peer) == {"ipBlock"} for peer in rule["to"])
    (selector,) = policies["carrel-api-server"]["spec"]["podSelector"]["matchExpressions"]
    components = {pod["metadata"]["labels"][selector["key"]] for _, pod in _pods(objects)}
    # The reader of the audit log and the identity provider ask the API server nothing.
    assert components - {"apiaudit", "identity"} - canaries == set(selector["values"])


def test_the_identity_provider_reaches_the_gateway_alone_and_holds_no_token(render: Render):
    """It says that sessions ended; whoever breaks into it finds no other way on."""
    objects = render("embedded")
    (pod,) = (pod for name, pod in _pods(objects) if name == "carrel-identity")
    assert pod["spec"]["automountServiceAccountToken"] is False
    (policy,) = (
        each["spec"]
        for each in objects
        if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] == "carrel-identity"
    )
    ((peer,),) = (rule["to"] for rule in policy["egress"])
    assert set(peer) == {"podSelector"}
    assert peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "gateway"


def test_only_the_control_beside_the_canary_is_let_out(render: Callable[[str], Objects]):
    """Whatever names the canary in an egress rule would make its word worthless."""
    selected = {
        each["metadata"]["name"]: str(each["spec"]["podSelector"])
        for each in render("everything")
        if each["kind"] == "NetworkPolicy" and "Egress" in each["spec"]["policyTypes"]
    }
    assert selected.pop("carrel-deny-all") == "{}"
    assert [name for name, pods in selected.items() if "canary" in pods] == [
        "carrel-canary-control"
    ]
    assert not any("'canary'" in pods for pods in selected.values())
    assert not any("canary" in name for name, _ in _pods(render("minimal")))


def test_the_hub_reaches_the_identity_provider_and_the_name_server_alone(render: Render):
    """Workspaces are asked for at the API server; the Hub speaks to none."""
    component = "app.kubernetes.io/component"
    found = {}
    for name in ("embedded", "everything"):
        (policy,) = (
            each["spec"]
            for each in render(name)
            if each["kind"] == "NetworkPolicy" and each["metadata"]["name"] == "carrel-hub"
        )
        ((provider,), (names,)) = (rule["to"] for rule in policy["egress"])
        assert names["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}
        found[name] = provider.get("podSelector", {}).get("matchLabels", provider)
    assert found["embedded"][component] == "identity"
    assert found["everything"] == {"ipBlock": {"cidr": "198.51.100.9/32"}}


def test_the_hub_reads_what_the_chart_tells_it(render: Render):
    """A setting with another name on each side would be a Hub that never starts."""
    for name, issuer in (
        ("embedded", "https://id.carrel.localhost:8443/realms/carrel"),
        ("everything", "https://login.example.org/realms/site"),
    ):
        (container,) = (one for place, one in _containers(render(name)) if "hub" in place)
        told = {each["name"]: each["value"] for each in container["env"]}
        assert HubSettings.from_environment(told).oidc_issuer == issuer
        assert set(told) - {f"CARREL_{each.upper()}" for each in HubSettings.model_fields} == set()


def test_what_leads_outside_is_chosen_for_the_mirror_alone(render: Callable[[str], Objects]):
    """A node agent reaches the mirror, the mirror the named addresses; nobody else either."""
    policies = {
        each["metadata"]["name"]: each["spec"]
        for each in render("everything")
        if each["kind"] == "NetworkPolicy"
    }
    mirror, callers = policies["carrel-mirror"], policies["carrel-mirror-callers"]
    component = "app.kubernetes.io/component"
    assert mirror["podSelector"]["matchLabels"][component] == "mirror"
    assert callers["podSelector"]["matchLabels"][component] == "node"
    ((peer,),) = (rule["to"] for rule in callers["egress"])
    assert set(peer) == {"podSelector"}
    assert peer["podSelector"]["matchLabels"][component] == "mirror"
    outside = [peer for rule in mirror["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert outside == [{"ipBlock": {"cidr": "198.51.100.7/32"}}]


def test_every_chain_of_records_has_a_forwarder_that_only_reads_it(render: Render):
    """Each pod with a ledger sends it; the forwarder's one token is for the log alone."""
    writers = {"carrel-operator", "carrel-revoker", "carrel-ingest", "carrel-node"}
    found = {}
    for name, pod in _pods(render("everything")):
        for one in pod["spec"]["containers"]:
            if one["name"] == "forwarder":
                found[name] = [m for m in one["volumeMounts"] if m["name"] in {"ledger", "store"}]
                (door,) = (v for v in pod["spec"]["volumes"] if v["name"] == "ledger-door")
                token = door["projected"]["sources"][0]["serviceAccountToken"]
                assert token["audience"] == AUDIENCE
                _told(one, ForwarderSettings)
    assert set(found) == writers | {"carrel-apiaudit", "carrel-gateway"}
    assert all(mount["readOnly"] for mounts in found.values() for mount in mounts)


def test_the_central_log_reads_what_the_chart_tells_it(render: Render):
    """A setting with another name on each side would be a log that never starts."""
    (container,) = (
        one for name, one in _containers(render("everything")) if name == "carrel-ledger/ledger"
    )
    settings = _told(container, LedgerSettings)
    assert settings.log_origin == "carrel.example.org/log"
    assert settings.witness_place is Place.ELSEWHERE
    assert VerifierKey.parse(settings.witness_key).name == "witness.example.org/w1"


def test_without_the_central_log_nothing_of_it_is_there(render: Render):
    """A site that does not ask for it has no forwarder and no way to it."""
    text = json.dumps([each for each in render("minimal") if each["kind"] != "ClusterRole"])
    assert "carrel.forwarder" not in text
    assert "carrel.ledgerd" not in text
    assert "ledger-writers" not in text


def test_the_mirror_reads_what_the_chart_tells_it(render: Callable[[str], Objects]):
    """A setting with another name on each side would be a mirror that never starts."""
    (container,) = (one for name, one in _containers(render("everything")) if "mirror" in name)
    settings = _told(container, MirrorSettings)
    assert settings.mirror_callers == ("system:serviceaccount:carrel-system:carrel-node",)
    (index,) = settings.mirror_upstreams
    assert index.hosts == {"packages.example.org", "files.example.org"}


@pytest.mark.parametrize("name", ["everything", "embedded"])
def test_the_gateway_reads_what_the_chart_tells_it(name: str, render: Render):
    """And what it is told is mounted: a file that is not there would be a door that never opens."""
    (container,) = (one for at, one in _containers(render(name)) if at == "carrel-gateway/gateway")
    told = {each["name"]: each.get("value", "") for each in container["env"]}
    told |= {"CARREL_NAMESPACE": "carrel-system", "CARREL_POD_ADDRESS": "10.0.0.9"}
    settings = GatewaySettings.from_environment(told)
    assert set(told) - {f"CARREL_{each.upper()}" for each in GatewaySettings.model_fields} == set()
    mounted = {each["mountPath"] for each in container["volumeMounts"]}
    named = (settings.ledger_dir, settings.tls_cert.parent, settings.own_key.parent)
    assert {str(each) for each in (*named, settings.oidc_secret.parent)} <= mounted
    assert settings.state_dir.is_relative_to(settings.ledger_dir)


def test_the_gateway_reaches_workspaces_and_the_provider_alone(render: Render):
    """And browsers reach nothing but the gateway."""
    policies = {
        each["metadata"]["name"]: each["spec"]
        for each in render("everything")
        if each["kind"] == "NetworkPolicy"
    }
    door = policies["carrel-gateway"]
    outside = [peer for rule in door["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert outside == [{"ipBlock": {"cidr": "198.51.100.9/32"}}]
    open_to_all = {
        name
        for name, spec in policies.items()
        for rule in spec.get("ingress", [])
        if "from" not in rule
    }
    assert open_to_all == {"carrel-gateway"}


@pytest.mark.parametrize(
    ("address", "url"),
    [("10.96.0.7", "https://10.96.0.7:8443"), ("fd00::7", "https://[fd00::7]:8443")],
)
def test_the_relay_reads_where_the_mirror_is(
    address: str, url: str, render: Callable[[str], Objects]
):
    """The kubelet fills in the Service's address; the pod looks no name up."""
    (container,) = (one for name, one in _containers(render("everything")) if "relay" in name)
    variable = "$(CARREL_MIRROR_SERVICE_HOST)"
    told = {each["name"]: each.get("value", "carrel-system") for each in container["env"]}
    assert variable in told["CARREL_MIRROR_URL"]
    with pytest.raises(SettingsError, match="does not know yet"):
        Settings.from_environment(told)
    told["CARREL_MIRROR_URL"] = told["CARREL_MIRROR_URL"].replace(variable, address)
    settings = Settings.from_environment(told)
    assert (settings.mirror_url, settings.mirror_name) == (url, "carrel-mirror.carrel-system.svc")
    mounted = {each["mountPath"] for each in container["volumeMounts"]}
    assert {str(settings.mirror_ca.parent), str(settings.mirror_token.parent)} <= mounted


def test_every_hook_has_the_rights_that_it_needs_when_it_runs(objects: Objects):
    """Before installation nothing of the release exists yet but earlier hooks."""
    hooks = {
        (each["kind"], each["metadata"]["name"]): each["metadata"]["annotations"]
        for each in objects
        if "helm.sh/hook" in each["metadata"].get("annotations", {})
    }
    jobs = [
        (each, each["spec"]["template"]["spec"]["serviceAccountName"])
        for each in objects
        if each["kind"] == "Job" and "helm.sh/hook" in each["metadata"].get("annotations", {})
    ]
    assert jobs
    for job, account in jobs:
        own = job["metadata"]["annotations"]
        granted = hooks["ServiceAccount", account]
        assert granted["helm.sh/hook"] == own["helm.sh/hook"]
        assert int(granted["helm.sh/hook-weight"]) < int(own["helm.sh/hook-weight"])


def test_every_object_carries_the_release_by_which_it_is_found(objects: Objects):
    """Admission policies are generated and carry their own label."""
    strangers = [
        each["metadata"]["name"]
        for each in objects
        if each["metadata"].get("labels", {}).get("app.kubernetes.io/instance") != "carrel"
        and not each["kind"].startswith("ValidatingAdmissionPolicy")
    ]
    assert strangers == []
