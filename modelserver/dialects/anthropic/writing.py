"""Answers and errors for clients of the Messages API."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import orjson

from modelserver.dialects.anthropic.answer import CALL_EXTRAS
from modelserver.dialects.anthropic.content import native_citations
from modelserver.dialects.anthropic.usage import encode_usage
from modelserver.dialects.anthropic.vocab import ERRORS, STOP_WORDS
from modelserver.dialects.codec import Writing
from modelserver.dialects.names import derived_id, fit_id
from modelserver.errors import ErrorKind, GatewayError
from modelserver.ir.parts import (
    Audio,
    Finish,
    FinishReason,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Response,
    Seal,
    Text,
    ToolCall,
)
from modelserver.wire.json_text import as_object, dumps_exact

ID_PATTERN: Final = r"[a-zA-Z0-9_-]+"
ID_MAX: Final = 64
CHARS_PER_TOKEN: Final = 4
"""For the count that a client must be given where the provider gave none."""
SECTION_BREAK: Final = "\n\n"
"""Between the sections of a summary: this API has one text for all of them."""

_PREFIX: Final = "msg_"
_TOO_LONG: Final = "prompt is too long"


def encode_response(response: Response, writing: Writing) -> bytes:
    """The whole answer; of several choices the first."""
    choice = response.choices[0]
    content = [block for part in choice.parts if (block := encode_part(part, writing)) is not None]
    refused = next((part.text for part in choice.parts if isinstance(part, Refusal)), None)
    usage = encode_usage(response.usage)
    wire: dict[str, Any] = {
        "id": message_id(response.id, writing),
        "type": "message",
        "role": "assistant",
        "model": writing.request.model,
        "content": content,
        **encode_finish(choice.finish, refused),
        "usage": {"input_tokens": 0, "output_tokens": estimated(choice.parts), **usage},
    }
    return dumps_exact(wire)


def encode_part(part: Part, writing: Writing) -> dict[str, Any] | None:
    """The block of a whole part; None for what this API has none for."""
    match part:
        case Text(text=text, citations=cited):
            block: dict[str, Any] = {"type": "text", "text": text}
            native = native_citations(cited)
            return {**block, "citations": native} if native else block
        case Refusal(text=text):
            return {"type": "text", "text": text}
        case Reasoning():
            return encode_thinking(visible_text(part) if writing.show_reasoning else "", part.seal, writing)
        case ToolCall(kind="custom", arguments=text):
            return {**start_call(part), "input": {"input": text}}
        case ToolCall():
            return {**start_call(part), "input": as_object(part.arguments)}
        case Opaque(dialect="anthropic", raw=raw):
            return dict(raw)
        case Opaque(fallback=text) | Audio(transcript=text):
            return {"type": "text", "text": text} if text else None
        case _:
            return None


def encode_thinking(visible: str, seal: Seal | None, writing: Writing) -> dict[str, Any] | None:
    """The block of a thought: the envelope is its signature, or, without visible text, its data."""
    payload = sealed(seal, visible, writing)
    if visible:
        return {"type": "thinking", "thinking": visible, "signature": payload}
    return {"type": "redacted_thinking", "data": payload} if payload else None


def sealed(seal: Seal | None, visible: str, writing: Writing) -> str:
    """What the client carries for a seal; empty where there is none."""
    if seal is None:
        return ""
    return seal.payload if seal.origin is None else writing.sealer.wrap(seal, visible)


def visible_text(part: Reasoning) -> str:
    """The text of a thought as the client sees it, sections apart."""
    if len(part.sections) < 2:
        return part.text
    bounds = (*part.sections, len(part.text))
    pieces = [part.text[start:end] for start, end in pairwise(bounds)]
    return SECTION_BREAK.join(piece for piece in pieces if piece)


def start_call(call: ToolCall) -> dict[str, Any]:
    """The block of a call, its input still empty."""
    block: dict[str, Any] = {
        "type": "tool_use",
        "id": fit_id(call.id, pattern=ID_PATTERN, maximum=ID_MAX),
        "name": call.name,
        "input": {},
    }
    block.update((key, call.extra[key]) for key in CALL_EXTRAS if key in call.extra)
    return block


def encode_finish(finish: Finish, refused: str | None) -> dict[str, Any]:
    """The reason to stop; `refused` is the text by which the model declined."""
    word = STOP_WORDS[finish.reason]
    if refused is not None:
        word = STOP_WORDS[FinishReason.REFUSAL]
    wire: dict[str, Any] = {
        "stop_reason": word,
        "stop_sequence": finish.stop_sequence if finish.reason is FinishReason.STOP_SEQUENCE else None,
    }
    if refused is not None or finish.reason is FinishReason.REFUSAL:
        explanation = finish.detail if refused is None else refused
        wire["stop_details"] = {"type": "refusal", "category": None, "explanation": explanation}
    return wire


def message_id(id: str, writing: Writing) -> str:
    """The provider's id where it is one of this API, else one that depends on the request alone."""
    return id if id.startswith(_PREFIX) else derived_id(_PREFIX, writing.seed)


def estimated(parts: tuple[Part, ...]) -> int:
    """About how many tokens the parts are; for where nobody counted."""
    chars = 0
    for part in parts:
        match part:
            case Text(text=text) | Reasoning(text=text) | Refusal(text=text) | ToolCall(arguments=text):
                chars += len(text)
            case _:
                pass
    return -(-chars // CHARS_PER_TOKEN)


def encode_error(error: GatewayError, request_id: str = "") -> tuple[int, bytes]:
    """Status and body of an error; an empty id is left out."""
    status, _ = ERRORS[error.kind]
    body = _error(error)
    if request_id:
        body["request_id"] = request_id
    return status, orjson.dumps(body)


def encode_error_event(error: GatewayError) -> bytes:
    """The frame that ends a stream which failed; no `message_stop` may follow it."""
    return b"event: error\ndata: " + orjson.dumps(_error(error)) + b"\n\n"


def _error(error: GatewayError) -> dict[str, Any]:
    _, word = ERRORS[error.kind]
    message = error.message
    if error.kind is ErrorKind.CONTEXT_LENGTH and not message.startswith(_TOO_LONG):
        message = f"{_TOO_LONG}: {message}"  # clients compact the conversation when they see these words
    fields: dict[str, Any] = {"type": word, "message": message}
    if error.code is not None:
        fields["details"] = {"error_code": error.code}
    return {"type": "error", "error": fields}
