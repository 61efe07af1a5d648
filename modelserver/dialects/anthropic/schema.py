"""JSON Schemas in the form that this API takes; pure, so that the same schema is always written the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

Schema = Mapping[str, Any]

MAX_OPTIONAL: Final = 24
"""Optional properties that a response schema may have (Vercel AI SDK, `sanitize-json-schema`, read 2026-11-23)."""

_COMBINED: Final = ("anyOf", "oneOf", "allOf")
_MAPS: Final = frozenset(("properties", "$defs", "definitions", "patternProperties"))
_LISTS: Final = frozenset(("anyOf", "oneOf", "allOf", "prefixItems"))
_SINGLE: Final = frozenset(("items", "contains", "not", "if", "then", "else", "propertyNames"))

_KEPT: Final = frozenset(("$ref", "type", "title", "description", "default", "const", "enum", "required"))
_FORMATS: Final = frozenset(
    ("date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid")
)
_SILENT: Final = frozenset(("$schema", "$id", "$comment", "examples", "deprecated", "readOnly", "writeOnly"))
"""Annotations that constrain nothing."""


class Inexpressible(Exception):
    """A response schema that this API would refuse."""


def input_schema(schema: Schema | None) -> dict[str, Any]:
    """The schema of a tool: an object at the root, without alternatives there, and no boolean schemas."""
    if schema is None:
        return {"type": "object", "properties": {}}
    plain: dict[str, Any] = _each_schema(schema, _without_booleans)
    plain = _resolved_root(plain)
    if any(key in plain for key in _COMBINED):
        plain = _merged_root(plain)
    if plain.get("type") == "object":
        return plain
    plain.pop("type", None)
    return {"type": "object", **plain}


def output_schema(schema: Schema) -> dict[str, Any]:
    """The schema of an answer: every object closed, and constraints that are not enforced said in descriptions.

    Raises:
        Inexpressible: It is recursive, has a map of unnamed members, or too many optional properties.
    """
    return _Cleaning(schema).run()


def is_strict(schema: Schema) -> bool:
    """Whether a tool's schema can be enforced just as it stands."""
    cleaning = _Cleaning(schema)
    try:
        cleaning.run()
    except Inexpressible:
        return False
    return not cleaning.changed


def _each_schema(node: Schema, change: Callable[[Any], Any]) -> dict[str, Any]:
    """The node with `change` made to every schema directly inside it."""
    copy: dict[str, Any] = {}
    for key, value in node.items():
        if key in _MAPS and isinstance(value, dict):
            value = {name: change(each) for name, each in value.items()}
        elif key in _LISTS and isinstance(value, list):
            value = [change(each) for each in value]
        elif key in _SINGLE or (key == "additionalProperties" and isinstance(value, dict)):
            value = change(value)
        copy[key] = value
    return copy


def _without_booleans(node: Any) -> Any:
    if node is True:
        return {}
    if node is False:
        return {"not": {}}
    return _each_schema(node, _without_booleans) if isinstance(node, dict) else node


def _resolved_root(root: dict[str, Any]) -> dict[str, Any]:
    """A root that only refers to a definition, with that definition in its place."""
    for _ in range(8):
        found = _find(root, root.get("$ref"))
        if found is None:
            return root
        root = {**found, **{key: value for key, value in root.items() if key != "$ref"}}
    return root


def _find(root: Schema, reference: object) -> dict[str, Any] | None:
    """What a reference within the schema points at."""
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return None
    node: Any = root
    for step in reference[2:].split("/"):
        node = node.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else None


def _merged_root(root: dict[str, Any]) -> dict[str, Any]:
    """One object in place of the root's alternatives, which its description still tells."""
    own = root.get("properties")
    properties: dict[str, Any] = dict(own) if isinstance(own, dict) else {}
    required = dict.fromkeys(_required(root))
    notes: list[str] = []
    for key in _COMBINED:
        members = root.get(key)
        if not isinstance(members, list):
            continue
        notes.append(f"{key}: {_json(members)}")
        resolved = [_find(root, each.get("$ref")) or each for each in members if isinstance(each, dict)]
        for each in resolved:
            members = each.get("properties")
            for name, value in members.items() if isinstance(members, dict) else ():
                properties.setdefault(name, value)
        wanted = [dict.fromkeys(_required(each)) for each in resolved]
        in_all = set(wanted[0]).intersection(*wanted) if wanted else set()
        for name in dict.fromkeys(name for names in wanted for name in names):
            if key == "allOf" or name in in_all:
                required.setdefault(name)
    merged = {key: value for key, value in root.items() if key not in (*_COMBINED, "properties", "required")}
    merged["properties"] = properties
    if required:
        merged["required"] = list(required)
    description = root.get("description")
    merged["description"] = "\n".join((*((description,) if isinstance(description, str) else ()), *notes))
    return merged


class _Cleaning:
    """Rewrites one response schema."""

    def __init__(self, root: Schema) -> None:
        self.changed = False
        self._root = root
        self._optional = 0

    def run(self) -> dict[str, Any]:
        if self._refers_to_itself():
            raise Inexpressible
        cleaned = self._clean(self._root)
        if self._optional > MAX_OPTIONAL:
            raise Inexpressible
        return cleaned

    def _refers_to_itself(self) -> bool:
        """Whether some reference leads back to itself, or to nothing, which the service would refuse as well."""
        # Each reference is followed once: definitions that each name the next one twice are 2^n ways through them.
        # And in a loop, since a chain of them may be longer than the stack is deep.
        trail: dict[str, None] = {}
        settled: set[str] = set()
        pending = [(reference, False) for reference in _references(self._root)]
        while pending:
            reference, is_left = pending.pop()
            if is_left:
                del trail[reference]
                settled.add(reference)
                continue
            if reference in settled:
                continue
            found = _find(self._root, reference)
            if found is None or reference in trail:
                return True
            trail[reference] = None
            pending.append((reference, True))
            pending += [(inner, False) for inner in _references(found)]
        return False

    def _clean(self, node: Any) -> dict[str, Any]:
        if not isinstance(node, dict):
            if node is not True:
                raise Inexpressible
            self.changed = True
            return {}
        cleaned: dict[str, Any] = {}
        notes: list[str] = []
        for key, value in node.items():
            self._member(key, value, cleaned, notes)
        if _is_object(node):
            self._close(node, cleaned)
        if notes:
            self.changed = True
            said = f"{', '.join(notes)}."
            description = cleaned.get("description")
            cleaned["description"] = f"{description}\n{said}" if description else said
        return cleaned

    def _member(self, key: str, value: Any, cleaned: dict[str, Any], notes: list[str]) -> None:
        if key in _KEPT:
            cleaned[key] = value
        elif key in ("properties", "$defs", "definitions") and isinstance(value, dict):
            cleaned[key] = {name: self._clean(each) for name, each in value.items()}
        elif key in ("anyOf", "allOf", "oneOf") and isinstance(value, list):
            self.changed = self.changed or key == "oneOf"
            cleaned["anyOf" if key == "oneOf" else key] = [self._clean(each) for each in value]
        elif key == "items":
            cleaned[key] = self._clean(value)
        elif key == "format" and value in _FORMATS:
            cleaned[key] = value
        elif key != "additionalProperties" and key not in _SILENT:
            notes.append(f"{key}: {value if isinstance(value, str) else _json(value)}")

    def _close(self, node: Schema, cleaned: dict[str, Any]) -> None:
        extra = node.get("additionalProperties")
        properties = node.get("properties")
        if isinstance(extra, dict) or (not properties and extra is not False):
            raise Inexpressible  # a map
        if extra is not False:
            self.changed = True
        cleaned["additionalProperties"] = False
        if isinstance(properties, dict):
            self._optional += len(properties.keys() - set(_required(node)))


def _references(node: Schema) -> list[str]:
    """The references in a schema, those of its definitions left out."""
    found: dict[str, None] = {}
    level: list[Any] = [node]
    while level:
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                reference = each.get("$ref")
                if isinstance(reference, str):
                    found[reference] = None
                below.extend(value for key, value in each.items() if key not in ("$defs", "definitions"))
            elif isinstance(each, list):
                below.extend(each)
        level = below
    return list(found)


def _is_object(node: Schema) -> bool:
    kind = node.get("type")
    if kind == "object" or (isinstance(kind, list) and "object" in kind):
        return True
    return kind is None and "properties" in node


def _required(node: Schema) -> list[str]:
    names = node.get("required")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
