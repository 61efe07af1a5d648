"""Two JSON schemas as one that asks for both."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from modelserver.upstream.instance_checks import branches, identity

CHOOSERS: Final = ("$ref", "anyOf", "oneOf", "if", "then", "else")
"""Keywords that say which schemas hold besides; a second one of a kind waits in `allOf`."""


def merge(one: Any, other: Any) -> Any:
    """A schema that admits what both admit, as near as one schema can say it; False when they contradict each other.

    Where two keywords of a kind can't be put into one (patterns, formats), that of `one` stays.
    """
    if one is False or other is False:
        return False
    if not isinstance(one, dict) or not isinstance(other, dict):
        return one if isinstance(one, dict) else other
    merged: dict[str, Any] = dict(one)
    waiting: dict[str, Any] = {}
    for key, value in other.items():
        if key not in merged or merged[key] == value:
            merged[key] = value
        elif key in CHOOSERS:
            waiting = {name: other[name] for name in CHOOSERS if name in other}
        else:
            rule = _RULES.get(key)
            if rule is not None and type(value) in _KINDS[rule] and type(merged[key]) in _KINDS[rule]:
                merged[key] = rule(merged[key], value)
    if waiting:
        # As a unit: an `if` without its own `then` would mean something else.
        for name in waiting:
            merged.pop(name, None)
            if name in one:
                merged[name] = one[name]
        merged["allOf"] = [*branches(merged, "allOf"), waiting]
    return False if merged.get("type") == [] or merged.get("enum") == [] else merged


def _both_types(one: str | list[Any], other: str | list[Any]) -> list[Any]:
    ours, theirs = _listed(one), _listed(other)
    if "number" in theirs and "integer" not in theirs:
        theirs = [*theirs, "integer"]
    if "number" in ours and "integer" in theirs and "integer" not in ours:
        ours = [*ours, "integer"]
    return [name for name in ours if name in theirs]


def _both_enums(one: list[Any], other: list[Any]) -> list[Any]:
    allowed = set(map(identity, other))
    return [value for value in one if identity(value) in allowed]


def _both_properties(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {**one, **{name: merge(one[name], each) if name in one else each for name, each in other.items()}}


def _both_names(one: list[Any], other: list[Any]) -> list[Any]:
    return [*one, *(name for name in other if name not in one)]


def _both_rows(one: list[Any], other: list[Any]) -> list[Any]:
    longer = one if len(one) > len(other) else other
    return [*map(merge, one, other), *longer[min(len(one), len(other)) :]]


def _both_multiples(one: float, other: float) -> float:
    return math.lcm(one, other) if isinstance(one, int) and isinstance(other, int) else one


def _either_true(one: bool, other: bool) -> bool:
    return one or other


def _either_schema(one: Any, other: Any) -> Any:
    return {"anyOf": [one, other]}


def _listed(names: str | list[Any]) -> list[Any]:
    return names if isinstance(names, list) else [names]


def _all_of_both(one: list[Any], other: list[Any]) -> list[Any]:
    return [*one, *other]


_Rule = Callable[[Any, Any], Any]

_KINDS: Final[Mapping[_Rule, tuple[type, ...]]] = {
    _both_types: (str, list),
    _both_enums: (list,),
    _both_names: (list,),
    _both_rows: (list,),
    _all_of_both: (list,),
    _both_properties: (dict,),
    _both_multiples: (int, float),
    _either_true: (bool,),
    max: (int, float),
    min: (int, float),
    merge: (dict, bool),
    _either_schema: (dict, bool),
}
"""The types of value that a rule can read; others leave the first keyword as it is."""

_RULES: Final[Mapping[str, _Rule]] = {
    "type": _both_types,
    "enum": _both_enums,
    "required": _both_names,
    "prefixItems": _both_rows,
    "allOf": _all_of_both,
    "properties": _both_properties,
    "$defs": _both_properties,
    "multipleOf": _both_multiples,
    "items": merge,
    "contains": merge,
    "additionalProperties": merge,
    "not": _either_schema,
    "uniqueItems": _either_true,
    **dict.fromkeys(
        ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties", "minContains"),
        max,
    ),
    **dict.fromkeys(
        ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxContains"),
        min,
    ),
}
