"""Instances are valid by the judgement of an independent validator, whatever the schema."""

from __future__ import annotations

from typing import Any

import jsonschema  # type: ignore[import-untyped]
import orjson
from hypothesis import given
from hypothesis import strategies as st

from modelserver.upstream.instance import make_instance
from modelserver.upstream.instance_checks import NoInstance, Schema

NAMES = st.sampled_from(["a", "b", "c", "d"])
SMALL = st.integers(-5, 5)
SIZES = st.integers(0, 5)
VALUES = st.recursive(
    st.none() | st.booleans() | SMALL | st.floats(-5, 5) | st.text("abé", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
TYPES = st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null"])
PLAIN = st.one_of(
    st.fixed_dictionaries({"const": VALUES}),
    st.fixed_dictionaries({"enum": st.lists(VALUES, min_size=1, max_size=4)}),
    st.fixed_dictionaries({"type": st.sampled_from(["boolean", "null"])}),
    st.fixed_dictionaries({"type": st.just("string")}, optional={"minLength": SIZES, "default": VALUES}),
    st.builds(
        lambda kind, least, more: {"type": kind, "minimum": least, "exclusiveMaximum": least + more},
        st.sampled_from(["integer", "number"]),
        SMALL,
        st.integers(1, 9),
    ),
    st.builds(
        lambda kind, above, step: {"type": kind, "exclusiveMinimum": above, "multipleOf": step},
        st.sampled_from(["integer", "number"]),
        SMALL | st.floats(-5, 5),
        st.sampled_from([1, 2, 7, 0.5, 0.25]),
    ),
)
SCALARS = PLAIN | st.builds(
    lambda least, more, form: {"type": "string", "minLength": least, "maxLength": least + more, "format": form},
    SIZES,
    SIZES,
    st.sampled_from(["date", "date-time", "email", "uri", "uuid", "unknown"]),
)
# Within a property: the validator follows references without end where they consume nothing.
RECURSIVE = st.builds(
    lambda required: {
        "type": "object",
        "properties": {"again": {"anyOf": [{"$ref": "#/$defs/root"}, {"type": "null"}]}},
        "required": required,
    },
    st.sampled_from([["again"], []]),
)


def _composites(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas that have an instance where the inner ones have."""
    return st.one_of(
        st.builds(
            lambda properties, extra: {
                "type": "object",
                "properties": properties,
                "required": [*list(properties)[::2], *extra],
                "additionalProperties": True,
            },
            st.dictionaries(NAMES, inner, max_size=4),
            st.lists(st.sampled_from(["e", "f"]), unique=True),
        ),
        st.builds(
            lambda properties: {"type": "object", "properties": properties, "additionalProperties": False},
            st.dictionaries(NAMES, inner, max_size=4),
        ),
        st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, SIZES),
        st.builds(
            lambda prefix: {"type": "array", "prefixItems": prefix, "items": False, "minItems": len(prefix)},
            st.lists(inner, min_size=1, max_size=3),
        ),
        st.builds(lambda options: {"anyOf": options}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(
            lambda one, other: {
                "allOf": [
                    {"type": "object", "properties": {"a": one}, "required": ["a"]},
                    {"type": "object", "properties": {"b": other}, "required": ["b"]},
                ]
            },
            inner,
            inner,
        ),
        st.builds(
            lambda one, other: {
                "oneOf": [
                    {"type": "object", "properties": {"kind": {"const": "x"}, "a": one}, "required": ["kind", "a"]},
                    {"type": "object", "properties": {"kind": {"const": "y"}, "a": other}, "required": ["kind"]},
                ]
            },
            inner,
            inner,
        ),
    )


SATISFIABLE = st.builds(
    lambda schema: {"$ref": "#/$defs/root", "$defs": {"root": schema}},
    st.recursive(SCALARS | RECURSIVE, _composites, max_leaves=8),
)
# Without formats: `not` and `oneOf` give a value the benefit of the doubt where one is asked for.
ANY_SCHEMA = st.recursive(
    st.booleans() | PLAIN | st.just({"properties": {"a": {"$ref": "#"}}}),
    lambda inner: (
        _composites(inner)
        | st.fixed_dictionaries(
            {},
            optional={
                "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
                "properties": st.dictionaries(NAMES, inner, max_size=2),
                "required": st.lists(NAMES, max_size=3, unique=True),
                "additionalProperties": inner,
                "items": inner,
                "contains": inner,
                "uniqueItems": st.booleans(),
                "minItems": SIZES,
                "maxItems": SIZES,
                "minProperties": SIZES,
                "minimum": SMALL,
                "maximum": SMALL,
                "not": inner,
                "allOf": st.lists(inner, min_size=1, max_size=2),
                "anyOf": st.lists(inner, min_size=1, max_size=2),
                "oneOf": st.lists(inner, min_size=1, max_size=2),
                "if": inner,
                "then": inner,
                "else": inner,
            },
        )
    ),
    max_leaves=6,
)
KEYWORDS = st.sampled_from(
    [
        "type",
        "properties",
        "required",
        "items",
        "prefixItems",
        "enum",
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "if",
        "then",
        "else",
        "$ref",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "multipleOf",
        "pattern",
        "format",
        "default",
        "examples",
        "contains",
        "minContains",
        "maxContains",
        "uniqueItems",
        "minProperties",
        "maxProperties",
        "dependentRequired",
        "additionalProperties",
        "patternProperties",
        "a",
        "b",
    ]
)
JUNK = st.recursive(
    VALUES | st.sampled_from(["object", "array", "string", "#", "#/allOf", "^a{2}(b|c)[d-f]$"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            KEYWORDS,
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(schema=SATISFIABLE)
def test_a_schema_that_can_be_satisfied_gets_a_valid_instance(schema: Any) -> None:
    jsonschema.Draft202012Validator(schema).validate(make_instance(schema))


@given(schema=ANY_SCHEMA)
def test_what_is_made_for_any_schema_is_valid(schema: Any) -> None:
    try:
        instance = make_instance(schema)
    except NoInstance:
        return

    jsonschema.Draft202012Validator(schema).validate(instance)


@given(schema=JUNK)
def test_what_is_no_schema_does_no_harm(schema: Any) -> None:
    try:
        instance = make_instance(schema)
    except NoInstance:
        return

    assert orjson.dumps(instance)


@given(value=VALUES, schema=SATISFIABLE)
def test_values_are_judged_as_the_validator_does(value: Any, schema: Any) -> None:
    assert Schema(schema).accepts(value, schema) == jsonschema.Draft202012Validator(schema).is_valid(value)
