"""Words of the Chat dialect.

OpenAI API reference, "Errors", "Create chat completion" and "The chat completion chunk object", read 2026-11-23; what
other servers say is from recorded answers, 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelserver.errors import ErrorKind
from modelserver.ir.parts import DialectName, FinishReason

ERRORS: Final[Mapping[ErrorKind, tuple[int, str, str | None]]] = {
    ErrorKind.INVALID: (400, "invalid_request_error", None),
    ErrorKind.UNSUPPORTED: (400, "invalid_request_error", "unsupported_value"),
    ErrorKind.CONTEXT_LENGTH: (400, "invalid_request_error", "context_length_exceeded"),
    ErrorKind.CONTENT_POLICY: (400, "invalid_request_error", "content_policy_violation"),
    ErrorKind.AUTH: (401, "authentication_error", "authentication_error"),
    ErrorKind.BILLING: (429, "insufficient_quota", "insufficient_quota"),
    ErrorKind.PERMISSION: (403, "permission_error", "permission_denied"),
    ErrorKind.NOT_FOUND: (404, "invalid_request_error", "not_found"),
    ErrorKind.CONFLICT: (409, "invalid_request_error", "conflict"),
    ErrorKind.TOO_LARGE: (413, "invalid_request_error", "request_too_large"),
    ErrorKind.RATE_LIMIT: (429, "rate_limit_error", "rate_limit_exceeded"),
    ErrorKind.TIMEOUT: (504, "server_error", "upstream_timeout"),
    ErrorKind.OVERLOADED: (503, "server_error", "overloaded"),
    ErrorKind.SERVER: (500, "server_error", "server_error"),
    ErrorKind.UPSTREAM: (502, "server_error", "upstream_error"),
    ErrorKind.UNAVAILABLE: (503, "server_error", "no_provider_key"),
    ErrorKind.METHOD: (405, "invalid_request_error", "method_not_allowed"),
    ErrorKind.ENCODING: (415, "invalid_request_error", "unsupported_encoding"),
    ErrorKind.SLOW_BODY: (408, "invalid_request_error", "request_timeout"),
    ErrorKind.CANCELLED: (499, "invalid_request_error", "client_closed_request"),
}
"""Status, `type`, and the `code` that stands where the error names none of its own."""

DONE_FRAME: Final = b"data: [DONE]\n\n"
KEEPALIVE_FRAME: Final = b": ping\n\n"

FINISHES: Final[Mapping[str, FinishReason]] = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "function_call": FinishReason.TOOL_CALLS,
    # Compatible servers.
    "eos": FinishReason.STOP,
    "stop_sequence": FinishReason.STOP,
    "end_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "tool_call": FinishReason.TOOL_CALLS,
    "error": FinishReason.ERROR,
    "insufficient_system_resource": FinishReason.ERROR,
}
"""What ends a choice; a word that is not here is `OTHER`."""

FINISH_WORDS: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "stop",
    FinishReason.STOP_SEQUENCE: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.CONTEXT_FULL: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.REFUSAL: "stop",
    FinishReason.PAUSE: "stop",
    FinishReason.MALFORMED_CALL: "stop",
    FinishReason.COMPACTION: "stop",
    FinishReason.CONTINUATION: "length",
    FinishReason.OTHER: "stop",
}
"""Every reason but `ERROR`, which is told as an error. A refusal without words is told as `content_filter`."""

DETAILS_FORMAT: Final = "modelserver-v1"
"""The format of `reasoning_details` that hold envelopes."""

ENVELOPE: Final = "msE1"
"""Every envelope begins so, and no payload of a provider does."""

TTLS: Final[Mapping[str, int]] = {"5m": 300, "30m": 1_800, "1h": 3_600, "12h": 43_200, "24h": 86_400}
"""Life times of cache entries in seconds."""

PATHS: Final[Mapping[DialectName, str]] = {
    "chat": "messages",
    "responses": "input",
    "anthropic": "messages",
    "gemini": "contents",
}
"""What clients call their conversation."""

SERVICE_TIERS: Final[Mapping[str, str]] = {
    "default": "default",
    "standard": "default",
    "standard_only": "default",
    "flex": "flex",
    "priority": "priority",
    "fast": "priority",
    "scale": "scale",
}
"""Tiers by the words of all dialects."""


def finish_word(reason: FinishReason, *, refused: bool, legacy: bool = False) -> str:
    """The word for the end of a choice; `refused`: it has a refusal text. Not for `ERROR`."""
    if reason is FinishReason.REFUSAL and not refused:
        return "content_filter"
    if legacy and reason is FinishReason.TOOL_CALLS:
        return "function_call"
    return FINISH_WORDS[reason]
