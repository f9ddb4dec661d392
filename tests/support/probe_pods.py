"""Pods of one small program, for tests that ask what a node lets through."""

import json
import select
import time
from collections.abc import Callable
from typing import Any

from carrel.embedded import Instance, kubectl


def pod(name: str, *, namespace: str, arguments: list[str]) -> dict[str, Any]:
    """Describe a pod that demands of its node what a workspace does and runs the probe once."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "hostUsers": False,
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": "localhost/test/probe:1",
                    "imagePullPolicy": "Never",
                    "args": arguments,
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


def apply(instance: Instance, *documents: dict[str, Any]) -> None:
    """Apply objects as the administrator of the instance."""
    items = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
    kubectl(instance, "apply", "--filename=-", text=json.dumps(items))


def namespace(name: str) -> dict[str, Any]:
    """Describe a namespace under Pod Security `restricted`, as every workspace's is."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": labels},
    }


def deny_all(where: str) -> dict[str, Any]:
    """Describe the policy that takes every packet both ways."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny-all", "namespace": where},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
    }


def run_pod(instance: Instance, made: dict[str, Any]) -> str:
    """Run a pod to its end and return what it printed."""
    apply(instance, made)
    meta = made["metadata"]
    at = f"--namespace={meta['namespace']}"
    ended = "--for=jsonpath={.status.phase}=Succeeded"
    kubectl(instance, "wait", at, ended, f"pod/{meta['name']}", "--timeout=90s")
    return kubectl(instance, "logs", at, meta["name"]).strip()


def wait_for(what: Callable[[], bool], *, seconds: float = 60) -> None:
    """Look again and again until it is true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come true in time"
        select.select([], [], [], 0.1)
