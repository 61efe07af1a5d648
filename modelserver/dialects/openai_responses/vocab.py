"""Words of the Responses dialect, as of the types of `openai` 3.57.0, read 2026-11-24, and of recorded traffic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelserver.errors import ErrorKind
from modelserver.ir.parts import FinishReason

PATH: Final = "/responses"
COUNT_PATH: Final = "/responses/input_tokens"

ADDED: Final = "response.output_item.added"
ITEM_DONE: Final = "response.output_item.done"
PINGS: Final = frozenset(("keepalive", "response.keepalive", "ping"))
BEGINNINGS: Final = frozenset(("response.created", "response.in_progress", "response.queued"))
"""Events of a response of which nothing was generated yet."""
FAILURES: Final = frozenset(("response.failed", "response.cancelled"))
ENDS: Final = FAILURES | {"response.completed", "response.incomplete"}
"""Events that no other one follows."""
FAILED_STATUSES: Final = ("failed", "cancelled")

ENCRYPTED: Final = "reasoning.encrypted_content"
LOGPROBS: Final = "message.output_text.logprobs"
INCLUDED: Final = frozenset((ENCRYPTED, LOGPROBS))
"""Values of `include` that have a neutral meaning."""

MAPPED: Final = frozenset(
    (
        "model",
        "input",
        "instructions",
        "stream",
        "max_output_tokens",
        "temperature",
        "top_p",
        "top_logprobs",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "text",
        "include",
        "prompt_cache_key",
        "metadata",
        "user",
        "safety_identifier",
        "service_tier",
        "store",
    )
)
"""Fields of a request that have a neutral meaning; every other one is kept for an upstream of this dialect."""

REJECTED: Final[Mapping[str, str]] = {
    "previous_response_id": "send the whole input with store=false.",
    "conversation": "send the whole input with store=false.",
    "prompt": "send the instructions and input themselves.",
    "background": "send the request without it.",
    "background_options": "send the request without it.",
    "moderation": "send the request without it.",
    "access_programs": "send the request without it.",
}
"""Fields that no other dialect can do without; what to do instead."""

IGNORED: Final[Mapping[str, object]] = {
    "max_tool_calls": None,
    "prompt_cache_retention": None,
    "context_management": None,
    "truncation": "disabled",
    "image": None,
    "personality": None,
}
"""Fields that other dialects do without, and their defaults."""

INCOMPLETE_REASONS: Final[Mapping[str, FinishReason]] = {
    "max_output_tokens": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "max_messages": FinishReason.OTHER,
    "steered": FinishReason.OTHER,
}
"""`incomplete_details.reason`; one that is not here is OTHER."""

STATUSES: Final[Mapping[FinishReason, tuple[str, str | None]]] = {
    FinishReason.STOP: ("completed", None),
    FinishReason.STOP_SEQUENCE: ("completed", None),
    FinishReason.LENGTH: ("incomplete", "max_output_tokens"),
    FinishReason.CONTEXT_FULL: ("incomplete", "max_output_tokens"),
    FinishReason.TOOL_CALLS: ("completed", None),
    FinishReason.CONTENT_FILTER: ("incomplete", "content_filter"),
    FinishReason.REFUSAL: ("incomplete", "content_filter"),
    FinishReason.PAUSE: ("completed", None),
    FinishReason.MALFORMED_CALL: ("failed", None),
    FinishReason.COMPACTION: ("completed", None),
    FinishReason.CONTINUATION: ("incomplete", "max_output_tokens"),
    FinishReason.ERROR: ("failed", None),
    FinishReason.OTHER: ("completed", None),
}
"""`status` and the reason in `incomplete_details`; a refusal that was worded is `completed` instead."""

FAILURE_STATUSES: Final[Mapping[str, int]] = {
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "vector_store_timeout": 504,
    "server_is_overloaded": 503,
    "server_error": 500,
    "context_length_exceeded": 400,
    "invalid_prompt": 400,
    "invalid_request_error": 400,
    "invalid_encrypted_content": 400,
    "data_residency_mismatch": 400,
    "bio_policy": 400,
    "misalignment_policy_violation": 400,
    "content_filter": 400,
    "invalid_image": 400,
    "invalid_image_format": 400,
    "invalid_base64_image": 400,
    "invalid_image_url": 400,
    "image_too_large": 400,
    "image_too_small": 400,
    "image_parse_error": 400,
    "image_content_policy_violation": 400,
    "invalid_image_mode": 400,
    "image_file_too_large": 400,
    "unsupported_image_media_type": 400,
    "empty_image_file": 400,
    "failed_to_download_image": 400,
    "image_file_not_found": 400,
}
"""The HTTP status that an error code inside a 200 stands for; the service names none, the choice is ours."""

CALL_EXTRAS: Final = ("caller", "async", "created_by")
"""Members of a call that only this dialect has a use for."""

CLIENT_CALLS: Final[Mapping[str, tuple[str, str]]] = {
    "shell_call": ("shell", "action"),
    "local_shell_call": ("local_shell", "action"),
    "apply_patch_call": ("apply_patch", "operation"),
}
"""Items by which a tool without a schema is called: its name, and the member that holds what it is to do."""

HOSTED_FAMILIES: Final[Mapping[str, str]] = {
    "web_search": "web_search",
    "web_search_preview": "web_search",
    "code_interpreter": "code_execution",
    "file_search": "file_search",
    "image_generation": "image_generation",
    "mcp": "mcp",
    "computer": "computer",
    "computer_use_preview": "computer",
    "tool_search": "tool_search",
    "programmatic_tool_calling": "other",
}
"""Hosted tools by `type`; dated names count as the name before the date."""

HOSTED_TYPES: Final[Mapping[str, str]] = {"web_search": "web_search", "code_execution": "code_interpreter"}
"""What a hosted tool of another dialect is declared as, by family."""

COUNTED_CALLS: Final[Mapping[str, str]] = {
    "web_search_call": "web_search",
    "code_interpreter_call": "code_execution",
    "file_search_call": "file_search",
}
"""Hosted calls that are billed one by one."""

SERVICE_TIERS: Final[Mapping[str, str | None]] = {
    "auto": None,
    "default": "default",
    "standard": "default",
    "standard_only": "default",
    "flex": "flex",
    "priority": "priority",
    "fast": "priority",
}
"""What a wish for a service tier is here; None: nothing is sent."""

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

FAILURE_CODES: Final[Mapping[ErrorKind, str]] = {
    ErrorKind.RATE_LIMIT: "rate_limit_exceeded",
    ErrorKind.CONTEXT_LENGTH: "context_length_exceeded",
    ErrorKind.BILLING: "insufficient_quota",
}
"""Codes of `response.failed` that Codex acts on; every other kind is `server_error` there."""
