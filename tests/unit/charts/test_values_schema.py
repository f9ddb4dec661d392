"""Values are written once: defaults, the JSON schema and the page all follow."""

import json

import pytest
import yaml

from carrel.render.values_schema import (
    Value,
    defaults,
    schema_json,
    values,
    values_reference,
    values_yaml,
)

SCHEMA = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "title": "Values of a chart",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "image": {
            "description": "The image.",
            "type": "object",
            "properties": {
                "title": {"description": "Its title.", "type": "string", "default": ""},
                "people": {
                    "description": "Who may.",
                    "$ref": "#/definitions/people",
                    "default": {"users": []},
                },
            },
        }
    },
    "definitions": {
        "people": {"type": "object", "properties": {"users": {"type": "array", "default": []}}}
    },
}


def test_every_value_is_found_with_its_sentence_and_default():
    """In the order in which they are written."""
    assert list(values(SCHEMA)) == [
        Value(path=("image", "title"), description="Its title.", default=""),
        Value(path=("image", "people"), description="Who may.", default={"users": []}),
    ]


def test_defaults_are_what_the_values_file_says():
    """One source."""
    expected = {"image": {"title": "", "people": {"users": []}}}
    assert (defaults(SCHEMA), yaml.safe_load(values_yaml(SCHEMA))) == (expected, expected)


def test_the_json_schema_keeps_every_rule_and_drops_the_words():
    """Also where a value is itself called `title`."""
    assert json.loads(schema_json(SCHEMA)) == {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "image": {
                "type": "object",
                "properties": {
                    "title": {"type": "string"},
                    "people": {"$ref": "#/definitions/people"},
                },
            }
        },
        "definitions": {"people": {"type": "object", "properties": {"users": {"type": "array"}}}},
    }


def test_the_page_has_a_row_for_each_value():
    """With the default as a person would type it."""
    assert values_reference(SCHEMA).splitlines()[-2:] == [
        '| `image.title` | `""` | Its title. |',
        '| `image.people` | `{"users": []}` | Who may. |',
    ]


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "string", "default": ""}, "image has no description"),
        ({"type": "string", "description": "The image."}, "image has no default"),
    ],
)
def test_a_value_without_sentence_or_default_is_refused(part: dict[str, str], words: str):
    """Nobody could know what it does, or what holds."""
    with pytest.raises(ValueError, match=words):
        list(values({"properties": {"image": part}}))
