"""Answers held against the types of the official Python clients."""

from __future__ import annotations

from typing import Any, Final

from anthropic.types import Message, RawMessageStreamEvent
from google.genai.types import GenerateContentResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.support.speech import Speaker

_WHOLE: Final[dict[str, TypeAdapter[Any]]] = {
    "chat": TypeAdapter(ChatCompletion),
    "responses": TypeAdapter(Response),
    "anthropic": TypeAdapter(Message),
    "gemini": TypeAdapter(GenerateContentResponse),
    "gemini array": TypeAdapter(GenerateContentResponse),
}
_EVENT: Final[dict[str, TypeAdapter[Any]]] = {
    "chat": TypeAdapter(ChatCompletionChunk),
    "responses": TypeAdapter(ResponseStreamEvent),
    "anthropic": TypeAdapter(RawMessageStreamEvent),
    "gemini": TypeAdapter(GenerateContentResponse),
    "gemini array": TypeAdapter(GenerateContentResponse),
}


def check(speaker: Speaker, body: bytes, *, streamed: bool) -> None:
    """Assert that an answer is what the official client of its dialect expects: the whole, or each event of it."""
    if not streamed:
        _WHOLE[speaker.dialect].validate_json(body)
        return
    for event in speaker.events(body):
        _EVENT[speaker.dialect].validate_python(event)
