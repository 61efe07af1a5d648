"""A stream for clients of the Messages API."""

from __future__ import annotations

from typing import Any, Final, assert_never

import orjson

from modelserver.dialects.anthropic.content import native_citations
from modelserver.dialects.anthropic.usage import encode_usage
from modelserver.dialects.anthropic.vocab import ERROR_STATUSES
from modelserver.dialects.anthropic.writing import (
    CHARS_PER_TOKEN,
    SECTION_BREAK,
    encode_error_event,
    encode_finish,
    encode_part,
    encode_thinking,
    message_id,
    sealed,
    start_call,
)
from modelserver.dialects.codec import Writing
from modelserver.errors import GatewayError
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Cite,
    Delta,
    End,
    Fail,
    FinishEvent,
    Ping,
    SealEvent,
    Section,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.parts import Finish, FinishReason, Part, Reasoning, Refusal, Text, ToolCall
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage, merge_usage
from modelserver.wire.json_text import dumps_exact, wrap_string

PING_FRAME: Final = b'event: ping\ndata: {"type":"ping"}\n\n'

_STOP_FRAME: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class AnthropicStreamEncoder:
    """Events in, frames out; only the first choice is told, since this API has no other.

    A thought opens when its first text comes, because one without visible text is another type of block.
    """

    def __init__(self, writing: Writing) -> None:
        self._writing = writing
        self._started = False
        self._index = 0
        self._open: str | None = None
        """The delta type of the block that is open on the wire, and the member that holds its text, are its."""
        self._part: Part | None = None
        self._visible: list[str] = []
        self._broken = False
        """A section has ended; what separates it from the next is due before more text."""
        self._refused: str | None = None
        self._chars = 0
        self._usage: Usage | None = None
        self._finish = Finish(reason=FinishReason.OTHER)

    def feed(self, event: StreamEvent) -> bytes:
        """What the client gets now; often nothing."""
        match event:
            case Delta(choice=0, text=text):
                return self._on_delta(text)
            case BlockStart(choice=0, part=part):
                return self._on_block_start(part)
            case BlockEnd(choice=0, part=part):
                return self._on_block_end(part)
            case Cite(choice=0, citation=citation):
                native = native_citations((citation,))
                return self._delta({"type": "citations_delta", "citation": native[0]}) if native else b""
            case Section(choice=0):
                self._broken = bool(self._visible)
                return b""
            case Start():
                return self._on_start(event)
            case UsageUpdate(usage=usage):
                self._usage = merge_usage(self._usage, usage)
                return b""
            case FinishEvent(choice=0, finish=finish):
                self._finish = finish
                return b""
            case Ping():
                return PING_FRAME if self._started else b""
            case End():
                return self._on_end()
            case Fail(error=error):
                return _failure(error)
            case SealEvent() | Delta() | BlockStart() | BlockEnd() | Cite() | Section() | FinishEvent():
                return b""  # the seal comes with the end of its block; other choices are not told
            case _:
                assert_never(event)

    def _on_start(self, event: Start) -> bytes:
        self._started = True
        self._usage = event.usage
        message: dict[str, Any] = {
            "id": message_id(event.id, self._writing),
            "type": "message",
            "role": "assistant",
            "model": self._writing.request.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, **encode_usage(event.usage), "output_tokens": 0},
        }
        return _frame("message_start", {"message": message})

    def _on_block_start(self, part: Part) -> bytes:
        self._part = part
        self._visible = []
        self._broken = False
        match part:
            case Text():
                return self._begin({"type": "text", "text": ""})
            case Refusal():
                self._refused = ""
                return self._begin({"type": "text", "text": ""})
            case ToolCall():
                return self._begin(start_call(part))
            case _:
                return b""  # thoughts wait for text; others are written whole

    def _on_delta(self, text: str) -> bytes:
        if not text:
            return b""
        self._chars += len(text)
        match self._part:
            case Reasoning():
                return self._on_thought(text)
            case ToolCall(kind="custom"):
                return b""  # free text becomes an object when it is whole
            case ToolCall():
                return self._delta({"type": "input_json_delta", "partial_json": text})
            case Text():
                return self._delta({"type": "text_delta", "text": text})
            case Refusal():
                self._refused = f"{self._refused or ''}{text}"
                return self._delta({"type": "text_delta", "text": text})
            case _:
                return b""

    def _on_thought(self, text: str) -> bytes:
        if not self._writing.show_reasoning:
            return b""
        begun = b""
        if self._open is None:
            begun = self._begin({"type": "thinking", "thinking": "", "signature": ""})
        if self._broken:
            self._broken = False
            text = SECTION_BREAK + text
        self._visible.append(text)
        return begun + self._delta({"type": "thinking_delta", "thinking": text})

    def _on_block_end(self, part: Part) -> bytes:
        self._part = None
        if isinstance(part, Reasoning):
            return self._end_thought(part)
        if isinstance(part, ToolCall) and part.kind == "custom":
            arguments = wrap_string(part.arguments)
            return self._delta({"type": "input_json_delta", "partial_json": arguments}) + self._stop()
        if self._open is not None:
            return self._stop()
        block = encode_part(part, self._writing)
        return b"" if block is None else self._whole(block)

    def _end_thought(self, part: Reasoning) -> bytes:
        if self._open is None:
            block = encode_thinking("", part.seal, self._writing)
            return b"" if block is None else self._whole(block)
        payload = sealed(part.seal, "".join(self._visible), self._writing)
        signed = self._delta({"type": "signature_delta", "signature": payload}) if payload else b""
        return signed + self._stop()

    def _on_end(self) -> bytes:
        usage = encode_usage(self._usage)
        # The TypeScript library assigns it unguarded.
        usage.setdefault("output_tokens", -(-self._chars // CHARS_PER_TOKEN))
        usage.pop("service_tier", None)
        usage.pop("cache_creation", None)
        delta = encode_finish(self._finish, self._refused)
        return _frame("message_delta", {"delta": delta, "usage": usage}) + _STOP_FRAME

    def _whole(self, block: dict[str, Any]) -> bytes:
        """A block that says everything in its start, text excepted."""
        if block["type"] != "text":
            return self._begin(block) + self._stop()
        begun = self._begin({**block, "text": ""})
        return begun + self._delta({"type": "text_delta", "text": block["text"]}) + self._stop()

    def _begin(self, block: dict[str, Any]) -> bytes:
        self._open = block["type"]
        return _frame("content_block_start", {"index": self._index, "content_block": block})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        wire = {"type": "content_block_delta", "index": self._index, "delta": delta}
        try:
            return b"event: content_block_delta\ndata: " + orjson.dumps(wire) + b"\n\n"
        except TypeError:  # half a surrogate pair
            return b"event: content_block_delta\ndata: " + dumps_exact(wire) + b"\n\n"

    def _stop(self) -> bytes:
        self._open = None
        index, self._index = self._index, self._index + 1
        return _frame("content_block_stop", {"index": index})


def _frame(name: str, members: dict[str, Any]) -> bytes:
    # Without its event line the Python library drops a frame.
    return f"event: {name}\ndata: ".encode() + dumps_exact({"type": name, **members}) + b"\n\n"


def _failure(error: GatewayError | Complaint) -> bytes:
    if isinstance(error, GatewayError):
        return encode_error_event(error)
    # What a provider said is not to be shown before it is redacted, which is done elsewhere.
    word = next((word for word, status in ERROR_STATUSES.items() if status == error.status), "api_error")
    if word in ("authentication_error", "billing_error", "permission_error"):
        word = "api_error"  # our account's affair, not the caller's
    fields = {"type": word, "message": "The provider reported an error."}
    return _frame("error", {"error": fields})
