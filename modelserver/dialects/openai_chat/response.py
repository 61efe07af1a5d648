"""Whole answers and errors of the Chat dialect, read and written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import attrs
import orjson

from modelserver.dialects.openai_chat.vocab import ERRORS
from modelserver.errors import GatewayError, UpstreamFailed
from modelserver.ir.types import MAX_TOKENS, Complaint, Usage
from modelserver.wire.json_splice import Edit, get_member, splice

_COUNT_PATHS: Final = (
    ("cache_read", "prompt_tokens_details", "cached_tokens"),
    ("cache_write", "prompt_tokens_details", "cache_write_tokens"),
    ("audio_in", "prompt_tokens_details", "audio_tokens"),
    ("reasoning", "completion_tokens_details", "reasoning_tokens"),
    ("audio_out", "completion_tokens_details", "audio_tokens"),
)


@attrs.frozen(kw_only=True, slots=True)
class WholeAnswer:
    """A chat completion that may be passed on as it came."""

    parsed: dict[str, Any]
    usage: Usage | None
    output_chars: int


def loads(text: bytes) -> Any:
    """JSON of an upstream, parsed.

    What orjson refuses is tried with the standard library: it takes a lone surrogate, the half of an emoji that a
    model cut in two. NaN and infinities stay refused.

    Raises:
        ValueError: It is not JSON, or nested too deep to be an answer.
    """
    try:
        return orjson.loads(text)
    except ValueError:
        try:
            return json.loads(text, parse_constant=_refuse)
        except RecursionError as exc:
            raise ValueError("nested too deep") from exc


def read_answer(body: bytes) -> WholeAnswer | Complaint:
    """What a body of status 200 says: an answer, or an error that came in spite of the status.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is no chat completion.
    """
    try:
        parsed = loads(body)
    except ValueError:
        raise _invalid("is not JSON") from None
    if not isinstance(parsed, dict):
        raise _invalid("is not a JSON object")
    if parsed.get("error"):
        return read_complaint(200, parsed)
    choices = parsed.get("choices")
    if not isinstance(choices, list) or not choices:
        raise _invalid("has no choices")
    return WholeAnswer(parsed=parsed, usage=read_usage(parsed), output_chars=sum(map(_message_chars, choices)))


def read_error(status: int, body: bytes) -> Complaint:
    """An error answer in any of the shapes that providers use; a body that is not JSON says nothing."""
    try:
        parsed = loads(body)
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
    message = error if isinstance(error, str) else fields.get("message", fields.get("detail"))
    return Complaint(
        status=status,
        message=_message(message),
        type=_text(fields.get("type")),
        code=_text(code),
        param=_text(fields.get("param")),
        in_json=True,
    )


def read_usage(parsed: Mapping[str, Any]) -> Usage | None:
    """The usage of an answer or chunk; None when it has none that can be trusted.

    Where providers disagree on what includes what, the totals decide: see `_reconciled`.
    """
    usage = parsed.get("usage")
    if usage is None and isinstance(groq := parsed.get("x_groq"), dict):
        usage = groq.get("usage")
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt is None and completion is None:
        return None
    parts: dict[str, int | None] = {}
    for name, outer, inner in _COUNT_PATHS:
        details = usage.get(outer)
        parts[name] = _count(details.get(inner)) if isinstance(details, dict) else None
    if parts["cache_read"] is None:
        parts["cache_read"] = next(
            (
                count
                for key in ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens", "num_cached_tokens")
                if (count := _count(usage.get(key))) is not None
            ),
            None,
        )
    return _reconciled(prompt, completion, _count(usage.get("total_tokens")), parts)


def merge_usage(earlier: Usage | None, later: Usage) -> Usage:
    """Two reports of one stream: field by field the last value that is present wins."""
    if earlier is None:
        return later
    said = {name: value for name, value in attrs.asdict(later).items() if value is not None}
    return attrs.evolve(earlier, **said)


def rename(body: bytes, model: str) -> bytes:
    """A whole answer with its `model` replaced, every other byte kept; unchanged where it names none."""
    if "model" not in loads(body):
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


def _reconciled(
    prompt: int | None, completion: int | None, total: int | None, parts: Mapping[str, int | None]
) -> Usage:
    """Usage with inclusive totals and clamped parts.

    Reasoning stands beside the completion at xAI (total = prompt + completion + reasoning) and behind the Vercel
    gateway (reasoning > completion); audio stands beside the prompt at Mistral. Seen in recorded answers, 2026-11.
    """
    reasoning, audio_in = parts["reasoning"] or 0, parts["audio_in"] or 0
    if prompt is not None and completion is not None:
        if reasoning and (reasoning > completion or total == prompt + completion + reasoning):
            completion += reasoning
        elif audio_in > prompt and total == prompt + audio_in + completion:
            prompt += audio_in
    return Usage(
        input=prompt,
        output=completion,
        cache_read=_at_most(parts["cache_read"], prompt),
        cache_write=_at_most(parts["cache_write"], prompt),
        reasoning=_at_most(parts["reasoning"], completion),
        audio_in=_at_most(parts["audio_in"], prompt),
        audio_out=_at_most(parts["audio_out"], completion),
    )


def _at_most(part: int | None, whole: int | None) -> int | None:
    return part if part is None or whole is None else min(part, whole)


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else None


def _message_chars(choice: object) -> int:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return 0
    chars = sum(len(text) for text in (message.get("content"), message.get("reasoning_content")) if type(text) is str)
    calls = message.get("tool_calls")
    return chars + (len(str(calls)) if calls else 0)


def _status(value: object) -> int | None:
    if type(value) is str and value.isascii() and value.isdigit():
        value = int(value[:4])
    return value if type(value) is int and 400 <= value <= 599 else None


def _text(value: object) -> str | None:
    return str(value) if type(value) in (str, int) and value != "" else None


def _message(value: object) -> str | None:
    if type(value) is str:
        return value
    if isinstance(value, list):  # FastAPI's validation errors
        texts = [item["msg"] for item in value if isinstance(item, dict) and isinstance(item.get("msg"), str)]
        return "; ".join(texts) or None
    return None


def _invalid(what: str) -> UpstreamFailed:
    return UpstreamFailed(f"The provider's answer {what}.", code="upstream_invalid_response")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
