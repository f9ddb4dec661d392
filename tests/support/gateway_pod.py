"""A pod that stands in the gateway's place: its account, its labels, its certificate."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from carrel.embedded import Instance, kubectl
from support.arms import until

PLACE = "carrel-system"
ACCOUNT = "carrel-gateway"
NAME = "carrel-gateway.carrel-system.svc"

REQUEST = """
import http.client, json, ssl, sys
address, certificate, method, path, body = sys.argv[1:]
tls = ssl.create_default_context(cadata=certificate)
tls.check_hostname = False
tls.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
connection = http.client.HTTPSConnection(address, 8888, context=tls, timeout=20)
connection.request(method, path, body=body or None)
answer = connection.getresponse()
print(json.dumps([answer.status, answer.read().decode()]))
"""

SPEAK = """
import socket, ssl, sys
address, name, certificate, shown = sys.argv[1:]
tls = ssl.create_default_context(cadata=certificate)
tls.check_hostname = False
if shown == "shown":
    tls.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
try:
    with socket.create_connection((address, 8888), 3) as plain:
        with tls.wrap_socket(plain, server_hostname=name) as connection:
            connection.sendall(b"GET /api/status HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n")
            # In TLS 1.3 a server that does not want its caller ends what the caller thinks stands.
            print((connection.recv(64).split() or [b"", b"refused"])[1].decode())
except ssl.SSLCertVerificationError:
    print("another certificate")
except (ssl.SSLError, ConnectionResetError):
    print("refused")
except TimeoutError:
    print("no way in")
"""


@dataclass(frozen=True)
class GatewayPod:
    """A pod that may be taken for the gateway."""

    instance: Instance
    name: str
    address: str

    def asks(self, report: dict[str, Any], *, shown: str = "shown") -> str:
        """Ask a workspace's server for its status; what came back, in a word."""
        server = report["status"]["server"]
        command = ("python", "-c", SPEAK, server["address"], report["spec"]["workspace"])
        at = ("exec", "-n", PLACE, self.name, "--")
        return kubectl(self.instance, *at, *command, server["certificate"], shown).strip()

    def request(
        self, report: dict[str, Any], method: str, path: str, *, body: Any = None
    ) -> tuple[int, str]:
        """Send a request to a workspace's server; return status and body of the answer."""
        server = report["status"]["server"]
        sent = "" if body is None else json.dumps(body)
        command = ("python", "-c", REQUEST, server["address"], server["certificate"])
        at = ("exec", "-n", PLACE, self.name, "--")
        answer = json.loads(kubectl(self.instance, *at, *command, method, path, sent))
        return int(answer[0]), str(answer[1])


@contextmanager
def gateway_pod(
    instance: Instance, name: str, *, tls: dict[str, str], account: str = ACCOUNT
) -> Iterator[GatewayPod]:
    """Run such a pod with a certificate; everything made for it goes with it."""
    objects = _objects(name, tls=tls, account=account, image=_platform_image(instance))
    accounts = [] if _is_there(instance, "serviceaccount", account) else [_account(account)]
    made = [*accounts, *objects]
    try:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": made})
        kubectl(instance, "apply", "-f", "-", text=text)
        at = ("-n", PLACE, f"pod/{name}")
        kubectl(instance, "wait", *at, "--for=condition=Ready", "--timeout=120s")
        raw = json.loads(kubectl(instance, "get", *at, "-o", "json"))
        yield GatewayPod(instance, name, raw["status"]["podIP"])
    finally:
        for each in reversed(made):
            what = f"{each['kind'].lower()}/{each['metadata']['name']}"
            kubectl(instance, "delete", "-n", PLACE, what, "--ignore-not-found", "--wait=true")


def report_of(instance: Instance, namespace: str) -> dict[str, Any]:
    """Return the one report about a workspace."""
    found = json.loads(kubectl(instance, "get", "nodereports", "-o", "json"))["items"]
    (report,) = [each for each in found if each["spec"]["namespace"] == namespace]
    return dict(report)


def is_let_in(instance: Instance, namespace: str, address: str) -> bool:
    """Tell whether the workspace's lock lets an address in, as its node reports."""
    return address in report_of(instance, namespace)["status"].get("gateways", [])


def wait_until_let_in(pod: GatewayPod, namespace: str) -> dict[str, Any]:
    """Wait until the lock of a workspace lets a pod in; return the report that says so."""
    until(lambda: is_let_in(pod.instance, namespace, pod.address), seconds=30)
    return report_of(pod.instance, namespace)


def _platform_image(instance: Instance) -> str:
    at = ("get", "pod", "-n", PLACE, "carrel-operator-0", "-o", "json")
    return str(json.loads(kubectl(instance, *at))["spec"]["containers"][0]["image"])


def _is_there(instance: Instance, kind: str, name: str) -> bool:
    at = ("get", kind, name, "-n", PLACE, "--ignore-not-found", "-o", "name")
    return bool(kubectl(instance, *at).strip())


def _account(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": name, "namespace": PLACE},
        "automountServiceAccountToken": False,
    }


def _objects(name: str, *, tls: dict[str, str], account: str, image: str) -> list[dict[str, Any]]:
    labels = {
        "app.kubernetes.io/name": "carrel",
        "app.kubernetes.io/component": "gateway",
        "carrel.dev/test": name,
    }
    metadata = {"name": name, "namespace": PLACE}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": tls}
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchLabels": {"carrel.dev/test": name}},
            "policyTypes": ["Egress"],
            "egress": [
                {
                    "to": [{"namespaceSelector": {}}],
                    "ports": [{"protocol": "TCP", "port": 8888}],
                }
            ],
        },
    }
    container = {
        "name": "gateway",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python", "-c", "import signal; signal.pause()"],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": True}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, "labels": labels},
        "spec": {
            "serviceAccountName": account,
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "runAsGroup": 65532,
                "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [{"name": "tls", "secret": {"secretName": name}}],
        },
    }
    return [secret, policy, pod]
