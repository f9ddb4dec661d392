"""What a person meets who reads a grant and says yes to it."""

from typing import Any

import pytest

from carrel.cluster import KindRef
from carrel.flows.approval import (
    ApprovalError,
    approve,
    read_approvals,
    read_grant,
    read_grants,
    read_scope,
    refusal,
)
from carrel.kinds import AccessGrant, Approval
from carrel.kinds.resource import Kind
from carrel.kinds.workspace import Admission
from carrel.rules import judge_grant, scope_text
from support.fake_cluster import FakeCluster
from support.samples import (
    NOW,
    dataset,
    egress_policy,
    grant,
    observed_grant,
    workspace_class,
)


def wire(kind: Kind) -> dict[str, Any]:
    """Return an object as a person would apply it."""
    whole = kind.to_wire()
    whole["metadata"] = {"name": kind.metadata.name}
    whole.pop("status", None)
    return whole


async def cluster_with(*objects: Kind) -> FakeCluster:
    """Return a cluster that holds these objects."""
    cluster = FakeCluster(now=lambda: NOW)
    for item in objects:
        await cluster.create(wire(item))
    return cluster


async def whole_cluster() -> FakeCluster:
    """Return a cluster with the sample grant and all that it names."""
    return await cluster_with(grant(), dataset(), workspace_class(), egress_policy())


async def test_a_yes_counts_for_the_grant_as_it_was_shown() -> None:
    cluster = await whole_cluster()
    asked = await read_scope(cluster, "lungs")
    await approve(cluster, asked, approver="oidc:approver")
    stored = await read_grant(cluster, "lungs")
    verdict = judge_grant(
        observed_grant(grant=stored, approvals=await read_approvals(cluster, stored))
    )
    assert verdict.admission is Admission.OPEN


async def test_the_same_yes_twice_is_one_approval() -> None:
    cluster = await whole_cluster()
    asked = await read_scope(cluster, "lungs")
    first = await approve(cluster, asked, approver="oidc:approver")
    assert await approve(cluster, asked, approver="oidc:approver") == first
    assert len(await cluster.list(KindRef.of(Approval))) == 1


async def test_two_people_make_two_approvals() -> None:
    cluster = await whole_cluster()
    asked = await read_scope(cluster, "lungs")
    await approve(cluster, asked, approver="oidc:approver")
    await approve(cluster, asked, approver="oidc:second")
    assert len(await cluster.list(KindRef.of(Approval))) == 2


async def test_another_approval_under_the_name_is_not_taken_for_this_one() -> None:
    cluster = await whole_cluster()
    asked = await read_scope(cluster, "lungs")
    made = await approve(cluster, asked, approver="oidc:approver")
    forged = wire(made)
    forged["spec"]["scopeDigest"] = "sha256:" + "0" * 64
    other = await whole_cluster()
    await other.create(forged)
    with pytest.raises(ApprovalError, match="another Approval named"):
        await approve(other, asked, approver="oidc:approver")


async def test_what_is_approved_is_what_was_shown_even_if_the_grant_grew_since() -> None:
    cluster = await whole_cluster()
    asked = await read_scope(cluster, "lungs")
    stored = wire(grant(expires="2027-12-01T00:00:00Z"))
    await cluster.apply(stored, manager="somebody")
    made = await approve(cluster, asked, approver="oidc:approver")
    assert made.spec.scope == scope_text(asked.scope)
    assert '"expires":"2026-12-01T00:00:00Z"' in made.spec.scope


async def test_an_unknown_grant_is_named() -> None:
    with pytest.raises(ApprovalError, match="There is no AccessGrant 'lungs'"):
        await read_scope(await cluster_with(), "lungs")


async def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(ApprovalError) as refused:
        await read_scope(await cluster_with(grant()), "lungs")
    assert str(refused.value) == (
        "AccessGrant 'lungs' names what does not exist: Dataset chest-ct.v1, WorkspaceClass "
        "small, EgressPolicy nothing. Nobody can approve it until it does; correct the grant "
        "or create what is missing."
    )


async def test_a_grant_that_cannot_be_read_says_where() -> None:
    cluster = await cluster_with()
    broken = wire(grant())
    broken["spec"]["mode"] = "Anything"
    await cluster.create(broken)
    with pytest.raises(ApprovalError, match=r"AccessGrant 'lungs' cannot be read: spec\.mode"):
        await read_grant(cluster, "lungs")


async def test_grants_are_listed_by_name() -> None:
    cluster = await cluster_with(
        AccessGrant.model_validate({"metadata": {"name": "z"}, "spec": grant().spec}),
        AccessGrant.model_validate({"metadata": {"name": "a"}, "spec": grant().spec}),
    )
    assert [item.metadata.name for item in await read_grants(cluster)] == ["a", "z"]


@pytest.mark.parametrize(
    ("approver", "why"),
    [
        ("oidc:requester", "'oidc:requester' asked for this grant."),
        ("oidc:ada", "'oidc:ada' would work under this grant."),
        ("ada", "'ada' would work under this grant."),
    ],
)
async def test_nobody_is_led_to_an_approval_that_cannot_count(approver: str, why: str) -> None:
    asked = await read_scope(await whole_cluster(), "lungs")
    said = refusal(asked, approver=approver)
    assert said is not None
    assert said.startswith(why)


async def test_somebody_else_may_approve() -> None:
    asked = await read_scope(await whole_cluster(), "lungs")
    assert refusal(asked, approver="oidc:approver") is None
