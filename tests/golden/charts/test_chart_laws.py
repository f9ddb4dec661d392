"""What holds for every rendering: laws that no value may break."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Objects = list[dict[str, Any]]
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
    """No host path, no namespace of the host, no user 0."""
    for name, pod in _pods(objects):
        if name == "carrel-node":
            continue
        spec = pod["spec"]
        assert not {"hostPID", "hostIPC", "hostNetwork"} & set(spec), name
        assert not [each for each in spec.get("volumes", []) if "hostPath" in each], name
        assert spec["securityContext"]["runAsNonRoot"] is True, name


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


def test_every_platform_pod_may_reach_the_api_server_and_nothing_else(objects: Objects):
    """The deny-all policy holds for all; the only egress rule is the API server's."""
    policies = {
        each["metadata"]["name"]: each for each in objects if each["kind"] == "NetworkPolicy"
    }
    deny = policies["carrel-deny-all"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert [name for name, each in policies.items() if "egress" in each["spec"]] == [
        "carrel-api-server"
    ]
    (rule,) = policies["carrel-api-server"]["spec"]["egress"]
    assert all(set(peer) == {"ipBlock"} for peer in rule["to"])
    (selector,) = policies["carrel-api-server"]["spec"]["podSelector"]["matchExpressions"]
    components = {pod["metadata"]["labels"][selector["key"]] for _, pod in _pods(objects)}
    assert components == set(selector["values"])


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
        if each["kind"] == "Job"
    ]
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
