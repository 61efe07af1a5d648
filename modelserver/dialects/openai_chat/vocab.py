"""Words of the Chat dialect. OpenAI API reference, "Errors" and "Chat", read 2026-11-23."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelserver.errors import ErrorKind

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

DONE: Final = b"[DONE]"
DONE_FRAME: Final = b"data: [DONE]\n\n"
KEEPALIVE_FRAME: Final = b": ping\n\n"
