"""CustomResourceDefinitions, computed from the kinds.

The models are the only source: types, bounds, descriptions, list types, CEL rules and columns
all come from them. Everything is inlined, because a structural schema knows no references.
"""

from collections.abc import Mapping
from typing import Any

from carrel.kinds import KINDS
from carrel.kinds.resource import GROUP, VERSION, Kind, Resource, Rule
from carrel.rules.canonical import digest

JSON = dict[str, Any]

SCHEMA_REVISION = 1
"""Counts up with every change that an older process would not understand."""

SCHEMA_REVISION_ANNOTATION = f"{GROUP}/schema-revision"
"""On every CRD: the revision, which the platform's chart compares with what it needs."""

SCHEMA_DIGEST_ANNOTATION = f"{GROUP}/schema-digest"
"""On every CRD: digest of its spec, by which a process knows whether it was made for it."""

_BOUNDS = (
    "enum",
    "format",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
)
_LIST_EXTENSIONS = {
    "x-list-type": "x-kubernetes-list-type",
    "x-list-map-keys": "x-kubernetes-list-map-keys",
}


def custom_resource_definition(kind: type[Kind]) -> JSON:
    """Return the CustomResourceDefinition of one kind."""
    spec = _spec(kind)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": kind.resource.crd_name,
            "labels": {"app.kubernetes.io/part-of": "carrel"},
            "annotations": {
                # Uninstalling a chart must not delete every grant and home with it.
                "helm.sh/resource-policy": "keep",
                SCHEMA_REVISION_ANNOTATION: str(SCHEMA_REVISION),
                SCHEMA_DIGEST_ANNOTATION: digest(spec),
            },
        },
        "spec": spec,
    }


def schema_digests() -> Mapping[str, str]:
    """Return the schema digest of each CRD, by the CRD's name."""
    return {kind.resource.crd_name: digest(_spec(kind)) for kind in KINDS}


def open_api_schema(kind: type[Kind]) -> JSON:
    """Return the structural OpenAPI v3 schema of one kind, CEL rules included."""
    whole = kind.model_json_schema(by_alias=True, mode="validation")
    definitions = whole.get("$defs", {})
    properties = {
        name: {"type": "object"} if name == "metadata" else _structural(value, definitions)
        for name, value in whole["properties"].items()
        if name not in {"apiVersion", "kind"}
    }
    schema: JSON = {
        "type": "object",
        "description": (kind.__doc__ or "").strip(),
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Group and version."},
            "kind": {"type": "string", "description": "Name of the kind."},
            **properties,
        },
    }
    for rule in kind.resource.rules:
        _at(schema, rule).setdefault("x-kubernetes-validations", []).append(
            {"rule": rule.rule, "message": rule.message}
        )
    return schema


def _spec(kind: type[Kind]) -> JSON:
    resource = kind.resource
    version: JSON = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": open_api_schema(kind)},
        "additionalPrinterColumns": [
            {"name": column.name, "type": column.type, "jsonPath": column.path}
            for column in resource.columns
        ],
    }
    if resource.status_subresource == "Served":
        version["subresources"] = {"status": {}}
    return {
        "group": GROUP,
        "scope": resource.scope.value,
        "names": _names(resource),
        "versions": [version],
    }


def _names(resource: Resource) -> JSON:
    names: JSON = {
        "kind": resource.kind,
        "listKind": f"{resource.kind}List",
        "plural": resource.plural,
        "singular": resource.singular,
        "categories": ["carrel"],
    }
    if resource.short_names:
        names["shortNames"] = list(resource.short_names)
    return names


def _structural(schema: JSON, definitions: Mapping[str, JSON]) -> JSON:
    flat = _without_null(_resolved(schema, definitions), definitions)
    if "const" in flat:
        flat = {**flat, "enum": [flat["const"]]}
    kept: JSON = {"type": flat["type"]}
    if "description" in flat:
        kept["description"] = " ".join(flat["description"].split())
    kept |= {name: flat[name] for name in _BOUNDS if name in flat}
    match flat["type"]:
        case "object":
            kept |= _members(flat, definitions)
        case "array":
            kept["items"] = _structural(flat["items"], definitions)
            kept["x-kubernetes-list-type"] = "atomic"
            kept |= {ours: flat[name] for name, ours in _LIST_EXTENSIONS.items() if name in flat}
        case "integer":
            kept["format"] = "int64"
        case _:
            pass
    # Lists and objects that are absent stay absent: a default written into the object would
    # belong to nobody and survive the field that it stands for.
    if flat["type"] in {"string", "integer"} and flat.get("default") is not None:
        kept["default"] = flat["default"]
    return kept


def _members(flat: JSON, definitions: Mapping[str, JSON]) -> JSON:
    members = {name: _structural(value, definitions) for name, value in flat["properties"].items()}
    required = sorted(flat.get("required", ()))
    return {"properties": members} | ({"required": required} if required else {})


def _resolved(schema: JSON, definitions: Mapping[str, JSON]) -> JSON:
    if "$ref" not in schema:
        return schema
    target = definitions[schema["$ref"].removeprefix("#/$defs/")]
    # What is said at the field is said about its use, so it wins over the type's own words.
    beside = {name: value for name, value in schema.items() if name != "$ref"}
    return {**_resolved(target, definitions), **beside}


def _without_null(schema: JSON, definitions: Mapping[str, JSON]) -> JSON:
    if "anyOf" not in schema:
        return schema
    present = [_resolved(item, definitions) for item in schema["anyOf"]]
    (only,) = (item for item in present if item.get("type") != "null")
    beside = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
    return {**only, **beside}


def _at(schema: JSON, rule: Rule) -> JSON:
    for name in filter(None, rule.field.split(".")):
        schema = schema["properties"][name]
    return schema
