"""The table of role, kind and verb, asked of a real API server as each demo person."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from carrel.cluster import Cluster, connect
from carrel.embedded import Person
from support.release_site import Site

pytestmark = pytest.mark.cluster

TABLE = yaml.safe_load((Path(__file__).parents[2] / "golden/charts/roles.yaml").read_text())
HELD = {
    Person.RESEARCHER: ("carrel-researcher",),
    Person.GRANT_ADMIN: ("carrel-grant-admin",),
    Person.APPROVER: ("carrel-approver",),
    Person.APPROVER_2: ("carrel-approver",),
    Person.DATA_MANAGER: ("carrel-data-manager", "carrel-data-manager-upload"),
    Person.AUDITOR: ("carrel-auditor",),
}
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
FOREIGN = (
    "pods",
    "pods/exec",
    "pods/log",
    "pods/attach",
    "pods/ephemeralcontainers",
    "secrets",
    "namespaces",
    "persistentvolumes",
    "nodes/proxy",
    "services/proxy",
    "clusterroles.rbac.authorization.k8s.io",
    "networkpolicies.networking.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io",
)
"""What nobody of the platform's people may touch anywhere."""


def _asked(subject: str, verb: str) -> dict[str, Any]:
    what, _, rest = subject.partition(" named ")
    name, _, place = rest.partition(" in ")
    if not rest:
        what, _, place = subject.partition(" in ")
    resource, _, group = what.partition(".")
    resource, _, sub = resource.partition("/")
    asked = {"group": group, "resource": resource, "subresource": sub, "verb": verb}
    return {**asked, "name": name, "namespace": place}


async def _allowed(cluster: Cluster, subject: str, verb: str) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": _asked(subject, verb)},
    }
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    headers = {"Content-Type": "application/json"}
    answer = await cluster.request("POST", path, headers=headers, body=json.dumps(review).encode())
    assert answer.status == 201, answer.body
    return bool(json.loads(answer.body)["status"]["allowed"])


@pytest.mark.parametrize("person", HELD)
async def test_a_person_may_do_what_the_table_says_and_nothing_else(
    person: Person, installed: Site
):
    """Every subject of every role, every verb; and what leads into a workspace."""
    subjects = {subject for rows in TABLE.values() for subject in rows} | set(FOREIGN)
    expected = {
        (subject, verb)
        for role in HELD[person]
        for subject, verbs in TABLE[role].items()
        for verb in verbs
    }
    async with connect(installed.instance.kubeconfig(person)) as cluster:
        found = {
            (subject, verb)
            for subject, verb in itertools.product(sorted(subjects), VERBS)
            if await _allowed(cluster, subject, verb)
        }
    assert found == expected
