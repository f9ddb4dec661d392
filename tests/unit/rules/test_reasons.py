"""Every reason that the rules can write is explained, and nothing else is."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import carrel.rules
from carrel.rules import judge_grant, judge_workspace
from carrel.rules.reasons import REASONS
from support.samples import observed_grant, observed_workspace

FOLDER = Path(carrel.rules.__file__).parent
STATUSES = {"_TRUE", "_FALSE", "_UNKNOWN", "ConditionStatus"}


def written() -> Iterator[str]:
    """Yield every reason that stands in the code of the rules."""
    for path in sorted(FOLDER.glob("*.py")):
        tree = ast.parse(path.read_text())
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            for value in _reasons(node):
                text = constants.get(value.id) if isinstance(value, ast.Name) else None
                yield str(text if text is not None else getattr(value, "value", ""))


def _reasons(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call):
        yield from (item.value for item in node.keywords if item.arg == "reason")
        if getattr(node.func, "id", "") == "condition" and len(node.args) == 4:
            yield node.args[2]
    if isinstance(node, ast.Tuple) and len(node.elts) == 3 and _is_status(node.elts[0]):
        yield node.elts[1]


def _is_status(node: ast.expr) -> bool:
    inner = node.value if isinstance(node, ast.Attribute) else node
    return isinstance(inner, ast.Name) and inner.id in STATUSES


def test_every_reason_in_the_code_is_explained_and_every_explained_one_is_in_the_code() -> None:
    explained = {
        reason
        for conditions in REASONS.values()
        for reasons in conditions.values()
        for reason in reasons
    }
    assert {reason for reason in written() if reason.isidentifier()} == explained


@pytest.mark.parametrize(
    ("kind", "conditions"),
    [
        ("AccessGrant", judge_grant(observed_grant()).status.conditions),
        ("Workspace", judge_workspace(observed_workspace()).status.conditions),
        ("Approval", tuple(judge_grant(observed_grant()).counts.values())),
    ],
)
def test_every_condition_of_a_kind_is_explained(kind: str, conditions: object) -> None:
    assert [item.type for item in conditions] == list(REASONS[kind])
