"""Every admission policy lets exactly the attempts pass that its cases list as allowed.

The cases lie beside the policies; they are tried on the real API server, with all rights, so
that nothing but the policy can refuse. Left out on purpose: rights (tests of the chart) and
what the kinds themselves refuse (tests/cluster/kinds).
"""

import pytest
import yaml

from carrel.cluster import Cluster
from carrel.kinds.workspace import WorkspaceSpec
from policies.cases import POLICIES, Case, Outcome, cases, send

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in cases()])
async def test_the_api_server_does_what_the_case_says(guarded: Cluster, case: Case) -> None:
    result = await send(guarded, case)
    if case.verdict == "allow":
        assert result.outcome is Outcome.LET, result.message
    else:
        assert result.outcome is Outcome.DENIED, result.message
        assert f"{case.policy}: " in result.message
        assert f"docs/reference/policies.md#{case.policy}" in result.message


def policies() -> list[str]:
    return sorted(path.name for path in POLICIES.iterdir())


@pytest.mark.parametrize("policy", policies())
async def test_every_policy_has_cases_of_both_kinds(policy: str) -> None:
    verdicts = {case.verdict for case in cases() if case.policy == policy}
    assert verdicts == {"allow", "deny"}


@pytest.mark.parametrize("policy", policies())
async def test_every_policy_fails_closed_and_denies(policy: str) -> None:
    made = yaml.safe_load((POLICIES / policy / "policy.yaml").read_text())
    bound = yaml.safe_load((POLICIES / policy / "binding.yaml").read_text())
    assert (
        made["metadata"]["name"],
        made["spec"]["failurePolicy"],
        bound["spec"],
    ) == (
        f"carrel-{policy}",
        "Fail",
        {"policyName": f"carrel-{policy}", "validationActions": ["Deny", "Audit"]},
    )


async def test_the_workspace_policy_guards_every_field_but_the_two_that_people_own() -> None:
    policy = yaml.safe_load((POLICIES / "workspace-writer" / "policy.yaml").read_text())
    rules = [each["expression"] for each in policy["spec"]["validations"]]
    # What is closed to the Hub beyond that is not closed to people.
    text = "\n".join(each for each in rules if not each.startswith("variables.writer != 'hub'"))
    guarded = {
        field.alias or name
        for name, field in WorkspaceSpec.model_fields.items()
        if f"object.spec.?{field.alias or name} == oldObject.spec.?{field.alias or name}" in text
    }
    fields = {field.alias or name for name, field in WorkspaceSpec.model_fields.items()}
    assert fields - guarded == {"desired", "selfCheck"}
