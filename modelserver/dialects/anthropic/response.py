"""Whole answers and errors of the Messages API, read."""

from __future__ import annotations

from typing import Any, Final

import attrs

from modelserver.dialects.answers import invalid, read_error, read_json
from modelserver.dialects.anthropic import answer
from modelserver.dialects.anthropic.usage import decode_usage
from modelserver.dialects.codec import Reading
from modelserver.ir.parts import Choice, Part, Reasoning, Response, Text, ToolCall
from modelserver.ir.types import Complaint
from modelserver.wire.json_text import from_object, loads_exact

_MAPPED: Final = frozenset(
    ("id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage")
)


def decode_response(body: bytes, reading: Reading) -> Response | Complaint:
    """What a body of status 200 says: an answer, or an error that came in spite of the status.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is no message.
    """
    try:
        wire = loads_exact(body)
    except ValueError:
        wire = read_json(body)
    if not isinstance(wire, dict):
        raise invalid("is not a JSON object")
    if answer.is_complaint(wire):
        return answer.read_complaint(200, wire)
    blocks = wire.get("content")
    if not isinstance(blocks, list):
        raise invalid("has no content")
    id, model, usage = wire.get("id"), wire.get("model"), wire.get("usage")
    read = _Blocks(reading, id if isinstance(id, str) else "")
    for block in blocks:
        if not isinstance(block, dict):
            raise invalid("has a content block that is no object")
        try:
            read.take(block)
        except RecursionError:
            raise invalid("is nested too deeply") from None
    declined = answer.refusal(wire, tuple(read.parts))
    parts = (*read.parts, declined) if declined else tuple(read.parts)
    counted = decode_usage(usage) if isinstance(usage, dict) else None
    return Response(
        id=read.response_id,
        model=model if isinstance(model, str) and model else reading.profile.model,
        created=0,
        choices=(Choice(index=0, parts=parts, finish=answer.finish(wire, parts, forced_json=read.forced_json)),),
        usage=counted,
        service_tier=counted.tier if counted else None,
        extra={key: value for key, value in wire.items() if key not in _MAPPED and value is not None},
    )


def decode_error(status: int, body: bytes) -> Complaint:
    """An error answer; a body that is not JSON says nothing (a 413 comes from the edge)."""
    return read_error(status, body, answer.read_complaint)


class _Blocks:
    """Collects the parts of one message."""

    def __init__(self, reading: Reading, response_id: str) -> None:
        self.parts: list[Part] = []
        self.response_id = response_id
        self.forced_json = False
        self._reading = reading
        self._calls = 0

    def take(self, block: dict[str, Any]) -> None:
        match block.get("type"):
            case "text":
                self._text(block)
            case "thinking":
                self._thinking(block)
            case "redacted_thinking":
                hidden = answer.redacted(block, self._reading)
                if hidden is not None:
                    self.parts.append(hidden)
            case "tool_use":
                self._call(block)
            case _:
                self.parts.append(answer.opaque(block))

    def _text(self, block: dict[str, Any]) -> None:
        text = block.get("text")
        text = text if isinstance(text, str) else ""
        cited = answer.citations(block.get("citations"))
        if text or cited:
            self.parts.append(Text(text=text, citations=cited))

    def _thinking(self, block: dict[str, Any]) -> None:
        text = block.get("thinking")
        text = text if isinstance(text, str) else ""
        seal = answer.signature(block.get("signature"), self._reading)
        if text or seal.payload:
            self.parts.append(Reasoning(text=text, form=answer.reasoning_form(self._reading), seal=seal))

    def _call(self, block: dict[str, Any]) -> None:
        if self._reading.json_tool is not None and block.get("name") == self._reading.json_tool:
            self.forced_json = True
            self.parts.append(Text(text=from_object(block.get("input"))))
            return
        call: ToolCall = answer.start_call(block, self._reading, self.response_id, self._calls)
        self._calls += 1
        self.parts.append(attrs.evolve(call, arguments=answer.whole_arguments(call, block.get("input"))))
