"""Streamed answers of the Gemini API, read."""

from __future__ import annotations

from typing import Any, Final

import orjson

from modelserver.dialects.codec import Reading
from modelserver.dialects.gemini.chunks import KNOWN, ChunkReader
from modelserver.dialects.gemini.errors import read_complaint
from modelserver.errors import GatewayError, UpstreamFailed
from modelserver.ir.events import Fail, Ping, StreamEvent
from modelserver.ir.types import Complaint
from modelserver.wire.json_array import JsonArrayReader
from modelserver.wire.json_text import loads_exact
from modelserver.wire.sse import Frame, SseFramer

_SPACE: Final = b" \t\r\n"
_INVALID: Final = "upstream_invalid_response"


class GeminiStreamDecoder:
    """Bytes of a stream in either of its forms in, events out; which form it is tells its first byte.

    Nothing marks the end: it is the end of the bytes after every candidate has given a reason.
    """

    def __init__(self, reading: Reading) -> None:
        self._reader = ChunkReader(reading)
        self._sse: SseFramer | None = None
        self._array: JsonArrayReader | None = None
        self._head = b""
        self._ended = False

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Events that are known now; none after the terminal one."""
        events: list[StreamEvent] = []
        if self._ended:
            return events
        try:
            if self._sse is not None:
                for frame in self._sse.feed(data):
                    self._frame(frame, events)
            elif self._array is not None:
                for element in self._array.feed(data):
                    self._chunk(element, events)
            else:
                self._open(data, events)
        except UpstreamFailed as error:
            self._fail(error, events)
        except RecursionError:
            self._fail(UpstreamFailed("The provider's answer is nested too deeply.", code=_INVALID), events)
        return events

    def close(self) -> list[StreamEvent]:
        """The events that the end of the bytes means: `Fail` when the stream was cut."""
        events: list[StreamEvent] = []
        if not self._ended:
            try:
                self._finish(self._close_framing(events), events)
            except UpstreamFailed as error:
                self._fail(error, events)
            except RecursionError:
                self._fail(UpstreamFailed("The provider's answer is nested too deeply.", code=_INVALID), events)
        return events

    def _finish(self, is_cut: bool, events: list[StreamEvent]) -> None:
        if self._ended:
            return
        if is_cut or not self._reader.can_finish():
            raise UpstreamFailed("The upstream closed the stream early.", code="upstream_error")
        self._ended = True
        self._reader.finish(events)

    def _open(self, data: bytes, events: list[StreamEvent]) -> None:
        head = self._head + data
        begun = head.lstrip(_SPACE)
        if not begun:
            self._head = head
            return
        self._head = b""
        if begun[:1] in b"[{":
            self._array = JsonArrayReader()
            for element in self._array.feed(head):
                self._chunk(element, events)
        else:
            self._sse = SseFramer()
            for frame in self._sse.feed(head):
                self._frame(frame, events)

    def _close_framing(self, events: list[StreamEvent]) -> bool:
        """Whether bytes are left that make no whole chunk."""
        if self._array is not None:
            return bool(self._array.close()) or not self._array.is_complete
        frame = None if self._sse is None else self._sse.close()
        if frame is None or self._ended:
            return False
        if frame.data is not None and not _is_json(frame.data):
            return True
        self._frame(frame, events)
        return False

    def _frame(self, frame: Frame, events: list[StreamEvent]) -> None:
        if self._ended:
            return
        if frame.malformed:
            # A failure in the middle comes as a bare pretty-printed object, without `data:` (recorded).
            self._chunk(frame.raw, events)
        elif frame.data is None:
            if frame.raw.strip(_SPACE):
                events.append(Ping())
        elif frame.data:
            self._chunk(frame.data, events)

    def _chunk(self, text: bytes, events: list[StreamEvent]) -> None:
        if self._ended:
            return
        try:
            chunk: Any = loads_exact(text) if b"functionCall" in text else orjson.loads(text)
        except ValueError:
            raise UpstreamFailed("The provider sent a chunk that is not JSON.", code=_INVALID) from None
        if isinstance(chunk, list) and len(chunk) == 1:
            chunk = chunk[0]
        if not isinstance(chunk, dict):
            raise UpstreamFailed("The provider sent a chunk that is not an object.", code=_INVALID)
        if chunk.get("error"):
            self._fail(read_complaint(200, chunk), events)
        elif not KNOWN.isdisjoint(chunk):
            self._reader.read(chunk, events)

    def _fail(self, error: GatewayError | Complaint, events: list[StreamEvent]) -> None:
        self._ended = True
        events.append(Fail(error))


def _is_json(text: bytes) -> bool:
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True
