"""Whole answers and errors of the Chat dialect, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from modelserver.dialects.openai_chat.usage import read_usage
from modelserver.dialects.openai_chat.vocab import ERRORS
from modelserver.errors import GatewayError, UpstreamFailed
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from modelserver.wire.json_splice import Edit, get_member, splice
from modelserver.wire.json_text import loads_lenient


@attrs.frozen(kw_only=True, slots=True)
class WholeAnswer:
    """A chat completion that may be passed on as it came."""

    parsed: dict[str, Any]
    usage: Usage | None
    output_chars: int


def read_answer(body: bytes) -> WholeAnswer | Complaint:
    """What a body of status 200 says: an answer, or an error that came in spite of the status.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is no chat completion.
    """
    try:
        parsed = loads_lenient(body)
    except ValueError:
        raise _invalid("is not JSON") from None
    if not isinstance(parsed, dict):
        raise _invalid("is not a JSON object")
    if parsed.get("error"):
        return read_complaint(200, parsed)
    choices = parsed.get("choices")
    if not isinstance(choices, list) or not any(isinstance(choice, dict) for choice in choices):
        raise _invalid("has no choices")
    return WholeAnswer(parsed=parsed, usage=read_usage(parsed), output_chars=sum(map(_message_chars, choices)))


def read_error(status: int, body: bytes) -> Complaint:
    """An error answer in any of the shapes that providers use; a body that is not JSON says nothing."""
    try:
        parsed = loads_lenient(body)
    except ValueError:
        return Complaint(status=status)
    if isinstance(parsed, list) and len(parsed) == 1:  # Google's OpenAI endpoint wraps it
        parsed = parsed[0]
    if not isinstance(parsed, dict):
        return Complaint(status=status, in_json=True)
    return read_complaint(status, parsed)


def read_complaint(status: int, parsed: Mapping[str, Any]) -> Complaint:
    """The error in a parsed object: under `error`, or at top level (`message`, `detail`).

    Inside a 200 its own numeric `code` or `status` of 400..599 becomes the status, else 502.
    """
    error = parsed.get("error")
    fields: Mapping[str, Any] = error if isinstance(error, dict) else parsed
    code = fields.get("code")
    if status == 200:
        status = next((number for number in map(_status, (code, fields.get("status"))) if number is not None), 502)
    return Complaint(
        status=status,
        message=error if isinstance(error, str) else _message(fields),
        type=_text(fields.get("type")),
        code=_text(code),
        param=_text(fields.get("param")),
        in_json=True,
    )


def text_chars(value: object) -> int:
    """Characters in the strings within a value, the names of members not counted."""
    chars = 0
    left = [value]
    while left:
        value = left.pop()
        if type(value) is str:
            chars += len(value)
        elif type(value) is dict:
            left += value.values()
        elif type(value) is list:
            left += value
    return chars


def rename(body: bytes, model: str) -> bytes:
    """A whole answer with its `model` replaced, every other byte kept; unchanged where it names none."""
    if "model" not in loads_lenient(body):
        return body
    member = get_member(body, "model")
    return splice(body, [Edit(member.start, member.end, orjson.dumps(model))])


def encode_error(error: GatewayError) -> tuple[int, bytes]:
    """Status and body of an error."""
    status, _, _ = ERRORS[error.kind]
    return status, orjson.dumps({"error": _error_object(error)})


def encode_error_event(error: GatewayError) -> bytes:
    """The frame that ends a stream which failed; no `[DONE]` may follow it."""
    return b"data: " + orjson.dumps({"error": _error_object(error)}) + b"\n\n"


def _error_object(error: GatewayError) -> dict[str, str | None]:
    _, type_, code = ERRORS[error.kind]
    return {"message": error.message, "type": type_, "param": error.param, "code": error.code or code}


def _message_chars(choice: object) -> int:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return 0
    return sum(text_chars(value) for name, value in message.items() if name != "role")


def _status(value: object) -> int | None:
    if type(value) is str and value.isascii() and value.isdigit():
        value = int(value[:4])
    return value if type(value) is int and 400 <= value <= 599 else None


def _text(value: object) -> str | None:
    return str(value) if type(value) in (str, int) and value != "" else None


def _message(fields: Mapping[str, Any]) -> str | None:
    said = fields.get("message") or fields.get("detail")
    if isinstance(said, dict):  # Mistral wraps the details once more
        said = said.get("message") or said.get("detail")
    if isinstance(said, list):  # FastAPI's validation errors
        texts = [item["msg"] for item in said if isinstance(item, dict) and isinstance(item.get("msg"), str)]
        return "; ".join(texts) or None
    if not isinstance(said, str):
        return None
    metadata = fields.get("metadata")
    cause = metadata.get("raw") if isinstance(metadata, dict) else None
    # OpenRouter says "Provider returned error" and has the provider's own words there.
    return f"{said}: {cause}" if cause and isinstance(cause, str) else said


def _invalid(what: str) -> UpstreamFailed:
    return UpstreamFailed(f"The provider's answer {what}.", code="upstream_invalid_response")
