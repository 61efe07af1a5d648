"""Pieces of an answer as this API writes them, read the same whether it came whole or as a stream."""

from __future__ import annotations

from typing import Final, Literal

from modelserver.dialects.answers import invalid, text_chars
from modelserver.dialects.anthropic.vocab import ERROR_STATUSES, STOP_REASONS
from modelserver.dialects.codec import Reading
from modelserver.dialects.names import mint_id
from modelserver.dialects.reading import Json
from modelserver.ir.parts import (
    Citation,
    Finish,
    FinishReason,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    finished_with_calls,
)
from modelserver.ir.types import Complaint
from modelserver.wire.json_text import from_object, unwrap_string

CALL_EXTRAS: Final = ("caller", "toolset_name")
"""Members of `tool_use` beside the mapped ones."""


def read_complaint(status: int, wire: Json) -> Complaint:
    """The error in a parsed object, `error` or the object itself; inside a 200 its `type` gives the status."""
    error = wire.get("error")
    fields: Json = error if isinstance(error, dict) else wire
    kind = _text(fields.get("type"))
    if status == 200:
        status = ERROR_STATUSES.get(kind or "", 502)
    message = error if isinstance(error, str) else fields.get("message", fields.get("detail"))
    details = fields.get("details")
    code = details.get("error_code") if isinstance(details, dict) else fields.get("code")
    return Complaint(status=status, message=_text(message), type=kind, code=_text(code), in_json=True)


def is_complaint(wire: Json) -> bool:
    """Whether an object of a 200 is an error."""
    return wire.get("type") == "error" or bool(wire.get("error"))


def start_call(block: Json, reading: Reading, response_id: str, ordinal: int) -> ToolCall:
    """The call that a `tool_use` block begins, without arguments; `ordinal` counts the calls of the answer.

    Raises:
        UpstreamFailed: The block names no tool.
    """
    wire_name = block.get("name")
    if not isinstance(wire_name, str) or not wire_name:
        raise invalid("has a tool call without a name")
    id = block.get("id")
    tool = reading.tools.get(wire_name)
    extra = {key: block[key] for key in CALL_EXTRAS if block.get(key) is not None}
    return ToolCall(
        id=id if isinstance(id, str) and id else mint_id(response_id, 0, ordinal),
        name=wire_name if tool is None else tool.name,
        namespace=None if tool is None else tool.namespace,
        kind="function" if tool is None else tool.kind,
        arguments="",
        extra=extra,
    )


def whole_arguments(call: ToolCall, given: object) -> str:
    """The arguments of a call whose `input` came in one piece."""
    if call.kind == "custom":
        return unwrap_string(from_object(given)) if given else ""
    return from_object({} if given is None else given)


def reasoning_form(reading: Reading) -> Literal["full", "summary"]:
    """What the text of thinking blocks is: only open models show theirs in full."""
    return "full" if reading.profile.card.reasoning.raw_visible else "summary"


def signature(payload: object, reading: Reading) -> Seal:
    """The seal of a thinking block; compatible servers make none, then it says only who thought."""
    text = payload if isinstance(payload, str) else ""
    return Seal(kind="signature", payload=text, origin=reading.profile.origin)


def redacted(block: Json, reading: Reading) -> Reasoning | None:
    """Thinking that came encrypted; None for a block without data."""
    data = block.get("data")
    if not isinstance(data, str) or not data:
        return None
    return Reasoning(form="hidden", seal=Seal(kind="redacted", payload=data, origin=reading.profile.origin))


def citation(wire: Json) -> Citation:
    """Where a text block comes from; without offsets, since it speaks of the block as a whole."""
    url = wire.get("url")
    source = wire.get("source")
    if url is None and isinstance(source, str) and source.startswith(("http://", "https://")):
        url = source
    kind: Literal["url", "document", "other"] = "other"
    if isinstance(url, str):
        kind = "url"
    elif "document_index" in wire or "source" in wire:
        kind = "document"
    return Citation(
        kind=kind,
        url=url if isinstance(url, str) else None,
        title=_text(wire.get("title")) or _text(wire.get("document_title")),
        cited_text=_text(wire.get("cited_text")),
        raw=wire,
    )


def citations(wire: object) -> tuple[Citation, ...]:
    """The citations of a text block."""
    return tuple(citation(each) for each in wire if isinstance(each, dict)) if isinstance(wire, list) else ()


def opaque(block: Json) -> Opaque:
    """A block that no other dialect has.

    Raises:
        UpstreamFailed: It has no type.
    """
    kind = block.get("type")
    if not isinstance(kind, str):
        raise invalid("has a content block without a type")
    return Opaque(dialect="anthropic", type=kind, raw=block)


def block_chars(block: Json) -> int:
    """Length of what the model wrote in a block: text, thinking, the input of a call, a compaction; not results."""
    chars = input_chars(block.get("input"))
    for key in ("text", "thinking", "content"):
        value = block.get(key)
        if isinstance(value, str) and (key != "content" or block.get("type") == "compaction"):
            chars += len(value)
    return chars


def input_chars(value: object) -> int:
    """About the length of the JSON text of a call's input: the names and strings in it."""
    return text_chars(value, names=True)


def finish(wire: Json, parts: tuple[Part, ...], *, forced_json: bool) -> Finish:
    """How the answer ended: `stop_reason` and what goes with it; no reason at all is none that we know.

    `forced_json`: a call that is not in `parts` was the answer.
    """
    raw = _text(wire.get("stop_reason"))
    reason = STOP_REASONS.get(raw or "", FinishReason.OTHER)
    if forced_json and reason is FinishReason.TOOL_CALLS:
        reason = FinishReason.STOP
    details = wire.get("stop_details")
    detail = None
    if isinstance(details, dict):
        detail = _text(details.get("explanation")) or _text(details.get("category"))
    sequence = _text(wire.get("stop_sequence")) if reason is FinishReason.STOP_SEQUENCE else None
    return finished_with_calls(parts, Finish(reason=reason, stop_sequence=sequence, detail=detail, raw=raw))


def refusal(wire: Json, parts: tuple[Part, ...]) -> Refusal | None:
    """The explanation as text, where the model declined without saying anything."""
    details = wire.get("stop_details")
    if wire.get("stop_reason") != "refusal" or not isinstance(details, dict):
        return None
    explanation = _text(details.get("explanation"))
    if not explanation or any(isinstance(part, Text) for part in parts):
        return None
    return Refusal(text=explanation)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
