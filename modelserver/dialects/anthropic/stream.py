"""A stream of the Messages API, read."""

from __future__ import annotations

from typing import Any, Final

import attrs

from modelserver.dialects.answers import invalid
from modelserver.dialects.anthropic import answer
from modelserver.dialects.anthropic.usage import READ, decode_usage
from modelserver.dialects.codec import Reading
from modelserver.errors import GatewayError, UpstreamFailed
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
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.parts import Citation, Opaque, Part, Reasoning, Text, ToolCall
from modelserver.ir.types import Complaint
from modelserver.ir.usage import merge_report
from modelserver.wire.json_text import StringUnwrapper, as_object, from_object, loads_lenient
from modelserver.wire.sse import DONE, Frame, SseFramer, is_whole

_CUT: Final = "The provider closed the stream early."
_INPUT: Final = "partial_json"


class _Block:
    """The content block that is open on the wire."""

    __slots__ = ("begun", "citations", "index", "key", "part", "raw", "signature", "started", "texts", "unwrapper")

    def __init__(self, index: object, raw: dict[str, Any], part: Part | None, key: str) -> None:
        self.index = index
        self.raw = raw
        self.part = part
        """As it begins; None where nothing is to be told."""
        self.key = key
        """The member of a delta that holds its text."""
        self.begun = False
        """Its `BlockStart` is out; text and thinking wait until there is something in them."""
        self.started = False
        """A delta of its input has come."""
        self.texts: list[str] = []
        self.signature = ""
        self.citations: list[Citation] = []
        self.unwrapper: StringUnwrapper | None = None

    def sign(self, given: object) -> None:
        """Take a signature; a later one replaces it (SDK, `accumulate_event`)."""
        if isinstance(given, str) and given:
            self.signature = given


class AnthropicStreamDecoder:
    """Bytes of a Messages stream in, events out; frames are told apart by `data.type` alone.

    The finish is held until `message_stop`, since several `message_delta` may come.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._sse = SseFramer()
        self._started = False
        self._ended = False
        self._id = ""
        self._open: _Block | None = None
        self._block = 0
        self._calls = 0
        self._parts: list[Part] = []
        self._usage: dict[str, Any] = {}
        self._stop: dict[str, Any] = {}
        self._stopping = False
        """A `message_delta` has come; compatible servers give no reason in it."""
        self._forced_json = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Events that are known now; none after the terminal one."""
        events: list[StreamEvent] = []
        if self._ended:
            return events
        try:
            for frame in self._sse.feed(data):
                self._on_frame(frame, events)
        except UpstreamFailed as error:
            self._fail(error, events)
        except RecursionError:
            self._fail(invalid("is nested too deeply"), events)
        return events

    def close(self) -> list[StreamEvent]:
        """The events that the end of the bytes means: `End` where the reason to stop has come, else `Fail`."""
        events: list[StreamEvent] = []
        if self._ended:
            return events
        frame = self._sse.close()
        try:
            if frame is not None and frame.data is not None and is_whole(frame.data):
                self._on_frame(frame, events)
            if not self._ended:
                tolerant = self._reading.profile.quirks.get("eof_is_stop") and self._block
                if self._stop.get("stop_reason") or tolerant:
                    self._finish(events)
                else:
                    self._fail(UpstreamFailed(_CUT, code="upstream_error"), events)
        except UpstreamFailed as error:
            self._fail(error, events)
        except RecursionError:
            self._fail(invalid("is nested too deeply"), events)
        return events

    def _on_frame(self, frame: Frame, events: list[StreamEvent]) -> None:
        if self._ended:
            return
        data = frame.data
        if data is None:
            self._on_no_data(frame, events)
            return
        try:
            wire = loads_lenient(data)
        except ValueError:
            if data.strip() in (b"", DONE):
                return
            raise invalid("has an event that is not JSON") from None
        if type(wire) is not dict:
            raise invalid("has an event that is no JSON object")
        match wire.get("type"):
            case "content_block_delta":
                self._on_delta(wire, events)
            case "content_block_start":
                self._on_block_start(wire, events)
            case "content_block_stop":
                if self._open is not None and wire.get("index", self._open.index) == self._open.index:
                    self._end_block(events)
            case "ping":
                events.append(Ping())
            case "message_start":
                self._on_start(wire, events)
            case "message_delta":
                self._on_message_delta(wire, events)
            case "message_stop":
                if not self._stopping:
                    raise invalid("ends without a reason")
                self._finish(events)
            case _:
                if answer.is_complaint(wire):
                    self._fail(answer.read_complaint(200, wire), events)

    def _on_no_data(self, frame: Frame, events: list[StreamEvent]) -> None:
        if frame.malformed:
            # An error that a server or proxy wrote into the stream without making an event of it.
            try:
                wire = loads_lenient(frame.raw)
            except ValueError:
                wire = None
            if isinstance(wire, dict) and answer.is_complaint(wire):
                self._fail(answer.read_complaint(200, wire), events)
                return
            raise invalid("has something that is no event")
        if frame.raw.lstrip().startswith(b":"):
            events.append(Ping())

    def _on_start(self, wire: dict[str, Any], events: list[StreamEvent]) -> None:
        if self._started:
            raise invalid("began a second time")
        message = wire.get("message")
        if not isinstance(message, dict):
            raise invalid("begins without a message")
        self._started = True
        id, model = message.get("id"), message.get("model")
        self._id = id if isinstance(id, str) else ""
        merge_report(self._usage, message.get("usage"), READ)
        events.append(
            Start(
                self._id,
                model if isinstance(model, str) and model else self._reading.profile.model,
                0,
                decode_usage(self._usage) if self._usage else None,
            )
        )

    def _on_block_start(self, wire: dict[str, Any], events: list[StreamEvent]) -> None:
        self._need_start()
        raw = wire.get("content_block")
        if not isinstance(raw, dict):
            raise invalid("has a block without content")
        if self._open is not None:
            self._end_block(events)  # compatible servers leave out the stop
        index = wire.get("index")
        match raw.get("type"):
            case "text":
                block = _Block(index, raw, Text(text=""), "text")
            case "thinking":
                block = _Block(index, raw, Reasoning(form=answer.reasoning_form(self._reading)), "thinking")
                block.sign(raw.get("signature"))
            case "tool_use" if self._reading.json_tool is not None and raw.get("name") == self._reading.json_tool:
                self._forced_json = True
                block = _Block(index, raw, Text(text=""), _INPUT)
            case "tool_use":
                call = answer.start_call(raw, self._reading, self._id, self._calls)
                self._calls += 1
                block = _Block(index, raw, call, _INPUT)
                if call.kind == "custom":
                    block.unwrapper = StringUnwrapper()
                self._begin(block, events)
            case "redacted_thinking":
                block = _Block(index, raw, answer.redacted(raw, self._reading), "")
                if block.part is not None:
                    self._begin(block, events)
            case _:
                block = _Block(index, raw, answer.opaque(raw), _INPUT)
                self._begin(block, events)
        self._open = block
        for key in ("citations", block.key):
            self._on_first(block, key, events)

    def _on_first(self, block: _Block, key: str, events: list[StreamEvent]) -> None:
        """What a block has in its start already; the input of a call waits, since deltas may say it again."""
        value = block.raw.get(key)
        if not value or not isinstance(block.part, Text | Reasoning):
            return
        if key == "citations":
            for each in answer.citations(value):
                self._cite(block, each, events)
        elif isinstance(value, str):
            self._say(block, value, events)

    def _on_delta(self, wire: dict[str, Any], events: list[StreamEvent]) -> None:
        block = self._open
        delta = wire.get("delta")
        if block is None or type(delta) is not dict or wire.get("index", block.index) != block.index:
            raise invalid("has a delta of a block that is not open")
        text = delta.get(block.key)
        if type(text) is str:
            if text:
                self._say(block, text, events)
            return
        match delta.get("type"):
            case "signature_delta" if isinstance(block.part, Reasoning):
                block.sign(delta.get("signature"))
            case "citations_delta" if isinstance(block.part, Text):
                given = delta.get("citation")
                if isinstance(given, dict):
                    self._cite(block, answer.citation(given), events)
            case "compaction_delta":
                given = delta.get("content")
                if isinstance(given, str):
                    block.raw = {**block.raw, "content": (block.raw.get("content") or "") + given}

    def _begin(self, block: _Block, events: list[StreamEvent]) -> None:
        if not block.begun and block.part is not None:
            block.begun = True
            part = block.part
            if isinstance(part, Reasoning) and part.seal is not None:
                events.append(BlockStart(0, self._block, attrs.evolve(part, seal=None)))
                events.append(SealEvent(0, self._block, part.seal))
            else:
                events.append(BlockStart(0, self._block, part))

    def _say(self, block: _Block, text: str, events: list[StreamEvent]) -> None:
        block.started = True
        if block.unwrapper is not None:
            text = block.unwrapper.feed(text)
            if not text:
                return
        if not block.begun:
            self._begin(block, events)
        block.texts.append(text)
        if type(block.part) is not Opaque:
            events.append(Delta(0, self._block, text))

    def _cite(self, block: _Block, citation: Citation, events: list[StreamEvent]) -> None:
        self._begin(block, events)
        block.citations.append(citation)
        events.append(Cite(0, self._block, citation))

    def _end_block(self, events: list[StreamEvent]) -> None:
        block, self._open = self._open, None
        if block is None or block.part is None:
            return
        part = self._complete(block, events)
        if part is not None:
            events.append(BlockEnd(0, self._block, part))
            self._parts.append(part)
            self._block += 1

    def _complete(self, block: _Block, events: list[StreamEvent]) -> Part | None:
        match block.part:
            case ToolCall() as call:
                self._complete_call(block, call, events)
                return attrs.evolve(call, arguments="".join(block.texts))
            case Text():
                if block.key == _INPUT and not block.started:
                    self._say(block, from_object(block.raw.get("input")), events)
                return Text(text="".join(block.texts), citations=tuple(block.citations)) if block.begun else None
            case Reasoning(seal=None) as thought:
                if not block.begun and not block.signature:
                    return None
                self._begin(block, events)
                seal = answer.signature(block.signature, self._reading)
                events.append(SealEvent(0, self._block, seal))
                return attrs.evolve(thought, text="".join(block.texts), seal=seal)
            case Opaque():
                raw = {**block.raw, "input": as_object("".join(block.texts))} if block.texts else block.raw
                return answer.opaque(raw)
            case part:
                return part

    def _complete_call(self, block: _Block, call: ToolCall, events: list[StreamEvent]) -> None:
        """The rest of the arguments: what was held back, or the input of a start that no delta followed."""
        rest = ""
        if not block.started:
            rest = answer.whole_arguments(call, block.raw.get("input"))
        elif block.unwrapper is not None:
            rest = block.unwrapper.close()
        if rest:
            block.texts.append(rest)
            events.append(Delta(0, self._block, rest))

    def _on_message_delta(self, wire: dict[str, Any], events: list[StreamEvent]) -> None:
        self._need_start()
        self._stopping = True
        delta = wire.get("delta")
        if isinstance(delta, dict):
            self._stop.update((key, value) for key, value in delta.items() if value is not None)
        if merge_report(self._usage, wire.get("usage"), READ):
            events.append(UsageUpdate(decode_usage(self._usage)))

    def _finish(self, events: list[StreamEvent]) -> None:
        self._end_block(events)
        declined = answer.refusal(self._stop, tuple(self._parts))
        if declined is not None:
            events.append(BlockStart(0, self._block, attrs.evolve(declined, text="")))
            events.append(Delta(0, self._block, declined.text))
            events.append(BlockEnd(0, self._block, declined))
        if self._usage:
            events.append(UsageUpdate(decode_usage(self._usage), final=True))
        finish = answer.finish(self._stop, tuple(self._parts), forced_json=self._forced_json)
        events.append(FinishEvent(0, finish))
        events.append(End())
        self._ended = True

    def _fail(self, error: GatewayError | Complaint, events: list[StreamEvent]) -> None:
        events.append(Fail(error))
        self._ended = True

    def _need_start(self) -> None:
        if not self._started:
            raise invalid("has content before its start")
