"""JSON Schemas made to fit the Messages API."""

from __future__ import annotations

from typing import Any

import pytest

from modelserver.dialects.anthropic.schema import Inexpressible, input_schema, is_strict, output_schema

REFERRING = {
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
    "required": ["a"],
    "additionalProperties": False,
    "$defs": {"A": {"type": "object", "properties": {"x": {"type": "integer", "minimum": 1}}}},
}
NAMED = {"type": "object", "properties": {"a": {}}, "required": ["a"]}

INPUTS = [
    pytest.param(None, {"type": "object", "properties": {}}, id="no schema"),
    pytest.param(REFERRING, REFERRING, id="D30 a schema is not touched"),
    pytest.param({"properties": {"a": True}}, {"type": "object", "properties": {"a": {}}}, id="a root without type"),
    pytest.param({"type": ["object", "null"]}, {"type": "object"}, id="a root of several types"),
    pytest.param(
        {"$ref": "#/$defs/A", "$defs": {"A": NAMED}},
        {**NAMED, "$defs": {"A": NAMED}},
        id="a root that refers",
    ),
    pytest.param(
        {"description": "d", "anyOf": [NAMED, {"type": "object", "properties": {"b": {}}, "required": ["a", "b"]}]},
        {
            "type": "object",
            "properties": {"a": {}, "b": {}},
            "required": ["a"],
            "description": 'd\nanyOf: [{"type":"object","properties":{"a":{}},"required":["a"]},'
            '{"type":"object","properties":{"b":{}},"required":["a","b"]}]',
        },
        id="a root of alternatives",
    ),
]


@pytest.mark.parametrize(("schema", "expected"), INPUTS)
def test_a_tool_schema(schema: Any, expected: dict[str, Any]) -> None:
    assert expected == input_schema(schema)


def shut(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


OUTPUTS = [
    pytest.param(
        {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "description": "count"}}},
        {
            "type": "object",
            "properties": {"n": {"type": "integer", "description": "count\nminimum: 0."}},
            "additionalProperties": False,
        },
        id="D31 constraints are said, objects closed",
    ),
    pytest.param(
        shut({"s": {"type": "string", "pattern": "^a", "format": "uri"}, "l": {"items": {}, "maxItems": 3}}),
        shut(
            {
                "s": {"type": "string", "format": "uri", "description": "pattern: ^a."},
                "l": {"items": {}, "description": "maxItems: 3."},
            }
        ),
        id="D31 pattern and maxItems",
    ),
    pytest.param(
        shut({"a": {"oneOf": [{"type": "string", "format": "odd"}, {"const": 1}]}}),
        shut({"a": {"anyOf": [{"type": "string", "description": "format: odd."}, {"const": 1}]}}),
        id="oneOf becomes anyOf",
    ),
    pytest.param(
        {"$schema": "x", **shut({"a": {"type": "string"}}, "a")},
        shut({"a": {"type": "string"}}, "a"),
        id="annotations go",
    ),
]


@pytest.mark.parametrize(("schema", "expected"), OUTPUTS)
def test_an_answer_schema(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected == output_schema(schema)


REFUSED = [
    pytest.param({"type": "object"}, id="an open map"),
    pytest.param({"type": "object", "additionalProperties": {"type": "string"}}, id="a map of strings"),
    pytest.param(shut({"next": {"$ref": "#"}}), id="recursion to the root"),
    pytest.param(
        {**shut({"a": {"$ref": "#/$defs/A"}}), "$defs": {"A": shut({"a": {"$ref": "#/$defs/A"}})}}, id="recursion"
    ),
    pytest.param(shut({f"p{index}": {} for index in range(25)}), id="25 optional properties"),
    pytest.param(shut({"a": False}), id="a schema that nothing fits"),
]


@pytest.mark.parametrize("schema", REFUSED)
def test_what_can_t_be_expressed(schema: dict[str, Any]) -> None:
    with pytest.raises(Inexpressible):
        output_schema(schema)
    assert not is_strict(schema)


def test_only_a_schema_that_stays_as_it_is_is_strict() -> None:
    assert is_strict(shut({"a": {"type": "string"}}, "a"))
    assert not is_strict(NAMED)


def doubling() -> dict[str, Any]:
    """Definitions that each name the next one twice: 2^40 ways through them."""
    definitions: dict[str, Any] = {
        f"d{at}": shut({name: {"$ref": f"#/$defs/d{at + 1}"} for name in "xy"}, "x", "y") for at in range(40)
    }
    return {**shut({"a": {"$ref": "#/$defs/d0"}}, "a"), "$defs": {**definitions, "d40": {"type": "string"}}}


def test_each_reference_is_followed_once() -> None:
    assert is_strict(doubling())


def test_a_chain_of_references_may_be_longer_than_the_stack_is_deep() -> None:
    definitions: dict[str, Any] = {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(5000)}
    schema = {**shut({"a": {"$ref": "#/$defs/d0"}}, "a"), "$defs": {**definitions, "d5000": {"type": "string"}}}

    assert is_strict(schema)


def test_required_members_of_many_alternatives_are_the_common_ones() -> None:
    shared = [f"p{at}" for at in range(100)]
    members = [{"type": "object", "properties": {}, "required": [*shared, f"own{at}"]} for at in range(1000)]

    assert input_schema({"anyOf": members})["required"] == shared
