"""A client of OpenAI Responses that keeps the conversation itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tests.support.front import BEARER
from tests.support.speakers.chat import CHAT
from tests.support.speech import PARAMETERS, TOOL, TOOL_SAYS, Ask, Call, Json, Reminder, Said, Step, Tokens, Turn
from tests.support.wires import events_of

__all__ = ["RESPONSES", "ResponsesSpeaker"]

_ENDS = ("response.completed", "response.incomplete", "response.failed")


class ResponsesSpeaker:
    """See `speech.Speaker`."""

    dialect = "responses"
    headers: ClassVar[Mapping[str, str]] = BEARER
    words: ClassVar[Mapping[str, str]] = {
        "length": "incomplete: max_output_tokens",
        "stop": "completed",
        "calls": "completed",
        "refusal": "completed",
        "filter": "incomplete: content_filter",
    }
    keepalive = b": ping\n\n"

    def path(self, *, stream: bool) -> str:
        return "/v1/responses"

    def body(self, ask: Ask, *steps: Step, stream: bool = False) -> dict[str, Any]:
        content: list[Json] = [{"type": "input_text", "text": ask.text}]
        if ask.picture:
            url = f"data:image/png;base64,{ask.picture}"
            content.append({"type": "input_image", "image_url": url, "detail": "auto"})
        body: dict[str, Any] = {
            "model": "m",
            "store": False,
            "input": [{"type": "message", "role": "user", "content": content}, *self._history(steps)],
        }
        if ask.system:
            body["instructions"] = ask.system
        if ask.tools:
            tool = {"type": "function", "name": TOOL, "description": TOOL_SAYS, "parameters": PARAMETERS}
            body["tools"] = [{**tool, "strict": False}]
        if ask.schema is not None:
            schema = {"type": "json_schema", "name": "person", "strict": True, "schema": ask.schema}
            body["text"] = {"format": schema}
        if ask.thinks:
            body["reasoning"] = {"effort": "high", "summary": "auto"}
            body["include"] = ["reasoning.encrypted_content"]
        if stream:
            body["stream"] = True
        return body

    def _history(self, steps: tuple[Step, ...]) -> Iterator[Json]:
        for step in steps:
            if isinstance(step, Said):
                yield from step.echo
            elif isinstance(step, Reminder):
                content = [{"type": "input_text", "text": step.text}]
                yield {"type": "message", "role": "developer", "content": content}
            elif isinstance(step, str):
                yield {"type": "message", "role": "user", "content": [{"type": "input_text", "text": step}]}
            else:
                for result in step:
                    yield {"type": "function_call_output", "call_id": result.call.id, "output": result.text}

    def echo(self, turn: Turn) -> Any:
        said = {"type": "output_text", "text": turn.text, "annotations": []}
        items: list[Json] = []
        if turn.text:
            items.append({"type": "message", "role": "assistant", "status": "completed", "content": [said]})
        items += [
            {
                "type": "function_call",
                "call_id": call.id,
                "name": call.name,
                "arguments": json.dumps(call.arguments),
            }
            for call in turn.calls
        ]
        return items

    def read(self, body: bytes) -> Said:
        return self._said(json.loads(body))

    def read_stream(self, body: bytes) -> Said:
        events = self.events(body)
        types = [event["type"] for event in events]
        assert types[0] == "response.created"
        assert [kind for kind in types if kind in _ENDS] == types[-1:]
        assert types[-1] != "response.failed"
        said = self._said(events[-1]["response"])
        assert said == self._streamed(events, said), "the last event repeats what was streamed"
        done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        assert done == events[-1]["response"]["output"]
        return said

    def _streamed(self, events: list[Any], last: Said) -> Said:
        """What the deltas said, in the frame of what the last event says."""
        joined: dict[str, str] = {}
        for event in events:
            joined[event["type"]] = joined.get(event["type"], "") + (event.get("delta") or "")
        arguments: dict[int, str] = {}
        for event in events:
            if event["type"] == "response.function_call_arguments.delta":
                arguments[event["output_index"]] = arguments.get(event["output_index"], "") + event["delta"]
        return Said(
            text=joined.get("response.output_text.delta", ""),
            reasoning=joined.get("response.reasoning_summary_text.delta", "")
            + joined.get("response.reasoning_text.delta", ""),
            refusal=joined.get("response.refusal.delta", ""),
            calls=[
                Call(call.name, json.loads(text)) for call, text in zip(last.calls, arguments.values(), strict=True)
            ],
            finish=last.finish,
            tokens=last.tokens,
        )

    def _said(self, answer: Json) -> Said:
        assert (answer["object"], answer["model"]) == ("response", "m")
        reason = (answer.get("incomplete_details") or {}).get("reason")
        output = answer["output"]
        parts = [part for item in output if item["type"] == "message" for part in item["content"]]
        thoughts = [item for item in output if item["type"] == "reasoning"]
        summaries = [part for item in thoughts for part in (item.get("summary") or item.get("content") or ())]
        return Said(
            text="".join(part["text"] for part in parts if part["type"] == "output_text"),
            reasoning="".join(part["text"] for part in summaries),
            refusal="".join(part["refusal"] for part in parts if part["type"] == "refusal"),
            calls=[
                Call(item["name"], json.loads(item["arguments"]), item["call_id"])
                for item in output
                if item["type"] == "function_call"
            ],
            finish=f"{answer['status']}: {reason}" if reason else answer["status"],
            tokens=None if answer["usage"] is None else self._tokens(answer["usage"]),
            echo=output,
        )

    def _tokens(self, usage: Json) -> Tokens:
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        return Tokens(
            input=usage["input_tokens"],
            cached=usage["input_tokens_details"]["cached_tokens"],
            written=usage["input_tokens_details"]["cache_write_tokens"],
            output=usage["output_tokens"],
            reasoning=usage["output_tokens_details"]["reasoning_tokens"],
        )

    def events(self, body: bytes) -> list[Any]:
        found = events_of(body)
        assert [name for name, _ in found] == [data["type"] for _, data in found]
        events = [data for _, data in found]
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        return events

    def trouble(self, status: int, body: bytes) -> tuple[int, str]:
        return CHAT.trouble(status, body)

    def broken(self, body: bytes) -> str:
        *events, last = self.events(body)
        assert not {event["type"] for event in events} & set(_ENDS)
        assert last["type"] == "response.failed"
        assert last["response"]["status"] == "failed"
        assert last["response"]["error"]["message"]
        return last["response"]["error"]["code"]


RESPONSES = ResponsesSpeaker()
