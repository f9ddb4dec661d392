"""Our own API conventions, walked over the schema of every kind as the API server gets it.

Conditions first in a status, no phase, no booleans, no floats, a bound on every string and
list, a list type on every list, a sentence under every field.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from carrel.kinds import KINDS
from carrel.kinds.resource import Kind
from carrel.render.crd import custom_resource_definition, open_api_schema

Node = tuple[str, dict[str, Any]]
NAMED = [pytest.param(kind, id=kind.resource.kind) for kind in KINDS]


def nodes(kind: type[Kind]) -> Iterator[Node]:
    """Yield every schema below spec and status with its path."""
    properties = open_api_schema(kind)["properties"]
    for part in ("spec", "status"):
        yield from _below(part, properties[part])


def _below(path: str, schema: dict[str, Any]) -> Iterator[Node]:
    yield path, schema
    for name, member in schema.get("properties", {}).items():
        yield from _below(f"{path}.{name}", member)
    if "items" in schema:
        yield from _below(f"{path}[]", schema["items"])


def faults(kind: type[Kind], wrong: Any) -> list[str]:
    """Return the paths at which `wrong` holds."""
    return [path for path, schema in nodes(kind) if wrong(path, schema)]


@pytest.mark.parametrize("kind", NAMED)
def test_conditions_come_first_and_are_a_map_by_type(kind: type[Kind]) -> None:
    status = open_api_schema(kind)["properties"]["status"]["properties"]
    first = next(iter(status))
    assert first == "conditions"
    assert status[first]["x-kubernetes-list-type"] == "map"
    assert status[first]["x-kubernetes-list-map-keys"] == ["type"]


@pytest.mark.parametrize("kind", NAMED)
def test_there_is_no_phase(kind: type[Kind]) -> None:
    assert faults(kind, lambda path, _: re.search(r"\bphase$", path, re.IGNORECASE)) == []


@pytest.mark.parametrize("kind", NAMED)
def test_only_plain_types_are_used(kind: type[Kind]) -> None:
    plain = {"string", "integer", "array", "object"}
    assert faults(kind, lambda _, schema: schema["type"] not in plain) == []


@pytest.mark.parametrize("kind", NAMED)
def test_every_integer_has_both_ends(kind: type[Kind]) -> None:
    def unbounded(_: str, schema: dict[str, Any]) -> bool:
        return schema["type"] == "integer" and not {"minimum", "maximum", "format"} <= set(schema)

    assert faults(kind, unbounded) == []


@pytest.mark.parametrize("kind", NAMED)
def test_every_string_is_bounded(kind: type[Kind]) -> None:
    def unbounded(_: str, schema: dict[str, Any]) -> bool:
        bound = "maxLength" in schema or "enum" in schema or schema.get("format") == "date-time"
        return schema["type"] == "string" and not bound

    assert faults(kind, unbounded) == []


@pytest.mark.parametrize("kind", NAMED)
def test_every_list_is_bounded_and_says_how_it_merges(kind: type[Kind]) -> None:
    def loose(_: str, schema: dict[str, Any]) -> bool:
        return schema["type"] == "array" and not {"maxItems", "x-kubernetes-list-type"} <= set(
            schema
        )

    assert faults(kind, loose) == []


@pytest.mark.parametrize("kind", NAMED)
def test_keys_of_a_map_are_required_of_its_items(kind: type[Kind]) -> None:
    def keyless(_: str, schema: dict[str, Any]) -> bool:
        keys = set(schema.get("x-kubernetes-list-map-keys", ()))
        return not keys <= set(schema.get("items", {}).get("required", ()))

    assert faults(kind, keyless) == []


@pytest.mark.parametrize("kind", NAMED)
def test_every_field_is_described_by_a_sentence(kind: type[Kind]) -> None:
    def silent(path: str, schema: dict[str, Any]) -> bool:
        said = schema.get("description", "")
        scalar_item = path.endswith("[]") and schema["type"] != "object"
        return not scalar_item and not re.fullmatch(r"[A-Z`].*\.", said)

    assert faults(kind, silent) == []


@pytest.mark.parametrize("kind", NAMED)
def test_nothing_accepts_what_it_does_not_know(kind: type[Kind]) -> None:
    def open_ended(_: str, schema: dict[str, Any]) -> bool:
        return schema["type"] == "object" and "properties" not in schema

    assert faults(kind, open_ended) == []


@pytest.mark.parametrize("kind", NAMED)
def test_a_rule_says_what_to_do_in_a_sentence(kind: type[Kind]) -> None:
    for rule in kind.resource.rules:
        assert re.fullmatch(r"[A-Za-z].*\.", rule.message)


def test_names_of_kinds_do_not_meet() -> None:
    taken = [
        name
        for kind in KINDS
        for name in (kind.resource.plural, kind.resource.singular, *kind.resource.short_names)
    ]
    assert len(taken) == len(set(taken))


def test_short_names_leave_those_of_kubernetes_alone() -> None:
    built_in = {"ds", "ns", "sa", "po", "svc", "no", "cm", "ev", "ing", "pv", "pvc", "rs", "sc"}
    ours = {name for kind in KINDS for name in kind.resource.short_names}
    assert ours & built_in == set()


def test_kinds_are_listed_in_order_and_each_has_a_definition() -> None:
    names = [custom_resource_definition(kind)["spec"]["names"]["kind"] for kind in KINDS]
    assert names == sorted(names)


@pytest.mark.parametrize("kind", NAMED)
def test_a_kind_reads_what_it_writes_and_refuses_what_it_does_not_know(kind: type[Kind]) -> None:
    assert kind.model_config["extra"] == "forbid"
    assert kind.model_config["frozen"] is True
