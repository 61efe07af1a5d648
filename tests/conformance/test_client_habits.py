"""What clients write that not every dialect has, as it is asked of a provider of each other dialect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.client_requests import PROVIDER, before
from tests.support.front import Answer
from tests.support.speakers import SPEAKERS
from tests.support.speech import Json

SPEAKER = {speaker.dialect: speaker for speaker in SPEAKERS}
TARGETS: Mapping[str, str] = {
    "chat": "chat",
    "responses": "responses",
    "anthropic": "anthropic",
    "claude-opus-5-5": "anthropic",
    "gemini": "gemini",
    "gemini-2.5-flash": "gemini",
}
"""The dialect of each target: that of a provider, or of one of its other models."""


async def asked(dialect: str, body: Json, target: str, *, stream: bool = False) -> tuple[dict[str, Any], Answer]:
    """What a provider is asked for a client's request, and the answer."""
    speaker, provider = SPEAKER[dialect], PROVIDER[TARGETS[target]]
    data = json.dumps({"model": "m", **body} if dialect != "gemini" else body).encode()
    async with before(provider, None if target == provider.dialect else target) as both:
        answer = await both.server.ask("POST", speaker.path(stream=stream), speaker.headers, data)
        assert answer.status == 200, answer.body
        (sent,) = both.upstream.requests
        return sent.json(), answer


def cases(table: Mapping[str, tuple[str, Json, Mapping[str, Json]]]) -> list[Any]:
    """A case for each target of a row: dialect and body of the client, and what of the request is told by target."""
    return [
        pytest.param(dialect, body, target, expected, id=f"{name}, {target}")
        for name, (dialect, body, by_target) in table.items()
        for target, expected in by_target.items()
    ]


def reminder(text: str) -> str:
    return f"<system-reminder>\n{text}\n</system-reminder>"


USER = {"role": "user", "content": "Hi"}
CHAT_CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
}
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
UNSIGNED = {"thoughtSignature": "skip_thought_signature_validator"}
GEMINI_CALL = {"functionCall": {"id": "c1", "name": "f", "args": {}}, **UNSIGNED}
GEMINI_RESULT = {"functionResponse": {"id": "c1", "name": "f", "response": {"output": "ok"}}}
USE = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "c1", "content": "ok"}


def text(said: str) -> Json:
    return {"type": "text", "text": said}


def given(said: str) -> Json:
    return {"type": "input_text", "text": said}


# Instructions anywhere: those of Codex are items of two roles, with ids of its own; those of Claude Code messages.

CODEX_LIKE = {
    "store": False,
    "tools": [FUNCTION],
    "input": [
        {"type": "message", "id": "msg_1", "role": "developer", "content": [given("A")]},
        {"type": "message", "id": "msg_2", "role": "user", "content": [given("Hi")]},
        {"type": "message", "id": "msg_3", "role": "developer", "content": [given("B")]},
        {"type": "function_call", "id": "fc_4", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "message", "id": "msg_5", "role": "system", "content": "C"},
        {"type": "function_call_output", "id": "fco_6", "call_id": "c1", "output": "ok"},
        {"type": "message", "id": "msg_7", "role": "developer", "content": "D"},
    ],
}
CLAUDE_LIKE = {
    "max_tokens": 2000,
    "system": "A",
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    "messages": [
        USER,
        {"role": "system", "content": "B"},
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [RESULT]},
        {"role": "system", "content": [text("C"), text("D")]},
    ],
}
PI_LIKE = {
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "messages": [
        {"role": "developer", "content": "A"},
        USER,
        {"role": "developer", "content": "B"},
        CHAT_CALL,
        {"role": "system", "content": "C"},
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
        {"role": "developer", "content": [text("D")]},
    ],
}
IN_CHAT = [
    USER,
    {"role": "developer", "content": "B"},
    CHAT_CALL,
    {"role": "tool", "tool_call_id": "c1", "content": "ok"},
    {"role": "system", "content": "C"},
    {"role": "developer", "content": "D"},
]
IN_RESPONSES = [
    {"role": "user", "content": [given("Hi")]},
    {"role": "developer", "content": [given("B")]},
    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "ok"},
]
IN_ANTHROPIC = {
    "system": [text("A")],
    "messages": [
        {"role": "user", "content": [text("Hi"), text(reminder("B"))]},
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [RESULT, text(reminder("C")), text(reminder("D"))]},
    ],
}
IN_NEW_ANTHROPIC = {
    "system": [text("A")],
    "messages": [
        {"role": "user", "content": [text("Hi")]},
        {"role": "system", "content": [text("B")]},
        {"role": "assistant", "content": [USE]},
        {"role": "user", "content": [RESULT]},
        {"role": "system", "content": [text("C"), text("D")]},
    ],
}
GEMINI_CONTENTS = [
    {"role": "user", "parts": [{"text": "Hi"}, {"text": reminder("B")}]},
    {"role": "model", "parts": [GEMINI_CALL]},
    {"role": "user", "parts": [GEMINI_RESULT]},
]
IN_GEMINI = {
    "systemInstruction": {"parts": [{"text": "A"}]},
    "contents": [*GEMINI_CONTENTS, {"role": "user", "parts": [{"text": reminder("C")}, {"text": reminder("D")}]}],
}
INSTRUCTIONS = {
    "D11 D12 H33 responses": (
        "responses",
        CODEX_LIKE,
        {
            "chat": {"messages": [{"role": "system", "content": "A"}, *IN_CHAT]},
            "anthropic": IN_ANTHROPIC,
            "claude-opus-5-5": IN_NEW_ANTHROPIC,
            "gemini": IN_GEMINI,
        },
    ),
    "D11 D12 chat": (
        "chat",
        PI_LIKE,
        {
            "responses": {
                "instructions": "A",
                "input": [
                    *IN_RESPONSES,
                    {"role": "developer", "content": [given("C")]},
                    {"role": "developer", "content": [given("D")]},
                ],
            },
            "anthropic": IN_ANTHROPIC,
            "claude-opus-5-5": IN_NEW_ANTHROPIC,
            "gemini": IN_GEMINI,
        },
    ),
    "D11 anthropic": (
        "anthropic",
        CLAUDE_LIKE,
        {
            "chat": {
                "messages": [
                    *({"role": "system", "content": "A"}, USER, {"role": "system", "content": "B"}, *IN_CHAT[2:4]),
                    {"role": "system", "content": [text("C"), text("D")]},
                ]
            },
            "responses": {
                "instructions": "A",
                "input": [*IN_RESPONSES, {"role": "developer", "content": [given("C"), given("D")]}],
            },
            "gemini": {"contents": [*GEMINI_CONTENTS, {"role": "user", "parts": [{"text": reminder("C\nD")}]}]},
        },
    ),
}


@pytest.mark.parametrize(("dialect", "body", "target", "expected"), cases(INSTRUCTIONS))
async def test_instructions_in_the_middle_stay_where_they_can(
    dialect: str, body: Json, target: str, expected: Json
) -> None:
    sent, _ = await asked(dialect, body, target)

    assert expected == {name: sent[name] for name in expected}


# Thinking.

THINKS = {"max_tokens": 32_000, "messages": [USER]}
EFFORT = {"output_config": {"effort": "high"}}
OMITTED = {**THINKS, **EFFORT, "thinking": {"type": "adaptive", "display": "omitted"}}
UPDATES = {**THINKS, **EFFORT, "thinking": {"type": "adaptive", "display": "updates"}}
PLAIN = {**THINKS, "thinking": {"type": "adaptive"}}
QWEN_LIKE = {**THINKS, "temperature": 1, "thinking": {"type": "enabled", "budget_tokens": 32_000}}


def of_gemini(**thinking: Any) -> Json:
    return {"generationConfig": {"maxOutputTokens": 32_000, "thinkingConfig": thinking}}


def of_gemini_warm(**thinking: Any) -> Json:
    return {"generationConfig": {"temperature": 1, "maxOutputTokens": 32_000, "thinkingConfig": thinking}}


THINKING = {
    "adaptive, nothing shown": (
        "anthropic",
        OMITTED,
        {
            "chat": {"reasoning_effort": "high"},
            "responses": {"reasoning": {"effort": "high"}, "include": ["reasoning.encrypted_content"]},
            "gemini": of_gemini(thinkingLevel="HIGH"),
            "gemini-2.5-flash": of_gemini(thinkingBudget=24_576),
        },
    ),
    "adaptive, shown as it goes": (
        "anthropic",
        UPDATES,
        {
            "chat": {"reasoning_effort": "high"},
            "responses": {"reasoning": {"effort": "high", "summary": "auto"}},
            "gemini": of_gemini(thinkingLevel="HIGH", includeThoughts=True),
        },
    ),
    "adaptive alone": (
        "anthropic",
        PLAIN,
        {
            "chat": {"max_completion_tokens": 32_000},
            "responses": {"reasoning": {"summary": "auto"}},
            "gemini": of_gemini(includeThoughts=True),
        },
    ),
    "D55 a budget that is all of the answer": (
        "anthropic",
        QWEN_LIKE,
        {
            "chat": {"reasoning_effort": "xhigh", "max_completion_tokens": 32_000},
            "responses": {"reasoning": {"effort": "xhigh", "summary": "auto"}, "max_output_tokens": 32_000},
            "gemini": of_gemini_warm(thinkingLevel="HIGH", includeThoughts=True),
            "gemini-2.5-flash": of_gemini_warm(thinkingBudget=24_576, includeThoughts=True),
        },
    ),
    "D56 a budget beyond the answer": (
        "gemini",
        {
            "contents": [{"parts": [{"text": "Hi"}]}],
            "generationConfig": {"maxOutputTokens": 2000, "thinkingConfig": {"thinkingBudget": 32_000}},
        },
        {"anthropic": {"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1999}}},
    ),
}


@pytest.mark.parametrize(("dialect", "body", "target", "expected"), cases(THINKING))
async def test_thinking_is_asked_for_in_the_targets_words(
    dialect: str, body: Json, target: str, expected: Json
) -> None:
    sent, _ = await asked(dialect, body, target)

    assert expected == {name: sent[name] for name in expected}


# Reasoning of another maker, and what only one dialect knows, is left out; the request is not refused.

CODEX_TURN = {
    "store": False,
    "include": ["reasoning.encrypted_content"],
    "tools": [FUNCTION],
    "input": [
        {"type": "message", "id": "msg_2", "role": "user", "content": [given("Hi")]},
        {
            "type": "reasoning",
            "id": "rs_3",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "content": None,
            "encrypted_content": "gAAAAAstub",
        },
        {"type": "function_call", "id": "fc_4", "status": "completed", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "id": "fco_6", "call_id": "c1", "output": "ok"},
    ],
}
NULLS = {
    "reasoning without content": (
        "responses",
        CODEX_TURN,
        {
            "chat": {"messages": [USER, CHAT_CALL, IN_CHAT[3]]},
            "anthropic": {
                "messages": [
                    {"role": "user", "content": [text("Hi")]},
                    {"role": "assistant", "content": [USE]},
                    {"role": "user", "content": [RESULT]},
                ]
            },
            "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}, *GEMINI_CONTENTS[1:]]},
        },
    ),
}


@pytest.mark.parametrize(("dialect", "body", "target", "expected"), cases(NULLS))
async def test_reasoning_of_another_maker_is_left_out(dialect: str, body: Json, target: str, expected: Json) -> None:
    sent, _ = await asked(dialect, body, target)

    assert expected == {name: sent[name] for name in expected}


OF_ANTHROPIC = {
    **THINKS,
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "tools": [
        {"name": "f", "input_schema": {"type": "object"}, "eager_input_streaming": True},
        {"name": "g", "input_schema": {"type": "object"}, "defer_loading": True},
    ],
}
DROPPED = [
    *("field_dropped:context_management", "field_dropped:tools.defer_loading"),
    "field_dropped:tools.eager_input_streaming",
]
DECLARED = {
    "chat": [{"type": "function", "function": {"name": name, "parameters": {"type": "object"}}} for name in ("f", "g")],
    "responses": [{**FUNCTION, "name": name, "parameters": {"type": "object"}} for name in ("f", "g")],
    "gemini": [{"functionDeclarations": [{"name": "f"}, {"name": "g"}]}],
}


@pytest.mark.parametrize("target", DECLARED)
async def test_d10_what_only_anthropic_knows_is_left_out_and_told(target: str) -> None:
    """A tool whose loading was put off is declared: elsewhere nothing would find it."""
    sent, answer = await asked("anthropic", OF_ANTHROPIC, target)

    assert sent["tools"] == DECLARED[target]
    assert "context_management" not in sent
    assert (answer.header("X-ModelServer-Dropped") or "").split(",") == DROPPED


LATE = {
    "store": False,
    "input": [
        {"type": "additional_tools", "role": "developer", "tools": [{**FUNCTION, "name": "g"}]},
        {"type": "message", "role": "user", "content": [given("Hi")]},
    ],
    "tools": [FUNCTION],
}


@pytest.mark.parametrize("target", ["chat", "anthropic", "gemini"])
async def test_d35_tools_among_the_items_are_declared(target: str) -> None:
    sent, _ = await asked("responses", LATE, target)

    assert list(PROVIDER[target].hear(PATHS[target], sent).tools) == ["f", "g"]


PATHS = {
    "chat": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": f"/v1beta/models/{PROVIDER['gemini'].model}:generateContent",
}
