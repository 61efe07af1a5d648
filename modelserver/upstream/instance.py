"""Values that satisfy a JSON schema, the same ones every time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from modelserver.upstream.instance_checks import (
    MAX_DEPTH,
    NoInstance,
    Schema,
    branches,
    count,
    identity,
    is_undecided,
    item_schemas,
    mapping,
    number,
    required_names,
)
from modelserver.upstream.instance_merge import CHOOSERS, merge
from modelserver.upstream.instance_text import make_texts

MAX_ITEMS: Final = 1000
_MAX_REENTRIES: Final = 4
"""How often a reference may lead into itself where nothing else satisfies the schema."""
_OPTIONAL_DEPTH: Final = 3
_TRIES: Final = 8
_CHARS_A_STEP: Final = 20

_SIGNS: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("object", frozenset(("properties", "required", "additionalProperties", "minProperties", "patternProperties"))),
    ("array", frozenset(("items", "prefixItems", "minItems", "contains", "uniqueItems"))),
    ("string", frozenset(("minLength", "maxLength", "pattern", "format"))),
    ("number", frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"))),
)
"""What tells the type that a schema without `type` has in mind."""
_COMBINING: Final = ("anyOf", "oneOf", "allOf", "if")
_ANY_TYPE: Final = ("string", "object", "number", "boolean", "array", "null")


def make_instance(schema: Any, *, hint: str = "text") -> Any:
    """A value that satisfies the schema.

    Objects have what they must have, and what is declared where nothing must be there; arrays one item where they may
    have it; defaults and examples are taken where they fit. Strings say the name of their property, the outermost one
    says `hint`. The result shares parts with the schema. Nesting is followed by recursion: a schema from outside should
    be known to be at most 100 deep.

    Raises:
        NoInstance: The schema contradicts itself, is recursive without end, or is beyond what is looked at (see
            `instance_checks`).
    """
    return _Maker(schema).make(schema, hint, 0, 0)


class _Maker:
    """Makes candidates from the most particular keyword to the most general; the first that is accepted is taken.

    `variant` counts the values that are wanted for one place, as items of an array.
    """

    def __init__(self, root: Any) -> None:
        self._schema = Schema(root)
        self._entered: Counter[str] = Counter({"#": 1})

    def make(self, schema: Any, hint: str, depth: int, variant: int) -> Any:
        self._schema.spend()
        if schema is False or depth > MAX_DEPTH:
            raise NoInstance
        if not isinstance(schema, dict):
            return hint
        for candidate in self._candidates(schema, hint, depth, variant):
            if self._schema.accepts(candidate, schema):
                return candidate
        raise NoInstance

    def _attempt(self, schema: Any, hint: str, depth: int, variant: int) -> Iterator[Any]:
        """One value, or none."""
        try:
            yield self.make(schema, hint, depth, variant)
        except NoInstance:
            return

    def _candidates(self, schema: dict[str, Any], hint: str, depth: int, variant: int) -> Iterator[Any]:
        given = _given(schema, variant)
        if given is not None:
            yield from self._weighed(given)
            return
        if variant == 0:
            yield from self._weighed([schema["default"]] if "default" in schema else [])
            yield from self._weighed(branches(schema, "examples"))
        ref = schema.get("$ref")
        if isinstance(ref, str):
            yield from self._referred(ref, schema, hint, depth, variant)
        elif any(key in schema for key in _COMBINING):
            for combined in self._combined(schema, variant):
                yield from self._attempt(combined, hint, depth + 1, variant)
        else:
            for name in _types(schema):
                yield from self._typed(name, schema, hint, depth, variant)

    def _weighed(self, values: Iterable[Any]) -> Iterator[Any]:
        """The values, each at the cost of its length: a short schema may repeat a long text a thousand times."""
        for value in values:
            if isinstance(value, (str, list, dict)):
                self._schema.spend(len(value if isinstance(value, str) else repr(value)) // _CHARS_A_STEP)
            yield value

    def _combined(self, schema: dict[str, Any], variant: int) -> Iterator[Any]:
        """What the schema comes to, one choice of its branches after the other."""
        for key in ("anyOf", "oneOf"):
            options = branches(schema, key)
            if options:
                rest = _without(schema, key)
                first = variant % len(options)
                for option in sorted((*options[first:], *options[:first]), key=self._reluctance):
                    others = [each for each in options if each is not option and not is_undecided(each)]
                    rival = {"not": {"anyOf": others}} if others and key == "oneOf" else True
                    yield merge(merge(rest, option), rival)
                return
        if "allOf" in schema:
            merged: Any = _without(schema, "allOf")
            for each in branches(schema, "allOf"):
                merged = merge(merged, each)
            yield merged
            return
        rest = _without(schema, *CHOOSERS)
        if "if" in schema:
            yield merge(rest, schema.get("else", True))
            yield merge(merge(rest, schema["if"]), schema.get("then", True))
        yield rest

    def _referred(self, ref: str, schema: dict[str, Any], hint: str, depth: int, variant: int) -> Iterator[Any]:
        if self._entered[ref] >= _MAX_REENTRIES:
            return
        self._entered[ref] += 1
        try:
            target = merge(_without(schema, "$ref"), self._schema.resolve(ref))
            yield from self._attempt(target, hint, depth + 1, variant)
        finally:
            self._entered[ref] -= 1

    def _reluctance(self, option: Any) -> int:
        if not isinstance(option, dict):
            return 0
        if self._leads_back(option):
            return 2
        return 1 if option.get("type") == "null" else 0

    def _leads_back(self, schema: Any) -> bool:
        """Whether the schema is a reference that is being followed already."""
        ref = schema.get("$ref") if isinstance(schema, dict) else None
        return isinstance(ref, str) and self._entered[ref] > 0

    def _typed(self, name: str, schema: Mapping[str, Any], hint: str, depth: int, variant: int) -> Iterator[Any]:
        match name:
            case "object":
                yield from self._objects(schema, depth, variant)
            case "array":
                yield from self._arrays(schema, hint, depth, variant)
            case "string":
                pattern, form = schema.get("pattern"), schema.get("format")
                texts = make_texts(
                    hint=hint,
                    variant=variant,
                    shortest=count(schema, "minLength") or 0,
                    longest=count(schema, "maxLength"),
                    form=form if isinstance(form, str) else None,
                    pattern=pattern if isinstance(pattern, str) else None,
                )
                yield from self._weighed(texts)
            case "integer" | "number":
                yield from _numbers(schema, name == "integer", variant)
            case "boolean":
                yield variant % 2 == 0
                yield variant % 2 == 1
            case "null":
                yield None

    def _objects(self, schema: Mapping[str, Any], depth: int, variant: int) -> Iterator[Any]:
        properties = mapping(schema, "properties")
        needed = dict.fromkeys(required_names(schema))
        for name, others in mapping(schema, "dependentRequired").items():
            if name in needed and isinstance(others, list):
                needed.update(dict.fromkeys(other for other in others if isinstance(other, str)))
        if not needed and depth < _OPTIONAL_DEPTH:
            yield from self._object(schema, needed, list(properties), depth, variant)
        least = count(schema, "minProperties") or 0
        yield from self._object(schema, needed, list(properties) if least > len(needed) else [], depth, variant)

    def _object(
        self, schema: Mapping[str, Any], needed: Mapping[str, None], optional: list[str], depth: int, variant: int
    ) -> Iterator[Any]:
        """One object with the needed properties and those of the optional ones that can be had, or none."""
        properties = mapping(schema, "properties")
        additional = _additional_schema(schema)
        most = count(schema, "maxProperties")
        made: dict[str, Any] = {}
        for name in [*(name for name in properties if name in needed or name in optional), *needed]:
            if name in made:
                continue
            part = properties.get(name, additional)
            if name not in needed and (self._leads_back(part) or (most is not None and len(made) >= most)):
                continue
            try:
                made[name] = self.make(part, name.replace("_", " ") or "text", depth + 1, variant)
            except NoInstance:
                if name in needed:
                    return
        for number_ in range(min(count(schema, "minProperties") or 0, MAX_ITEMS)):
            if len(made) >= (count(schema, "minProperties") or 0):
                break
            for value in self._attempt(additional, "value", depth + 1, variant):
                made.setdefault(f"key_{number_ + 1}", value)
        yield made

    def _arrays(self, schema: Mapping[str, Any], hint: str, depth: int, variant: int) -> Iterator[Any]:
        prefix, rest = item_schemas(schema)
        least, most = count(schema, "minItems") or 0, count(schema, "maxItems")
        if "contains" in schema:
            wanted = count(schema, "minContains")
            least = max(least, 1 if wanted is None else wanted)
        liked = max(least, len(prefix) or (0 if self._leads_back(rest) else 1))
        for size in dict.fromkeys((liked if most is None else min(liked, most), least)):
            yield from self._array(schema, size, hint, depth, variant)

    def _array(self, schema: Mapping[str, Any], size: int, hint: str, depth: int, variant: int) -> Iterator[Any]:
        """One array of that many items, or none."""
        if size > MAX_ITEMS:
            return
        prefix, rest = item_schemas(schema)
        unique = schema.get("uniqueItems") is True
        contained = count(schema, "minContains") if "contains" in schema else 0
        made: list[Any] = []
        seen = set()
        for index in range(size):
            part = prefix[index] if index < len(prefix) else rest
            if index < (1 if contained is None else contained):
                part = merge(part, schema["contains"])
            for attempt in range(_TRIES if unique else 1):
                try:
                    item = self.make(part, hint, depth + 1, variant + index + attempt)
                except NoInstance:
                    return
                if not unique or identity(item) not in seen:
                    break
            made.append(item)
            seen.add(identity(item))
        yield made


def _given(schema: Mapping[str, Any], variant: int) -> list[Any] | None:
    """The values that the schema itself lists, the variant's own first; None where it does not list them."""
    if "const" in schema:
        return [schema["const"]]
    enum = schema.get("enum")
    if not isinstance(enum, list) or not enum:
        return None
    first = variant % len(enum)
    return enum[first:] + enum[:first]


def _types(schema: Mapping[str, Any]) -> list[str]:
    """The types to try, in order; null after all others."""
    declared = schema.get("type")
    if isinstance(declared, str):
        return [declared]
    if isinstance(declared, list):
        names = [name for name in declared if isinstance(name, str)]
        return sorted(names, key="null".__eq__)
    return [*(name for name, signs in _SIGNS if not signs.isdisjoint(schema)), *_ANY_TYPE]


def _numbers(schema: Mapping[str, Any], whole: bool, variant: int) -> Iterator[int | float]:
    """Numbers that may do, plain ones first; the caller checks them."""
    bounds = [number(schema, key) for key in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")]
    low = max((bound for bound in bounds[:2] if bound is not None), default=None)
    high = min((bound for bound in bounds[2:] if bound is not None), default=None)
    step = number(schema, "multipleOf")
    if step is not None and step > 0:
        yield from _multiples(step, low, high, variant, whole)
    elif whole:
        yield from _multiples(1, low, high, variant, whole)
    else:
        yield from (1 + variant, 1.5 + variant)
        if low is not None and high is not None:
            yield low + (high - low) * (variant + 1) / (variant + 2)
        if low is not None:
            yield from (low + variant, low + variant + 1, math.nextafter(low, math.inf), low)
        if high is not None:
            yield from (high - variant, high - variant - 1, math.nextafter(high, -math.inf), high)


def _multiples(
    step: int | float, low: int | float | None, high: int | float | None, variant: int, whole: bool
) -> Iterator[int | float]:
    try:
        for start in _factors(step, low, high, variant):
            value = start * step
            if abs(value) >= 2**63:  # more than JSON writers of 64 bits take as a whole number
                yield float(value)
            else:
                yield int(value) if whole and float(value).is_integer() else value
    except OverflowError:
        return


def _factors(step: int | float, low: int | float | None, high: int | float | None, variant: int) -> list[int]:
    """What to multiply a step by, for this variant and then for others, so that a single value is always found."""
    factors = [1 + variant]
    for offset in (variant, 0):
        if low is not None:
            factors.extend(math.ceil(low / step) + offset + extra for extra in range(_TRIES))
        if high is not None:
            factors.extend(math.floor(high / step) - offset - extra for extra in range(_TRIES))
    return [*factors, 0, -1 - variant]


def _additional_schema(schema: Mapping[str, Any]) -> Any:
    """The schema for a property that is not declared."""
    for part in mapping(schema, "patternProperties").values():
        return part
    return schema.get("additionalProperties", True)


def _without(schema: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The schema less some keywords, and less what was tried before: its default and examples."""
    return {key: value for key, value in schema.items() if key not in keys and key not in ("default", "examples")}
