"""Who reaches whom around the platform's own pods, each refusal with its control arm."""

import json
import time

import pytest

from carrel.cli.release import NAMESPACE_NAME
from support.release_site import Site

pytestmark = pytest.mark.cluster

CONNECT = (
    "import socket,sys\n"
    "try:\n"
    "    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=4).close()\n"
    "except OSError:\n"
    "    sys.exit(3)\n"
)
ALLOWED = {"app.kubernetes.io/component": "trust"}


def _reaches(site: Site, *, namespace: str, labels: dict[str, str], to: str, port: int) -> bool:
    """Run a pod that connects once; tell whether it got through."""
    name = f"probe-{time.monotonic_ns()}"
    closed = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    container = {
        "name": "probe",
        "image": site.images.platform,
        "command": ["python", "-c", CONNECT, to, str(port)],
        "securityContext": closed,
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "containers": [container],
        },
    }
    place = ["-n", namespace]
    site.kubectl("create", "-f", "-", text=json.dumps(pod))
    path = "{.status.containerStatuses[0].state.terminated.exitCode}"
    site.kubectl("wait", f"pod/{name}", f"--for=jsonpath={path}", "--timeout=120s", *place)
    code = site.kubectl("get", "pod", name, "-o", f"jsonpath={path}", *place)
    site.kubectl("delete", "pod", name, "--grace-period=1", "--wait=false", *place)
    assert code in {"0", "3"}
    return code == "0"


@pytest.mark.parametrize(
    ("namespace", "labels", "through"),
    [("default", {}, True), (NAMESPACE_NAME, ALLOWED, True), (NAMESPACE_NAME, {}, False)],
)
def test_only_platform_pods_reach_the_api_server_from_the_platforms_namespace(
    namespace: str,
    labels: dict[str, str],
    through: bool,  # noqa: FBT001 - the expected answer of a table
    installed: Site,
):
    """A pod that somebody slips in has no way out."""
    to = installed.instance.node_ip
    answer = _reaches(installed, namespace=namespace, labels=labels, to=to, port=6443)
    assert answer is through


def test_a_platform_pod_reaches_nothing_but_the_api_server(installed: Site):
    """The pretend Internet, which a pod elsewhere reaches."""
    arms = [
        _reaches(installed, namespace=namespace, labels=ALLOWED, to="203.0.113.1", port=80)
        for namespace in ("default", NAMESPACE_NAME)
    ]
    assert arms == [True, False]


@pytest.mark.parametrize(("pod", "port"), [("carrel-operator-0", 8080), ("carrel-ingest-0", 8443)])
def test_nobody_reaches_a_platform_pod_from_elsewhere(pod: str, port: int, installed: Site):
    """The kubelet's probes get through, else the pod would not be ready."""
    found = json.loads(installed.kubectl("get", "pod", pod, "-n", NAMESPACE_NAME, "-o", "json"))
    conditions = {each["type"]: each["status"] for each in found["status"]["conditions"]}
    to = found["status"]["podIP"]
    answer = _reaches(installed, namespace="default", labels={}, to=to, port=port)
    assert (conditions["Ready"], answer) == ("True", False)
