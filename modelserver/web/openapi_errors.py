"""The errors of each dialect by status, from the tables that the dialects answer by."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import attrs

from modelserver.dialects.anthropic.vocab import ERRORS as ANTHROPIC_ERRORS
from modelserver.dialects.gemini.vocab import ERRORS as GEMINI_ERRORS
from modelserver.dialects.openai_chat.vocab import ERRORS as OPENAI_ERRORS
from modelserver.errors import ErrorKind
from modelserver.web.openapi_schemas import Schema, any_of, array, maybe, obj, ref

WORDS: Final[Mapping[ErrorKind, str]] = {
    ErrorKind.INVALID: "The body or a parameter is wrong; the message names the field.",
    ErrorKind.UNSUPPORTED: "Something is asked for that is not offered here, or not by this model.",
    ErrorKind.CONTEXT_LENGTH: "The prompt does not fit into the model's window.",
    ErrorKind.CONTENT_POLICY: "The provider refuses the content.",
    ErrorKind.AUTH: "There is no key, or a wrong one.",
    ErrorKind.PERMISSION: "The server is open to its own machine only, and the call comes from elsewhere.",
    ErrorKind.NOT_FOUND: "There is no such model or path, or not for this caller.",
    ErrorKind.METHOD: "The path does not have this method.",
    ErrorKind.SLOW_BODY: "The body did not arrive in time.",
    ErrorKind.TOO_LARGE: "The body is too large.",
    ErrorKind.ENCODING: "The body has a content encoding.",
    ErrorKind.RATE_LIMIT: "A limit of the key, its user or group, or one of the provider, is reached.",
    ErrorKind.SERVER: "This server failed.",
    ErrorKind.UPSTREAM: "The provider failed, can't be reached, or refuses this server's own key.",
    ErrorKind.OVERLOADED: "The provider is too busy.",
    ErrorKind.UNAVAILABLE: "This server has no key for the provider, has no place left, or is about to stop.",
    ErrorKind.TIMEOUT: "The provider took too long.",
}
"""Every kind that a caller can be answered with."""

OF_CALLS: Final = frozenset(WORDS) - {ErrorKind.AUTH, ErrorKind.PERMISSION, ErrorKind.METHOD, ErrorKind.RATE_LIMIT}
"""What a call of a model can end in, whoever makes it."""

_RETRIED: Final = frozenset((ErrorKind.RATE_LIMIT, ErrorKind.UNAVAILABLE, ErrorKind.OVERLOADED))


@attrs.frozen(kw_only=True, eq=False)
class ErrorShape:
    """The errors of a dialect: its schema's name, and status and word by kind."""

    name: str
    schema: str
    table: Mapping[ErrorKind, tuple[Any, ...]]
    field: str = ""
    """Where the word stands in `error`; empty where there is none."""
    in_array: bool = False
    """Within a list of its own, as where a list was asked for."""


OPENAI: Final = ErrorShape(name="OpenAI", schema="OpenAIError", table=OPENAI_ERRORS, field="type")
ANTHROPIC: Final = ErrorShape(name="Anthropic", schema="AnthropicError", table=ANTHROPIC_ERRORS, field="type")
GEMINI: Final = ErrorShape(name="Gemini", schema="GeminiError", table=GEMINI_ERRORS, field="status")
GEMINI_ARRAY: Final = ErrorShape(
    name="GeminiArray", schema="GeminiError", table=GEMINI_ERRORS, field="status", in_array=True
)
CATALOGUE: Final = ErrorShape(name="Catalogue", schema="Failure", table=OPENAI_ERRORS)

_TEXT: Final[Schema] = {"type": "string"}


def _words(shape: ErrorShape, kinds: Iterable[ErrorKind]) -> list[str]:
    return list(dict.fromkeys(shape.table[kind][1] for kind in WORDS if kind in kinds))


ERROR_SCHEMAS: Final[Mapping[str, Schema]] = {
    "OpenAIError": obj(
        {
            "error": obj(
                {
                    "message": _TEXT,
                    "type": {"enum": _words(OPENAI, WORDS)},
                    "param": maybe("string", description="The path of the field that is wrong."),
                    "code": maybe("string"),
                },
                ["message", "type", "param", "code"],
            )
        },
        ["error"],
    ),
    "AnthropicError": obj(
        {
            "type": {"const": "error"},
            "error": obj(
                {
                    "type": {"enum": _words(ANTHROPIC, WORDS)},
                    "message": _TEXT,
                    "details": obj({"error_code": _TEXT}, ["error_code"]),
                },
                ["type", "message"],
            ),
            "request_id": _TEXT,
        },
        ["type", "error"],
    ),
    "GeminiError": obj(
        {
            "error": obj(
                {
                    "code": {"type": "integer", "description": "The HTTP status."},
                    "message": _TEXT,
                    "status": {"enum": _words(GEMINI, WORDS)},
                    "details": array({"type": "object"}),
                },
                ["code", "message", "status"],
            )
        },
        ["error"],
    ),
    "Failure": obj({"success": {"const": False}, "message": _TEXT}, ["success", "message"]),
}


def error_answers(shapes: Iterable[ErrorShape], kinds: Collection[ErrorKind]) -> dict[str, Any]:
    """The answers that kinds of errors are given with, by status; with several shapes any of them may come."""
    given: dict[int, dict[ErrorShape, list[ErrorKind]]] = {}
    shapes = tuple(shapes)
    for kind in WORDS:
        for shape in shapes if kind in kinds else ():
            given.setdefault(shape.table[kind][0], {}).setdefault(shape, []).append(kind)
    return {str(status): _answer(status, given[status]) for status in sorted(given)}


def _answer(status: int, given: Mapping[ErrorShape, list[ErrorKind]]) -> dict[str, Any]:
    kinds = list(dict.fromkeys(kind for found in given.values() for kind in found))
    headers = ["x-request-id"]
    if ANTHROPIC in given:
        headers.append("request-id")
    if not _RETRIED.isdisjoint(kinds):
        headers.append("retry-after")
    elif status < 500 and status != 408:
        headers.append("x-should-retry")
    if ErrorKind.AUTH in kinds:
        headers.append("www-authenticate")
    if ErrorKind.METHOD in kinds:
        headers.append("allow")
    schemas = [_schema(shape, found) for shape, found in given.items()]
    return {
        "description": " ".join(WORDS[kind] for kind in kinds),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {"application/json": {"schema": any_of(*schemas)}},
    }


def _schema(shape: ErrorShape, kinds: Iterable[ErrorKind]) -> Schema:
    schema = ref(shape.schema)
    if shape.field:
        words = {"error": {"properties": {shape.field: {"enum": _words(shape, kinds)}}}}
        schema = {**schema, "properties": words}
    return array(schema, minItems=1, maxItems=1) if shape.in_array else schema
