"""A provider of OpenAI Chat that seals its reasoning, as OpenRouter hands it out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support.speech import Call, Heard, Json, Tokens, Turn
from tests.support.wires import call_id, halves, picture_of, sse

__all__ = ["CHAT", "ChatProvider"]

_NAMES = {"id": "gen-1", "created": 1, "model": "vendor/model-1"}
_DETAIL = {"type": "reasoning.text", "format": "unknown", "index": 0}
_HIDDEN = {"type": "reasoning.encrypted", "format": "unknown", "id": "rs_1", "index": 0}
_ERRORS = {
    400: ("invalid_request_error", "bad_value"),
    401: ("authentication_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", None),
}


class ChatProvider:
    """See `speech.Provider`."""

    dialect = "chat"
    model = "vendor/model-1"
    quirks = 'quirks = { reasoning_back = "reasoning_details", reasoning_ask = "reasoning_effort" }'
    seal = "EqQBCkgIBxABGAIiQ/p5w2k="

    def whole(self, turn: Turn) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": turn.text or None, "refusal": turn.refusal or None}
        if turn.reasoning:
            message["reasoning"] = turn.reasoning
            message["reasoning_details"] = [{**_DETAIL, "text": turn.reasoning, "signature": self.seal}]
        if turn.hides:
            message["reasoning_details"] = [{**_HIDDEN, "data": self.seal}]
        if turn.calls:
            message["tool_calls"] = [self._call(turn, number) for number in range(len(turn.calls))]
        choice = {"index": 0, "message": message, "finish_reason": self._finish(turn), "logprobs": None}
        return {**_NAMES, "object": "chat.completion", "choices": [choice], **self._usage(turn.tokens)}

    def frames(self, turn: Turn) -> list[bytes]:
        chunks = [self._chunk(delta) for delta in self._deltas(turn)]
        chunks.append(self._chunk({}, self._finish(turn)))
        if turn.tokens is not None:
            chunks.append({**_NAMES, "object": "chat.completion.chunk", "choices": [], **self._usage(turn.tokens)})
        return [*map(sse, chunks), sse("[DONE]")]

    def _deltas(self, turn: Turn) -> Iterator[Json]:
        yield {"role": "assistant", "content": ""}
        for piece in halves(turn.reasoning):
            yield {"reasoning": piece, "reasoning_details": [{**_DETAIL, "text": piece}]}
        if turn.reasoning:
            yield {"reasoning_details": [{**_DETAIL, "signature": self.seal}]}
        if turn.hides:
            yield {"reasoning_details": [{**_HIDDEN, "data": self.seal}]}
        for piece in halves(turn.text):
            yield {"content": piece}
        for piece in halves(turn.refusal):
            yield {"refusal": piece}
        for number in range(len(turn.calls)):
            call = self._call(turn, number)
            arguments = call["function"]["arguments"]
            begun = {**call, "index": number, "function": {**call["function"], "arguments": ""}}
            yield {"tool_calls": [begun]}
            for piece in halves(arguments):
                yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}

    def _chunk(self, delta: Json, finish: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {**_NAMES, "object": "chat.completion.chunk", "choices": [choice]}

    def _call(self, turn: Turn, number: int) -> dict[str, Any]:
        call = turn.calls[number]
        function = {"name": call.name, "arguments": json.dumps(call.arguments, separators=(",", ":"))}
        return {"id": call_id(call), "type": "function", "function": function}

    def _finish(self, turn: Turn) -> str:
        return "length" if turn.is_cut else "tool_calls" if turn.calls else "stop"

    def _usage(self, tokens: Tokens | None) -> Json:
        if tokens is None:
            return {}
        assert tokens.input is not None
        assert tokens.output is not None
        usage: dict[str, Any] = {
            "prompt_tokens": tokens.input,
            "completion_tokens": tokens.output,
            "total_tokens": tokens.input + tokens.output,
        }
        inputs = {"cached_tokens": tokens.cached, "cache_write_tokens": tokens.written}
        if tokens.cached is not None:
            usage["prompt_tokens_details"] = {name: count for name, count in inputs.items() if count is not None}
        if tokens.reasoning is not None:
            usage["completion_tokens_details"] = {"reasoning_tokens": tokens.reasoning}
        return {"usage": usage}

    def is_content(self, frame: bytes) -> bool:
        names = (b'"reasoning":', b'"content":"', b'"refusal":', b'"tool_calls":')
        return any(name in frame for name in names) and b'"content":""' not in frame

    def is_finish(self, frame: bytes) -> bool:
        return b'"finish_reason":"' in frame

    def refusal(self, status: int) -> dict[str, Any]:
        kind, code = _ERRORS[status]
        return {"error": {"message": "No.", "type": kind, "param": None, "code": code}}

    def failure(self, status: int) -> bytes:
        return sse({"error": {"code": status, "message": "No."}})  # as OpenRouter does

    def hear(self, path: str, body: Json) -> Heard:
        assert path == "/v1/chat/completions"
        messages = body["messages"]
        assistants = [message for message in messages if message["role"] == "assistant"]
        calls = {
            call["id"]: Call(call["function"]["name"], json.loads(call["function"]["arguments"]))
            for message in assistants
            for call in message.get("tool_calls") or ()
        }
        details = [detail for message in assistants for detail in message.get("reasoning_details") or ()]
        parts = [
            (message["role"], part)
            for message in messages
            for part in self._parts(message["content"])
            if message["role"] in ("user", "assistant")
        ]
        format = (body.get("response_format") or {}).get("json_schema") or {}
        functions = [tool["function"] for tool in body.get("tools") or ()]
        return Heard(
            model=body["model"],
            stream=body.get("stream", False),
            system="".join(
                part["text"]
                for message in messages
                if message["role"] in ("system", "developer")
                for part in self._parts(message["content"])
            ),
            texts=[(role, part["text"]) for role, part in parts if part["type"] == "text"],
            tools={function["name"]: function["parameters"] for function in functions},
            calls=list(calls.values()),
            results=[
                (calls.get(message["tool_call_id"]), message["content"])
                for message in messages
                if message["role"] == "tool"
            ],
            pictures=[picture_of(part["image_url"]["url"]) for _, part in parts if part["type"] == "image_url"],
            schema=format.get("schema"),
            thinks="reasoning_effort" in body,
            seals=[seal for detail in details if (seal := detail.get("signature") or detail.get("data"))],
        )

    def _parts(self, content: Any) -> list[Json]:
        if isinstance(content, str):
            return [{"type": "text", "text": content}] if content else []
        return content or []


CHAT = ChatProvider()
