"""Schemas that several dialects share."""

from __future__ import annotations

from typing import Any

import pytest

from modelserver.dialects.builtin_schemas import BUILTIN_SCHEMAS
from modelserver.dialects.schemas import free_text_description, is_enforced, rooted
from modelserver.ir.request import CustomTool

CLOSED: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "string"}},
    "required": ["a"],
    "additionalProperties": False,
}
TREE: dict[str, Any] = {**CLOSED, "properties": {"a": {"$ref": "#"}}}

ROOTS = [
    pytest.param(CLOSED, CLOSED, id="an object stays"),
    pytest.param(
        {"$ref": "#/$defs/A", "$defs": {"A": CLOSED}}, {"$defs": {"A": CLOSED}, **CLOSED}, id="H8 a reference"
    ),
    pytest.param(
        {"allOf": [{"$ref": "#/definitions/A~1b"}], "definitions": {"A/b": CLOSED}},
        {"definitions": {"A/b": CLOSED}, **CLOSED},
        id="H8 a reference within allOf, its name escaped",
    ),
    pytest.param({"$ref": "#/$defs/B", "$defs": {}}, {"$ref": "#/$defs/B", "$defs": {}}, id="one that leads nowhere"),
]


@pytest.mark.parametrize(("schema", "expected"), ROOTS)
def test_a_root_is_an_object(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected == rooted(schema)


def test_references_in_a_circle_come_to_an_end() -> None:
    definitions = {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}

    assert "$ref" in rooted({"$ref": "#/$defs/A", "$defs": definitions})


ENFORCED = [
    pytest.param(CLOSED, True, id="closed, all required"),
    pytest.param(TREE, True, id="recursive"),
    pytest.param({**CLOSED, "additionalProperties": True}, False, id="open"),
    pytest.param({**CLOSED, "required": []}, False, id="an optional property"),
    pytest.param({**CLOSED, "anyOf": [CLOSED]}, False, id="alternatives at the root"),
    pytest.param({**CLOSED, "properties": {"a": {"anyOf": [CLOSED, {"type": "null"}]}}}, True, id="alternatives below"),
    pytest.param({**CLOSED, "properties": {"a": {"not": {}}}}, False, id="a combination"),
    pytest.param({**CLOSED, "properties": {"a": {"$ref": "other.json"}}}, False, id="a foreign reference"),
    pytest.param({**CLOSED, "properties": {"a": True}}, False, id="a boolean"),
    pytest.param({"type": "string"}, False, id="no object"),
]


@pytest.mark.parametrize(("schema", "expected"), ENFORCED)
def test_h8_what_openai_enforces_is_known(schema: dict[str, Any], expected: bool) -> None:
    assert expected == is_enforced(schema)


@pytest.mark.parametrize("type_", BUILTIN_SCHEMAS)
def test_h28_a_schema_of_ours_requires_only_what_it_has(type_: str) -> None:
    description, schema = BUILTIN_SCHEMAS[type_]

    assert description
    assert set(schema.get("required", ())) <= schema["properties"].keys()


def test_h10_a_grammar_is_told_in_words() -> None:
    tool = CustomTool(name="patch", description="Patches.", syntax="regex", grammar="a+")

    assert free_text_description(tool) == (
        "Patches.\n\nThe input is free text, not JSON.\n\nIt must match this regex grammar:\n```\na+\n```"
    )
