"""The configuration that the processes of an instance get."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from carrel.embedded import Instance, Network, config, objects
from carrel.embedded.children import Child, children


def instance(network: Network = Network.CILIUM) -> Instance:
    return Instance(name="one", index=0, state=Path("/state/one"), port=8443, network=network)


def command(name: str, network: Network = Network.CILIUM) -> tuple[str, ...]:
    (found,) = [child for child in children(instance(network)) if child.name == name]
    return found.command


def audit_level(**request: Any) -> str:
    """Read the first matching rule, as the API server reads the policy."""
    rules = yaml.safe_load(config.files(instance())["etc/audit.yaml"])["rules"]
    return next(rule["level"] for rule in rules if _matches(rule, **request))


def _matches(rule: dict[str, Any], *, verb: str, group: str = "", resource: str) -> bool:
    if "verbs" in rule and verb not in rule["verbs"]:
        return False
    if "nonResourceURLs" in rule:
        return False
    if "resources" not in rule:
        return True
    return any(
        r["group"] == group and resource in r.get("resources", [resource])
        for r in rule["resources"]
    )


@pytest.mark.parametrize(
    ("request_", "level"),
    [
        ({"verb": "create", "resource": "secrets"}, "Metadata"),
        ({"verb": "get", "resource": "secrets"}, "Metadata"),
        ({"verb": "create", "resource": "serviceaccounts/token"}, "Metadata"),
        ({"verb": "create", "group": "carrel.dev", "resource": "accessgrants"}, "RequestResponse"),
        (
            {
                "verb": "patch",
                "group": "rbac.authorization.k8s.io",
                "resource": "clusterrolebindings",
            },
            "RequestResponse",
        ),
        (
            {"verb": "delete", "group": "networking.k8s.io", "resource": "networkpolicies"},
            "RequestResponse",
        ),
        ({"verb": "create", "resource": "pods/exec"}, "RequestResponse"),
        ({"verb": "get", "resource": "pods/attach"}, "RequestResponse"),
        ({"verb": "create", "resource": "pods/portforward"}, "RequestResponse"),
        ({"verb": "create", "resource": "pods"}, "Metadata"),
        ({"verb": "update", "group": "coordination.k8s.io", "resource": "leases"}, "None"),
        ({"verb": "delete", "group": "coordination.k8s.io", "resource": "leases"}, "Metadata"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else value,
)
def test_the_audit_log_holds(request_: dict[str, str], level: str) -> None:
    assert audit_level(**request_) == level


def test_whoever_has_no_name_may_ask_for_health_alone() -> None:
    read = yaml.safe_load(config.files(instance())["etc/authentication.yaml"])
    assert read["anonymous"] == {
        "enabled": True,
        "conditions": [{"path": "/livez"}, {"path": "/readyz"}, {"path": "/healthz"}],
    }


def test_a_projected_token_ends_when_it_says() -> None:
    assert "--service-account-extend-token-expiration=false" in command("kube-apiserver")


def test_etcd_speaks_only_to_those_who_hold_a_certificate() -> None:
    assert {"--client-cert-auth", "--listen-client-urls=https://127.0.0.1:2379"} <= set(
        command("etcd")
    )


def test_the_node_does_not_claim_to_hold_dataset_views() -> None:
    assert not [flag for flag in command("kubelet") if "carrel.dev/views" in flag]


@pytest.mark.parametrize(
    ("network", "enforced"), [(Network.CILIUM, "true"), (Network.BRIDGE, "false")]
)
def test_the_cluster_tells_whether_policies_are_enforced(network: Network, enforced: str) -> None:
    made = objects.every_object(instance(network))
    (facts,) = [o for o in made if o["metadata"]["name"] == "carrel-embedded"]
    assert facts["data"] == {
        "network": network.value,
        "networkPolicyEnforced": enforced,
        "kubeletRoot": "/var/lib/kubelet",
        "nodeName": "one",
    }


def test_exactly_one_network_is_configured() -> None:
    for network in Network:
        files = config.files(instance(network))
        kinds = [json.loads(text)["name"] for name, text in files.items() if "conflist" in name]
        assert kinds == [{Network.CILIUM: "cilium", Network.BRIDGE: "pods"}[network]]


def test_pods_get_their_network_from_cilium_only_once_it_enforces() -> None:
    # The agent copies it into place when it is ready; before, no pod starts.
    assert not [n for n in config.files(instance(Network.CILIUM)) if n.startswith("cni/")]


def test_cilium_runs_only_where_it_was_asked_for() -> None:
    def names(network: Network) -> set[str]:
        return {child.name for child in children(instance(network))}

    assert names(Network.CILIUM) - names(Network.BRIDGE) == {"cilium-agent", "cilium-operator"}


def test_what_talks_to_the_api_server_waits_for_it() -> None:
    def waits(child: Child) -> bool:
        return bool(child.after)

    assert {c.name for c in children(instance()) if not waits(c)} == {"etcd", "containerd"}


def test_the_platform_may_not_read_secrets_through_the_cluster_s_own_roles() -> None:
    roles = [o for o in objects.every_object(instance()) if o["kind"] == "ClusterRole"]
    readers = {
        role["metadata"]["name"]
        for role in roles
        for rule in role["rules"]
        if "secrets" in rule["resources"]
    }
    assert readers == set()
