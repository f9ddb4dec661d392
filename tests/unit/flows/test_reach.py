"""Under which policy somebody stands, and what the command says of it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from carrel.cli import explain as command
from carrel.cli.main import app
from carrel.flows.reach import ReachError, standing_of_grant, standing_of_workspace
from carrel.kinds import EgressPolicy
from carrel.rules import digest
from carrel.rules.egress import EgressRules, egress_rules
from support.fake_cluster import FakeCluster
from support.samples import NOW, egress_policy, grant, workspace

LISTED = egress_policy(
    name="imaging", allow="Listed", packages=[{"index": "pypi", "projects": ["numpy"]}]
)
RULES = egress_rules("imaging", LISTED.spec)
CLOSED = egress_rules("imaging", None)


def stored(kind: Any, **metadata: Any) -> dict[str, Any]:
    """Return an object as the API server holds it."""
    wire = kind.to_wire()
    return wire | {"metadata": wire["metadata"] | metadata}


async def cluster(
    *policies: EgressPolicy, approved: str | None = None, admission: str = "Open"
) -> FakeCluster:
    """Return a cluster with a grant and a workspace under policy `imaging`."""
    made = FakeCluster(now=lambda: NOW)
    menu = {"name": "imaging", "digest": approved or digest(LISTED.spec)}
    desk = workspace(egressPolicy=menu, admission=admission)
    asked = grant(egressPolicy="imaging")
    place = desk.metadata.namespace
    await made.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}})
    for each in (asked, desk, *policies):
        await made.create(stored(each))
    return made


async def test_a_workspace_stands_under_the_policy_that_was_approved() -> None:
    standing = await standing_of_workspace(await cluster(LISTED), workspace().metadata.name)
    assert (standing.rules, standing.notes) == (RULES, ())


@pytest.mark.parametrize(
    ("policies", "approved", "admission", "rules", "note"),
    [
        ((), None, "Open", CLOSED, "There is no EgressPolicy 'imaging'."),
        ((LISTED,), "sha256:" + "0" * 64, "Open", CLOSED, "is not the one that was approved"),
        ((LISTED,), None, "Closed", RULES, "The workspace is closed"),
    ],
)
async def test_what_is_missing_changed_or_closed_is_said(
    policies: tuple[EgressPolicy, ...],
    approved: str | None,
    admission: str,
    rules: EgressRules,
    note: str,
) -> None:
    made = await cluster(*policies, approved=approved, admission=admission)
    standing = await standing_of_workspace(made, workspace().metadata.name)
    assert standing.rules == rules
    assert [note in each for each in standing.notes] == [True]


async def test_a_policy_that_cannot_be_read_is_closed() -> None:
    made = await cluster()
    odd = stored(LISTED) | {"spec": {"title": "T", "allow": "Everything"}}
    await made.create(odd)
    assert (await standing_of_grant(made, grant().metadata.name)).rules == CLOSED


async def test_nobody_stands_nowhere() -> None:
    made = await cluster(LISTED)
    with pytest.raises(ReachError, match="no Workspace 'nobody'"):
        await standing_of_workspace(made, "nobody")
    with pytest.raises(ReachError, match="no Workspace 'elsewhere/"):
        await standing_of_workspace(made, f"elsewhere/{workspace().metadata.name}")
    with pytest.raises(ReachError, match="no AccessGrant 'nothing'"):
        await standing_of_grant(made, "nothing")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command meet a cluster of our own instead of the one a kubeconfig names."""

    @asynccontextmanager
    async def connected(_: Path) -> AsyncIterator[FakeCluster]:
        yield await cluster(LISTED)

    monkeypatch.setattr(command, "connect", connected)


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--to", "pypi:numpy"], 0, "egress.package_listed"),
        (["--to", "pypi:torch"], 1, "egress.package_not_listed"),
        (["--to", "pypi:numpy", "--to", "example.org"], 1, "egress.name_never_forwarded"),
        (["--to", "a b"], 2, "names no destination"),
        (["some-workspace", "--to", "8.8.8.8"], 2, "either a workspace or, with --grant, a grant"),
        ([], 2, "--to"),
    ],
)
def test_the_exit_code_says_allowed_refused_or_not_answered(
    arguments: list[str], code: int, said: str
) -> None:
    done = CliRunner().invoke(app, ["explain", *arguments, "--grant", grant().metadata.name])
    assert (done.exit_code, said in done.output) == (code, True), done.output


@pytest.mark.usefixtures("site")
def test_the_answer_can_be_read_by_a_program() -> None:
    done = CliRunner().invoke(
        app, ["explain", "--grant", grant().metadata.name, "--to", "8.8.8.8:443", "--json"]
    )
    answer = json.loads(done.output)
    assert [each["rule"] for each in answer["answers"]] == ["egress.no_direct_connection"]
    assert answer["policy"] == "imaging"
