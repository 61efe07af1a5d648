"""Server-sent events, framed on bytes.

Lines end in LF, CR LF or CR and in nothing else: `bytes.splitlines` and `str.splitlines` also cut at characters that
models emit raw (U+2028, U+0085). WHATWG HTML, "Server-sent events", read 2026-11-23.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from modelserver.errors import UpstreamFailed

MAX_EVENT_BYTES: Final = 16_000_000

_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
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
    """It has a line that is no field of the format and no comment."""


class SseFramer:
    """Bytes of an event stream in, whole frames out; concatenated `raw` gives back the bytes."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._parts: list[bytes] = []
        self._size = 0
        self._tail = b""
        self._first = True

    def feed(self, data: bytes) -> list[Frame]:
        """Frames that are complete now.

        Raises:
            UpstreamFailed: `upstream_too_large`, one event is over the limit.
        """
        if self._parts:
            if not _has_blank_line(self._tail + data):
                self._keep(data)
                return []
            self._parts.append(data)
            data = b"".join(self._parts)
            self._parts.clear()
            self._size = 0
        elif not _has_blank_line(data):
            self._keep(data)
            return []
        if b"\r" in data:
            frames, rest = self._split_any(data)
        else:
            *pieces, rest = data.split(b"\n\n")
            frames = [self._frame(piece, piece + b"\n\n") for piece in pieces]
        if rest:
            self._keep(rest)
        return frames

    def close(self) -> Frame | None:
        """What came after the last blank line, completed by the blank line that it lacks; None when nothing did.

        Whether such a rest is an event at all is for the caller to judge: it is one when its data is whole.
        """
        rest = b"".join(self._parts)
        self._parts.clear()
        if not rest:
            return None
        if not rest.strip(b"\r\n"):
            return Frame(rest, None)
        line_end = b"\r\n" if b"\r\n" in rest else b"\n"
        ended = rest.endswith((b"\n", b"\r"))
        return self._frame(rest, rest + (line_end if ended else line_end * 2))

    def _keep(self, rest: bytes) -> None:
        self._parts.append(rest)
        self._size += len(rest)
        self._tail = (self._tail + rest)[-_OVERLAP:] if len(rest) < _OVERLAP else rest[-_OVERLAP:]
        if self._size > self._max_event_bytes:
            raise UpstreamFailed(
                f"The provider sent an event of more than {self._max_event_bytes:,} bytes.", code="upstream_too_large"
            )

    def _split_any(self, data: bytes) -> tuple[list[Frame], bytes]:
        frames = []
        start = 0
        for match in _BLANK_LINE.finditer(data):
            frames.append(self._frame(data[start : match.start()], data[start : match.end()]))
            start = match.end()
        return frames, data[start:]

    def _frame(self, body: bytes, raw: bytes) -> Frame:
        if self._first:
            self._first = False
            body = body.removeprefix(_BOM)
        if body.startswith(b"data: ") and b"\n" not in body and b"\r" not in body:
            return Frame(raw, body[6:])
        return _read_lines(body, raw)


def _has_blank_line(data: bytes) -> bool:
    if b"\n\n" in data:
        return True
    return b"\r" in data and _BLANK_LINE.search(data) is not None


def _read_lines(body: bytes, raw: bytes) -> Frame:
    values: list[bytes] = []
    malformed = False
    for line in _LINE_END.split(body):
        if not line or line.startswith(b":"):
            continue
        name, _, value = line.partition(b":")
        if name == b"data":
            values.append(value.removeprefix(b" "))
        elif name not in _FIELDS:
            malformed = True
    return Frame(raw, b"\n".join(values) if values else None, malformed)
