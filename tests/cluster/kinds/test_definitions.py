"""What the real API server takes and refuses of our kinds.

One row per CEL rule and per kind of bound; refused objects are dry runs, so nothing is stored
but what an update needs.
"""

import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from carrel.cluster import Answer, Cluster, connect
from carrel.embedded import find_instance
from carrel.kinds import KINDS
from carrel.kinds.resource import API_VERSION, Kind
from carrel.render.crd import custom_resource_definition
from support.samples import DIGEST, dataset, egress_policy, grant, workspace, workspace_class

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]

OPERATOR = "system:serviceaccount:carrel-system:carrel-operator"
INGEST = "system:serviceaccount:carrel-system:carrel-ingest"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster() -> AsyncIterator[Cluster]:
    """Connect to the embedded cluster as its administrator."""
    name = os.environ.get("CARREL_INSTANCE", "carrel")
    async with connect(find_instance(name).kubeconfig("admin")) as connected:
        yield connected


async def send(cluster: Cluster, method: str, path: str, body: Any, *, user: str) -> Answer:
    """Send a request in somebody's name, with all rights."""
    kind = "merge-patch+json" if method == "PATCH" else "json"
    headers = {
        "Content-Type": f"application/{kind}",
        "Impersonate-User": user,
        "Impersonate-Group": "system:masters",
    }
    return await cluster.request(method, path, headers=headers, body=json.dumps(body).encode())


def said(answer: Answer) -> str:
    """Return the message of an answer; on the wire its signs may be escaped."""
    return str(json.loads(answer.body).get("message", ""))


def wire(kind: Kind, *, name: str) -> dict[str, Any]:
    """Return an object as it is applied, under a name of these tests."""
    whole = kind.to_wire()
    whole["metadata"] = {"name": name}
    whole.pop("status", None)
    return whole


def at(kind: type[Kind], name: str = "") -> str:
    """Return the URL path of a cluster-scoped collection or object."""
    return f"/apis/{API_VERSION}/{kind.resource.plural}" + (f"/{name}" if name else "")


async def test_the_server_holds_every_kind_as_it_is_generated(cluster: Cluster) -> None:
    for kind in KINDS:
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind.resource.crd_name}"
        stored = json.loads((await cluster.request("GET", path)).body)
        wanted = custom_resource_definition(kind)["metadata"]["annotations"]
        assert stored["metadata"]["annotations"].items() >= wanted.items()


CREATED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a sample grant": ("", wire(grant(), name="case"), "oidc:requester"),
    "an end that is not after the start": (
        "expires must be later than notBefore.",
        wire(grant(expires="2026-11-01T00:00:00Z"), name="case"),
        "oidc:requester",
    ),
    "homes kept for no days": (
        "home.retention Keep needs keepDays of at least 1.",
        wire(grant(home={"retention": "Keep"}), name="case"),
        "oidc:requester",
    ),
    "a dataset": ("", wire(dataset(), name="chest-ct.v1"), INGEST),
    "a dataset under another name": (
        "The name of a Dataset is <spec.name>.v<spec.version>.",
        wire(dataset(), name="chest-ct.v2"),
        INGEST,
    ),
    "a dataset whose number has a zero in front": (
        "The name of a Dataset is <spec.name>.v<spec.version>.",
        wire(dataset(), name="chest-ct.v01"),
        INGEST,
    ),
    "a dataset whose name goes on": (
        "The name of a Dataset is <spec.name>.v<spec.version>.",
        wire(dataset(), name="chest-ct.v1.v1"),
        INGEST,
    ),
    "a class": ("", wire(workspace_class(), name="case"), "oidc:anybody"),
    "a policy": ("", wire(egress_policy(), name="case"), "oidc:anybody"),
    "an image without a digest": (
        "spec.image",
        wire(workspace_class(), name="case")
        | {
            "spec": {
                **wire(workspace_class(), name="case")["spec"],
                "image": "example.com/workspace:latest",
            }
        },
        "oidc:anybody",
    ),
    "an approval with a token that is not there": (
        "Evidence of type IDToken needs idToken.",
        {
            "apiVersion": API_VERSION,
            "kind": "Approval",
            "metadata": {"name": "case"},
            "spec": {
                "grant": "case",
                "grantUID": "0",
                "approver": "oidc:approver",
                "scope": "{}",
                "scopeDigest": DIGEST,
                "evidence": {"type": "IDToken"},
            },
        },
        "oidc:approver",
    ),
}
"""What is created -> the refusal expected (empty: none), the object, the user."""

BY_KIND = {kind.resource.kind: kind for kind in KINDS}


@pytest.mark.parametrize(("refusal", "body", "user"), CREATED.values(), ids=CREATED.keys())
async def test_creating(cluster: Cluster, refusal: str, body: dict[str, Any], user: str) -> None:
    path = at(BY_KIND[body["kind"]]) + "?dryRun=All"
    answer = await send(cluster, "POST", path, body, user=user)
    if refusal:
        assert answer.status == 422
        assert refusal in said(answer)
    else:
        assert answer.status == 201, answer.body.decode()


@pytest.mark.parametrize(
    "field", ["extra", "spec.extra", "spec.home.extra", "spec.researchers.extra"]
)
async def test_a_field_that_nobody_knows_is_refused_when_asked_strictly(
    cluster: Cluster, field: str
) -> None:
    body = wire(grant(), name="case")
    *path, last = field.split(".")
    place: Any = body
    for step in path:
        place = place[step][0] if isinstance(place[step], list) else place[step]
    place[last] = "x"
    url = at(BY_KIND["AccessGrant"]) + "?dryRun=All&fieldValidation=Strict"
    answer = await send(cluster, "POST", url, body, user="oidc:requester")
    assert answer.status == 400
    assert "unknown field" in said(answer)


CHANGED: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "the end of a grant": (
        "",
        wire(grant(), name="case-change"),
        {"spec": {"expires": "2026-11-30T00:00:00Z"}},
        "oidc:requester",
    ),
    "the requester of a grant": (
        "requester never changes: create a new grant.",
        wire(grant(), name="case-change"),
        {"spec": {"requester": "oidc:approver"}},
        "oidc:requester",
    ),
    "a revoked grant": (
        "Revoked is final: create a new grant.",
        wire(grant(state="Revoked"), name="case-change"),
        {"spec": {"state": "Active"}},
        "oidc:requester",
    ),
    "a class": (
        "A menu entry is immutable: add a new one and let grants move to it.",
        wire(workspace_class(), name="case-change"),
        {"spec": {"cpuMillis": 4000}},
        "oidc:anybody",
    ),
    "a policy": (
        "A menu entry is immutable: add a new one and let grants move to it.",
        wire(egress_policy(), name="case-change"),
        {"spec": {"title": "Everything"}},
        "oidc:anybody",
    ),
    "a dataset": (
        "A dataset version is immutable: publish a new version instead.",
        wire(dataset(name="case"), name="case.v1"),
        {"spec": {"title": "Other"}},
        INGEST,
    ),
}
"""What is changed -> the refusal expected (empty: none), the object, the change, the user."""


@pytest.mark.parametrize(("refusal", "body", "change", "user"), CHANGED.values(), ids=CHANGED)
async def test_changing(
    cluster: Cluster, refusal: str, body: dict[str, Any], change: dict[str, Any], user: str
) -> None:
    kind = BY_KIND[body["kind"]]
    path = at(kind, body["metadata"]["name"])
    made = await send(cluster, "POST", at(kind), body, user=user)
    assert made.status == 201, made.body.decode()
    try:
        answer = await send(cluster, "PATCH", path + "?dryRun=All", change, user=user)
        if refusal:
            assert answer.status == 422
            assert refusal in said(answer)
        else:
            assert answer.status == 200, answer.body.decode()
    finally:
        await cluster.request("DELETE", path)
        await send(cluster, "PATCH", path, {"metadata": {"finalizers": []}}, user=OPERATOR)


@pytest.mark.parametrize(
    "change",
    [
        {"researcher": "grace"},
        {"grant": {"name": "lungs", "uid": "another"}},
        {"home": {"name": "ws-other", "sizeMiB": 2048}},
    ],
    ids=["researcher", "grant", "home"],
)
async def test_a_workspace_never_moves_to_another(cluster: Cluster, change: Any) -> None:
    root = f"/apis/{API_VERSION}/namespaces/default/workspaces"
    body = wire(workspace(admission="Closed", desired="Stopped"), name="ws-case-change")
    made = await send(cluster, "POST", root, body, user=OPERATOR)
    assert made.status == 201, made.body.decode()
    path = f"{root}/ws-case-change"
    try:
        answer = await send(cluster, "PATCH", path + "?dryRun=All", {"spec": change}, user=OPERATOR)
        assert answer.status == 422
        assert "Grant, researcher and home of a workspace never change." in said(answer)
    finally:
        await cluster.request("DELETE", path)
        await send(cluster, "PATCH", path, {"metadata": {"finalizers": []}}, user=OPERATOR)
