"""A client of Anthropic Messages."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tests.support.front import KEY
from tests.support.speech import PARAMETERS, TOOL, TOOL_SAYS, Ask, Call, Json, Reminder, Said, Step, Tokens, Turn
from tests.support.wires import events_of

__all__ = ["ANTHROPIC", "AnthropicSpeaker"]

_COUNTS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")


class AnthropicSpeaker:
    """See `speech.Speaker`."""

    dialect = "anthropic"
    headers: ClassVar[Mapping[str, str]] = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    words: ClassVar[Mapping[str, str]] = {
        "length": "max_tokens",
        "stop": "end_turn",
        "calls": "tool_use",
        "refusal": "refusal",
        "filter": "refusal",
    }
    keepalive = b'event: ping\ndata: {"type":"ping"}\n\n'

    def path(self, *, stream: bool) -> str:
        return "/v1/messages"

    def body(self, ask: Ask, *steps: Step, stream: bool = False) -> dict[str, Any]:
        content: Any = ask.text
        if ask.picture:
            source = {"type": "base64", "media_type": "image/png", "data": ask.picture}
            content = [{"type": "text", "text": ask.text}, {"type": "image", "source": source}]
        body: dict[str, Any] = {
            "model": "m",
            "max_tokens": 8192,
            "messages": [{"role": "user", "content": content}, *self._history(steps)],
        }
        if ask.system:
            body["system"] = ask.system
        if ask.tools:
            body["tools"] = [{"name": TOOL, "description": TOOL_SAYS, "input_schema": PARAMETERS}]
        if ask.schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
        if ask.thinks:
            body["thinking"] = {"type": "enabled", "budget_tokens": 2048}
        if stream:
            body["stream"] = True
        return body

    def _history(self, steps: tuple[Step, ...]) -> Iterator[Json]:
        for step in steps:
            if isinstance(step, Said):
                yield {"role": "assistant", "content": step.echo}
            elif isinstance(step, Reminder):
                yield {"role": "system", "content": step.text}
            elif isinstance(step, str):
                yield {"role": "user", "content": step}
            else:
                results = [
                    {"type": "tool_result", "tool_use_id": result.call.id, "content": result.text} for result in step
                ]
                yield {"role": "user", "content": results}

    def echo(self, turn: Turn) -> Any:
        texts = [{"type": "text", "text": turn.text}] if turn.text else []
        calls = [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in turn.calls]
        return [*texts, *calls]

    def read(self, body: bytes) -> Said:
        return self._said(json.loads(body))

    def read_stream(self, body: bytes) -> Said:
        events = self.events(body)
        assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
        assert [event["type"] for event in events].count("message_stop") == 1
        message: dict[str, Any] = {}
        for event in events:
            match event["type"]:
                case "message_start":
                    message = event["message"]
                case "content_block_start":
                    assert event["index"] == len(message["content"])
                    message["content"].append(event["content_block"])
                case "content_block_delta":
                    self._join(message["content"][event["index"]], event["delta"])
                case "message_delta":
                    message |= event["delta"]
                    message["usage"] |= event["usage"]  # as the official libraries do
        for block in message["content"]:
            if "partial" in block:
                block["input"] = json.loads(block.pop("partial") or "{}")
        return self._said(message)

    def _join(self, block: dict[str, Any], delta: Json) -> None:
        match delta["type"]:
            case "text_delta":
                block["text"] += delta["text"]
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
            case "signature_delta":
                block["signature"] = delta["signature"]  # as the official libraries do
            case "input_json_delta":
                block["partial"] = block.get("partial", "") + delta["partial_json"]
            case other:
                raise AssertionError(f"an unknown delta: {other}")

    def _said(self, message: Json) -> Said:
        assert (message["type"], message["role"], message["model"]) == ("message", "assistant", "m")
        content = message["content"]
        text = "".join(block["text"] for block in content if block["type"] == "text")
        details = message.get("stop_details") or {}
        refusal = details.get("explanation") or ""
        return Said(
            text="" if text == refusal else text,
            reasoning="".join(block["thinking"] for block in content if block["type"] == "thinking"),
            refusal=refusal,
            calls=[
                Call(block["name"], block["input"], block["id"]) for block in content if block["type"] == "tool_use"
            ],
            finish=message["stop_reason"],
            tokens=self._tokens(message["usage"]),
            echo=content,
        )

    def _tokens(self, usage: Json) -> Tokens:
        return Tokens(
            input=sum(usage.get(name) or 0 for name in _COUNTS),
            cached=usage.get("cache_read_input_tokens"),
            written=usage.get("cache_creation_input_tokens"),
            output=usage["output_tokens"],
            reasoning=(usage.get("output_tokens_details") or {}).get("thinking_tokens"),
        )

    def events(self, body: bytes) -> list[Any]:
        found = events_of(body)
        assert [name for name, _ in found] == [data["type"] for _, data in found]
        return [data for _, data in found if data["type"] != "ping"]

    def trouble(self, status: int, body: bytes) -> tuple[int, str]:
        answer = json.loads(body)
        assert answer["request_id"]
        return status, self._word(answer)

    def broken(self, body: bytes) -> str:
        *events, last = self.events(body)
        assert not {event["type"] for event in events} & {"message_delta", "message_stop", "error"}
        return self._word(last)

    def _word(self, answer: Json) -> str:
        assert answer["type"] == "error"
        assert answer["error"]["message"]
        return answer["error"]["type"]


ANTHROPIC = AnthropicSpeaker()
