"""JSON Schema as Gemini takes it: only its own keywords, what else constrains said in the description.

Pure, and kept by the text of the schema, since clients send the same tools with every request. What is returned is
shared: it must not be changed. Keywords: google-genai `GenerateContentConfig.response_json_schema`, read 2026-11-23.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from modelserver.wire.json_text import dumps_exact, loads_exact

_KEPT: Final = frozenset(
    (
        *("$id", "$anchor", "type", "format", "title", "description", "enum", "minItems", "maxItems", "minimum"),
        *("maximum", "required", "propertyOrdering"),
    )
)
_SAID: Final = frozenset(
    (
        *("exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "uniqueItems"),
        *("minProperties", "maxProperties", "default", "not", "patternProperties", "propertyNames", "contains"),
        *("minContains", "maxContains", "dependentRequired", "dependentSchemas", "if", "then", "else"),
    )
)
_MAX_COPIED: Final = 10_000
"""Schemas that may be written out in place of the references to them, in one schema."""
_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])")
_OBJECT: Final[Mapping[str, Any]] = {"type": "object"}
_EMPTY_KEYS: Final = frozenset(
    ("type", "properties", "required", "additionalProperties", "title", "description", "$schema")
)


def json_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema for `parametersJsonSchema` and `responseJsonSchema`."""
    return _json_schema(dumps_exact(schema))


def openapi_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema for `parameters` and `responseSchema` of old models; None for what can't be said.

    That is a recursive one, and one that grows without measure when its references are replaced.
    """
    return _openapi_schema(dumps_exact(schema))


def is_empty(schema: Mapping[str, Any] | None) -> bool:
    """Whether the schema admits no argument, so that it may be left out."""
    return schema is None or (not schema.get("properties") and schema.keys() <= _EMPTY_KEYS)


@lru_cache(maxsize=512)
def _json_schema(text: bytes) -> dict[str, Any]:
    schema = loads_exact(text)
    try:
        rewritten = _Rewriting(schema).root()
    except RecursionError:  # deep definitions, copied into each other
        rewritten = _Rewriting(schema, max_copied=0).root()
    return rewritten if isinstance(rewritten, dict) else {}


@lru_cache(maxsize=512)
def _openapi_schema(text: bytes) -> dict[str, Any] | None:
    rewriting = _Rewriting(loads_exact(text))
    if rewriting.recursive:
        return None
    try:
        return _in_openapi(rewriting.inlined())
    except (_TooLarge, RecursionError):
        return None


class _TooLarge(Exception):
    """Definitions that each name the next one twice are 2^n schemas when they are written out."""


class _Rewriting:
    """Rewrites one schema, with its definitions at hand.

    `max_copied` bounds the schemas that are written out in place of references.
    """

    def __init__(self, root: Any, *, max_copied: int = _MAX_COPIED) -> None:
        self._root = root if isinstance(root, dict) else {}
        self._definitions: dict[str, Any] = {"#": self._root}
        for place in ("$defs", "definitions"):
            found = self._root.get(place)
            if isinstance(found, dict):
                self._definitions.update((f"#/{place}/{name}", inner) for name, inner in found.items())
        self._cycles = _cycles(self._definitions)
        self.recursive = self._cycles.keys()
        """Definitions that lead back to themselves."""
        self._plain = {ref: inner for ref, inner in self._definitions.items() if ref not in self.recursive}
        self._inlining: list[str] = []
        self._left = max_copied

    def root(self) -> Any:
        """The schema, its definitions under `$defs`."""
        rewritten = self._schema(self._root, owner="#", optional=False)
        if isinstance(rewritten, dict):
            definitions = {
                ref.rpartition("/")[2]: self._schema(inner, owner=ref, optional=False)
                for ref, inner in self._definitions.items()
                if ref != "#"
            }
            if definitions:
                rewritten["$defs"] = definitions
        return rewritten

    def inlined(self) -> Any:
        """The schema without definitions: every reference is replaced by what it names."""
        return self._inline(self._root)

    def _inline(self, schema: Any) -> Any:
        if isinstance(schema, list):
            return [self._inline(each) for each in schema]
        if not isinstance(schema, dict):
            return schema
        self._left -= 1
        if self._left < 0:
            raise _TooLarge
        target = self._definitions.get(schema["$ref"]) if isinstance(schema.get("$ref"), str) else None
        rest = {
            key: self._inline(inner) for key, inner in schema.items() if key not in ("$ref", "$defs", "definitions")
        }
        return {**self._inline(target), **rest} if isinstance(target, dict) else rest

    def _schema(self, schema: Any, *, owner: str, optional: bool) -> Any:
        """One schema within the definition `owner`; `optional`: an optional property lies between."""
        if not isinstance(schema, dict):
            return {} if schema is True or schema is None else schema
        members = schema.get("allOf")
        if isinstance(members, list) and len(members) == 1 and isinstance(members[0], dict) and "$ref" in members[0]:
            schema = {**members[0], **{key: value for key, value in schema.items() if key != "allOf"}}
        if isinstance(schema.get("$ref"), str):
            return self._reference(schema, owner=owner, optional=optional)
        merged = _merged_all_of(schema, self._plain if self._left > 0 else {})
        if merged is schema and not self._inlining:
            return self._rewritten(schema, owner, optional)
        self._left -= 1
        self._inlining.append("")
        rewritten = self._rewritten(merged, owner, optional)
        self._inlining.pop()
        return rewritten

    def _rewritten(self, schema: Mapping[str, Any], owner: str, optional: bool) -> dict[str, Any]:
        rewritten: dict[str, Any] = {}
        facts: list[str] = []
        for key, value in schema.items():
            if key in _KEPT:
                rewritten[key] = value
            elif key == "const":
                rewritten["enum"] = [value]
            elif key in ("items", "additionalProperties", "prefixItems", "anyOf", "oneOf"):
                self._applied(key, value, rewritten, owner, optional)
            elif key == "properties" and isinstance(value, dict):
                required = schema.get("required")
                needed = (
                    frozenset(name for name in required if isinstance(name, str)) if isinstance(required, list) else ()
                )
                rewritten[key] = {
                    name: self._schema(inner, owner=owner, optional=optional or name not in needed)
                    for name, inner in value.items()
                }
            elif key == "nullable" and value is True:
                facts.append("may be null")
            elif key in _SAID or key == "allOf":
                facts.append(f"{_WORD_START.sub(' ', key).lower()}: {_said(value)}")
        if facts:
            said = f"({'; '.join(facts)})"
            described = rewritten.get("description")
            rewritten["description"] = f"{described} {said}" if isinstance(described, str) and described else said
        return rewritten

    def _applied(self, key: str, value: Any, rewritten: dict[str, Any], owner: str, optional: bool) -> None:
        if isinstance(value, list):
            # A list of `items` is how tuples were written before `prefixItems`.
            key = "prefixItems" if key == "items" else key
            rewritten[key] = [self._schema(inner, owner=owner, optional=optional) for inner in value]
        elif key == "additionalProperties" and isinstance(value, bool):
            rewritten[key] = value
        else:
            rewritten[key] = self._schema(value, owner=owner, optional=optional)

    def _reference(self, schema: Mapping[str, Any], *, owner: str, optional: bool) -> Any:
        ref: str = schema["$ref"]
        target = self._definitions.get(ref)
        if not isinstance(target, dict):
            return {} if target is None or target is True else target
        # What refers is reached from its owner: they lead to each other when they are of one cycle.
        if ref in self.recursive and self._cycles.get(owner) == self._cycles[ref]:
            # Gemini unrolls a cycle only where a property may be absent.
            return {"$ref": _new_ref(ref)} if optional else dict(_OBJECT)
        siblings = {key: value for key, value in schema.items() if not key.startswith("$")}
        if not siblings or ref in self.recursive or ref in self._inlining or self._left <= 0:
            return {"$ref": _new_ref(ref)}
        self._inlining.append(ref)
        inlined = self._schema({**target, **siblings}, owner=ref, optional=optional)
        self._inlining.pop()
        return inlined


def _new_ref(ref: str) -> str:
    return ref.replace("#/definitions/", "#/$defs/", 1)


def _cycles(definitions: Mapping[str, Any]) -> dict[str, int]:
    """The definitions that lead back to themselves, those of one cycle with the same number.

    Kosaraju's strongly connected components, in loops: a chain of references may be longer than the stack is deep.
    """
    onward = {
        ref: [each for each in dict.fromkeys(_references(inner, is_root=ref == "#")) if each in definitions]
        for ref, inner in definitions.items()
    }
    back: dict[str, list[str]] = {ref: [] for ref in definitions}
    for ref, following in onward.items():
        for each in following:
            back[each].append(ref)
    seen: set[str] = set()
    left = [ref for start in definitions for ref in _walk(start, onward, seen)]
    seen.clear()
    cycles: dict[str, int] = {}
    for number, start in enumerate(reversed(left)):
        found = _walk(start, back, seen)
        if len(found) > 1 or start in onward[start]:
            cycles.update(dict.fromkeys(found, number))
    return cycles


def _walk(start: str, edges: Mapping[str, list[str]], seen: set[str]) -> list[str]:
    """What is reached for the first time, in the order in which a search in depth leaves it."""
    left: list[str] = []
    pending = [(start, False)]
    while pending:
        ref, is_done = pending.pop()
        if is_done:
            left.append(ref)
        elif ref not in seen:
            seen.add(ref)
            pending.append((ref, True))
            pending += [(each, False) for each in edges[ref] if each not in seen]
    return left


def _references(schema: Any, *, is_root: bool = False) -> Iterator[str]:
    """The references within a schema; those within the definitions of the root belong to the definitions."""
    if isinstance(schema, dict):
        for key, value in schema.items():
            if key == "$ref" and isinstance(value, str):
                yield value
            elif not (is_root and key in ("$defs", "definitions")):
                yield from _references(value)
    elif isinstance(schema, list):
        for each in schema:
            yield from _references(each)


def _merged_all_of(schema: dict[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with `allOf` merged into it when it and all members are objects, or when there is one member."""
    members = schema.get("allOf")
    if not isinstance(members, list):
        return schema
    resolved = [
        definitions.get(member["$ref"]) if isinstance(member, dict) and isinstance(member.get("$ref"), str) else member
        for member in members
    ]
    parts = [member for member in resolved if isinstance(member, dict) and "$ref" not in member]
    if len(parts) < len(members):
        return schema
    if len(parts) > 1 and not all(member.get("type") == "object" or "properties" in member for member in parts):
        return schema
    merged: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    required: dict[str, None] = {}
    own = {key: value for key, value in schema.items() if key != "allOf"}
    for member in (*parts, own):
        for key, value in member.items():
            if key == "properties" and isinstance(value, dict):
                properties.update(value)
            elif key == "required" and isinstance(value, list):
                required.update((name, None) for name in value if isinstance(name, str))
            elif key not in ("properties", "required"):
                merged[key] = value
    if properties:
        merged["properties"] = properties
    if required:
        merged["required"] = list(required)
    return merged


def _said(value: Any) -> str:
    return value if isinstance(value, str) else dumps_exact(value).decode()


_OPENAPI: Final = frozenset(
    (
        *("type", "format", "title", "description", "nullable", "enum", "items", "minItems", "maxItems", "properties"),
        *("required", "propertyOrdering", "anyOf", "minimum", "maximum", "minLength", "maxLength", "pattern"),
        *("minProperties", "maxProperties", "default", "example"),
    )
)


def _in_openapi(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, dict):
        return {}
    schema = _merged_all_of(schema, {})
    rewritten: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "const":
            value, key = [value], "enum"
        elif key == "oneOf":
            key = "anyOf"
        if key == "properties" and isinstance(value, dict):
            rewritten[key] = {name: _in_openapi(inner) for name, inner in value.items()}
        elif key == "items":
            rewritten[key] = _in_openapi(value)
        elif key == "anyOf" and isinstance(value, list):
            rewritten[key] = [_in_openapi(inner) for inner in value]
        elif key in _OPENAPI:
            rewritten[key] = value
    _narrow_type(rewritten)
    _narrow_enum(rewritten)
    return rewritten


def _narrow_type(schema: dict[str, Any]) -> None:
    """One type each: null becomes `nullable`, several become alternatives."""
    alternatives = schema.get("anyOf")
    if isinstance(alternatives, list):
        left = [each for each in alternatives if each.get("type") != "null"]
        if len(left) < len(alternatives):
            schema["nullable"] = True
            schema["anyOf"] = left
            if len(left) == 1:
                del schema["anyOf"]
                for key, value in left[0].items():
                    schema.setdefault(key, value)
    types = schema.get("type")
    if isinstance(types, list):
        named = [name for name in types if name != "null"]
        if len(named) < len(types):
            schema["nullable"] = True
        if len(named) == 1:
            schema["type"] = named[0]
        else:
            del schema["type"]
            if named:
                schema["anyOf"] = [{"type": name} for name in named]


def _narrow_enum(schema: dict[str, Any]) -> None:
    values = schema.get("enum")
    if isinstance(values, list) and not all(isinstance(value, str) for value in values):
        schema["enum"] = [_said(value) for value in values if value is not None]
        schema["type"] = "string"
        schema["format"] = "enum"


def from_openapi(schema: Any) -> Any:
    """A client's OpenAPI schema (`parameters`, `responseSchema`) as JSON Schema.

    Types are written in capitals there, null as `nullable`, and counts as strings where protobuf has 64 bits.
    """
    if not isinstance(schema, dict):
        return schema
    rewritten: dict[str, Any] = {}
    for key, value in schema.items():
        name = str(_SNAKE.get(key, key))
        if name == "type" and isinstance(value, str):
            rewritten[name] = value.lower()
        elif name == "properties" and isinstance(value, dict):
            rewritten[name] = {each: from_openapi(inner) for each, inner in value.items()}
        elif name in ("items", "additionalProperties"):
            rewritten[name] = from_openapi(value)
        elif name == "anyOf" and isinstance(value, list):
            rewritten[name] = [from_openapi(inner) for inner in value]
        elif name in _COUNTS and isinstance(value, str) and value.isascii() and value.isdigit():
            rewritten[name] = int(value)
        elif name != "nullable" and not (name == "format" and value == "enum"):
            rewritten[name] = value
    if schema.get("nullable") is True and isinstance(rewritten.get("type"), str):
        rewritten["type"] = [rewritten["type"], "null"]
    return rewritten


def with_small_types(schema: Any) -> Any:
    """A client's JSON Schema (`parametersJsonSchema`, `responseJsonSchema`) with its types as JSON Schema names them.

    Google takes them in capitals there too (sent by gemini-cli 0.61.0, recorded 2026-11-23), others do not.
    """
    if isinstance(schema, list):
        return [with_small_types(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    rewritten: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type":
            rewritten[key] = [_small(each) for each in value] if isinstance(value, list) else _small(value)
        elif key in _MAPS and isinstance(value, dict):
            rewritten[key] = {name: with_small_types(inner) for name, inner in value.items()}
        elif key in _INNER:
            rewritten[key] = with_small_types(value)
        else:
            rewritten[key] = value
    return rewritten


def _small(name: Any) -> Any:
    return name.lower() if isinstance(name, str) else name


_MAPS: Final = frozenset(("properties", "patternProperties", "dependentSchemas", "$defs", "definitions"))
_INNER: Final = frozenset(
    (
        *("items", "prefixItems", "additionalProperties", "anyOf", "oneOf", "allOf", "not", "if", "then", "else"),
        *("contains", "propertyNames"),
    )
)
_COUNTS: Final = frozenset(("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"))
_SNAKE: Final = {
    "any_of": "anyOf",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_length": "minLength",
    "max_length": "maxLength",
    "min_properties": "minProperties",
    "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering",
    "additional_properties": "additionalProperties",
}
