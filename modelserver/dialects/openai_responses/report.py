"""What a response object says about itself: its usage, its length, how it ended, why it failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelserver.dialects.answers import read_error, text_chars
from modelserver.dialects.openai_responses.vocab import COUNTED_CALLS, FAILURE_STATUSES, INCOMPLETE_REASONS
from modelserver.errors import UpstreamFailed
from modelserver.ir.parts import Finish, FinishReason
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage, clamped, count

_WRITTEN: Final = (("30m", "ttl_30m_tokens"), ("12h", "ttl_12h_tokens"))
_UNSAID: Final = {"code": "server_error", "message": "The provider did not finish its answer."}

_GENERATED: Final = ("content", "summary", "name", "arguments", "input", "code", "action", "operation")
"""Members of an item that hold what the model wrote; results of hosted tools are in others."""
BESIDE_TEXT: Final = frozenset(("type", "annotations", "logprobs"))
"""Members of a part that say what its text says already, or nothing."""


def read_usage(response: Mapping[str, Any], items: Sequence[object] = ()) -> Usage | None:
    """The usage of a response; None when it has none that can be trusted.

    `items` are the output, in which hosted calls are counted where the provider does not count them itself.
    """
    usage = response.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, generated = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    if prompt is None and generated is None:
        return None
    inputs = _members(usage, "input_tokens_details")
    written = _members(inputs, "cache_write_tokens_details")
    tier = response.get("service_tier")
    return clamped(
        Usage(
            input=prompt,
            output=generated,
            cache_read=count(inputs.get("cached_tokens")),
            cache_write=count(inputs.get("cache_write_tokens")),
            cache_write_by_ttl={ttl: tokens for ttl, key in _WRITTEN if (tokens := count(written.get(key)))} or None,
            reasoning=count(_members(usage, "output_tokens_details").get("reasoning_tokens")),
            server_calls=_server_calls(response, items),
            # `auto` in an answer says only what was asked for.
            tier=tier if isinstance(tier, str) and tier != "auto" else None,
        )
    )


def _server_calls(response: Mapping[str, Any], items: Sequence[object]) -> dict[str, int] | None:
    searches = count(_members(_members(response, "tool_usage"), "web_search").get("num_requests"))
    calls: dict[str, int] = {}
    for item in items:
        type_ = item.get("type") if isinstance(item, dict) else None
        family = COUNTED_CALLS.get(type_) if isinstance(type_, str) else None
        if family is not None:
            calls[family] = calls.get(family, 0) + 1
    if searches:
        calls["web_search"] = searches
    return calls or None


def _members(of: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = of.get(key)
    return value if isinstance(value, dict) else {}


def written_chars(item: object) -> int:
    """Length of what the model wrote in an output item: text, reasoning, calls."""
    return sum(text_chars(item.get(key), without=BESIDE_TEXT) for key in _GENERATED) if isinstance(item, dict) else 0


def read_finish(response: Mapping[str, Any], *, called: bool, refused: bool) -> Finish:
    """How a response that did not fail ended; calls that the client must run win over a refusal, a limit over both."""
    if response.get("status") == "incomplete":
        reason = _members(response, "incomplete_details").get("reason")
        word = reason if isinstance(reason, str) else "incomplete"
        return Finish(reason=INCOMPLETE_REASONS.get(word, FinishReason.OTHER), raw=word)
    if called:
        return Finish(reason=FinishReason.TOOL_CALLS, raw="completed")
    return Finish(reason=FinishReason.REFUSAL if refused else FinishReason.STOP, raw="completed")


def read_failure(parsed: Mapping[str, Any], *, status: int = 200) -> Complaint:
    """The error in an object: under `error`, or at top level (`error` events, `message`, `detail`).

    Inside a 200 the status is the one that its code stands for, else 502.
    """
    error = parsed.get("error")
    fields: Mapping[str, Any] = error if isinstance(error, dict) else parsed
    code, kind = _word(fields.get("code")), _word(fields.get("type"))
    if status == 200:
        numbers = map(_status, (fields.get("code"), fields.get("status")))
        named = (FAILURE_STATUSES.get(word) for word in (code, kind) if word)
        status = next((found for found in (*numbers, *named) if found is not None), 502)
    message = error if isinstance(error, str) else fields.get("message", fields.get("detail"))
    return Complaint(
        status=status,
        message=_message(message),
        type=kind if kind not in ("error", "response.failed") else None,
        code=code,
        param=_word(fields.get("param")),
        in_json=True,
    )


def read_failed(response: Mapping[str, Any]) -> Complaint:
    """The error of a response that failed or was cancelled, for which it may give no reason."""
    return read_failure({"error": response.get("error") or _UNSAID})


def decode_error(status: int, body: bytes) -> Complaint:
    """An error answer in any of the shapes that providers use; a body that is not JSON says nothing."""
    return read_error(status, body, lambda status, parsed: read_failure(parsed, status=status))


def _status(value: object) -> int | None:
    if type(value) is str and value.isascii() and value.isdigit():
        value = int(value[:4])
    return value if type(value) is int and 400 <= value <= 599 else None


def _word(value: object) -> str | None:
    return str(value) if type(value) in (str, int) and value != "" else None


def _message(value: object) -> str | None:
    if type(value) is str:
        return value or None
    if isinstance(value, list):  # FastAPI's validation errors
        texts = [item["msg"] for item in value if isinstance(item, dict) and isinstance(item.get("msg"), str)]
        return "; ".join(texts) or None
    return None


def invalid(what: str) -> UpstreamFailed:
    """The failure of an upstream that does not speak the dialect; `what` reads well after "The provider's"."""
    return UpstreamFailed(f"The provider's {what}.", code="upstream_invalid_response")


def cut() -> UpstreamFailed:
    """The failure of a stream that ended too early."""
    return UpstreamFailed("The provider closed the stream before the answer was complete.", code="upstream_error")
