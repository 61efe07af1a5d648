"""Server-sent events, framed on bytes.

Lines end in LF, CR LF or CR and in nothing else: `bytes.splitlines` and `str.splitlines` also cut at characters that
models emit raw (U+2028, U+0085). WHATWG HTML, "Server-sent events", read 2026-11-23.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from modelserver.errors import UpstreamFailed
from modelserver.wire.json_text import loads_lenient

MAX_EVENT_BYTES: Final = 16_000_000
DONE: Final = b"[DONE]"
"""What OpenAI's Chat streams end with; some servers put it behind other streams too."""

# A CR at the very end of the data may be half of a CR LF: it ends nothing before the next byte is known.
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?=[^\n]))(?:\r\n|\n|\r(?=[^\n]))")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_FIELDS: Final = frozenset((b"data", b"event", b"id", b"retry"))
_BOM: Final = b"\xef\xbb\xbf"
_OVERLAP: Final = 3


class Frame(NamedTuple):
    """One event as it came."""

    raw: bytes
    """Every byte of it, the blank line included."""
    data: bytes | None
    """Its `data` lines joined by LF; None when it has none (a comment, a blank line, a lone `retry`)."""
    malformed: bool = False
    """It has a line that is no field of the format and no comment, or an `event` or `id` that is not UTF-8."""


class SseFramer:
    """Bytes of an event stream in, whole frames out; concatenated `raw` gives back the bytes.

    However the bytes are cut, the frames are the same.

    Attributes:
        failure: One event is over the limit: no frame comes after it.
    """

    __slots__ = ("_first", "_max_event_bytes", "_parts", "_size", "_tail", "failure")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.failure: UpstreamFailed | None = None
        self._max_event_bytes = max_event_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._tail = b""
        self._first = True

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that are complete now.

        Raises:
            UpstreamFailed: `upstream_too_large`, one event is over the limit. Where frames stand before it in `data`
                they are returned, and the next call raises.
        """
        if self.failure is not None:
            raise self.failure
        if self._parts:
            if not _has_blank_line(self._tail + data):
                self._keep(data)
                return self._within_limit([]) if self._size > self._max_event_bytes else []
            self._parts.append(data)
            data = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
            self._tail = b""
        frames, rest = _split(data)
        if frames and self._first:
            self._first = False
            frames[0] = _without_bom(frames[0])
        if rest:
            self._keep(rest)
        return self._within_limit(frames) if len(data) > self._max_event_bytes else frames

    def close(self) -> Frame | None:
        """What came after the last blank line, completed by the blank line that it lacks.

        None when nothing came, or nothing that holds data (a comment) and its blank line did not. Whether such a rest
        is an event at all is for the caller to judge: it is one when its data is whole.
        """
        rest = b"".join(self._parts)
        self._parts.clear()
        raw = _completed(rest) if rest.strip(b"\r\n") else rest
        frame = _frame(rest, raw)
        if self._first:
            frame = _without_bom(frame)
        return None if not rest or (frame.data is None and not frame.malformed and raw != rest) else frame

    def _keep(self, rest: bytes) -> None:
        self._parts.append(rest)
        self._size += len(rest)
        self._tail = (self._tail + rest)[-_OVERLAP:] if len(rest) < _OVERLAP else rest[-_OVERLAP:]

    def _within_limit(self, frames: list[Frame]) -> list[Frame]:
        """The frames before the first event that is over the limit, the one that is still incomplete included."""
        limit = self._max_event_bytes
        fitting = next((index for index, frame in enumerate(frames) if len(frame.raw) > limit), len(frames))
        if fitting < len(frames) or self._size > limit:
            self._parts.clear()
            self.failure = UpstreamFailed(
                f"The provider sent an event of more than {limit:,} bytes.", code="upstream_too_large"
            )
            if not fitting:
                raise self.failure
        return frames[:fitting]


def is_whole(data: bytes | None) -> bool:
    """Whether the data of the rest of a stream, which lacks its blank line, is all of an event; of a comment it is."""
    if data is None or data.strip() == DONE:
        return True
    try:
        loads_lenient(data)
    except ValueError:
        return False
    return True


def _has_blank_line(data: bytes) -> bool:
    return b"\n\n" in data or (b"\r" in data and _BLANK_LINE.search(data) is not None)


def _split(data: bytes) -> tuple[list[Frame], bytes]:
    """The frames of the data, and what follows the last of them."""
    if b"\r" not in data:
        pieces = data.split(b"\n\n")
        rest = pieces.pop()
        return [
            Frame(piece + b"\n\n", piece[6:])
            if piece.startswith(b"data: ") and b"\n" not in piece
            else _frame(piece, piece + b"\n\n")
            for piece in pieces
        ], rest
    frames = []
    start = 0
    for blank in _BLANK_LINE.finditer(data):
        frames.append(_frame(data[start : blank.start()], data[start : blank.end()]))
        start = blank.end()
    return frames, data[start:]


def _frame(body: bytes, raw: bytes) -> Frame:
    if body.startswith(b"data: ") and b"\n" not in body and b"\r" not in body:
        return Frame(raw, body[6:])
    values: list[bytes] = []
    malformed = False
    for line in _LINE_END.split(body):
        if not line or line.startswith(b":"):
            continue
        name, _, value = line.partition(b":")
        if name == b"data":
            values.append(value.removeprefix(b" "))
        elif name not in _FIELDS or not _is_utf8(value):
            malformed = True
    return Frame(raw, b"\n".join(values) if values else None, malformed)


def _without_bom(frame: Frame) -> Frame:
    """The first frame of a stream, read without the byte order mark that the stream may begin with."""
    return _frame(frame.raw[len(_BOM) :], frame.raw) if frame.raw.startswith(_BOM) else frame


def _completed(rest: bytes) -> bytes:
    """The last bytes of a stream with the blank line that they lack; here a CR at the end does end its line."""
    if rest.endswith((b"\n\n", b"\r\r", b"\r\n\r\n")):
        return rest
    if rest.endswith(b"\r"):
        # Most likely half of a CR LF; a line end in either reading.
        return rest + (b"\n" if rest.endswith(b"\n\r") else b"\n\r\n")
    line_end = b"\r\n" if b"\r\n" in rest else b"\n"
    return rest + (line_end if rest.endswith(b"\n") else line_end * 2)


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
