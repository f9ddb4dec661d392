"""What a running instance gives: a real node, a network that policies close, and people."""

import json
import ssl
import urllib.error
import urllib.request

import pytest

from carrel.embedded import Instance, Person, arrived, kubectl, run_inside
from carrel.embedded.instance import FRONT_DOOR_NODE_PORT
from support import probe_pods as support
from support.probe_pods import wait_for

pytestmark = pytest.mark.root
_INTERNET = ["203.0.113.1", "80", "5"]


def test_kubectl_version_tells_the_truth(enforcing: Instance) -> None:
    versions = json.loads(kubectl(enforcing, "version", "--output=json"))
    assert versions["serverVersion"]["gitVersion"] == "v1.36.3"
    assert versions["clientVersion"]["gitVersion"] == "v1.36.3"


def test_two_instances_run_side_by_side(enforcing: Instance, unenforced: Instance) -> None:
    names = "--output=jsonpath={.items[*].metadata.name}"
    assert kubectl(enforcing, "get", "nodes", names) == enforcing.name
    assert kubectl(unenforced, "get", "nodes", names) == unenforced.name
    assert enforcing.node_ip != unenforced.node_ip


def test_a_pod_without_policy_reaches_the_pretend_internet(enforcing: Instance) -> None:
    before = arrived(enforcing)
    support.apply(enforcing, support.namespace("free"))
    made = support.pod("probe", namespace="free", arguments=_INTERNET)
    assert support.run_pod(enforcing, made) == "5 of 5"
    assert arrived(enforcing).packets >= before.packets + 5


def test_cilium_takes_every_packet_of_a_pod_under_deny_all(enforcing: Instance) -> None:
    support.apply(enforcing, support.namespace("closed"), support.deny_all("closed"))
    before = arrived(enforcing)
    made = support.pod("probe", namespace="closed", arguments=_INTERNET)
    assert support.run_pod(enforcing, made) == "0 of 5"
    assert arrived(enforcing) == before


def test_the_bridge_enforces_no_policy_and_says_so(unenforced: Instance) -> None:
    support.apply(unenforced, support.namespace("closed"), support.deny_all("closed"))
    made = support.pod("probe", namespace="closed", arguments=_INTERNET)
    assert support.run_pod(unenforced, made) == "5 of 5"
    said = "--output=jsonpath={.data.networkPolicyEnforced}"
    facts = ("get", "configmap", "--namespace=kube-system", "carrel-embedded")
    assert kubectl(unenforced, *facts, said) == "false"


def test_a_pod_cannot_begin_a_conversation_with_the_host(unenforced: Instance) -> None:
    support.apply(unenforced, support.namespace("to-host"))
    arguments = [unenforced.host_ip, str(unenforced.port), "2"]
    made = support.pod("probe", namespace="to-host", arguments=arguments)
    assert support.run_pod(unenforced, made) == "0 of 2"


def test_the_front_door_is_reached_through_the_host_s_loopback(unenforced: Instance) -> None:
    door = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "door", "namespace": "kube-system"},
        "spec": {
            "type": "NodePort",
            "selector": {"k8s-app": "kube-dns"},
            "ports": [{"port": 8080, "nodePort": FRONT_DOOR_NODE_PORT}],
        },
    }
    support.apply(unenforced, door)
    wait_for(lambda: _get(f"http://127.0.0.1:{unenforced.port}/health") == "OK")


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:  # noqa: S310  # http on loopback
            return str(reply.read().decode("ascii"))
    except OSError:
        return ""


def test_the_host_s_processes_and_sockets_are_out_of_sight(enforcing: Instance) -> None:
    first = run_inside(enforcing, ["cat", "/proc/1/cmdline"]).stdout.split("\0")
    assert "carrel.embedded.supervisor" in first
    assert run_inside(enforcing, ["cat", "/proc/sys/kernel/hostname"]).stdout.strip() == (
        enforcing.name
    )


def test_mounts_below_the_platform_s_folder_travel_both_ways(enforcing: Instance) -> None:
    for path in ("/var/lib/carrel", "/var/lib/kubelet"):
        said = run_inside(enforcing, ["findmnt", "--noheadings", "--output=PROPAGATION", path])
        assert said.stdout.split() == ["shared"], path


def test_a_demo_person_has_a_name_and_no_right(enforcing: Instance) -> None:
    for person in Person:
        if person is Person.ADMIN:
            continue
        who = json.loads(kubectl(enforcing, "auth", "whoami", "--output=json", person=person))
        assert who["status"]["userInfo"]["username"] == f"oidc:demo-{person.value}"
        assert who["status"]["userInfo"]["groups"] == ["system:authenticated"]


@pytest.mark.parametrize(("path", "status"), [("/readyz", 200), ("/version", 401), ("/api", 401)])
def test_whoever_has_no_name_learns_only_that_the_server_is_well(
    enforcing: Instance, path: str, status: int
) -> None:
    context = ssl.create_default_context(cafile=str(enforcing.keys / "ca.crt"))
    try:
        with urllib.request.urlopen(f"{enforcing.server}{path}", context=context) as reply:  # noqa: S310  # https only
            got = reply.status
    except urllib.error.HTTPError as refusal:
        got = refusal.code
    assert got == status


def test_the_audit_log_holds_who_executed_what_and_no_secret(enforcing: Instance) -> None:
    support.apply(enforcing, support.namespace("audited"))
    at = "--namespace=audited"
    kubectl(enforcing, "create", "secret", "generic", "s", "--from-literal=k=hidden-word", at)
    kubectl(enforcing, "create", "role", "r", "--verb=get", "--resource=pods", at)
    log = (enforcing.state / "audit" / "audit.log").read_text(encoding="utf-8")
    events = [json.loads(line) for line in log.splitlines()]
    seen = {
        (e["objectRef"]["resource"], e["level"])
        for e in events
        if e["verb"] == "create" and e.get("objectRef", {}).get("namespace") == "audited"
    }
    assert {("secrets", "Metadata"), ("roles", "RequestResponse")} <= seen
    assert "hidden-word" not in log
    assert "aGlkZGVuLXdvcmQ" not in log
