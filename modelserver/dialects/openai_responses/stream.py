"""A Responses stream, read: bytes of an upstream in, events out.

Items are told apart by `output_index`, never by id: GitHub Copilot gives every event of one item another id (recorded,
2026-08). `event:` lines are not needed (Bedrock and OpenRouter send none), and a last `[DONE]` is no surprise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelserver.dialects.codec import Reading, StreamDecoder
from modelserver.dialects.openai_responses.blocks import Blocks, Event, Out, Reader
from modelserver.dialects.openai_responses.output import open_reader
from modelserver.dialects.openai_responses.report import (
    cut,
    invalid,
    read_failed,
    read_failure,
    read_finish,
    read_usage,
)
from modelserver.dialects.openai_responses.vocab import (
    ADDED,
    BEGINNINGS,
    ENDS,
    FAILED_STATUSES,
    FAILURES,
    ITEM_DONE,
    PINGS,
)
from modelserver.dialects.stops import StoppingDecoder
from modelserver.errors import GatewayError
from modelserver.ir.events import End, Fail, FinishEvent, Ping, Start, StreamEvent, UsageUpdate
from modelserver.ir.parts import Finish, FinishReason
from modelserver.wire.json_text import loads_lenient
from modelserver.wire.sse import DONE, Frame, SseFramer, is_whole

_NOT_OF_A_PART: Final = BEGINNINGS | ENDS | PINGS | {ADDED, ITEM_DONE, "error"}

_TYPES_BY_EVENT: Final[Mapping[str, str]] = {
    "response.output_text": "message",
    "response.refusal": "message",
    "response.content_part": "message",
    "response.reasoning_summary_part": "reasoning",
    "response.reasoning_summary_text": "reasoning",
    "response.reasoning_text": "reasoning",
    "response.reasoning_part": "reasoning",
}
"""The item that an event belongs to where nobody announced it; calls have to wait for their name."""


def stream_decoder(reading: Reading) -> StreamDecoder:
    """A decoder for one stream; it also ends the answer at the client's stop strings, which have no field here."""
    decoder = ResponsesStreamDecoder(reading)
    stops = reading.request.sampling.stop
    return StoppingDecoder(decoder, stops) if stops else decoder


class ResponsesStreamDecoder:
    """See `codec.StreamDecoder`.

    One item is open at a time; events of another one wait until it has ended.
    """

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._framer = SseFramer()
        self._blocks = Blocks(reading)
        self._started = False
        self._over = False
        self._live: Reader | None = None
        self._waiting: dict[int, list[Event]] = {}
        self._seen: set[int] = set()
        self._ended: set[int] = set()
        self._items = 0
        self._done_items: list[Event] = []

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Events that are known now; none after the terminal one."""
        out: list[StreamEvent] = []
        if self._over:
            return out
        try:
            for frame in self._framer.feed(data):
                if not self._over:
                    self._on_frame(frame, out)
        except GatewayError as error:
            self._fail(error, out)
        except RecursionError:
            self._fail(invalid("answer is nested too deeply"), out)
        return out

    def close(self) -> list[StreamEvent]:
        """The events that the end of the bytes means: `Fail` when the stream was cut."""
        out: list[StreamEvent] = []
        if self._over:
            return out
        try:
            rest = self._framer.close()
            if rest is not None and rest.data is not None and not rest.malformed and is_whole(rest.data):
                self._on_frame(rest, out)
            if not self._over:
                self._end_of_bytes(out)
        except GatewayError as error:
            self._fail(error, out)
        except RecursionError:
            self._fail(invalid("answer is nested too deeply"), out)
        return out

    def complete(self, response: Event, out: Out) -> None:
        """The answer is over and `response` repeats it; what of it was not streamed is said now.

        Raises:
            UpstreamFailed: It can't be read.
        """
        self._start(response, out)
        output = response.get("output")
        items: list[Event] = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
        self._finish_items(items, out)
        usage = read_usage(response, items or self._done_items)
        if usage is not None:
            out.append(UsageUpdate(usage, final=True))
        finish = read_finish(response, called=self._blocks.called, refused=self._blocks.refused)
        out.append(FinishEvent(0, finish))
        out.append(End())
        self._over = True

    def _on_frame(self, frame: Frame, out: Out) -> None:
        data = frame.data
        if frame.malformed:
            raise invalid("stream holds a line that is no event")
        if not data:
            if data is None and frame.raw.startswith(b":"):
                out.append(Ping())
            return
        if data == DONE or data.strip() == DONE:
            self._end_of_bytes(out)
            return
        try:
            event = loads_lenient(data)
        except ValueError:
            raise invalid("stream holds an event that is not JSON") from None
        if type(event) is not dict:
            raise invalid("stream holds an event that is not a JSON object")
        kind = event.get("type")
        if type(kind) is not str:
            kind = ""
        live = self._live
        if live is not None and kind not in _NOT_OF_A_PART and event.get("output_index") == live.index:
            live.feed(kind, event, out)
        else:
            self._on_event(kind, event, out)

    def _on_event(self, kind: str, event: Event, out: Out) -> None:
        if kind in ENDS:
            self._on_end(kind, event, out)
        elif kind in BEGINNINGS:
            response = event.get("response")
            self._start(response if isinstance(response, dict) else {}, out)
        elif kind in PINGS:
            out.append(Ping())
        elif kind == "error" or event.get("error"):
            self._over = True
            out.append(Fail(read_failure(event)))
        elif kind and "output_index" in event:
            self._start({}, out)
            index = event["output_index"]
            self._route(kind, event, index if type(index) is int else 0, out)

    def _start(self, response: Event, out: Out) -> None:
        if self._started:
            return
        self._started = True
        id, model, created = response.get("id"), response.get("model"), response.get("created_at")
        self._blocks.response_id = id if isinstance(id, str) else ""
        out.append(
            Start(
                self._blocks.response_id,
                model if isinstance(model, str) and model else self._reading.profile.model,
                int(created) if type(created) in (int, float) and abs(created) < 2**40 else 0,  # type: ignore[arg-type]
            )
        )

    def _route(self, kind: str, event: Event, index: int, out: Out) -> None:
        """An event of an item, to its reader now or later."""
        live = self._live
        if live is not None and live.index != index:
            if kind in (ADDED, ITEM_DONE) or index not in self._ended:
                self._waiting.setdefault(index, []).append(event)
            return
        if kind == ADDED:
            if live is not None:  # a server that counts all items alike
                self._end(live, {}, out)
            self._live = self._opened(index, _object(event.get("item")), out)
        elif kind == ITEM_DONE:
            item = _object(event.get("item"))
            if live is not None and item and live.type != item.get("type"):
                self._end(live, {}, out)
                live = None
            if live is None:
                if index in self._ended and _is_in(item, self._done_items):
                    return
                live = self._opened(index, item, out)
            self._end(live, item, out)
            self._next(out)
        elif live is not None:
            live.feed(kind, event, out)
        elif index not in self._ended:
            type_ = _TYPES_BY_EVENT.get(kind.rpartition(".")[0])
            if type_ is not None:
                self._live = self._opened(index, {"type": type_}, out)
                self._live.feed(kind, event, out)

    def _opened(self, index: int, item: Event, out: Out) -> Reader:
        self._items += 1
        self._seen.add(index)
        self._ended.discard(index)
        return open_reader(self._blocks, index, item, out)

    def _end(self, reader: Reader, item: Event, out: Out) -> None:
        self._live = None
        self._ended.add(reader.index)
        if item:
            self._done_items.append(item)
        reader.end(item, out)

    def _next(self, out: Out) -> None:
        """Events that waited for the open item to end."""
        while self._waiting and self._live is None:
            index = next(iter(self._waiting))
            for event in self._waiting.pop(index):
                self._route(event["type"], event, index, out)

    def _finish_items(self, items: list[Event], out: Out) -> None:
        while (live := self._live) is not None:
            repeated = items[live.index] if 0 <= live.index < len(items) else {}
            self._end(live, repeated if repeated.get("type") == live.type else {}, out)
            self._next(out)
        if self._items >= len(items):
            return
        for index, item in enumerate(items):
            if index not in self._seen and not _is_in(item, self._done_items):
                self._end(self._opened(index, item, out), item, out)

    def _on_end(self, kind: str, event: Event, out: Out) -> None:
        response = _object(event.get("response"))
        if kind in FAILURES or response.get("status") in FAILED_STATUSES:
            usage = read_usage(response)
            if usage is not None and self._started:
                out.append(UsageUpdate(usage, final=True))
            self._over = True
            out.append(Fail(read_failed(response)))
            return
        if kind == "response.incomplete" and response.get("status") != "incomplete":
            response = {**response, "status": "incomplete"}
        self.complete(response, out)

    def _end_of_bytes(self, out: Out) -> None:
        """The stream ends without saying that the answer is over."""
        if not self._started or not self._items or not self._reading.profile.quirks.get("eof_is_stop"):
            raise cut()
        self._finish_items([], out)
        reason = FinishReason.TOOL_CALLS if self._blocks.called else FinishReason.STOP
        out.extend((FinishEvent(0, Finish(reason=reason)), End()))
        self._over = True

    def _fail(self, error: GatewayError, out: Out) -> None:
        self._over = True
        out.append(Fail(error))


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _is_in(item: Event, items: list[Event]) -> bool:
    id = item.get("id")
    return any(item == other or (id is not None and id == other.get("id")) for other in items)
