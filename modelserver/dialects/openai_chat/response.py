"""Whole answers and errors of the Chat dialect, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from modelserver.dialects import answers
from modelserver.dialects.answers import invalid, read_object, text_chars
from modelserver.dialects.dialect import WholeAnswer
from modelserver.dialects.openai_chat.usage import read_usage
from modelserver.dialects.openai_chat.vocab import ERRORS
from modelserver.errors import GatewayError
from modelserver.ir.types import Complaint


def read_answer(body: bytes) -> WholeAnswer | Complaint:
    """What a body of status 200 says: an answer, or an error that came in spite of the status.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is no chat completion.
    """
    parsed = read_object(body)
    if parsed.get("error"):
        return read_complaint(200, parsed)
    choices = parsed.get("choices")
    if not isinstance(choices, list) or not any(isinstance(choice, dict) for choice in choices):
        raise invalid("has no choices")
    return WholeAnswer(parsed=parsed, usage=read_usage(parsed), output_chars=sum(map(_message_chars, choices)))


def read_error(status: int, body: bytes) -> Complaint:
    """An error answer in any of the shapes that providers use; a body that is not JSON says nothing."""
    return answers.read_error(status, body, read_complaint)


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


def encode_error(error: GatewayError, request_id: str = "") -> tuple[int, bytes]:
    """Status and body of an error; the request's id is in the headers only."""
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
