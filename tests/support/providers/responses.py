"""A provider of OpenAI Responses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support.speech import Call, Heard, Json, Tokens, Turn
from tests.support.wires import call_id, halves, named, picture_of

__all__ = ["RESPONSES", "ResponsesProvider"]

_RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "model": "gpt-5.2",
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
}
_CONTENT = (
    "response.reasoning_summary_text.delta",
    "response.output_text.delta",
    "response.refusal.delta",
)
_ERRORS = {
    400: ("invalid_request_error", "bad_value"),
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", None),
}


class ResponsesProvider:
    """See `speech.Provider`."""

    dialect = "responses"
    model = "gpt-5.2"
    quirks = ""
    seal = "gAAAAABo8Q2-x_y="

    def whole(self, turn: Turn) -> dict[str, Any]:
        end: dict[str, Any] = {"status": "completed"}
        if turn.is_cut:
            end = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        return {**_RESPONSE, **end, "output": self._items(turn), "usage": self._usage(turn.tokens)}

    def frames(self, turn: Turn) -> list[bytes]:
        events = [{**event, "sequence_number": number} for number, event in enumerate(self._events(turn))]
        return list(map(named, events))

    def _events(self, turn: Turn) -> Iterator[dict[str, Any]]:
        begun = {**_RESPONSE, "status": "in_progress", "output": []}
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.in_progress", "response": begun}
        for index, item in enumerate(self._items(turn)):
            place = {"item_id": item["id"], "output_index": index}
            yield {"type": "response.output_item.added", "output_index": index, "item": self._empty(item)}
            for event in self._inside(item):
                yield {**event, **place}
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        yield {"type": f"response.{'incomplete' if turn.is_cut else 'completed'}", "response": self.whole(turn)}

    def _items(self, turn: Turn) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        if turn.reasoning or turn.hides:
            summary = [{"type": "summary_text", "text": turn.reasoning}] if turn.reasoning else []
            items.append({"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": self.seal})
        part: Json | None = None
        if turn.text:
            part = {"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}
        elif turn.refusal:
            part = {"type": "refusal", "refusal": turn.refusal}
        if part is not None:
            message = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant"}
            items.append({**message, "content": [part]})
        for number, call in enumerate(turn.calls):
            function = {"name": call.name, "arguments": json.dumps(call.arguments, separators=(",", ":"))}
            id = {"id": f"fc_{number}", "call_id": call_id(call)}
            items.append({**id, "type": "function_call", "status": "completed", **function})
        return items

    def _empty(self, item: Json) -> Json:
        match item["type"]:
            case "reasoning":
                return {**item, "summary": [], "encrypted_content": None}
            case "message":
                return {**item, "status": "in_progress", "content": []}
            case _:
                return {**item, "status": "in_progress", "arguments": ""}

    def _inside(self, item: Json) -> Iterator[dict[str, Any]]:
        match item["type"]:
            case "reasoning":
                for part in item["summary"]:
                    place = {"summary_index": 0}
                    yield {"type": "response.reasoning_summary_part.added", "part": {**part, "text": ""}, **place}
                    for piece in halves(part["text"]):
                        yield {"type": "response.reasoning_summary_text.delta", "delta": piece, **place}
                    yield {"type": "response.reasoning_summary_text.done", "text": part["text"], **place}
                    yield {"type": "response.reasoning_summary_part.done", "part": part, **place}
            case "message":
                (part,) = item["content"]
                field, name = ("text", "output_text") if part["type"] == "output_text" else ("refusal", "refusal")
                more = {"logprobs": []} if name == "output_text" else {}
                place = {"content_index": 0}
                yield {"type": "response.content_part.added", "part": {**part, field: ""}, **place}
                for piece in halves(part[field]):
                    yield {"type": f"response.{name}.delta", "delta": piece, **more, **place}
                yield {"type": f"response.{name}.done", field: part[field], **more, **place}
                yield {"type": "response.content_part.done", "part": part, **place}
            case _:
                for piece in halves(item["arguments"]):
                    yield {"type": "response.function_call_arguments.delta", "delta": piece}
                done = {"name": item["name"], "arguments": item["arguments"]}
                yield {"type": "response.function_call_arguments.done", **done}

    def _usage(self, tokens: Tokens | None) -> Json | None:
        if tokens is None:
            return None
        assert tokens.input is not None
        assert tokens.output is not None
        return {
            "input_tokens": tokens.input,
            "input_tokens_details": {
                "cached_tokens": tokens.cached or 0,
                "cache_write_tokens": tokens.written or 0,
            },
            "output_tokens": tokens.output,
            "output_tokens_details": {"reasoning_tokens": tokens.reasoning or 0},
            "total_tokens": tokens.input + tokens.output,
        }

    def is_content(self, frame: bytes) -> bool:
        if b'"type":"response.output_item.added"' in frame:
            return b'"type":"function_call"' in frame
        return any(f'"type":"{kind}"'.encode() in frame for kind in _CONTENT)

    def is_finish(self, frame: bytes) -> bool:
        return b'"type":"response.completed"' in frame

    def refusal(self, status: int) -> dict[str, Any]:
        kind, code = _ERRORS[status]
        return {"error": {"message": "No.", "type": kind, "param": None, "code": code}}

    def failure(self, status: int) -> bytes:
        error = {"code": "rate_limit_exceeded" if status == 429 else "server_error", "message": "No."}
        response = {**_RESPONSE, "status": "failed", "error": error, "output": [], "usage": None}
        return named({"type": "response.failed", "sequence_number": 99, "response": response})

    def hear(self, path: str, body: Json) -> Heard:
        assert path == "/v1/responses"
        assert body.get("store") is False
        items = [{"type": "message", **item} for item in body["input"]]
        calls = {
            item["call_id"]: Call(item["name"], json.loads(item["arguments"]))
            for item in items
            if item["type"] == "function_call"
        }
        parts = [
            (item["role"], part) for item in items if item["type"] == "message" for part in self._parts(item["content"])
        ]
        leading = [body["instructions"]] if body.get("instructions") else []
        return Heard(
            model=body["model"],
            stream=body.get("stream", False),
            system="".join([*leading, *(part["text"] for role, part in parts if role in ("system", "developer"))]),
            texts=[(role, part["text"]) for role, part in parts if "text" in part and role in ("user", "assistant")],
            tools={tool["name"]: tool["parameters"] for tool in body.get("tools") or ()},
            calls=list(calls.values()),
            results=[
                (calls.get(item["call_id"]), item["output"]) for item in items if item["type"] == "function_call_output"
            ],
            pictures=[picture_of(part["image_url"]) for _, part in parts if part["type"] == "input_image"],
            schema=((body.get("text") or {}).get("format") or {}).get("schema"),
            thinks="effort" in (body.get("reasoning") or {}),
            seals=[item["encrypted_content"] for item in items if item["type"] == "reasoning"],
        )

    def _parts(self, content: Any) -> list[Json]:
        return [{"type": "input_text", "text": content}] if isinstance(content, str) else content


RESPONSES = ResponsesProvider()
