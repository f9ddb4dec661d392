"""Two places to attack from: a real workspace, and the same image in a pod that nobody locks.

An attack that fails in both arms shows nothing; each test first gets through from the control.
"""

import base64
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from carrel.embedded import Instance, arrived, find_instance, kubectl, run_inside

CONTROL = "escape-control"
_PYTHON = "import base64, sys; exec(base64.b64decode(sys.argv.pop(1)))"


@dataclass(frozen=True)
class Arm:
    """A container to run attacks in."""

    instance: Instance
    namespace: str
    pod: str
    container: str
    address: str
    node_address: str
    uid: str

    def beside(self, container: str) -> "Arm":
        """Return another container of the same pod."""
        return replace(self, container=container)

    def python(self, source: str, *arguments: str) -> str:
        """Run Python source in the container and return what it prints."""
        text = base64.b64encode(source.encode()).decode()
        return self.run("python3", "-c", _PYTHON, text, *arguments)

    def run(self, *command: str) -> str:
        """Run a command in the container and return what it prints."""
        return kubectl(
            self.instance,
            *("exec", "-n", self.namespace, self.pod, "-c", self.container, "--", *command),
        ).strip()


def instance() -> Instance:
    """Return the instance that the tests run against."""
    return find_instance(os.environ.get("CARREL_INSTANCE", "carrel"))


def workspace(*, namespace: str | None = None) -> Arm:
    """Return a workspace that runs, in `namespace` where one is named; the demo leaves one."""
    place = instance()
    where = ("-A",) if namespace is None else ("-n", namespace)
    listing = kubectl(place, "get", "pods", *where, "-l", "carrel.dev/role=workspace", "-o", "json")
    ready = [each for each in json.loads(listing)["items"] if _is_ready(each)]
    assert ready, "no workspace runs: `carrel demo --for-tests` leaves one"
    return _arm(place, ready[0], container="kernel")


@contextmanager
def control(like: Arm) -> Iterator[Arm]:
    """Run the workspace's image in a pod that is like the workspace's, but for every lock."""
    found = json.loads(
        kubectl(like.instance, "get", "pod", "-n", like.namespace, like.pod, "-o", "json")
    )
    image = next(c["image"] for c in found["spec"]["containers"] if c["name"] == "kernel")
    objects = [_namespace(), _pod(image)]
    try:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        kubectl(like.instance, "apply", "-f", "-", text=text)
        kubectl(
            like.instance,
            *("wait", "-n", CONTROL, "pod/control", "--for=condition=Ready", "--timeout=120s"),
        )
        raw = kubectl(like.instance, "get", "pod", "-n", CONTROL, "control", "-o", "json")
        yield _arm(like.instance, json.loads(raw), container="control")
    finally:
        kubectl(
            like.instance,
            *("delete", "namespace", CONTROL, "--ignore-not-found", "--wait=true"),
            *("--timeout=120s",),
        )


def packets(place: Instance) -> int:
    """Return how many packets reached the pretend Internet."""
    return arrived(place).packets


def refused(arm: Arm) -> int:
    """Return how many packets the lock of a workspace refused, as its kernel counts them."""
    text = as_node_root(arm, "nft", "-j", "list", "counter", "inet", "carrel_lock", "refused")
    return next(e["counter"]["packets"] for e in json.loads(text)["nftables"] if "counter" in e)


def as_node_root(arm: Arm, *command: str) -> str:
    """Run a command in a pod's network namespace as root of the node."""
    script = (
        "for p in /proc/[0-9]*; do "
        f"if grep -q {arm.uid} $p/cgroup 2>/dev/null; then "
        'exec nsenter --net=$p/ns/net "$@"; fi; done; exit 1'
    )
    done = run_inside(arm.instance, ["sh", "-c", script, "sh", *command])
    assert done.returncode == 0, done.stderr
    return done.stdout


def ready(namespace: str, *, but: str) -> bool:
    """Whether a namespace has a Ready workspace in another pod than the one of this UID."""
    listing = kubectl(
        instance(), "get", "pods", "-n", namespace, "-l", "carrel.dev/role=workspace", "-o", "json"
    )
    found = json.loads(listing)["items"]
    return any(_is_ready(each) and each["metadata"]["uid"] != but for each in found)


def stands_still(arm: Arm) -> bool:
    """Whether everything in a pod is frozen, as the kernel says."""
    script = (
        f"cat $(find /sys/fs/cgroup -path '*{arm.uid}/freezer.state' "
        f"-o -path '*{arm.uid}/cgroup.freeze')"
    )
    said = run_inside(arm.instance, ["sh", "-c", script]).stdout.split()
    return "FROZEN" in said or "1" in said


def until(holds: Callable[[], bool], *, seconds: float) -> None:
    """Wait until something holds."""
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "never came true"
        time.sleep(0.2)  # noqa: TID251 - polls another machine's state


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _arm(place: Instance, pod: dict[str, Any], *, container: str) -> Arm:
    return Arm(
        instance=place,
        namespace=pod["metadata"]["namespace"],
        pod=pod["metadata"]["name"],
        container=container,
        address=pod["status"]["podIP"],
        node_address=pod["status"]["hostIP"],
        uid=pod["metadata"]["uid"],
    )


def _namespace() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CONTROL}}


_SERVE = """
import selectors, socket
servers = [socket.create_server(("0.0.0.0", port)) for port in (8888, 9999)]
watch = selectors.DefaultSelector()
for server in servers:
    watch.register(server, selectors.EVENT_READ)
while True:
    for key, _ in watch.select():
        key.fileobj.accept()[0].close()
"""


def _pod(image: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "control", "namespace": CONTROL},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "fsGroup": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "control",
                    "image": image,
                    "imagePullPolicy": "Never",
                    "command": ["python3", "-c", _SERVE],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "data", "mountPath": "/datasets"}],
                }
            ],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }
