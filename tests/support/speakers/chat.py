"""A client of OpenAI Chat Completions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tests.support.front import BEARER, CHAT_PATH
from tests.support.speech import (
    PARAMETERS,
    TOOL,
    TOOL_SAYS,
    Ask,
    Call,
    Json,
    Reminder,
    Said,
    Step,
    Tokens,
    Turn,
)
from tests.support.wires import events_of

__all__ = ["CHAT", "ChatSpeaker"]


class ChatSpeaker:
    """See `speech.Speaker`. It asks for usage in streams."""

    dialect = "chat"
    headers: ClassVar[Mapping[str, str]] = BEARER
    words: ClassVar[Mapping[str, str]] = {
        "length": "length",
        "stop": "stop",
        "calls": "tool_calls",
        "refusal": "stop",
        "filter": "content_filter",
    }
    keepalive = b": ping\n\n"

    def path(self, *, stream: bool) -> str:
        return CHAT_PATH

    def body(self, ask: Ask, *steps: Step, stream: bool = False) -> dict[str, Any]:
        content: Any = ask.text
        if ask.picture:
            url = f"data:image/png;base64,{ask.picture}"
            content = [{"type": "text", "text": ask.text}, {"type": "image_url", "image_url": {"url": url}}]
        system = [{"role": "system", "content": ask.system}] if ask.system else []
        body: dict[str, Any] = {
            "model": "m",
            "messages": [*system, {"role": "user", "content": content}, *self._history(steps)],
        }
        if ask.tools:
            function = {"name": TOOL, "description": TOOL_SAYS, "parameters": PARAMETERS}
            body["tools"] = [{"type": "function", "function": function}]
        if ask.schema is not None:
            schema = {"name": "person", "strict": True, "schema": ask.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        if ask.thinks:
            body["reasoning_effort"] = "high"
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def _history(self, steps: tuple[Step, ...]) -> Iterator[Json]:
        for step in steps:
            if isinstance(step, Said):
                yield step.echo
            elif isinstance(step, Reminder):
                yield {"role": "system", "content": step.text}
            elif isinstance(step, str):
                yield {"role": "user", "content": step}
            else:
                for result in step:
                    yield {"role": "tool", "tool_call_id": result.call.id, "content": result.text}

    def echo(self, turn: Turn) -> Any:
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for call in turn.calls
        ]
        return {"role": "assistant", "content": turn.text or None, **({"tool_calls": calls} if calls else {})}

    def read(self, body: bytes) -> Said:
        answer = json.loads(body)
        assert answer["model"] == "m"
        (choice,) = answer["choices"]
        return self._said(choice["message"], choice["finish_reason"], answer.get("usage"))

    def read_stream(self, body: bytes) -> Said:
        assert body.endswith(b"data: [DONE]\n\n")
        assert body.count(b"[DONE]") == 1
        events = self.events(body)
        assert {event["model"] for event in events} == {"m"}
        usages = [event["usage"] for event in events if event.get("usage")]
        choices = [choice for event in events for choice in event["choices"]]
        finishes = [choice["finish_reason"] for choice in choices if choice.get("finish_reason")]
        assert len(finishes) == 1
        assert len(usages) < 2, "usage is told once"
        assert not usages or events[-1]["choices"] == []
        usage = usages[0] if usages else None
        return self._said(self._joined(choice["delta"] for choice in choices), finishes[0], usage)

    def _joined(self, deltas: Iterator[Json]) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": None}
        calls: dict[int, dict[str, Any]] = {}
        for delta in deltas:
            for name in ("content", "reasoning_content", "reasoning", "refusal"):
                if delta.get(name):
                    message[name] = (message.get(name) or "") + delta[name]
            for detail in delta.get("reasoning_details") or ():
                message.setdefault("reasoning_details", []).append(detail)
            for piece in delta.get("tool_calls") or ():
                self._join_call(calls, piece)
        if calls:
            assert list(calls) == list(range(len(calls)))
            message["tool_calls"] = list(calls.values())
        return message

    def _join_call(self, calls: dict[int, dict[str, Any]], piece: Json) -> None:
        call = calls.get(piece["index"])
        function = piece.get("function") or {}
        if call is None:
            assert piece["id"]
            assert piece["type"] == "function"
            assert function["name"]
            call = calls[piece["index"]] = {
                "id": piece["id"],
                "type": "function",
                "function": {"name": function["name"], "arguments": ""},
            }
        else:
            assert "id" not in piece
            assert "name" not in function
        call["function"]["arguments"] += function.get("arguments") or ""
        if "extra_content" in piece:
            call["extra_content"] = piece["extra_content"]

    def _said(self, message: Json, finish: str, usage: Json | None) -> Said:
        return Said(
            text=message["content"] or "",
            reasoning=message.get("reasoning_content") or message.get("reasoning") or "",
            refusal=message.get("refusal") or "",
            calls=[
                Call(call["function"]["name"], json.loads(call["function"]["arguments"]), call["id"])
                for call in message.get("tool_calls") or ()
            ],
            finish=finish,
            tokens=None if usage is None else self._tokens(usage),
            echo={name: value for name, value in message.items() if value is not None or name == "content"},
        )

    def _tokens(self, usage: Json) -> Tokens:
        inputs, outputs = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        return Tokens(
            input=usage["prompt_tokens"],
            cached=inputs.get("cached_tokens"),
            written=inputs.get("cache_write_tokens"),
            output=usage["completion_tokens"],
            reasoning=outputs.get("reasoning_tokens"),
        )

    def events(self, body: bytes) -> list[Any]:
        return [data for name, data in events_of(body) if data != "[DONE]"]

    def trouble(self, status: int, body: bytes) -> tuple[int, str]:
        answer = json.loads(body)
        assert list(answer) == ["error"]
        return status, self._word(answer["error"])

    def broken(self, body: bytes) -> str:
        assert b"[DONE]" not in body
        *events, last = self.events(body)
        assert not [choice for event in events for choice in event["choices"] if choice.get("finish_reason")]
        assert list(last) == ["error"]
        return self._word(last["error"])

    def _word(self, error: Json) -> str:
        assert list(error) == ["message", "type", "param", "code"]
        assert error["message"]
        return error["code"] or error["type"]


CHAT = ChatSpeaker()
