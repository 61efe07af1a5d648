"""Errors of the Gemini API, read and written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from modelserver.dialects.answers import read_error
from modelserver.dialects.gemini.vocab import ERRORS, KEY_REFUSED, STATUS_CODES
from modelserver.errors import GatewayError
from modelserver.ir.types import Complaint

_TOO_LONG = re.compile(r"input token count\b.{0,40}?\bexceeds|exceeds the maximum number of tokens", re.IGNORECASE)
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


def decode_error(status: int, body: bytes) -> Complaint:
    """An error answer; one that is not JSON says nothing. The content type is not looked at: it may be that of SSE."""
    return read_error(status, body, read_complaint)


def read_complaint(status: int, parsed: Mapping[str, Any]) -> Complaint:
    """The error in a parsed object: under `error`, or at the top.

    Inside a 200 the status is that of its `code`, else that of its status word, else 502. A refused key, which Google
    answers with 400, has the status 401.
    """
    error = parsed.get("error")
    fields: Mapping[str, Any] = error if isinstance(error, dict) else parsed
    word = fields.get("status")
    word = word if isinstance(word, str) and word else None
    if status < 400:
        code = fields.get("code")
        status = code if type(code) is int and 400 <= code <= 599 else STATUS_CODES.get(word or "", 502)
    message = error if isinstance(error, str) else fields.get("message")
    message = message if isinstance(message, str) and message else None
    reason, retry_after_s = _details(fields.get("details"))
    if reason in KEY_REFUSED:
        status = 401
    if status == 400 and message is not None and _TOO_LONG.search(message):
        reason = "context_length_exceeded"
    return Complaint(status=status, message=message, type=word, code=reason, in_json=True, retry_after_s=retry_after_s)


def _details(details: object) -> tuple[str | None, float | None]:
    """The reason, and the pause that is asked for, in seconds."""
    reason: str | None = None
    retry_after_s: float | None = None
    for entry in details if isinstance(details, list) else ():
        if not isinstance(entry, dict):
            continue
        said, delay = entry.get("reason"), entry.get("retryDelay")
        if isinstance(said, str) and said:
            reason = reason or said
        if isinstance(delay, str) and (found := _DURATION.fullmatch(delay)):
            retry_after_s = float(found.group(1))
    return reason, retry_after_s


def encode_error(error: GatewayError, request_id: str = "") -> tuple[int, bytes]:
    """Status and body of an error; the request's id is in the headers only."""
    return ERRORS[error.kind][0], orjson.dumps({"error": error_object(error)})


def encode_error_event(error: GatewayError) -> bytes:
    """The frame that ends a stream which failed.

    `error` stands first and without a space, and `code` is a number: the official client finds it by that only.
    """
    return b"data: " + orjson.dumps({"error": error_object(error)}) + b"\r\n\r\n"


def encode_array_error(error: GatewayError, request_id: str = "") -> tuple[int, bytes]:
    """Status and body of an error, for a client that has asked for one array."""
    return ERRORS[error.kind][0], encode_array_event(error)


def encode_array_event(error: GatewayError) -> bytes:
    """The array for a stream which failed before anything of it was written."""
    return b"[" + orjson.dumps({"error": error_object(error)}) + b"]"


def error_object(error: GatewayError) -> dict[str, Any]:
    """What stands under `error`."""
    code, status = ERRORS[error.kind]
    wire: dict[str, Any] = {"code": code, "message": error.message, "status": status}
    if error.retry_after_s is not None:
        wire["details"] = [
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{error.retry_after_s}s"}
        ]
    return wire
