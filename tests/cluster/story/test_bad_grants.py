"""What an administrator may get wrong: each grant says so in a condition, and nothing runs.

Left out on purpose: faults that the schema refuses at the door; those are in
tests/cluster/kinds.
"""

from typing import Any

import pytest

from carrel.cluster import Cluster, KindRef, Ref
from carrel.cluster.errors import Invalid
from carrel.kinds import Dataset, Workspace

from . import grants

pytestmark = pytest.mark.cluster


def _unknown_dataset(spec: dict[str, Any]) -> None:
    spec["datasets"] = [{"name": "nobody-ingested-this", "version": 1}]


def _unknown_version(spec: dict[str, Any]) -> None:
    spec["datasets"][0]["version"] = 999


def _unknown_class(spec: dict[str, Any]) -> None:
    spec["workspaceClass"] = "nobody-offers-this"


def _unknown_policy(spec: dict[str, Any]) -> None:
    spec["egressPolicy"] = "nobody-offers-this"


def _expired(spec: dict[str, Any]) -> None:
    spec["notBefore"], spec["expires"] = "2020-01-01T00:00:00Z", "2020-02-01T00:00:00Z"


def _suspended(spec: dict[str, Any]) -> None:
    spec["state"] = "Suspended"


def _nothing_wrong(_: dict[str, Any]) -> None:
    return


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        pytest.param(_unknown_dataset, "DatasetUnknown", id="unknown-dataset"),
        pytest.param(_unknown_version, "DatasetUnknown", id="unknown-version"),
        pytest.param(_unknown_class, "ClassUnknown", id="unknown-class"),
        pytest.param(_unknown_policy, "PolicyUnknown", id="unknown-policy"),
        pytest.param(_expired, "Expired", id="expired"),
        pytest.param(_suspended, "Suspended", id="suspended"),
        pytest.param(_nothing_wrong, "ApprovalsMissing", id="not-approved"),
    ],
)
async def test_a_grant_that_cannot_be_in_force_says_why(
    grant_admin: Cluster,
    admin: Cluster,
    spoil: grants.Spoil,
    reason: str,
    request: pytest.FixtureRequest,
):
    """The reason names the fault, no workspace is made, and the grant goes when it is deleted."""
    name = f"bad-{request.node.callspec.id}"
    await grant_admin.create(
        await grants.sound(admin, name=name, researcher="bad-grants", spoil=spoil)
    )
    try:
        found = await grants.until(
            admin, name, grants.stands("InForce", status="False", reason=reason)
        )
        assert {c["type"] for c in found["status"]["conditions"]} == {
            "Approved",
            "DatasetsReady",
            "InForce",
            "WorkspacesReady",
        }
        assert found["status"].get("workspaces", []) == []
    finally:
        await grants.gone(admin, Ref(grants.GRANTS, name))


async def test_a_dataset_never_changes(admin: Cluster):
    """Not even the cluster's administrator edits a version; another one is published."""
    stored = next(iter(await admin.list(KindRef.of(Dataset))))
    ref = Ref(KindRef.of(Dataset), stored["metadata"]["name"])
    with pytest.raises(Invalid, match="immutable"):
        await admin.patch(ref, {"spec": {"title": "Edited afterwards"}}, manager="a-test")
    assert (await admin.get(ref) or {})["spec"] == stored["spec"]


async def test_two_grants_of_one_researcher_share_nothing(
    grant_admin: Cluster, approver: Cluster, admin: Cluster
):
    """Namespace, workspace and home are named from grant and researcher, never from one alone."""
    names = ("twice-a", "twice-b")
    try:
        for name in names:
            await grant_admin.create(await grants.sound(admin, name=name, researcher="one person"))
            await grants.approved(approver, name=name)
        found = [
            await grants.until(
                admin, name, grants.stands("InForce", status="True", reason="InForce")
            )
            for name in names
        ]
        places = {grant["status"]["workspaces"][0]["name"] for grant in found}
        assert len(places) == 2
        homes = {
            item["spec"]["home"]["name"]
            for item in await admin.list(KindRef.of(Workspace))
            if item["metadata"]["name"] in places
        }
        assert len(homes) == 2
    finally:
        for name in names:
            await grants.gone(admin, Ref(grants.GRANTS, name))


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        pytest.param("n" * 253, "plain", id="253-characters"),
        pytest.param("dots.and-dashes.0", "Ünï¢ødé ☃ 患者", id="unicode-subject"),
        pytest.param("long-subject", "s" * 255, id="255-character-subject"),
        pytest.param("hostile-subject", "../../etc/passwd; rm -rf $HOME", id="hostile-subject"),
    ],
)
async def test_any_name_gets_a_workspace(
    grant_admin: Cluster, approver: Cluster, admin: Cluster, name: str, subject: str
):
    """Names of objects are made, not copied: whatever people are called, it works."""
    await grant_admin.create(await grants.sound(admin, name=name, researcher=subject))
    try:
        await grants.approved(approver, name=name)
        found = await grants.until(
            admin, name, grants.stands("InForce", status="True", reason="InForce")
        )
        place = found["status"]["workspaces"][0]
        assert place["subject"] == subject
        workspace = Ref(KindRef.of(Workspace), place["name"], place["namespace"])
        assert (await admin.get(workspace) or {})["spec"]["researcher"] == subject
    finally:
        await grants.gone(admin, Ref(grants.GRANTS, name))
