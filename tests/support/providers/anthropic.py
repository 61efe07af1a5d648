"""A provider of Anthropic Messages."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support.speech import Call, Heard, Json, Tokens, Turn
from tests.support.wires import call_id, halves, named

__all__ = ["ANTHROPIC", "AnthropicProvider"]

_MESSAGE = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "stop_sequence": None,
}
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
}


class AnthropicProvider:
    """See `speech.Provider`."""

    dialect = "anthropic"
    model = "claude-sonnet-4-5"
    quirks = ""
    seal = "EqQBCkgIBxABGAIiQOp5w2kq"

    def whole(self, turn: Turn) -> dict[str, Any]:
        return {**_MESSAGE, "content": self._blocks(turn), **self._stop(turn), "usage": self._usage(turn.tokens)}

    def frames(self, turn: Turn) -> list[bytes]:
        return [named(event) for event in self._events(turn)]

    def _events(self, turn: Turn) -> Iterator[Json]:
        usage = self._usage(turn.tokens)
        begun = {**_MESSAGE, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
        yield {"type": "message_start", "message": begun}
        yield {"type": "ping"}
        for index, block in enumerate(self._blocks(turn)):
            yield {"type": "content_block_start", "index": index, "content_block": self._empty(block)}
            for delta in self._inside(block):
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        # Most streams tell at their end only what has changed.
        yield {"type": "message_delta", "delta": {**self._stop(turn), "stop_sequence": None}, "usage": usage}
        yield {"type": "message_stop"}

    def _blocks(self, turn: Turn) -> list[Json]:
        blocks: list[Json] = []
        if turn.reasoning:
            blocks.append({"type": "thinking", "thinking": turn.reasoning, "signature": self.seal})
        if turn.hides:
            blocks.append({"type": "redacted_thinking", "data": self.seal})
        if turn.text:
            blocks.append({"type": "text", "text": turn.text})
        for call in turn.calls:
            blocks.append({"type": "tool_use", "id": call_id(call), "name": call.name, "input": call.arguments})
        return blocks

    def _empty(self, block: Json) -> Json:
        match block["type"]:
            case "thinking":
                return {"type": "thinking", "thinking": "", "signature": ""}
            case "text":
                return {"type": "text", "text": ""}
            case "tool_use":
                return {**block, "input": {}}
            case _:
                return block

    def _inside(self, block: Json) -> Iterator[Json]:
        match block["type"]:
            case "thinking":
                for piece in halves(block["thinking"]):
                    yield {"type": "thinking_delta", "thinking": piece}
                yield {"type": "signature_delta", "signature": block["signature"]}
            case "text":
                for piece in halves(block["text"]):
                    yield {"type": "text_delta", "text": piece}
            case "tool_use":
                for piece in halves(json.dumps(block["input"], separators=(",", ":"))):
                    yield {"type": "input_json_delta", "partial_json": piece}

    def _stop(self, turn: Turn) -> dict[str, Any]:
        if turn.refusal:
            details = {"type": "refusal", "category": None, "explanation": turn.refusal}
            return {"stop_reason": "refusal", "stop_details": details}
        return {"stop_reason": "max_tokens" if turn.is_cut else "tool_use" if turn.calls else "end_turn"}

    def _usage(self, tokens: Tokens | None) -> dict[str, Any]:
        assert tokens is not None
        assert tokens.input is not None
        usage: dict[str, Any] = {
            "input_tokens": tokens.input - (tokens.cached or 0) - (tokens.written or 0),
            "output_tokens": tokens.output,
        }
        if tokens.cached is not None:
            usage["cache_read_input_tokens"] = tokens.cached
        if tokens.written is not None:
            usage["cache_creation_input_tokens"] = tokens.written
        if tokens.reasoning is not None:
            usage["output_tokens_details"] = {"thinking_tokens": tokens.reasoning}
        return usage

    def is_content(self, frame: bytes) -> bool:
        if b'"type":"content_block_start"' in frame:
            return b'"type":"tool_use"' in frame
        return b'"type":"content_block_delta"' in frame

    def is_finish(self, frame: bytes) -> bool:
        return b'"type":"message_delta"' in frame

    def refusal(self, status: int) -> dict[str, Any]:
        return {"type": "error", "error": {"type": _ERRORS[status], "message": "No."}, "request_id": "req_theirs"}

    def failure(self, status: int) -> bytes:
        return named(self.refusal(status))

    def hear(self, path: str, body: Json) -> Heard:
        assert path == "/v1/messages"
        assert body["max_tokens"] >= 1
        parts = [(message["role"], block) for message in body["messages"] for block in self._parts(message["content"])]
        calls = {block["id"]: Call(block["name"], block["input"]) for _, block in parts if block["type"] == "tool_use"}
        sources = [block["source"] for _, block in parts if block["type"] == "image"]
        return Heard(
            model=body["model"],
            stream=body.get("stream", False),
            system="".join(block["text"] for block in self._parts(body.get("system") or "")),
            texts=[(role, block["text"]) for role, block in parts if block["type"] == "text"],
            tools={tool["name"]: tool["input_schema"] for tool in body.get("tools") or () if "input_schema" in tool},
            calls=list(calls.values()),
            results=[
                (calls.get(block["tool_use_id"]), self._text(block["content"]))
                for _, block in parts
                if block["type"] == "tool_result"
            ],
            pictures=[(source["media_type"], source["data"]) for source in sources],
            schema=((body.get("output_config") or {}).get("format") or {}).get("schema"),
            thinks=(body.get("thinking") or {}).get("type") in ("enabled", "adaptive"),
            seals=[
                block["signature"] if block["type"] == "thinking" else block["data"]
                for _, block in parts
                if block["type"] in ("thinking", "redacted_thinking")
            ],
        )

    def _parts(self, content: Any) -> list[Json]:
        if isinstance(content, str):
            return [{"type": "text", "text": content}] if content else []
        return content

    def _text(self, content: Any) -> str:
        return "".join(block["text"] for block in self._parts(content))


ANTHROPIC = AnthropicProvider()
