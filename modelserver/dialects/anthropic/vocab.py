"""Words of the Messages API. Anthropic API reference and the types of its Python SDK 2.13, read 2026-11-24."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelserver.errors import ErrorKind
from modelserver.ir.parts import FinishReason
from modelserver.ir.request import Effort

PATH: Final = "/v1/messages"
COUNT_PATH: Final = "/v1/messages/count_tokens"
VERSION: Final = "2023-06-01"

BETA_BINDING: Final = "thinking-binding-controls-2026-08-01"
BETA_FILES: Final = "files-api-2025-04-14"
BETA_FAST: Final = "fast-mode-2026-02-01"

STOP_REASONS: Final[Mapping[str, FinishReason]] = {
    "end_turn": FinishReason.STOP,
    "max_tokens": FinishReason.LENGTH,
    "stop_sequence": FinishReason.STOP_SEQUENCE,
    "tool_use": FinishReason.TOOL_CALLS,
    "pause_turn": FinishReason.PAUSE,
    "refusal": FinishReason.REFUSAL,
    "model_context_window_exceeded": FinishReason.CONTEXT_FULL,
    "compaction": FinishReason.COMPACTION,
}

STOP_WORDS: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "end_turn",
    FinishReason.STOP_SEQUENCE: "stop_sequence",
    FinishReason.LENGTH: "max_tokens",
    FinishReason.CONTEXT_FULL: "model_context_window_exceeded",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
    FinishReason.REFUSAL: "refusal",
    FinishReason.PAUSE: "pause_turn",
    FinishReason.MALFORMED_CALL: "end_turn",
    FinishReason.COMPACTION: "compaction",
    FinishReason.CONTINUATION: "max_tokens",
    FinishReason.ERROR: "end_turn",
    FinishReason.OTHER: "end_turn",
}

ERRORS: Final[Mapping[ErrorKind, tuple[int, str]]] = {
    ErrorKind.INVALID: (400, "invalid_request_error"),
    ErrorKind.UNSUPPORTED: (400, "invalid_request_error"),
    ErrorKind.CONTEXT_LENGTH: (400, "invalid_request_error"),
    ErrorKind.CONTENT_POLICY: (400, "invalid_request_error"),
    ErrorKind.AUTH: (401, "authentication_error"),
    ErrorKind.BILLING: (402, "billing_error"),
    ErrorKind.PERMISSION: (403, "permission_error"),
    ErrorKind.NOT_FOUND: (404, "not_found_error"),
    ErrorKind.CONFLICT: (409, "invalid_request_error"),
    ErrorKind.TOO_LARGE: (413, "request_too_large"),
    ErrorKind.RATE_LIMIT: (429, "rate_limit_error"),
    ErrorKind.TIMEOUT: (504, "timeout_error"),
    ErrorKind.OVERLOADED: (529, "overloaded_error"),
    ErrorKind.SERVER: (500, "api_error"),
    ErrorKind.UPSTREAM: (502, "api_error"),
    ErrorKind.UNAVAILABLE: (503, "overloaded_error"),
    ErrorKind.METHOD: (405, "invalid_request_error"),
    ErrorKind.ENCODING: (415, "invalid_request_error"),
    ErrorKind.SLOW_BODY: (408, "invalid_request_error"),
    ErrorKind.CANCELLED: (499, "invalid_request_error"),
}
"""Status and `error.type` of every kind."""

ERROR_STATUSES: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that an error inside a 200 would have had."""

EFFORT_BUDGETS: Final[Mapping[Effort, int]] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 32_000,
}
"""Thinking tokens for an effort; `max` takes what the output has room for."""

NATIVE_CITATIONS: Final = frozenset(
    (
        "char_location",
        "page_location",
        "content_block_location",
        "web_search_result_location",
        "search_result_location",
    )
)
"""Locations that this API wrote itself; it takes no others back."""

HOSTED: Final[Mapping[str, Mapping[str, str]]] = {
    "web_search": {"type": "web_search_20250305", "name": "web_search"},
    "web_fetch": {"type": "web_fetch_20250910", "name": "web_fetch"},
    "code_execution": {"type": "code_execution_20250825", "name": "code_execution"},
}
"""Declarations of hosted tools that other dialects have too; these versions need no beta."""

ATTRIBUTION: Final = "x-anthropic-billing-header:"
"""Begins a line that Claude Code puts before its instructions; its end changes with every request."""
