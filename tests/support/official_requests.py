"""Requests held against the types of the official Python clients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from anthropic.types.beta.message_create_params import MessageCreateParams as BetaMessageCreateParams
from anthropic.types.message_create_params import MessageCreateParams
from google.genai.types import Content, GenerationConfig, SafetySetting, ServiceTier, Tool, ToolConfig
from openai.types.chat.completion_create_params import CompletionCreateParams
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import TypeAdapter

from tests.support.speech import Json

_WHOLE: Final[Mapping[str, TypeAdapter[Any]]] = {
    "chat": TypeAdapter(CompletionCreateParams),
    "responses": TypeAdapter(ResponseCreateParams),
    "anthropic": TypeAdapter(MessageCreateParams),
    "anthropic beta": TypeAdapter(BetaMessageCreateParams),
}
_GEMINI: Final[Mapping[str, TypeAdapter[Any]]] = {
    "contents": TypeAdapter(list[Content]),
    "systemInstruction": TypeAdapter(Content),
    "tools": TypeAdapter(list[Tool]),
    "toolConfig": TypeAdapter(ToolConfig),
    "generationConfig": TypeAdapter(GenerationConfig),
    "safetySettings": TypeAdapter(list[SafetySetting]),
    "serviceTier": TypeAdapter(ServiceTier),
}
_SAMPLING: Final = ("temperature", "top_p", "top_k")
"""Gone from Anthropic's types, but not from the service of older models."""


def check_request(dialect: str, body: Json, *, beta: bool = False) -> None:
    """Assert that a request is what the official client of a dialect could have sent: fields of another name are none.

    `beta` takes Anthropic's types of features that are being tried out.
    """
    if dialect == "gemini":
        for field, value in body.items():
            _GEMINI[field].validate_python(value)  # these types refuse what they do not know
        return
    known = {**body}
    if dialect == "chat":
        known["messages"] = [_without_reasoning(message) for message in known["messages"]]
    if dialect == "responses":
        known["input"] = [_as_answered(item) for item in known["input"]]
    if dialect == "anthropic":
        known = {field: value for field, value in known.items() if field not in _SAMPLING}
        if "tools" in known:
            known["tools"] = [_without_schema(tool) for tool in known["tools"]]
    adapter = _WHOLE["anthropic beta" if beta else dialect]

    assert known == _consumed(adapter.validate_python(known))


def _without_reasoning(message: Json) -> dict[str, Any]:
    """Chat has no field for it: those in use are not of the types."""
    return {name: value for name, value in message.items() if not name.startswith("reasoning")}


def _as_answered(item: Json) -> dict[str, Any]:
    """What an assistant said, with the fields that only an answer must have: requests may leave them out."""
    if item.get("role") != "assistant":
        return {**item}
    parts = [{"annotations": [], **part} if part["type"] == "output_text" else part for part in item["content"]]
    return {"id": "msg_1", "type": "message", "status": "completed", **item, "content": parts}


def _without_schema(tool: Json) -> dict[str, Any]:
    """A tool whose schema, which may be any, is not looked into."""
    return {**tool, "input_schema": {"type": tool["input_schema"]["type"]}} if "input_schema" in tool else {**tool}


def _consumed(value: Any) -> Any:
    """A validated value with its lazy lists read, which is when they are validated."""
    if hasattr(value, "model_dump"):  # blocks of answers are taken back as they are
        return value.model_dump(exclude_unset=True)
    if isinstance(value, Mapping):
        return {key: _consumed(member) for key, member in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [_consumed(member) for member in value]
    return value
