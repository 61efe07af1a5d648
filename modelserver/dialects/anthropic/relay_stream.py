"""A stream of the Messages API that passes with its own bytes."""

from __future__ import annotations

from typing import Any, Final

from modelserver.dialects import answers
from modelserver.dialects.anthropic import answer
from modelserver.dialects.anthropic.usage import READ, decode_usage
from modelserver.dialects.anthropic.writing import encode_error_event
from modelserver.dialects.dialect import Claim
from modelserver.dialects.relaying import EventRelay, invalid, member_of
from modelserver.errors import GatewayError, StreamBroken
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage, merge_report
from modelserver.wire.json_splice import Member

_EMPTY_AT_FIRST: Final = ("text", "thinking")
"""Blocks that may begin with nothing in them; any other is content by being there."""
_WRITTEN: Final = frozenset(("text", "thinking", "partial_json", "content"))
"""Members of deltas that hold what the model wrote; `content` is that of a compaction."""
_SAYS_NOTHING: Final = ("ping", "content_block_stop")


def open_stream(*, withhold_usage: bool = False, rename: str | None = None, claim: Claim | None = None) -> EventRelay:
    """See `dialect.OpenStream`; usage is part of every stream, and nothing of an answer is kept for later."""
    return EventRelay(MessagesReader(), rename=rename)


class MessagesReader:
    """What the events of one stream say; see `relaying.EventReader`. They are told apart by `type` alone."""

    __slots__ = (
        "_given",
        "_reports",
        "_started",
        "_stopping",
        "has_content",
        "is_complete",
        "is_over",
        "output_chars",
        "usage",
    )

    def __init__(self) -> None:
        self.has_content = False
        self.is_complete = False
        self.is_over = False
        self.usage: Usage | None = None
        self.output_chars = 0
        self._started = False
        self._stopping = False
        """A `message_delta` has come; compatible servers give no reason in it."""
        self._given = 0
        """Length of the input that the open block began with: deltas may say it again."""
        self._reports: dict[str, Any] = {}

    def read(self, event: dict[str, Any]) -> Complaint | None:
        """Note what an event says; the error that it is, if it is one.

        Raises:
            UpstreamFailed: The answer begins anew, or ends without an end.
        """
        if answer.is_complaint(event):
            return answer.read_complaint(200, event)
        kind = event.get("type")
        if kind == "content_block_delta":
            self._on_delta(event.get("delta"))
        elif kind == "content_block_start":
            self._on_block_start(event.get("content_block"))
        elif kind == "message_start":
            self._on_start(event.get("message"))
        elif kind == "message_delta":
            self._on_message_delta(event)
        elif kind == "message_stop":
            self._on_stop()
        elif event and kind not in _SAYS_NOTHING:
            self.has_content = True
        return None

    def model_of(self, data: bytes, event: dict[str, Any]) -> Member | None:
        """Where the text of an event names the model; None where it does not."""
        return member_of(data, event, "message", "model") if event.get("type") == "message_start" else None

    def fail(self, error: GatewayError) -> bytes:
        """The frame that ends the stream with an error."""
        return encode_error_event(error)

    def _on_start(self, message: object) -> None:
        if self._started:
            raise invalid("a second beginning of the answer")
        self._started = True
        if type(message) is dict:
            self._note_usage(message.get("usage"))
            if message.get("content"):
                self.has_content = True

    def _on_block_start(self, block: object) -> None:
        self._given = 0
        if type(block) is not dict:
            self.has_content = self.has_content or bool(block)
            return
        if block.get("type") not in _EMPTY_AT_FIRST or any(value for name, value in block.items() if name != "type"):
            self.has_content = True
        self.output_chars += answer.block_chars(block)
        self._given = answer.input_chars(block.get("input"))

    def _on_delta(self, delta: object) -> None:
        if type(delta) is not dict:
            self.has_content = self.has_content or bool(delta)
            return
        for name, value in delta.items():
            if value and name != "type":
                self.has_content = True
                if name in _WRITTEN and type(value) is str:
                    self.output_chars += len(value)
                    if name == "partial_json":
                        self.output_chars -= self._given
                        self._given = 0

    def _on_message_delta(self, event: dict[str, Any]) -> None:
        self._stopping = True
        self._note_usage(event.get("usage"))
        delta = event.get("delta")
        if type(delta) is dict and delta.get("stop_reason") and type(delta["stop_reason"]) is str:
            self.is_complete = True
            self.has_content = True

    def _note_usage(self, report: object) -> None:
        if merge_report(self._reports, report, READ):
            self.usage = decode_usage(self._reports)

    def _on_stop(self) -> None:
        if not self._stopping:
            if self.has_content:
                raise StreamBroken("The provider ended the stream without a reason to stop.", code="upstream_error")
            raise answers.invalid("ends without a reason")
        self.has_content = True
        self.is_complete = True
        self.is_over = True
