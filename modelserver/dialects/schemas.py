"""JSON Schemas of tools: those of ours, and what OpenAI's service makes of a client's, in both of its dialects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelserver.ir.request import CustomTool

NO_ARGUMENTS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}
FREE_TEXT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}
"""The arguments of a function that stands for a tool with free text."""

_NOT_STRICT: Final = ("allOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies")
_MAX_DEPTH: Final = 60
_DEFINITIONS: Final = ("$defs", "definitions")


def free_text_description(tool: CustomTool) -> str:
    """What the model is told of a tool with free text, where only functions can be declared (hard case H10)."""
    said = [tool.description] if tool.description else []
    said.append("The input is free text, not JSON.")
    if tool.grammar is not None:
        said.append(f"It must match this {tool.syntax or 'lark'} grammar:\n```\n{tool.grammar}\n```")
    return "\n\n".join(said)


def rooted(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema with an object at its root: a root that is only a reference is replaced by what it refers to."""
    target: Mapping[str, Any] = schema
    for _ in range(_MAX_DEPTH):
        members = target.get("allOf")
        reference = target.get("$ref")
        if reference is None and isinstance(members, list) and len(members) == 1 and isinstance(members[0], Mapping):
            reference = members[0].get("$ref")
        if not isinstance(reference, str):
            break
        found = _find(schema, reference)
        if found is None:
            return schema
        target = found
    if target is schema:
        return schema
    definitions = {key: schema[key] for key in _DEFINITIONS if key in schema}
    return {**definitions, **target}


def _find(schema: Mapping[str, Any], reference: str) -> Mapping[str, Any] | None:
    kind, _, name = reference.removeprefix("#/").partition("/")
    if not reference.startswith("#/") or kind not in _DEFINITIONS:
        return None
    definitions = schema.get(kind)
    found = definitions.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(definitions, Mapping) else None
    return found if isinstance(found, Mapping) else None


def is_enforced(schema: Mapping[str, Any]) -> bool:
    """Whether the service enforces the schema: every object closed, all its properties required, no free combination.

    OpenAI, "Structured Outputs", supported schemas, read 2026-11-23; no answer of the service was recorded for them.
    """
    return schema.get("type") == "object" and "anyOf" not in schema and _is_strict(schema, _MAX_DEPTH)


def _is_strict(schema: Any, depth: int) -> bool:
    if not isinstance(schema, Mapping) or depth == 0:
        return False
    if any(word in schema for word in _NOT_STRICT):
        return False
    reference = schema.get("$ref")
    if reference is not None and not (
        isinstance(reference, str) and (reference == "#" or reference.startswith(("#/$defs/", "#/definitions/")))
    ):
        return False
    if _is_object(schema) and not _is_closed(schema):
        return False
    return all(_is_strict(inner, depth - 1) for inner in _inner(schema))


def _is_object(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    return kind == "object" or "properties" in schema or (isinstance(kind, list) and "object" in kind)


def _is_closed(schema: Mapping[str, Any]) -> bool:
    properties, required = schema.get("properties", {}), schema.get("required", [])
    return (
        schema.get("additionalProperties") is False
        and isinstance(properties, Mapping)
        and isinstance(required, list)
        and all(name in required for name in properties)
    )


def _inner(schema: Mapping[str, Any]) -> list[Any]:
    inner: list[Any] = []
    for key in ("properties", *_DEFINITIONS):
        members = schema.get(key)
        if isinstance(members, Mapping):
            inner.extend(members.values())
    for key in ("anyOf", "oneOf", "prefixItems"):
        members = schema.get(key)
        if isinstance(members, list):
            inner.extend(members)
    items = schema.get("items")
    if items is not None:
        inner.append(items)
    return inner
