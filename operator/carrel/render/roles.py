"""Who may do what: the roles of a rendered chart as a table and as a page."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["HUMAN_ROLES", "RoleTable", "role_table", "roles_page"]

RoleTable = Mapping[str, Mapping[str, Sequence[str]]]
"""Role, then what it is about (`resource.group`, where it holds), then verbs."""

HUMAN_ROLES = (
    "carrel-researcher",
    "carrel-grant-admin",
    "carrel-approver",
    "carrel-data-manager",
    "carrel-output-reviewer",
    "carrel-auditor",
)
"""One role for each kind of person; none includes another."""

_UPLOAD = "carrel-data-manager-upload"
_HEAD = """# Who may do what

Generated from the rendered chart `carrel`. Roles of people first; nothing else of the platform
is for people. A role that is not listed here is not part of Carrel.

"""


def role_table(objects: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """Read ClusterRoles and Roles of a rendered chart; same names are laid together."""
    table: dict[str, dict[str, list[str]]] = {}
    for each in objects:
        if each["kind"] not in {"ClusterRole", "Role"}:
            continue
        metadata = each["metadata"]
        rows = table.setdefault(metadata["name"], {})
        place = f" in {metadata['namespace']}" if each["kind"] == "Role" else ""
        for rule in each.get("rules") or ():
            for subject in _subjects(rule):
                verbs = rows.setdefault(subject + place, [])
                verbs.extend(verb for verb in rule["verbs"] if verb not in verbs)
    return {name: dict(sorted(rows.items())) for name, rows in sorted(table.items())}


def _subjects(rule: Mapping[str, Any]) -> list[str]:
    names = rule.get("resourceNames")
    only = f" named {', '.join(names)}" if names else ""
    return [
        f"{resource}.{group}{only}" if group else f"{resource}{only}"
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    ]


def roles_page(table: RoleTable) -> str:
    """Return the reference page as Markdown: people first, then processes."""
    others = [name for name in table if name not in (*HUMAN_ROLES, _UPLOAD)]
    people = [*HUMAN_ROLES[:4], _UPLOAD, *HUMAN_ROLES[4:]]
    parts = ["## People\n", *(_section(name, table[name]) for name in people)]
    parts += ["## Processes\n", *(_section(name, table[name]) for name in others)]
    return _HEAD + "\n".join(parts)


def _section(name: str, rows: Mapping[str, Sequence[str]]) -> str:
    if not rows:
        return f"### `{name}`\n\nNothing.\n"
    lines = [f"| `{subject}` | {', '.join(verbs)} |" for subject, verbs in rows.items()]
    return "\n".join((f"### `{name}`\n", "| what | verbs |", "|---|---|", *lines, ""))
