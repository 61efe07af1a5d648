"""JSON Schema as Gemini takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from modelserver.dialects.gemini.schema import from_openapi, json_schema, openapi_schema, with_small_types

NODE = {
    "type": "object",
    "properties": {"value": {"type": "string"}, "next": {"$ref": "#/$defs/Node"}},
    "required": ["value"],
}
STRICT_NODE = {**NODE, "required": ["value", "next"]}

CASES = [
    pytest.param(
        {
            "type": "object",
            "properties": {"n": {"type": ["integer", "null"], "exclusiveMinimum": 0, "description": "count"}},
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {"n": {"type": ["integer", "null"], "description": "count (exclusive minimum: 0)"}},
            "additionalProperties": False,
        },
        id="H8 unlisted constraints are said",
    ),
    pytest.param(
        {
            "$schema": "x",
            "type": "object",
            "properties": {"a": {"$ref": "#/definitions/A", "description": "one"}, "b": {"$ref": "#/definitions/A"}},
            "definitions": {"A": {"anyOf": [{"const": "x"}, {"type": "null"}], "x-note": 1}},
        },
        {
            "type": "object",
            "properties": {
                "a": {"anyOf": [{"enum": ["x"]}, {"type": "null"}], "description": "one"},
                "b": {"$ref": "#/$defs/A"},
            },
            "$defs": {"A": {"anyOf": [{"enum": ["x"]}, {"type": "null"}]}},
        },
        id="D30 references, const and definitions",
    ),
    pytest.param(
        {"$ref": "#/$defs/Node", "$defs": {"Node": NODE}},
        {"$ref": "#/$defs/Node", "$defs": {"Node": NODE}},
        id="a cycle in an optional property",
    ),
    pytest.param(
        {"$ref": "#/$defs/Node", "$defs": {"Node": STRICT_NODE}},
        {
            "$ref": "#/$defs/Node",
            "$defs": {"Node": {**STRICT_NODE, "properties": {"value": {"type": "string"}, "next": {"type": "object"}}}},
        },
        id="a cycle in a required property is cut",
    ),
    pytest.param(
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
                {"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"]},
            ]
        },
        {
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "required": ["a", "b"],
        },
        id="objects that must all hold are one",
    ),
    pytest.param(
        {"type": "array", "items": [{"type": "string"}, True]},
        {"type": "array", "prefixItems": [{"type": "string"}, {}]},
        id="old tuples",
    ),
    pytest.param(
        {"$defs": {"N": {"allOf": [{"properties": {"c": {"allOf": [{"$ref": "#/$defs/N"}]}}}]}}, "$ref": "#/$defs/N"},
        {"$ref": "#/$defs/N", "$defs": {"N": {"properties": {"c": {"$ref": "#/$defs/N"}}}}},
        id="a cycle through allOf",
    ),
    pytest.param({"type": "object", "properties": {"x": {"$ref": "#"}}}, ..., id="a cycle through the root"),
    pytest.param(
        {"properties": {"x": {"$ref": "http://elsewhere"}}}, {"properties": {"x": {}}}, id="unknown reference"
    ),
    pytest.param(
        {"type": "string", "minLength": 1, "pattern": "^a$"},
        {"type": "string", "description": "(min length: 1; pattern: ^a$)"},
        id="constraints without a description",
    ),
]


@pytest.mark.parametrize(("schema", "expected"), CASES)
def test_a_schema_is_rewritten(schema: dict[str, Any], expected: Any) -> None:
    rewritten = json_schema(schema)

    assert rewritten == (schema if expected is ... else expected)


OPENAPI = [
    pytest.param(
        {
            "type": "object",
            "properties": {
                "a": {"type": ["string", "null"]},
                "b": {"enum": [1, 2]},
                "c": {"type": ["string", "integer"]},
            },
            "additionalProperties": False,
        },
        {
            "type": "object",
            "properties": {
                "a": {"type": "string", "nullable": True},
                "b": {"enum": ["1", "2"], "type": "string", "format": "enum"},
                "c": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            },
        },
        id="one type each",
    ),
    pytest.param(
        {"properties": {"a": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]}}, "$defs": {"A": {"type": "string"}}},
        {"properties": {"a": {"nullable": True, "type": "string"}}},
        id="references are put in",
    ),
    pytest.param({"$ref": "#/$defs/Node", "$defs": {"Node": NODE}}, None, id="recursion can't be said"),
]


@pytest.mark.parametrize(("schema", "expected"), OPENAPI)
def test_a_schema_for_old_models(schema: dict[str, Any], expected: Any) -> None:
    assert openapi_schema(schema) == expected


def test_a_clients_openapi_schema_becomes_json_schema() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {"a": {"type": "STRING", "nullable": True, "format": "enum", "enum": ["x"]}},
        "min_items": "1",
    }

    assert from_openapi(schema) == {
        "type": "object",
        "properties": {"a": {"type": ["string", "null"], "enum": ["x"]}},
        "minItems": 1,
    }


def test_a_clients_json_schema_has_small_types() -> None:
    """gemini-cli writes them in capitals; what only looks like a type, or is none of its business, stays."""
    schema = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": ["STRING", "NULL"], "enum": ["OBJECT"], "default": "TYPE"},
            "each": {"type": "ARRAY", "items": {"anyOf": [{"type": "INTEGER"}, True]}, "x-type": {"type": "STRING"}},
        },
        "$defs": {"type": {"type": "NUMBER"}},
    }

    assert with_small_types(schema) == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["OBJECT"], "default": "TYPE"},
            "each": {"type": "array", "items": {"anyOf": [{"type": "integer"}, True]}, "x-type": {"type": "STRING"}},
        },
        "$defs": {"type": {"type": "number"}},
    }


def test_the_order_of_keys_is_kept() -> None:
    schema = {"type": "object", "properties": {"z": {}, "a": {}, "m": {}}}

    assert list(json_schema(schema)["properties"]) == ["z", "a", "m"]


def linked(*, count: int, names: str, link: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """Definitions that each name the next one as often as there are names."""
    definitions: dict[str, Any] = {
        f"d{at}": {"type": "object", "properties": {name: link(f"#/$defs/d{at + 1}") for name in names}}
        for at in range(count)
    }
    definitions[f"d{count}"] = {"type": "object"}
    return {"type": "object", "properties": {"a": link("#/$defs/d0")}, "$defs": definitions}


LINKS = [
    pytest.param(lambda ref: {"$ref": ref}, id="plain"),
    pytest.param(lambda ref: {"$ref": ref, "description": "d"}, id="described"),
    pytest.param(lambda ref: {"allOf": [{"$ref": ref}, {"type": "object"}]}, id="merged"),
]
SIZES = [pytest.param(40, "xy", id="2^40 ways"), pytest.param(2000, "x", id="a chain longer than the stack is deep")]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize(("count", "names"), SIZES)
def test_what_is_written_out_has_a_bound(count: int, names: str, link: Callable[[str], dict[str, Any]]) -> None:
    schema = linked(count=count, names=names, link=link)

    assert len(json_schema(schema)["$defs"]) == count + 1
    openapi_schema(schema)


def test_malformed_members_of_all_of_are_left_out() -> None:
    members = [
        {"properties": [], "required": 5},
        {"properties": {"a": {}}, "required": [[], {}, 1, "a"]},
        {"properties": 3, "required": ["b"]},
    ]

    assert json_schema({"type": "object", "allOf": members}) == {
        "type": "object",
        "properties": {"a": {}},
        "required": ["a", "b"],
    }
