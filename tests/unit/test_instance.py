"""Instances of JSON schemas: what they look like, and that they end."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from modelserver.upstream.instance import make_instance
from modelserver.upstream.instance_checks import NoInstance, Schema
from modelserver.upstream.instance_merge import merge

NODE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "left": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        "right": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
        "others": {"type": "array", "items": {"$ref": "#/$defs/node"}},
    },
    "required": ["name", "left", "right", "others"],
    "additionalProperties": False,
}

INSTANCES: list[Any] = [
    pytest.param({}, "text", id="anything"),
    pytest.param(True, "text", id="true"),
    pytest.param({"const": {"a": 1}}, {"a": 1}, id="a constant"),
    pytest.param({"enum": [3, "x"]}, 3, id="the first of an enumeration"),
    pytest.param(
        {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 1}, "minItems": 2},
        [1, 1],
        id="a number twice",
    ),
    pytest.param({"enum": [3, "x"], "type": "string"}, "x", id="the first of its type"),
    pytest.param({"type": "string", "default": "celsius"}, "celsius", id="a default"),
    pytest.param({"type": "string", "default": None}, "text", id="a default that does not fit"),
    pytest.param({"type": "string", "examples": [1, "Oslo"]}, "Oslo", id="the first example that fits"),
    pytest.param({"type": "null"}, None, id="null"),
    pytest.param({"type": "boolean"}, True, id="a boolean"),
    pytest.param({"type": ["null", "integer"]}, 1, id="a type list"),
    pytest.param({"anyOf": [{"type": "null"}, {"type": "integer"}]}, 1, id="null is the last choice"),
    pytest.param({"type": "string", "minLength": 6}, "textxx", id="a longer string"),
    pytest.param({"type": "string", "maxLength": 2}, "te", id="a shorter string"),
    pytest.param({"type": "string", "format": "date", "maxLength": 3}, "tex", id="length before format"),
    pytest.param({"type": "string", "format": "email", "minLength": 20}, "xxxuser1@example.org", id="a long address"),
    pytest.param({"type": "string", "format": "uuid", "pattern": "^a$"}, "a", id="pattern before format"),
    pytest.param({"type": "integer", "minimum": 5}, 5, id="an integer from 5"),
    pytest.param({"type": "integer", "exclusiveMinimum": 5}, 6, id="an integer over 5"),
    pytest.param({"type": "integer", "maximum": -5}, -5, id="an integer up to -5"),
    pytest.param({"type": "integer", "exclusiveMaximum": -5}, -6, id="an integer below -5"),
    pytest.param({"type": "integer", "minimum": 0.5, "maximum": 1.5}, 1, id="an integer between fractions"),
    pytest.param({"type": "integer", "minimum": 10, "multipleOf": 7}, 14, id="a multiple"),
    pytest.param({"type": "integer", "minimum": 3, "multipleOf": 1.5}, 3, id="a whole multiple of a fraction"),
    pytest.param({"type": "integer", "minimum": 1e300}, 1e300, id="an integer beyond 64 bits"),
    pytest.param({"type": "number", "minimum": 2.5}, 2.5, id="a number from 2.5"),
    pytest.param({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5}, 0.25, id="a number between"),
    pytest.param({"type": "number", "multipleOf": 0.01, "minimum": 0.05, "maximum": 0.05}, 0.05, id="a price"),
    pytest.param({"type": "array"}, ["text"], id="an array has an item"),
    pytest.param({"type": "array", "maxItems": 0}, [], id="an array that may have none"),
    pytest.param({"type": "array", "items": False}, [], id="an array that can have none"),
    pytest.param({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [1, 2, 3], id="three items"),
    pytest.param(
        {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "null"}], "items": False},
        [1, None],
        id="a tuple",
    ),
    pytest.param(
        {"type": "array", "items": [{"type": "integer"}], "additionalItems": {"type": "null"}, "minItems": 2},
        [1, None],
        id="a tuple of old",
    ),
    pytest.param(
        {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True, "minItems": 2},
        ["a", "b"],
        id="different items",
    ),
    pytest.param(
        {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 2},
        [True, False],
        id="both booleans",
    ),
    pytest.param(
        {"type": "array", "items": {"type": "integer"}, "contains": {"minimum": 9}, "minContains": 2},
        [9, 10],
        id="contained items",
    ),
    pytest.param({"type": "object"}, {}, id="an object"),
    pytest.param({"type": "object", "required": ["a_b"]}, {"a_b": "a b"}, id="a property that is not declared"),
    pytest.param(
        {"properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["b"]},
        {"b": "b"},
        id="only what is required",
    ),
    pytest.param(
        {"properties": {"a": {"type": "integer"}, "b": {"default": 2}}}, {"a": 1, "b": 2}, id="all where nothing is"
    ),
    pytest.param(
        {"properties": {"a": {}, "b": {}}, "required": ["b"], "minProperties": 2},
        {"a": "a", "b": "b"},
        id="optional properties to have enough",
    ),
    pytest.param(
        {"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}},
        {"key_1": 1, "key_2": 1},
        id="further properties to have enough",
    ),
    pytest.param(
        {"properties": {"a": {}, "b": {}}, "maxProperties": 1}, {"a": "a"}, id="fewer properties than declared"
    ),
    pytest.param({"properties": {"a": False, "b": {}}}, {"b": "b"}, id="a property that may not be"),
    pytest.param(
        {"required": ["a"], "dependentRequired": {"a": ["b"]}}, {"a": "a", "b": "b"}, id="a property asks for another"
    ),
    pytest.param(
        {"allOf": [{"properties": {"a": {"minimum": 2}}}, {"properties": {"a": {"type": "integer"}}}]},
        {"a": 2},
        id="all of several",
    ),
    pytest.param(
        {"allOf": [{"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"anyOf": [{"type": "integer"}, {}]}]},
        "text",
        id="choices that must agree",
    ),
    pytest.param({"oneOf": [{"type": "integer"}, {"type": "number"}]}, 1.5, id="exactly one of several"),
    pytest.param({"type": "string", "not": {"const": "text"}}, "text 2", id="not this one"),
    pytest.param({"not": {"type": "string"}}, {}, id="not this type"),
    pytest.param(
        {
            "properties": {"kind": {"enum": ["b"]}},
            "required": ["kind"],
            "if": {"properties": {"kind": {"const": "a"}}},
            "then": {"required": ["x"]},
            "else": {"required": ["y"]},
        },
        {"kind": "b", "y": "y"},
        id="a condition",
    ),
    pytest.param(
        {"$ref": "#/$defs/a~1b%20c", "$defs": {"a/b c": {"type": "integer"}}}, 1, id="a reference with escapes"
    ),
    pytest.param({"$ref": "#/$defs/a", "minimum": 7, "$defs": {"a": {"type": "integer"}}}, 7, id="beside a reference"),
    pytest.param(
        {"required": list("abcdef"), "additionalProperties": {"$ref": "#/$defs/a"}, "$defs": {"a": {"type": "null"}}},
        dict.fromkeys("abcdef"),
        id="a reference followed again and again, side by side",
    ),
    pytest.param({"$ref": "https://example.org/schema"}, "text", id="a reference that leads out"),
    pytest.param(
        {"$ref": "#/$defs/node", "$defs": {"node": NODE}},
        {"name": "name", "left": None, "right": None, "others": []},
        id="a tree is a leaf",
    ),
    pytest.param(
        {"type": "object", "properties": {"next": {"$ref": "#"}, "value": {"type": "integer"}}},
        {"value": 1},
        id="the schema within itself",
    ),
    pytest.param(
        {"type": 5, "minimum": "x", "required": 1, "properties": [], "enum": {}, "items": 3, "anyOf": {}, "allOf": 2},
        {},
        id="keywords of wrong types are passed over",
    ),
]


@pytest.mark.parametrize(("schema", "expected"), INSTANCES)
def test_an_instance_is_what_one_expects(schema: Any, expected: Any) -> None:
    actual = make_instance(schema)

    assert orjson.dumps(actual) == orjson.dumps(expected)


IMPOSSIBLE: list[Any] = [
    pytest.param(False, id="false"),
    pytest.param({"type": "string", "enum": [1]}, id="an enumeration of another type"),
    pytest.param({"type": "integer", "minimum": 2, "maximum": 1}, id="bounds that cross"),
    pytest.param({"type": "integer", "minimum": 1, "maximum": 6, "multipleOf": 7}, id="no multiple between"),
    pytest.param({"allOf": [{"type": "string"}, {"type": "integer"}]}, id="two types"),
    pytest.param({"type": "object", "required": ["a"], "properties": {"a": False}}, id="a property that may not be"),
    pytest.param(
        {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True, "minItems": 3}, id="three booleans"
    ),
    pytest.param({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}}, id="without end"),
    pytest.param({"$ref": "#"}, id="a reference to itself"),
    pytest.param({"type": "array", "minItems": 10**12}, id="too many items"),
    pytest.param({"type": "string", "minLength": 10**12}, id="too many characters"),
    pytest.param({"type": "object", "minProperties": 10**12}, id="too many properties"),
    pytest.param({"type": "array", "items": {"minLength": 99_999}, "minItems": 999}, id="too many long strings"),
    pytest.param(
        {"type": "array", "items": {"const": "x" * 99_999}, "minItems": 999}, id="too long a constant too often"
    ),
    pytest.param({"type": "array", "items": {"pattern": "^x{9999}$"}, "minItems": 999}, id="too many long patterns"),
    pytest.param(
        {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}] * 9}}, "$ref": "#/$defs/a"}, id="more and more to check"
    ),
    pytest.param(
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}] * 9}}, "$ref": "#/$defs/a"}, id="more and more to try"
    ),
]


@pytest.mark.parametrize("schema", IMPOSSIBLE)
def test_what_has_no_instance_is_told(schema: Any) -> None:
    with pytest.raises(NoInstance):
        make_instance(schema)


PATTERNS = [
    pytest.param(r"^[A-Z]{3}-\d{4}$", "AAA-1111", id="classes and counts"),
    pytest.param(r"^\d{4}-\d{2}-\d{2}$", "1111-11-11", id="digits make a date"),
    pytest.param(r"^(foo|bar)+$", "foo", id="alternatives"),
    pytest.param(r"^(?:a|b)?c*d+?$", "d", id="what may be left out is"),
    pytest.param(r"^(?<year>\d)(?P<month>\d)$", "11", id="named groups"),
    pytest.param(r"^[^a-z]$", "A", id="a negated class"),
    pytest.param(r"^[\w.+-]+@[\w-]+\.[a-z]{2,}$", "a@a.aa", id="an address"),
    pytest.param(r"^[\u4e00-\u9fa5]$", "\u4e00", id="letters far away"),
    pytest.param(r"^[]a]$", "a", id="a bracket in a class"),
    pytest.param(r"^[a\-z]$", "a", id="an escape in a class"),
    pytest.param(r"^\x41\u0042\t\.$", "AB\t.", id="escapes"),
    pytest.param(r"^\S\D\W$", "aa-", id="classes turned round"),
    pytest.param(r"^{x}{2}$", "{x}}", id="braces that count nothing, and one that does"),
    pytest.param(r"^.{2}$", "aa", id="any character"),
    pytest.param(r"abc", "abc", id="no anchors"),
    pytest.param(r"", "", id="an empty pattern"),
]


@pytest.mark.parametrize(("pattern", "expected"), PATTERNS)
def test_a_pattern_is_matched(pattern: str, expected: str) -> None:
    actual = make_instance({"type": "string", "pattern": pattern})

    assert actual == expected
    assert re.search(pattern.replace("(?<", "(?P<"), actual) is not None


STRETCHED: list[Any] = [
    pytest.param(r"^[a-z]+$", {"minLength": 5}, "aaaaa", id="a repetition"),
    pytest.param(r"^x{1,3}y*$", {"minLength": 5}, "xxxyy", id="the first one to its end, then the next"),
    pytest.param(r"^(ab)+$", {"minLength": 5}, "ababab", id="in whole steps"),
    pytest.param(r"^ab", {"minLength": 5}, "abxxx", id="after the pattern"),
    pytest.param(r"^(a?){5}$", {"minLength": 3}, "aaa", id="what may be left out"),
    pytest.param(r"^(a*)*$", {"minLength": 3}, "aaa", id="a repetition within another"),
    pytest.param(r"^((((a{0}){99999}){99999}){99999}){99999}b$", {}, "b", id="nothing, very often"),
    pytest.param(r"^(abc|d)$", {"maxLength": 2}, "d", id="another alternative"),
]


@pytest.mark.parametrize(("pattern", "bounds", "expected"), STRETCHED)
def test_a_pattern_is_matched_in_the_length_wanted(pattern: str, bounds: dict[str, int], expected: str) -> None:
    assert make_instance({"type": "string", "pattern": pattern, **bounds}) == expected


NOT_UNDERSTOOD = [
    pytest.param(r"^(?=a)a$", id="looking ahead"),
    pytest.param(r"^(?<!a)b$", id="looking behind"),
    pytest.param(r"^(a)\1$", id="a back-reference"),
    pytest.param(r"(?i)a", id="flags"),
    pytest.param(r"\bword\b", id="word boundaries"),
    pytest.param(r"^\p{L}$", id="properties"),
    pytest.param(r"(", id="an open group"),
    pytest.param(r")", id="a closed group"),
    pytest.param(r"[a", id="an open class"),
    pytest.param(r"[z-a]", id="a class from back to front"),
    pytest.param(r"*a", id="a count of nothing"),
    pytest.param(r"a{3,2}", id="a count from back to front"),
    pytest.param("(" * 1000 + ")" * 1000, id="groups in groups"),
    pytest.param("\\", id="half an escape"),
    pytest.param(r"\u12", id="half a character"),
]


@pytest.mark.parametrize("pattern", NOT_UNDERSTOOD)
def test_a_pattern_that_is_not_understood_is_passed_over(pattern: str) -> None:
    assert make_instance({"type": "string", "pattern": pattern}) == "text"


def test_a_pattern_for_endless_text_has_no_instance() -> None:
    with pytest.raises(NoInstance):
        make_instance({"type": "string", "pattern": "((a{999}){999}){999}"})


JUDGED: list[Any] = [
    pytest.param(1, {"const": True}, False, id="1 is not true"),
    pytest.param(1.0, {"const": 1}, True, id="1.0 is 1"),
    pytest.param([1, {"a": [1.0]}], {"enum": [[1.0, {"a": [1]}]]}, True, id="equal in depth"),
    pytest.param(True, {"type": "integer"}, False, id="true is no integer"),
    pytest.param(2.0, {"type": "integer"}, True, id="2.0 is an integer"),
    pytest.param([1, True], {"uniqueItems": True}, True, id="1 and true differ"),
    pytest.param([1, 1.0], {"uniqueItems": True}, False, id="1 and 1.0 do not"),
    pytest.param(0.3, {"multipleOf": 0.1}, False, id="floats as they are"),
    pytest.param({"a": 1}, {"additionalProperties": False}, False, id="a property too many"),
    pytest.param(
        {"a": 1}, {"patternProperties": {"a": {}}, "additionalProperties": False}, True, id="names by pattern"
    ),
    pytest.param([1, 2], {"contains": {"const": 3}}, False, id="nothing contained"),
    pytest.param([], {"contains": {}, "minContains": 0}, True, id="nothing need be contained"),
    pytest.param([1, 1], {"contains": {}, "maxContains": 1}, False, id="too much contained"),
    pytest.param("a", {"oneOf": [{}, {"type": "string"}]}, False, id="two of one"),
    pytest.param("a", {"oneOf": [{"type": "null"}, {"type": "array"}]}, False, id="none of one"),
    pytest.param("a", {"oneOf": [{"pattern": "a"}, {"pattern": "b"}]}, True, id="one of two patterns"),
    pytest.param("a", {"not": {"pattern": "b"}}, True, id="not a pattern"),
    pytest.param("a", {"$ref": "#/nowhere/1"}, True, id="a reference to nothing"),
]


@pytest.mark.parametrize(("value", "schema", "expected"), JUDGED)
def test_a_value_is_judged(value: Any, schema: Any, expected: bool) -> None:
    assert Schema(schema).accepts(value, schema) is expected


MERGED: list[Any] = [
    pytest.param({"type": "number"}, {"type": ["integer", "null"]}, {"type": ["integer"]}, id="an integer is a number"),
    pytest.param({"type": "string"}, {"type": "null"}, False, id="types that exclude each other"),
    pytest.param({"enum": [1, 2]}, {"enum": [2.0, 3]}, {"enum": [2]}, id="enumerations"),
    pytest.param({"minimum": 1, "maximum": 5}, {"minimum": 2, "maximum": 6}, {"minimum": 2, "maximum": 5}, id="bounds"),
    pytest.param({"multipleOf": 4}, {"multipleOf": 6}, {"multipleOf": 12}, id="multiples"),
    pytest.param({"required": ["a"]}, {"required": ["b", "a"]}, {"required": ["a", "b"]}, id="names"),
    pytest.param({"items": {"minimum": 1}}, {"items": False}, {"items": False}, id="items"),
    pytest.param({"uniqueItems": False}, {"uniqueItems": True}, {"uniqueItems": True}, id="different items"),
    pytest.param(
        {"not": {"const": 1}}, {"not": {"const": 2}}, {"not": {"anyOf": [{"const": 1}, {"const": 2}]}}, id="not"
    ),
    pytest.param({"anyOf": [1]}, {"anyOf": [2]}, {"anyOf": [1], "allOf": [{"anyOf": [2]}]}, id="a second choice waits"),
    pytest.param(
        {"if": {}, "then": False},
        {"if": True, "else": False},
        {"if": {}, "then": False, "allOf": [{"if": True, "else": False}]},
        id="a second condition waits with its outcomes",
    ),
    pytest.param({"minimum": 1}, {"minimum": "x"}, {"minimum": 1}, id="a value of a wrong type"),
    pytest.param(True, {"a": 1}, {"a": 1}, id="true"),
    pytest.param({"a": 1}, False, False, id="false"),
]


@pytest.mark.parametrize(("one", "other", "expected"), MERGED)
def test_two_schemas_become_one(one: Any, other: Any, expected: Any) -> None:
    assert merge(one, other) == expected
