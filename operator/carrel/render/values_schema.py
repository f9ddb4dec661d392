"""The values of a chart, written once: `values.schema.yaml` gives everything else.

From the source come `values.yaml` (defaults, each under its sentence), the JSON
schema that Helm checks (without descriptions) and the reference page.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

__all__ = ["Value", "defaults", "schema_json", "values", "values_reference", "values_yaml"]

Schema = Mapping[str, Any]

_NOTES = frozenset({"description", "default", "title"})
_YAML_HEAD = "# Generated from values.schema.yaml; edit that and run `carrel generate`.\n"
_REFERENCE_HEAD = """# Values of the chart `carrel`

Generated from `charts/carrel/values.schema.yaml`. Every value that is not listed is refused.

| value | default | meaning |
|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Value:
    """One value that a person may set."""

    path: tuple[str, ...]
    """Keys from the top."""
    description: str
    """What it is for, in a sentence."""
    default: object
    """What holds when nobody sets it."""


def _resolved(schema: Schema, *, root: Schema) -> Schema:
    """Follow a `$ref` into `definitions`; what stands beside it wins."""
    reference = schema.get("$ref")
    if reference is None:
        return schema
    target = root["definitions"][str(reference).removeprefix("#/definitions/")]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def values(schema: Schema) -> Iterator[Value]:
    """Yield every value of a schema in the order in which it is written.

    A value is a part with a default; parts without one only group others.

    Raises
    ------
    ValueError
        If a part has neither sentence nor, where it must, a default.
    """
    yield from _values(schema, path=(), root=schema)


def _values(schema: Schema, *, path: tuple[str, ...], root: Schema) -> Iterator[Value]:
    for key, part in schema.get("properties", {}).items():
        here = (*path, key)
        whole = _resolved(part, root=root)
        if "description" not in whole:
            raise ValueError(f"{'.'.join(here)} has no description: say in a sentence what it does")
        if "default" in whole:
            yield Value(path=here, description=whole["description"], default=whole["default"])
        elif "properties" in whole:
            yield from _values(whole, path=here, root=root)
        else:
            raise ValueError(f"{'.'.join(here)} has no default: give one that opens nothing")


def defaults(schema: Schema) -> dict[str, Any]:
    """Return the tree of defaults."""
    tree: dict[str, Any] = {}
    for value in values(schema):
        branch = tree
        for key in value.path[:-1]:
            branch = branch.setdefault(key, {})
        branch[value.path[-1]] = value.default
    return tree


def _bare(part: object) -> object:
    """Drop what people read; a property may be called `title` or `default` and stays."""
    if isinstance(part, Mapping):
        return {
            key: {name: _bare(child) for name, child in value.items()}
            if key in ("properties", "definitions")
            else _bare(value)
            for key, value in part.items()
            if key not in _NOTES
        }
    if isinstance(part, list):
        return [_bare(child) for child in part]
    return part


def schema_json(schema: Schema) -> str:
    """Return the JSON schema that Helm checks, without words for people."""
    return json.dumps(_bare(schema), indent=1, ensure_ascii=False) + "\n"


def values_yaml(schema: Schema) -> str:
    """Return `values.yaml`: every default under its sentence."""
    lines: list[str] = [_YAML_HEAD.rstrip()]
    _write(schema, lines=lines, depth=0, root=schema)
    return "\n".join(lines) + "\n"


def _write(schema: Schema, *, lines: list[str], depth: int, root: Schema) -> None:
    for key, part in schema["properties"].items():
        whole = _resolved(part, root=root)
        indent = "  " * depth
        if depth == 0:
            lines.append("")
        lines.append(f"{indent}# {whole['description']}")
        if "default" in whole:
            text = yaml.safe_dump({key: whole["default"]}, sort_keys=False, width=10_000)
            lines.extend(indent + line for line in text.splitlines())
        else:
            lines.append(f"{indent}{key}:")
            _write(whole, lines=lines, depth=depth + 1, root=root)


def values_reference(schema: Schema) -> str:
    """Return the reference page as Markdown: one row a value."""
    rows = (
        f"| `{'.'.join(value.path)}` | `{json.dumps(value.default, ensure_ascii=False)}` "
        f"| {value.description} |"
        for value in values(schema)
    )
    return _REFERENCE_HEAD + "\n".join(rows) + "\n"
