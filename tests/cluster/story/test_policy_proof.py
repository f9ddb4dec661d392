"""The cluster's own lock is proven by canaries, and a cluster that does not hold is found out."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from carrel.cli.release import NAMESPACE_NAME
from carrel.embedded import Instance, kubectl
from support.arms import until, workspace

pytestmark = pytest.mark.cluster

CANARY, CONTROL = "carrel-canary", "carrel-canary-control"


def fly(instance: Instance, arm: str, *, run: str) -> None:
    """Run one canary now, as its schedule would."""
    name = f"{arm}-{run}-{os.getpid()}"
    kubectl(instance, "create", "job", name, f"--from=cronjob/{arm}", "-n", NAMESPACE_NAME)


def land(instance: Instance, *, run: str) -> None:
    """Take away what `fly` started."""
    names = [f"job/{arm}-{run}-{os.getpid()}" for arm in (CANARY, CONTROL)]
    kubectl(instance, "delete", *names, "-n", NAMESPACE_NAME, "--ignore-not-found")


def said(instance: Instance) -> tuple[str, str, str]:
    """Return status, reason and message of the demo's workspace on the second lock."""
    place = workspace().namespace
    listed = json.loads(kubectl(instance, "get", "workspace", place, "-n", place, "-o", "json"))
    (found,) = (c for c in listed["status"]["conditions"] if c["type"] == "PolicyEnforced")
    return found["status"], found["reason"], found["message"]


@contextmanager
def opened(instance: Instance) -> Iterator[None]:
    """Let the denied canary out, as a cluster would that does not enforce its policy."""
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "story-opens", "namespace": NAMESPACE_NAME},
        "spec": {
            "podSelector": {"matchLabels": {"app.kubernetes.io/component": "canary"}},
            "policyTypes": ["Egress"],
            "egress": [{}],
        },
    }
    kubectl(instance, "apply", "-f", "-", text=json.dumps(policy))
    try:
        yield
    finally:
        kubectl(instance, "delete", "networkpolicy", "story-opens", "-n", NAMESPACE_NAME)


def test_canaries_prove_the_policy_and_say_when(instance: Instance):
    """The proof is at most as old as the schedule allows, and its time is told."""
    status, reason, message = said(instance)
    assert (status, reason) == ("True", "DenyAll")
    at = datetime.strptime(message.rpartition(" ")[2], "%Y-%m-%dT%H:%MZ.").replace(tzinfo=UTC)
    now = datetime.now(UTC)  # noqa: TID251 - compared with the cluster's own clock
    assert now - at < timedelta(minutes=25)


def test_a_canary_that_gets_out_is_told_and_so_is_the_next_that_does_not(instance: Instance):
    """What an enforcer that fails looks like, and how it heals."""
    try:
        with opened(instance):
            fly(instance, CANARY, run="out")
            until(lambda: said(instance)[:2] == ("False", "CanaryGotThrough"), seconds=120)
        for arm in (CANARY, CONTROL):
            fly(instance, arm, run="held")
        until(lambda: said(instance)[:2] == ("True", "DenyAll"), seconds=120)
    finally:
        for run in ("out", "held"):
            land(instance, run=run)
