"""Words of the Gemini API. google-genai 3.4.0 (`types`) and ai.google.dev/api, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelserver.errors import ErrorKind
from modelserver.ir.parts import FinishReason
from modelserver.ir.request import Effort

SKIP_SIGNATURE: Final = "skip_thought_signature_validator"
"""Stands for a signature that is lost (ai.google.dev, "Thought signatures")."""

FINISH_REASONS: Final[Mapping[str, FinishReason]] = {
    "STOP": FinishReason.STOP,
    "MAX_TOKENS": FinishReason.LENGTH,
    "CONTINUATION": FinishReason.CONTINUATION,
    "SAFETY": FinishReason.CONTENT_FILTER,
    "BLOCKLIST": FinishReason.CONTENT_FILTER,
    "PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "SPII": FinishReason.CONTENT_FILTER,
    "RECITATION": FinishReason.CONTENT_FILTER,
    "IMAGE_SAFETY": FinishReason.CONTENT_FILTER,
    "IMAGE_PROHIBITED_CONTENT": FinishReason.CONTENT_FILTER,
    "IMAGE_RECITATION": FinishReason.CONTENT_FILTER,
    "MODEL_ARMOR": FinishReason.CONTENT_FILTER,
    "ESCALATION": FinishReason.CONTENT_FILTER,
    "MALFORMED_FUNCTION_CALL": FinishReason.MALFORMED_CALL,
    "UNEXPECTED_TOOL_CALL": FinishReason.MALFORMED_CALL,
    "TOO_MANY_TOOL_CALLS": FinishReason.MALFORMED_CALL,
    "MISSING_THOUGHT_SIGNATURE": FinishReason.ERROR,
    "MALFORMED_RESPONSE": FinishReason.ERROR,
    "PUP_LIMITED_DISABLED": FinishReason.ERROR,
    "LANGUAGE": FinishReason.OTHER,
    "OTHER": FinishReason.OTHER,
    "NO_IMAGE": FinishReason.OTHER,
    "IMAGE_OTHER": FinishReason.OTHER,
    "FINISH_REASON_UNSPECIFIED": FinishReason.OTHER,
}
"""A word that is not here is OTHER."""

FINISH_NUMBERS: Final[Mapping[int, str]] = {1: "STOP", 2: "MAX_TOKENS", 3: "SAFETY", 4: "RECITATION", 5: "OTHER"}
"""With `enum-encoding=int`; above 5 the two variants of the API number differently."""

FINISH_WORDS: Final[Mapping[FinishReason, str]] = {
    FinishReason.STOP: "STOP",
    FinishReason.STOP_SEQUENCE: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.CONTEXT_FULL: "MAX_TOKENS",
    FinishReason.TOOL_CALLS: "STOP",
    FinishReason.CONTENT_FILTER: "SAFETY",
    FinishReason.REFUSAL: "SAFETY",
    FinishReason.PAUSE: "STOP",
    FinishReason.MALFORMED_CALL: "MALFORMED_FUNCTION_CALL",
    FinishReason.COMPACTION: "STOP",
    FinishReason.CONTINUATION: "CONTINUATION",
    FinishReason.ERROR: "OTHER",
    FinishReason.OTHER: "OTHER",
}

MODALITY_NUMBERS: Final[Mapping[int, str]] = {1: "TEXT", 2: "IMAGE", 3: "VIDEO", 4: "AUDIO", 5: "DOCUMENT"}

TIERS_USED: Final[Mapping[str, str]] = {
    "standard": "default",
    "on_demand": "default",
    "on_demand_flex": "flex",
    "on_demand_priority": "priority",
}
"""`serviceTier` and `trafficType` of the usage, in lower case; a word that is not here stays."""

TIERS_ASKED: Final[Mapping[str, str]] = {
    "default": "standard",
    "standard": "standard",
    "standard_only": "standard",
    "flex": "flex",
    "priority": "priority",
    "fast": "priority",
}

THINKING_LEVELS: Final[Mapping[str, Effort]] = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "xhigh",
}

HOSTED_FAMILIES: Final[Mapping[str, str]] = {
    "googleSearch": "web_search",
    "urlContext": "web_fetch",
    "codeExecution": "code_execution",
    "fileSearch": "file_search",
    "googleMaps": "maps",
    "computerUse": "computer",
    "mcpServers": "mcp",
}
"""Entries of `tools` that Google runs; one that is not here is of the family `other`."""

HOSTED_TOOLS: Final[Mapping[str, str]] = {
    "web_search": "googleSearch",
    "web_fetch": "urlContext",
    "code_execution": "codeExecution",
    "maps": "googleMaps",
}
"""Families of other dialects that have an equal here."""

PART_EXTRAS: Final = frozenset(
    (
        "videoMetadata",
        "mediaResolution",
        "partMetadata",
        "mediaProcessing",
        "documentMetadata",
        "spreadsheetMetadata",
        "audioMetadata",
        "speechMetadata",
        "audioTranscription",
    )
)

HOSTED_PARTS: Final = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")

ERRORS: Final[Mapping[ErrorKind, tuple[int, str]]] = {
    ErrorKind.INVALID: (400, "INVALID_ARGUMENT"),
    ErrorKind.UNSUPPORTED: (400, "INVALID_ARGUMENT"),
    ErrorKind.CONTEXT_LENGTH: (400, "INVALID_ARGUMENT"),
    ErrorKind.CONTENT_POLICY: (400, "INVALID_ARGUMENT"),
    ErrorKind.AUTH: (401, "UNAUTHENTICATED"),
    ErrorKind.BILLING: (429, "RESOURCE_EXHAUSTED"),
    ErrorKind.PERMISSION: (403, "PERMISSION_DENIED"),
    ErrorKind.NOT_FOUND: (404, "NOT_FOUND"),
    ErrorKind.CONFLICT: (409, "ABORTED"),
    ErrorKind.TOO_LARGE: (400, "INVALID_ARGUMENT"),
    ErrorKind.RATE_LIMIT: (429, "RESOURCE_EXHAUSTED"),
    ErrorKind.TIMEOUT: (504, "DEADLINE_EXCEEDED"),
    ErrorKind.OVERLOADED: (503, "UNAVAILABLE"),
    ErrorKind.SERVER: (500, "INTERNAL"),
    ErrorKind.UPSTREAM: (502, "INTERNAL"),
    ErrorKind.UNAVAILABLE: (503, "UNAVAILABLE"),
    ErrorKind.METHOD: (405, "INVALID_ARGUMENT"),
    ErrorKind.ENCODING: (415, "INVALID_ARGUMENT"),
    ErrorKind.SLOW_BODY: (408, "INVALID_ARGUMENT"),
    ErrorKind.CANCELLED: (499, "CANCELLED"),
}
"""HTTP status (and `code`), and `status`."""

STATUS_CODES: Final[Mapping[str, int]] = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""google.rpc.Code to HTTP, for an error that came without a number."""

KEY_REFUSED: Final = frozenset(("API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED"))
"""`reason` of an error that is about the key, although its status is 400."""

KEEPALIVE_FRAME: Final = b"\r\n"
"""A blank line: the official client takes a comment for JSON and fails."""
ARRAY_KEEPALIVE: Final = b"\n"
"""Blank space between elements of a stream that is an array."""


def camel(name: str) -> str:
    """A field's name as it is emitted; protobuf JSON accepts `snake_case` too."""
    if "_" not in name:
        return name
    first, *rest = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def in_camel(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object with its own names, not those further in, in camelCase."""
    if any("_" in key for key in obj):
        return {camel(key): value for key, value in obj.items()}
    return obj
