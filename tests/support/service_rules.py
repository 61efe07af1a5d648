"""What services refuse although their types allow it: the rules of each dialect that a request must keep."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

from tests.support.speech import Json

_OPENAI_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ANTHROPIC_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_GEMINI_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_SCHEMAS: Final = frozenset(("parameters", "input_schema", "parametersJsonSchema", "schema", "responseJsonSchema"))
_WORDS: Final = frozenset(("string", "number", "integer", "boolean", "object", "array", "null"))
_ANTHROPIC_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def check_rules(dialect: str, body: Json) -> None:
    """Assert that the service of a dialect would take a request.

    The rules are those of the dialect pages of the design: anthropic.md 4, gemini.md 3, and for OpenAI's H4, H5 and H7.
    """
    match dialect:
        case "chat":
            _check_chat(body)
        case "responses":
            _check_responses(body)
        case "anthropic":
            _check_anthropic(body)
        case "gemini":
            _check_gemini(body)
        case other:
            raise AssertionError(f"an unknown dialect: {other}")
    words = {word for schema in _schemas(body) for word in _types(schema)}
    assert words <= _WORDS, "types are JSON Schema's"


def _check_chat(body: Json) -> None:
    waiting: list[str] = []
    for message in body["messages"]:
        if message["role"] == "tool":
            assert message["tool_call_id"] in waiting, "a result stands behind its call"
            waiting.remove(message["tool_call_id"])
            continue
        assert not waiting, "every call is answered before anything else is said"
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
        assert all(len(id) <= 40 for id in waiting)
        assert message["role"] != "assistant" or waiting or message["content"] is not None
    assert not waiting
    _check_names([tool["function"]["name"] for tool in body.get("tools") or () if "function" in tool], _OPENAI_NAME)
    assert body.get("tools") or "tool_choice" not in body


def _check_responses(body: Json) -> None:
    assert body["store"] is False
    calls = [item["call_id"] for item in body["input"] if item.get("type") in ("function_call", "custom_tool_call")]
    results = [item["call_id"] for item in body["input"] if str(item.get("type")).endswith("call_output")]
    assert sorted(calls) == sorted(results)
    assert all(len(id) <= 64 for id in calls)
    functions = [tool for tool in body.get("tools") or () if tool["type"] == "function"]
    _check_names([tool["name"] for tool in functions], _OPENAI_NAME)
    assert all("strict" in tool for tool in functions)
    assert body.get("max_output_tokens", 16) >= 16


def _check_anthropic(body: Json) -> None:
    messages = body["messages"]
    assert messages[0]["role"] == "user"
    _check_tools_of_anthropic(body)
    _check_thinking(body)
    for earlier, later in pairwise(messages):
        assert earlier["role"] != later["role"]
        assert later["role"] != "system" or earlier["role"] == "user"
        assert earlier["role"] != "system" or later["role"] == "assistant"
    for number, message in enumerate(messages):
        assert message["content"]
        blocks = _blocks(message)
        kinds = [block["type"] for block in blocks]
        assert all(block["text"].strip() for block in blocks if block["type"] == "text")
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
        assert all(_ANTHROPIC_ID.fullmatch(id) for id in asked)
        if asked:
            answered = [block for block in _blocks(messages[number + 1]) if block["type"] == "tool_result"]
            assert asked == [block["tool_use_id"] for block in answered], "all results, in the order of their calls"
        results = [kind == "tool_result" for kind in kinds]
        assert results == sorted(results, reverse=True), "results come before anything else"


def _check_tools_of_anthropic(body: Json) -> None:
    tools = body.get("tools") or []
    _check_names([tool["name"] for tool in tools], _ANTHROPIC_NAME)
    for tool in tools:
        if "input_schema" in tool:
            assert tool["input_schema"]["type"] == "object"
            assert not {"anyOf", "oneOf", "allOf"} & tool["input_schema"].keys()
    assert tools or "tool_choice" not in body
    marked = str(body).count("'cache_control'")
    assert marked <= 4


def _check_thinking(body: Json) -> None:
    thinking = body.get("thinking") or {}
    if thinking.get("type") != "enabled":
        return
    assert 1024 <= thinking["budget_tokens"] < body["max_tokens"]
    assert "temperature" not in body
    assert (body.get("tool_choice") or {}).get("type", "auto") in ("auto", "none")
    last = next((message for message in reversed(body["messages"]) if message["role"] == "assistant"), None)
    if last is not None and any(block["type"] == "tool_use" for block in _blocks(last)):
        assert _blocks(last)[0]["type"] in ("thinking", "redacted_thinking"), "a tool loop goes on with its thinking"


def _blocks(message: Json) -> list[Json]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _check_gemini(body: Json) -> None:
    entries = body["contents"]
    assert entries[0]["role"] == "user"
    asked: list[Json] = []
    for entry in entries:
        parts = entry["parts"]
        assert parts
        assert all(parts), "no part is empty"
        answered = [part["functionResponse"] for part in parts if "functionResponse" in part]
        assert len(answered) in (0, len(parts)), "results stand alone"
        assert [_called(call) for call in asked] == [_called(response) for response in answered]
        asked = [part["functionCall"] for part in parts if "functionCall" in part]
    assert not asked
    declared = [each for tool in body.get("tools") or () for each in tool.get("functionDeclarations") or ()]
    _check_names([function["name"] for function in declared], _GEMINI_NAME)
    assert sum("functionDeclarations" in tool for tool in body.get("tools") or ()) <= 1
    assert declared or "functionCallingConfig" not in (body.get("toolConfig") or {})
    thinking = (body.get("generationConfig") or {}).get("thinkingConfig") or {}
    assert not {"thinkingBudget", "thinkingLevel"} <= thinking.keys()


def _called(value: Json) -> tuple[Any, Any]:
    return value.get("id"), value["name"]


def _schemas(value: Any) -> Iterator[Any]:
    """Every schema in a request, of a tool or of the answer."""
    if isinstance(value, list):
        for member in value:
            yield from _schemas(member)
    if isinstance(value, dict):
        for name, member in value.items():
            if name in _SCHEMAS:
                yield member
            elif name not in ("input", "args", "messages", "contents"):
                yield from _schemas(member)


def _types(schema: Any) -> Iterator[str]:
    """The types that a schema names, wherever."""
    if isinstance(schema, list):
        for member in schema:
            yield from _types(member)
    if isinstance(schema, dict):
        named = schema.get("type")
        yield from [named] if isinstance(named, str) else named if isinstance(named, list) else ()
        for name, member in schema.items():
            if name not in ("enum", "const", "default", "example", "examples"):
                yield from _types(member)


def _check_names(names: list[str], legal: re.Pattern[str]) -> None:
    assert len(set(names)) == len(names)
    assert all(legal.fullmatch(name) for name in names)
