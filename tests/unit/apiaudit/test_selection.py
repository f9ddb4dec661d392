"""Which requests become records, and what of them is kept."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carrel.apiaudit.selection import NotAnEventError, Selected, Skipped, select
from carrel.ledger import Activity

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ADMIN = "oidc:demo-grant-admin"
OPERATOR = "system:serviceaccount:carrel-system:carrel-operator"


def audit(
    verb: str,
    resource: str,
    *,
    group: str = "",
    user: str = ADMIN,
    namespace: str = "",
    name: str = "x",
    stage: str = "ResponseComplete",
    code: int = 200,
    **more: Any,
) -> dict[str, Any]:
    """Return an event as an API server writes it."""
    kind, _, sub = resource.partition("/")
    about = {"resource": kind, "namespace": namespace, "name": name, "apiGroup": group}
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": "5f2c1c0e-0000-4000-8000-000000000001",
        "stage": stage,
        "verb": verb,
        "user": {"username": user},
        "objectRef": {**about, **({"subresource": sub} if sub else {})},
        "responseStatus": {"code": code},
        "stageTimestamp": "2026-03-02T08:59:58.123456Z",
        **more,
    }


def selected(found: object) -> Selected | None:
    result = select(found, platform="carrel-system", now=NOW)
    return None if isinstance(result, Skipped) else result


GRANTS = {"group": "carrel.dev", "name": "lung-2026"}
RBAC = {"group": "rbac.authorization.k8s.io"}


@pytest.mark.parametrize(
    "found",
    [
        audit("create", "accessgrants", **GRANTS),
        audit("patch", "accessgrants", **GRANTS, code=403),
        audit("patch", "workspaces", group="carrel.dev", user=OPERATOR),
        audit("patch", "accessgrants/status", **GRANTS),
        audit("create", "clusterrolebindings", **RBAC, user=OPERATOR),
        audit("delete", "networkpolicies", group="networking.k8s.io"),
        audit("delete", "ciliumnetworkpolicies", group="cilium.io"),
        audit("delete", "validatingadmissionpolicies", group="admissionregistration.k8s.io"),
        audit("patch", "namespaces"),
        audit("get", "pods/exec", namespace="default"),
        audit("create", "pods/attach", user="system:serviceaccount:kube-system:x"),
        audit("create", "pods/portforward", stage="ResponseStarted"),
        audit("get", "nodes/proxy"),
        audit("patch", "pods/ephemeralcontainers"),
        audit("get", "secrets", namespace="carrel-system"),
        audit("update", "configmaps", impersonatedUser={"username": "somebody"}),
    ],
)
def test_what_governs_access_is_recorded(found: dict[str, Any]) -> None:
    assert selected(found) is not None


@pytest.mark.parametrize(
    "found",
    [
        audit("get", "accessgrants", **GRANTS),
        audit("watch", "accessgrants", **GRANTS),
        audit("patch", "accessgrants/status", **GRANTS, user=OPERATOR),
        audit("create", "accessgrants", **GRANTS, stage="ResponseStarted"),
        audit("create", "accessgrants", **GRANTS, stage="RequestReceived"),
        audit("create", "configmaps"),
        audit("create", "pods"),
        audit("get", "secrets", namespace="default"),
        audit("update", "nodes", user="system:node:one"),
        {**audit("get", "x"), "objectRef": None, "requestURI": "/version"},
    ],
)
def test_everything_else_is_left_alone(found: dict[str, Any]) -> None:
    assert selected(found) is None


def test_a_change_of_a_grant_says_who_what_and_how_it_was_answered() -> None:
    found = selected(
        audit(
            "patch",
            "accessgrants",
            **GRANTS,
            requestObject={
                "apiVersion": "carrel.dev/v1alpha1",
                "metadata": {"managedFields": [1], "labels": {"a": "b"}},
                "spec": {"state": "Suspended", "researchers": ["oidc:1", "oidc:2"]},
            },
        )
    )
    assert found is not None
    digest = found.event.detail["bodyDigest"]
    assert found.event.to_wire() == {
        "activity": "AdministratorActed",
        "time": "2026-03-02T08:59:58.123Z",
        "actor": ADMIN,
        "grant": "lung-2026",
        "detail": {
            "verb": "patch",
            "group": "carrel.dev",
            "resource": "accessgrants",
            "name": "lung-2026",
            "auditID": "5f2c1c0e-0000-4000-8000-000000000001",
            "auditLevel": "RequestResponse",
            "changed": (
                "metadata.labels.a=b; spec.researchers[0]=oidc:1; spec.researchers[1]=oidc:2; "
                "spec.state=Suspended"
            ),
            "bodyDigest": digest,
            "code": 200,
        },
    }


def test_a_way_into_a_workspace_is_told_of_the_workspace() -> None:
    name = "ws-lung-2026-0123456789ab"
    found = selected(audit("get", "pods/exec", namespace=name, name="desk", code=403))
    assert found is not None
    assert (found.event.activity, found.event.workspace) == (Activity.POD_ENTERED, name)


@pytest.mark.parametrize(
    "resource", ["secrets", "serviceaccounts/token", "pods/exec", "pods/proxy"]
)
def test_no_body_of_a_secret_is_ever_kept(resource: str) -> None:
    secret = "c2VjcmV0LXZhbHVl"  # noqa: S105 - that is what must not be found
    body = {"data": {"key": secret}, "spec": {"token": secret}, "status": {"token": secret}}
    found = selected(
        audit(
            "create",
            resource,
            namespace="carrel-system",
            requestObject=body,
            responseObject=body,
            annotations={"a": secret},
        )
    )
    assert found is not None
    assert secret not in json.dumps(found.event.to_wire())


@pytest.mark.parametrize("found", [None, [], "x", {}, {"kind": "Event"}, {"kind": "Pod"},
    {"kind": "Event", "auditID": ""}, {"kind": "Event", "auditID": 5},
    {"kind": "Event", "auditID": "x" * 200}])  # fmt: skip
def test_what_is_no_event_is_said_to_be_none(found: object) -> None:
    with pytest.raises(NotAnEventError):
        selected(found)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(st.data())
def test_odd_events_do_no_harm(data: st.DataObject) -> None:
    whole = audit("patch", "accessgrants", **GRANTS, requestObject={"spec": {}})
    for key in data.draw(st.sets(st.sampled_from(sorted(set(whole) - {"kind", "auditID"})))):
        whole[key] = data.draw(_json)
    for key in data.draw(st.sets(st.sampled_from(["resource", "name", "namespace", "apiGroup"]))):
        if isinstance(whole["objectRef"], dict):
            whole["objectRef"][key] = data.draw(_json)
    found = selected(whole)
    if found is not None:
        assert len(json.dumps(found.event.to_wire())) < 60_000


def test_a_deep_or_huge_body_is_cut() -> None:
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"a": deep}
    huge = {"spec": {f"key{n}": "x" * 500 for n in range(1000)}, "deep": deep}
    found = selected(audit("create", "accessgrants", **GRANTS, requestObject=huge))
    assert found is not None
    assert len(str(found.event.detail["changed"])) == 1024
