"""A two-turn tool conversation with reasoning, as each upstream dialect says it; written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from tests.support.upstream import chunk, json_answer, sse_head

SIGNATURE = "EqQBCkgIBxABGAIiQOp5w2kq"
THOUGHT = "CqABAVSoXO4x1mY="
CIPHER = "gAAAAABo8Q2-x_y="
REASONING = "I should look it up."
CALL = {"city": "Paris"}
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Says the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}

Json = Mapping[str, Any]


@attrs.frozen(kw_only=True)
class Upstream:
    """One dialect's side of the conversation."""

    dialect: str
    model: str
    first: Json
    """The whole answer that thinks and calls."""
    second: Json
    """The whole answer to the tool's result."""
    first_stream: Sequence[tuple[str | None, Json]]
    """The first answer as events: name and data."""
    second_stream: Sequence[tuple[str | None, Json]]
    usage: tuple[int, int, int, int]
    """Of the first answer in the neutral count: input, of it cached, output, of it reasoning."""

    def whole(self, turn: int) -> bytes:
        """The turn's answer at once."""
        return json_answer(self.first if turn == 0 else self.second)

    def frames(self, turn: int) -> list[bytes]:
        """The turn's answer as events, one item each."""
        events = self.first_stream if turn == 0 else self.second_stream
        return [_frame(name, data) for name, data in events]

    def streamed(self, turn: int) -> bytes:
        """The turn's answer as a stream."""
        return sse_head() + chunk(b"".join(self.frames(turn))) + b"0\r\n\r\n"


def _frame(name: str | None, data: Json) -> bytes:
    event = f"event: {name}\n" if name else ""
    return f"{event}data: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def _named(*events: Json) -> list[tuple[str | None, Json]]:
    return [(event["type"], event) for event in events]


_ANTHROPIC_USAGE = {
    "input_tokens": 20,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 0,
    "output_tokens": 30,
    "output_tokens_details": {"thinking_tokens": 12},
}
_ANTHROPIC = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "stop_sequence": None,
}
ANTHROPIC = Upstream(
    dialect="anthropic",
    model="claude-sonnet-4-5",
    first={
        **_ANTHROPIC,
        "content": [
            {"type": "thinking", "thinking": REASONING, "signature": SIGNATURE},
            {"type": "tool_use", "id": "toolu_01", "name": "weather", "input": CALL},
        ],
        "stop_reason": "tool_use",
        "usage": _ANTHROPIC_USAGE,
    },
    second={
        **_ANTHROPIC,
        "content": [{"type": "text", "text": "Sunny."}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 5, "output_tokens": 2},
    },
    first_stream=_named(
        {
            "type": "message_start",
            "message": {
                **_ANTHROPIC,
                "content": [],
                "stop_reason": None,
                "usage": {"input_tokens": 20, "cache_read_input_tokens": 100, "output_tokens": 1},
            },
        },
        {"type": "ping"},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "I should "}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "look it up."}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": SIGNATURE}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "toolu_01", "name": "weather", "input": {}},
        },
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"city":'}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '"Paris"}'}},
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": _ANTHROPIC_USAGE,
        },
        {"type": "message_stop"},
    ),
    second_stream=_named(
        {
            "type": "message_start",
            "message": {
                **_ANTHROPIC,
                "content": [],
                "stop_reason": None,
                "usage": {"input_tokens": 5, "output_tokens": 1},
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Sunny."}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 2},
        },
        {"type": "message_stop"},
    ),
    usage=(120, 100, 30, 12),
)

_GEMINI = {"modelVersion": "gemini-3.1-pro-preview", "responseId": "r1"}
_GEMINI_USAGE = {
    "promptTokenCount": 120,
    "cachedContentTokenCount": 100,
    "candidatesTokenCount": 18,
    "thoughtsTokenCount": 12,
    "totalTokenCount": 150,
}


def _candidate(*parts: Json, finish: str | None = None) -> Json:
    return {
        "content": {"role": "model", "parts": list(parts)},
        "index": 0,
        **({"finishReason": finish} if finish else {}),
    }


_GEMINI_CALL = {"functionCall": {"name": "weather", "args": CALL}, "thoughtSignature": THOUGHT}
GEMINI = Upstream(
    dialect="gemini",
    model="gemini-3.1-pro-preview",
    first={
        **_GEMINI,
        "candidates": [_candidate({"text": REASONING, "thought": True}, _GEMINI_CALL, finish="STOP")],
        "usageMetadata": _GEMINI_USAGE,
    },
    second={
        **_GEMINI,
        "candidates": [_candidate({"text": "Sunny."}, finish="STOP")],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7},
    },
    first_stream=[
        (None, {**_GEMINI, "candidates": [_candidate({"text": "I should ", "thought": True})]}),
        (None, {**_GEMINI, "candidates": [_candidate({"text": "look it up.", "thought": True})]}),
        (None, {**_GEMINI, "candidates": [_candidate(_GEMINI_CALL)]}),
        (None, {**_GEMINI, "candidates": [_candidate({"text": ""}, finish="STOP")], "usageMetadata": _GEMINI_USAGE}),
    ],
    second_stream=[
        (None, {**_GEMINI, "candidates": [_candidate({"text": "Sun"})]}),
        (
            None,
            {
                **_GEMINI,
                "candidates": [_candidate({"text": "ny."}, finish="STOP")],
                "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "totalTokenCount": 7},
            },
        ),
    ],
    usage=(120, 100, 30, 12),
)

_RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-5.2",
    "error": None,
    "incomplete_details": None,
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}
_RESPONSES_USAGE = {
    "input_tokens": 120,
    "input_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 0},
    "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 12},
    "total_tokens": 150,
}
_REASONING_ITEM = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": REASONING}],
    "encrypted_content": CIPHER,
}
_CALL_ITEM = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city":"Paris"}',
}
_TEXT = {"type": "output_text", "text": "Sunny.", "annotations": [], "logprobs": []}
_MESSAGE_ITEM = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [_TEXT]}
_SECOND_USAGE = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 2,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 7,
}


def _numbered(*events: Json) -> list[tuple[str | None, Json]]:
    return [(event["type"], {**event, "sequence_number": number}) for number, event in enumerate(events)]


RESPONSES = Upstream(
    dialect="responses",
    model="gpt-5.2",
    first={**_RESPONSE, "status": "completed", "output": [_REASONING_ITEM, _CALL_ITEM], "usage": _RESPONSES_USAGE},
    second={**_RESPONSE, "status": "completed", "output": [_MESSAGE_ITEM], "usage": _SECOND_USAGE},
    first_stream=_numbered(
        {"type": "response.created", "response": {**_RESPONSE, "status": "in_progress", "output": []}},
        {"type": "response.in_progress", "response": {**_RESPONSE, "status": "in_progress", "output": []}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
        },
        {
            "type": "response.reasoning_summary_part.added",
            "item_id": "rs_1",
            "output_index": 0,
            "summary_index": 0,
            "part": {"type": "summary_text", "text": ""},
        },
        {
            "type": "response.reasoning_summary_text.delta",
            "item_id": "rs_1",
            "output_index": 0,
            "summary_index": 0,
            "delta": "I should ",
        },
        {
            "type": "response.reasoning_summary_text.delta",
            "item_id": "rs_1",
            "output_index": 0,
            "summary_index": 0,
            "delta": "look it up.",
        },
        {
            "type": "response.reasoning_summary_text.done",
            "item_id": "rs_1",
            "output_index": 0,
            "summary_index": 0,
            "text": REASONING,
        },
        {
            "type": "response.reasoning_summary_part.done",
            "item_id": "rs_1",
            "output_index": 0,
            "summary_index": 0,
            "part": {"type": "summary_text", "text": REASONING},
        },
        {"type": "response.output_item.done", "output_index": 0, "item": _REASONING_ITEM},
        {
            "type": "response.output_item.added",
            "output_index": 1,
            "item": {**_CALL_ITEM, "status": "in_progress", "arguments": ""},
        },
        {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 1, "delta": '{"city":'},
        {"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 1, "delta": '"Paris"}'},
        {
            "type": "response.function_call_arguments.done",
            "item_id": "fc_1",
            "output_index": 1,
            "arguments": '{"city":"Paris"}',
        },
        {"type": "response.output_item.done", "output_index": 1, "item": _CALL_ITEM},
        {
            "type": "response.completed",
            "response": {
                **_RESPONSE,
                "status": "completed",
                "output": [_REASONING_ITEM, _CALL_ITEM],
                "usage": _RESPONSES_USAGE,
            },
        },
    ),
    second_stream=_numbered(
        {"type": "response.created", "response": {**_RESPONSE, "status": "in_progress", "output": []}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**_MESSAGE_ITEM, "status": "in_progress", "content": []},
        },
        {
            "type": "response.content_part.added",
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "part": {**_TEXT, "text": ""},
        },
        {
            "type": "response.output_text.delta",
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "delta": "Sunny.",
        },
        {
            "type": "response.output_text.done",
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "text": "Sunny.",
        },
        {
            "type": "response.content_part.done",
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "part": _TEXT,
        },
        {"type": "response.output_item.done", "output_index": 0, "item": _MESSAGE_ITEM},
        {
            "type": "response.completed",
            "response": {**_RESPONSE, "status": "completed", "output": [_MESSAGE_ITEM], "usage": _SECOND_USAGE},
        },
    ),
    usage=(120, 100, 30, 12),
)

UPSTREAMS = (ANTHROPIC, GEMINI, RESPONSES)


def seals_in(dialect: str, body: Json) -> list[str]:
    """The seals that a request carries back to its upstream."""
    match dialect:
        case "anthropic":
            blocks = [
                block
                for message in body["messages"]
                if isinstance(message["content"], list)
                for block in message["content"]
            ]
            return [block["signature"] for block in blocks if block["type"] == "thinking"]
        case "gemini":
            parts = [part for entry in body["contents"] for part in entry["parts"]]
            return [part["thoughtSignature"] for part in parts if "thoughtSignature" in part]
        case _:
            return [item["encrypted_content"] for item in body["input"] if item.get("type") == "reasoning"]


SEALS = {"anthropic": SIGNATURE, "gemini": THOUGHT, "responses": CIPHER}
