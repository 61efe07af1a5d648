"""Streams of the providers' own APIs, for a client of another dialect; what it gets of them is checked by its text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from .wire import CHUNKS, WORDS, Answer, WrongAnswer

NAME = "bench-2026-11-23"
_INPUT, _OUTPUT = 61, CHUNKS


@attrs.frozen(kw_only=True)
class Native:
    """One dialect: where its requests arrive, and the stream that answers them."""

    path: bytes
    """How the path of a request begins, version and all."""
    events: list[bytes]


def _sse(event: Mapping[str, Any], *, named: bool = True) -> bytes:
    name = f"event: {event['type']}\n" if named else ""
    return f"{name}data: {json.dumps(event, separators=(',', ':'))}\n\n".encode()


def _words() -> list[str]:
    return [WORDS[i % len(WORDS)] for i in range(CHUNKS)]


def _anthropic() -> list[bytes]:
    usage = {"input_tokens": _INPUT, "output_tokens": 1}
    message = {"id": "msg_bench", "type": "message", "role": "assistant", "model": NAME, "content": []}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in _words()
    ]
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    events = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": {"output_tokens": _OUTPUT}},
        {"type": "message_stop"},
    ]
    return [_sse(event) for event in events]


def _gemini() -> list[bytes]:
    events = []
    for number, word in enumerate(_words(), 1):
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": word}]}, "index": 0}
        if number == CHUNKS:
            candidate["finishReason"] = "STOP"
        counts = {"promptTokenCount": _INPUT, "candidatesTokenCount": number, "totalTokenCount": _INPUT + number}
        events.append({"candidates": [candidate], "usageMetadata": counts, "modelVersion": NAME, "responseId": "bench"})
    return [_sse(event, named=False) for event in events]


def _responses() -> list[bytes]:
    text = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    item = {"id": "msg_bench", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    response = {"id": "resp_bench", "object": "response", "created_at": 1, "model": NAME, "status": "in_progress"}
    response |= {"error": None, "incomplete_details": None, "output": []}
    at = {"item_id": "msg_bench", "output_index": 0, "content_index": 0}
    said = {**text, "text": "".join(_words())}
    done = {**item, "status": "completed", "content": [said]}
    usage = {"input_tokens": _INPUT, "output_tokens": _OUTPUT, "total_tokens": _INPUT + _OUTPUT}
    events = [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        {"type": "response.content_part.added", **at, "part": text},
        *({"type": "response.output_text.delta", **at, "delta": word, "logprobs": []} for word in _words()),
        {"type": "response.output_text.done", **at, "text": said["text"], "logprobs": []},
        {"type": "response.content_part.done", **at, "part": said},
        {"type": "response.output_item.done", "output_index": 0, "item": done},
        {
            "type": "response.completed",
            "response": {**response, "status": "completed", "output": [done], "usage": usage},
        },
    ]
    return [_sse({**event, "sequence_number": number}) for number, event in enumerate(events)]


NATIVES: Mapping[str, Native] = {
    "anthropic": Native(path=b"/v1/messages", events=_anthropic()),
    "gemini": Native(path=b"/v1beta/models/bench:streamGenerateContent", events=_gemini()),
    "responses": Native(path=b"/v1/responses", events=_responses()),
}
"""By the word for `speaks`; the model of each is `bench-WORD`."""


def is_translated(answer: Answer) -> None:
    """Lets pass only a complete Chat stream that says every word, each in a chunk of its own, and the usage."""
    if answer.status != 200 or not answer.body.endswith(b"\n\ndata: [DONE]\n\n"):
        raise WrongAnswer(f"Not a complete stream: {answer.head!r} {answer.body[-300:]!r}")
    words: list[str] = []
    usage: Mapping[str, Any] = {}
    for frame in answer.body.split(b"\n\n")[:-2]:
        chunk = json.loads(frame[6:])
        words += [choice["delta"]["content"] for choice in chunk["choices"] if choice["delta"].get("content")]
        usage = chunk.get("usage") or usage
    if words != _words() or (usage.get("prompt_tokens"), usage.get("completion_tokens")) != (_INPUT, _OUTPUT):
        raise WrongAnswer(f"Not what was said: {len(words)} words, usage {usage}.")
