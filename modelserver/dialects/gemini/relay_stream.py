"""Streams that pass between an upstream and a client of this dialect.

The upstream's are always events; the client's are events with the upstream's own bytes, or one array of the same
chunks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from modelserver.dialects.answers import text_chars
from modelserver.dialects.dialect import Claim
from modelserver.dialects.gemini.chunks import KNOWN
from modelserver.dialects.gemini.errors import encode_error_event, error_object, read_complaint
from modelserver.dialects.gemini.usage import READ, count_searches, read_usage
from modelserver.dialects.relaying import EventRelay, member_of
from modelserver.errors import GatewayError
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage, clamped, merge_report
from modelserver.wire.json_splice import Member

_UNSPECIFIED: Final = "FINISH_REASON_UNSPECIFIED"
_NOT_WRITTEN: Final = frozenset(("thoughtSignature", "inlineData", "fileData"))
"""Members of a part that are content, but no text that was generated token by token."""
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class GeminiEventReader:
    """Chunks of one answer in, what the gateway must know of them out; see `relaying.EventReader`.

    Nothing marks the end: a stream may end once every candidate that was seen has given a reason. `fail` makes the
    bytes that end the stream with an error.
    """

    __slots__ = (
        "_blocked",
        "_counters",
        "_fail",
        "_finished",
        "_searches",
        "_unfinished",
        "has_content",
        "is_complete",
        "is_over",
        "output_chars",
    )

    def __init__(self, fail: Callable[[GatewayError], bytes]) -> None:
        self.has_content = False
        self.is_complete = False
        self.is_over = False
        self.output_chars = 0
        self._fail = fail
        self._blocked = False
        self._unfinished: set[int] = set()
        self._finished: set[int] = set()
        self._counters: dict[str, Any] = {}
        """The `usageMetadata` of the chunks so far, merged."""
        self._searches: dict[int, int] = {}

    @property
    def usage(self) -> Usage | None:
        """See `relaying.EventReader.usage`; put together when it is asked for, since every chunk reports it."""
        if not self._counters:
            return None
        searches = sum(self._searches.values())
        return clamped(read_usage(self._counters, {"web_search": searches} if searches else None))

    @property
    def has_answer(self) -> bool:
        """There is a candidate, or the reason why there is none."""
        return self._blocked or bool(self._finished or self._unfinished)

    def read(self, event: dict[str, Any]) -> Complaint | None:
        """See `relaying.EventReader.read`."""
        merge_report(self._counters, event.get("usageMetadata"), READ)
        candidates = event.get("candidates")
        if type(candidates) is list:
            for position, candidate in enumerate(candidates):
                if type(candidate) is dict:
                    self._read_candidate(candidate, position)
        feedback = event.get("promptFeedback")
        if type(feedback) is dict and feedback.get("blockReason"):
            self._blocked = self.has_content = True
        if event.get("error"):
            return read_complaint(200, event)
        if event and KNOWN.isdisjoint(event):
            self.has_content = True
        self.is_complete = not self._unfinished and (bool(self._finished) or self._blocked)
        return None

    def model_of(self, data: bytes, event: dict[str, Any]) -> Member | None:
        """See `relaying.EventReader.model_of`."""
        return member_of(data, event, "modelVersion")

    def fail(self, error: GatewayError) -> bytes:
        """See `relaying.EventReader.fail`."""
        return self._fail(error)

    def _read_candidate(self, candidate: Mapping[str, Any], position: int) -> None:
        index = candidate.get("index", position)
        if type(index) is not int or index < 0:
            index = 0
        if _is_reason(candidate.get("finishReason")):
            self._finished.add(index)
            self._unfinished.discard(index)
            self.has_content = True
        elif index not in self._finished:
            self._unfinished.add(index)
        content = candidate.get("content")
        parts = content.get("parts") if type(content) is dict else None
        if type(parts) is list:
            for part in parts:
                if type(part) is dict:
                    self._read_part(part)
        if "groundingMetadata" in candidate and (searches := count_searches(candidate)):
            self._searches[index] = max(self._searches.get(index, 0), searches)

    def _read_part(self, part: Mapping[str, Any]) -> None:
        for name, value in part.items():
            if value and name != "thought":
                self.has_content = True
                if name not in _NOT_WRITTEN:
                    self.output_chars += len(value) if type(value) is str else text_chars(value, names=True)


def _is_reason(reason: object) -> bool:
    """A reason has a word, or its number."""
    return (type(reason) is str and reason not in ("", _UNSPECIFIED)) or (type(reason) is int and reason > 0)


def open_stream(*, withhold_usage: bool, rename: str | None, claim: Claim) -> EventRelay:
    """See `dialect.OpenStream`; usage is never asked for, and nothing is kept that has an id."""
    return EventRelay(GeminiEventReader(encode_error_event), rename=rename, comments=False, wrap=data_lines)


def data_lines(raw: bytes, data: bytes) -> bytes:
    """The frame without lines of other fields, which the official client takes for JSON; mostly it has none."""
    if raw.startswith(b"data: ") and raw.startswith(data, 6) and not raw[6 + len(data) :].strip(b"\r\n"):
        return raw
    if all(not line or line.startswith(b"data:") for line in _LINE_END.split(raw)):
        return raw
    return b"".join(b"data: " + line + b"\r\n" for line in data.split(b"\n")) + b"\r\n"


def open_array_stream(*, withhold_usage: bool, rename: str | None, claim: Claim) -> EventRelay:
    """See `dialect.OpenStream`; for a client that has asked for one array."""
    array = ArrayFraming()
    return EventRelay(
        GeminiEventReader(array.fail), rename=rename, comments=False, wrap=array.element, ending=array.ending
    )


class ArrayFraming:
    """One JSON array, written element by element and closed once, with an error or without."""

    def __init__(self) -> None:
        self._begun = False
        self._closed = False

    def element(self, raw: bytes, data: bytes) -> bytes:
        """A chunk as it leaves; `raw`, its frame, is of no use here."""
        lead, self._begun = (b",\r\n" if self._begun else b"["), True
        return lead + data

    def ending(self) -> bytes:
        """What closes the array."""
        self._closed = True
        return b"]" if self._begun else b"[]"

    def fail(self, error: GatewayError) -> bytes:
        """The error as the last element; nothing where the array is closed already."""
        if self._closed:
            return b""
        return self.element(b"", orjson.dumps({"error": error_object(error)})) + self.ending()
