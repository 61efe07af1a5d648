"""Whether a value satisfies a JSON schema: the vocabulary of draft 2020-12 as far as models are asked for it.

Not looked at: patterns (running those of clients is dangerous), formats, `patternProperties`, `propertyNames`,
`dependentSchemas` and the `unevaluated` pair. `not` and `oneOf` give a value the benefit of the doubt there.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Set
from typing import Any, Final, cast
from urllib.parse import unquote

MAX_DEPTH: Final = 60
MAX_STEPS: Final = 50_000
"""Sub-schemas looked at in all: a schema of a few lines can ask for years of work."""
_NOT_LOOKED_AT: Final = frozenset(("pattern", "format", "patternProperties", "propertyNames", "dependentSchemas"))


class NoInstance(Exception):
    """No value that satisfies the schema was found."""


class Schema:
    """One schema document: resolves references in it, and judges values by parts of it.

    Keywords whose own value is of a wrong type are passed over. Every judgement spends from one allowance.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._steps_left = MAX_STEPS
        self._enums: dict[int, tuple[list[Any], frozenset[Hashable]]] = {}

    def spend(self, steps: int = 1) -> None:
        """Count steps.

        Raises:
            NoInstance: The allowance is used up.
        """
        self._steps_left -= steps
        if self._steps_left < 0:
            raise NoInstance

    def resolve(self, ref: str) -> Any:
        """What a reference points at: a JSON pointer within the document. True for anything else."""
        path, _, pointer = ref.partition("#")
        if path or (pointer and not pointer.startswith("/")):
            return True
        place = self._root
        for token in pointer.split("/")[1:]:
            token = unquote(token).replace("~1", "/").replace("~0", "~")
            if isinstance(place, dict) and token in place:
                place = place[token]
            elif isinstance(place, list) and token.isascii() and token.isdigit() and int(token[:9]) < len(place):
                place = place[int(token[:9])]
            else:
                return True
        return place

    def accepts(self, value: Any, schema: Any, depth: int = 0) -> bool:
        """Whether the value satisfies the schema; False past `MAX_DEPTH`.

        Raises:
            NoInstance: The allowance is used up.
        """
        self.spend()
        if not isinstance(schema, dict):
            return schema is not False
        if depth > MAX_DEPTH or not _is_of_type(value, schema.get("type")):
            return False
        if "const" in schema and value is not schema["const"] and identity(value) != identity(schema["const"]):
            return False
        enum = schema.get("enum")
        if isinstance(enum, list) and identity(value) not in self._members(enum):
            return False
        return self._fits(value, schema, depth + 1) and self._fits_combined(value, schema, depth + 1)

    def _members(self, enum: list[Any]) -> Set[Hashable]:
        """The identities in an enumeration, found once however often it is asked."""
        found = self._enums.get(id(enum))
        if found is None:
            # With the list itself: its id is its own only while it lives.
            found = self._enums[id(enum)] = (enum, frozenset(map(identity, enum)))
        return found[1]

    def _fits(self, value: Any, schema: Mapping[str, Any], depth: int) -> bool:
        """The keywords of the value's own type."""
        if isinstance(value, str):
            return _within(len(value), schema, "minLength", "maxLength")
        if isinstance(value, dict):
            return self._fits_object(value, schema, depth)
        if isinstance(value, list):
            return self._fits_array(value, schema, depth)
        return not is_number(value) or _fits_number(value, schema)

    def _fits_object(self, value: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> bool:
        if not _within(len(value), schema, "minProperties", "maxProperties"):
            return False
        if not all(name in value for name in required_names(schema)):
            return False
        if not all(
            other in value
            for name, others in mapping(schema, "dependentRequired").items()
            if name in value and isinstance(others, list)
            for other in others
            if isinstance(other, str)
        ):
            return False
        properties = mapping(schema, "properties")
        # Which names `patternProperties` covers is not known here.
        additional = True if schema.get("patternProperties") else schema.get("additionalProperties", True)
        return all(self.accepts(value[name], properties.get(name, additional), depth) for name in value)

    def _fits_array(self, value: list[Any], schema: Mapping[str, Any], depth: int) -> bool:
        if not _within(len(value), schema, "minItems", "maxItems"):
            return False
        prefix, rest = item_schemas(schema)
        for index, item in enumerate(value):
            if not self.accepts(item, prefix[index] if index < len(prefix) else rest, depth):
                return False
        if schema.get("uniqueItems") is True and len(set(map(identity, value))) < len(value):
            return False
        if "contains" not in schema:
            return True
        found = sum(self.accepts(item, schema["contains"], depth) for item in value)
        least = count(schema, "minContains")
        most = count(schema, "maxContains")
        return found >= (1 if least is None else least) and (most is None or found <= most)

    def _fits_combined(self, value: Any, schema: Mapping[str, Any], depth: int) -> bool:
        ref = schema.get("$ref")
        if isinstance(ref, str) and not self.accepts(value, self.resolve(ref), depth):
            return False
        if not all(self.accepts(value, each, depth) for each in branches(schema, "allOf")):
            return False
        any_of, one_of = branches(schema, "anyOf"), branches(schema, "oneOf")
        if any_of and not any(self.accepts(value, each, depth) for each in any_of):
            return False
        if one_of:
            admitting = [each for each in one_of if self.accepts(value, each, depth)]
            if not admitting or sum(not is_undecided(each) for each in admitting) > 1:
                return False
        if "not" in schema and not is_undecided(schema["not"]) and self.accepts(value, schema["not"], depth):
            return False
        if "if" not in schema:
            return True
        outcome = "then" if self.accepts(value, schema["if"], depth) else "else"
        return self.accepts(value, schema.get(outcome, True), depth)


def is_number(value: object) -> bool:
    """Whether it is a JSON number; true and false are none."""
    return type(value) is int or (type(value) is float and math.isfinite(value))


def identity(value: Any) -> Hashable:
    """What two values share exactly if they are equal in JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return ("array", tuple(map(identity, value)))
    if isinstance(value, dict):
        return ("object", frozenset((name, identity(each)) for name, each in value.items()))
    return cast(Hashable, value)


def is_undecided(schema: Any) -> bool:
    """Whether the schema may refuse what is accepted here, for a keyword that is not looked at."""
    return isinstance(schema, dict) and not _NOT_LOOKED_AT.isdisjoint(schema)


def number(schema: Mapping[str, Any], key: str) -> int | float | None:
    """The number under a keyword, None when there is none."""
    value = schema.get(key)
    return value if is_number(value) else None


def count(schema: Mapping[str, Any], key: str) -> int | None:
    """The whole, non-negative number under a keyword, None when there is none."""
    value = number(schema, key)
    return int(value) if value is not None and value >= 0 and value == int(value) else None


def mapping(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object under a keyword, an empty one when there is none."""
    value = schema.get(key)
    return value if isinstance(value, dict) else {}


def branches(schema: Mapping[str, Any], key: str) -> list[Any]:
    """The sub-schemas under a keyword, none when there is no list."""
    value = schema.get(key)
    return value if isinstance(value, list) else []


def required_names(schema: Mapping[str, Any]) -> list[str]:
    """The names that an object must have."""
    return [name for name in branches(schema, "required") if isinstance(name, str)]


def item_schemas(schema: Mapping[str, Any]) -> tuple[list[Any], Any]:
    """The schemas of the first items and that of all others; `items` may be a list as in the drafts before 2020-12."""
    items = schema.get("items", True)
    if isinstance(items, list):
        return items, schema.get("additionalItems", True)
    return branches(schema, "prefixItems"), items


def _within(size: int, schema: Mapping[str, Any], least_key: str, most_key: str) -> bool:
    least, most = count(schema, least_key), count(schema, most_key)
    return (least is None or size >= least) and (most is None or size <= most)


def _fits_number(value: int | float, schema: Mapping[str, Any]) -> bool:
    least, most = number(schema, "minimum"), number(schema, "maximum")
    above, below = number(schema, "exclusiveMinimum"), number(schema, "exclusiveMaximum")
    step = number(schema, "multipleOf")
    return (
        (least is None or value >= least)
        and (most is None or value <= most)
        and (above is None or value > above)
        and (below is None or value < below)
        and (step is None or step <= 0 or _is_multiple(value, step))
    )


def _is_multiple(value: int | float, step: int | float) -> bool:
    if type(value) is int and type(step) is int:
        return value % step == 0
    try:
        quotient = value / step
    except OverflowError:
        return False
    return math.isfinite(quotient) and quotient == int(quotient)


def _is_of_type(value: object, names: object) -> bool:
    if isinstance(names, list):
        return any(_is_of_type(value, name) for name in names if isinstance(name, str))
    match names:
        case "object":
            return isinstance(value, dict)
        case "array":
            return isinstance(value, list)
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "number":
            return is_number(value)
        case "integer":
            return type(value) is int or (type(value) is float and value.is_integer())
        case _:
            return True
