"""Schemas of Gemini clients, whose types may be in capitals, as JSON Schema that other providers take."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.client_requests import PROVIDER, before
from tests.support.front import KEY
from tests.support.speech import Json

CAPITALS = {
    "type": "OBJECT",
    "properties": {
        "type": {"type": "STRING", "enum": ["OBJECT", "STRING"]},
        "list": {"type": "ARRAY", "items": {"type": "INTEGER"}},
        "either": {"anyOf": [{"type": "NUMBER"}, {"type": "BOOLEAN"}]},
    },
    "required": ["type"],
}
SMALL: Json = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "enum": ["OBJECT", "STRING"]},
        "list": {"type": "array", "items": {"type": "integer"}},
        "either": {"anyOf": [{"type": "number"}, {"type": "boolean"}]},
    },
    "required": ["type"],
}
TOOLS = [
    pytest.param("parameters", id="OpenAPI"),
    pytest.param("parametersJsonSchema", id="JSON Schema"),
]
FORMATS = [
    pytest.param({"responseSchema": CAPITALS}, id="OpenAPI"),
    pytest.param({"responseJsonSchema": CAPITALS}, id="JSON Schema, as gemini-cli"),
    pytest.param(
        {"responseFormat": [{"text": {"mimeType": "application/json", "jsonSchema": CAPITALS}}]}, id="JSON Schema, new"
    ),
]


async def asked(dialect: str, **fields: Any) -> Any:
    """What a provider is asked for a request of a Gemini client."""
    body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], **fields}
    async with before(PROVIDER[dialect]) as both:
        path = "/v1beta/models/m:generateContent"
        answer = await both.server.ask("POST", path, {"x-goog-api-key": KEY}, json.dumps(body).encode())
        assert answer.status == 200, answer.body
        return both.upstream.requests[0].json()


def tool_schema(dialect: str, sent: Any) -> Json:
    """The schema of the one tool."""
    (tool,) = sent["tools"]
    schemas: Mapping[str, Json] = {
        "chat": tool.get("function", {}).get("parameters"),
        "responses": tool.get("parameters"),
        "anthropic": tool.get("input_schema"),
    }
    return schemas[dialect]


def answer_schema(dialect: str, sent: Any) -> Json:
    """The schema of the answer."""
    schemas: Mapping[str, Json] = {
        "chat": sent.get("response_format", {}).get("json_schema", {}).get("schema"),
        "responses": sent.get("text", {}).get("format", {}).get("schema"),
        "anthropic": sent.get("output_config", {}).get("format", {}).get("schema"),
    }
    return schemas[dialect]


CLOSED = {"chat": SMALL, "responses": SMALL, "anthropic": {**SMALL, "additionalProperties": False}}


@pytest.mark.parametrize("dialect", CLOSED)
@pytest.mark.parametrize("field", TOOLS)
async def test_a_tools_types_are_small(field: str, dialect: str) -> None:
    sent = await asked(dialect, tools=[{"functionDeclarations": [{"name": "f", field: CAPITALS}]}])

    assert tool_schema(dialect, sent) == SMALL


@pytest.mark.parametrize("dialect", CLOSED)
@pytest.mark.parametrize("config", FORMATS)
async def test_an_answers_types_are_small(config: dict[str, Any], dialect: str) -> None:
    sent = await asked(dialect, generationConfig={"responseMimeType": "application/json", **config})

    assert answer_schema(dialect, sent) == CLOSED[dialect]
