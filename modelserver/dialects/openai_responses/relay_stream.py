"""A Responses stream that passes with its own bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelserver.dialects.answers import text_chars
from modelserver.dialects.dialect import Claim
from modelserver.dialects.openai_responses.answer import encode_error_event, encode_failed_event
from modelserver.dialects.openai_responses.relay import MAX_KEPT, kept_ids
from modelserver.dialects.openai_responses.report import (
    BESIDE_TEXT,
    read_failed,
    read_failure,
    read_usage,
    written_chars,
)
from modelserver.dialects.openai_responses.vocab import (
    ADDED,
    BEGINNINGS,
    COUNTED_CALLS,
    ENDS,
    FAILED_STATUSES,
    FAILURES,
    ITEM_DONE,
    PINGS,
)
from modelserver.dialects.relaying import EventRelay, member_of
from modelserver.errors import GatewayError
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from modelserver.wire.json_splice import Member
from modelserver.wire.json_text import dumps_exact

MAX_HELD_BYTES: Final = 262_144
"""Of what was streamed, in case that the stream has to be ended with a repetition of it."""
_MAX_NUMBER: Final = 2**53
_LEFT_OUT: Final[Mapping[str, object]] = {"instructions": None, "tools": ()}
"""What a response repeats of its request, and what stands for it when the stream failed: agents send much of it (Codex
17 KB of tools, where all else of an open stream takes 31 KB), and no client looks for its own words in a failure."""
_SAID_ANEW: Final = frozenset(("status", "error", "output"))
_CALLS: Final = {kind: {"type": kind} for kind in COUNTED_CALLS}
_AUDIO: Final = ("response.audio.delta", "response.output_audio.delta")
_PARTS: Final = frozenset(
    f"response.{part}.{what}"
    for part in ("content_part", "reasoning_part", "reasoning_summary_part")
    for what in ("added", "done")
)
_TEXTS_DONE: Final = frozenset(
    f"response.{text}.done" for text in ("output_text", "refusal", "reasoning_text", "reasoning_summary_text")
)


def open_stream(*, withhold_usage: bool = False, rename: str | None = None, claim: Claim | None = None) -> EventRelay:
    """See `dialect.OpenStream`; usage is part of every stream."""
    return EventRelay(ResponsesReader(rename=rename, claim=claim), rename=rename)


class ResponsesReader:
    """What the events of one stream say; see `relaying.EventReader`. They are told apart by `type` alone.

    For the event by which a failed stream ends, the response as it began and the items that are finished are held, as
    text, which takes a quarter of the memory of the parsed values.
    """

    __slots__ = (
        "_calls",
        "_claim",
        "_claimed",
        "_held_bytes",
        "_is_kept",
        "_items",
        "_last_index",
        "_number",
        "_rename",
        "_response",
        "_streamed",
        "has_content",
        "is_complete",
        "is_over",
        "output_chars",
        "usage",
    )

    def __init__(self, *, rename: str | None = None, claim: Claim | None = None) -> None:
        self.has_content = False
        self.is_complete = False
        self.is_over = False
        self.usage: Usage | None = None
        self.output_chars = 0
        self._rename = rename
        self._claim = claim
        self._claimed: set[str] = set()
        self._is_kept: bool | None = None
        """The response is kept by its provider; None while nothing of it was seen."""
        self._number = 0
        """Of the next event."""
        self._response = b""
        self._items: dict[int, bytes] = {}
        self._last_index = -1
        """The highest of the items that are held."""
        self._held_bytes = 0
        self._streamed: dict[int, int] = {}
        """Characters that came in deltas, by the number of the item that is not finished."""
        self._calls: list[dict[str, str]] = []
        """The finished items that are billed one by one; only their types."""

    def read(self, event: dict[str, Any]) -> Complaint | None:
        """Note what an event says; the error that it is, if it is one."""
        kind = event.get("type")
        if type(kind) is not str:
            kind = ""
        response = event.get("response")
        if type(response) is not dict:
            response = None
        complaint = self._complaint(kind, event, response)
        if complaint is not None:
            return complaint
        number = event.get("sequence_number")
        # Servers that number nothing are counted for.
        self._number = 1 + (number if type(number) is int and 0 <= number < _MAX_NUMBER else self._number)
        if kind.endswith(".delta"):
            self._on_delta(kind, event)
        elif kind in ENDS:
            self._on_end(response or {})
        elif kind == ITEM_DONE:
            self._on_item(event)
        elif response is not None:
            self._note_ids(response, [])
            if kind in BEGINNINGS:
                self._on_beginning(response)
        if not self.has_content and event and not _says_nothing(kind, event):
            self.has_content = True
        return None

    def model_of(self, data: bytes, event: dict[str, Any]) -> Member | None:
        """Where the text of an event names the model; None where it does not."""
        return member_of(data, event, "response", "model") if "response" in event else None

    def fail(self, error: GatewayError) -> bytes:
        """The frame that ends the stream with an error, which repeats what was finished until then."""
        if not self._response:
            return encode_error_event(error)
        output = [self._items[index] for index in sorted(self._items)]
        return encode_failed_event(error, number=self._number, response=self._response, output=output)

    def _complaint(self, kind: str, event: dict[str, Any], response: dict[str, Any] | None) -> Complaint | None:
        if kind in FAILURES or (response is not None and response.get("status") in FAILED_STATUSES):
            response = response or {}
            self._note_usage(response, [])
            return read_failed(response)
        # Events of an item may have an error of their own, such as that of a hosted tool.
        if kind == "error" or (event.get("error") and "output_index" not in event):
            return read_failure(event)
        return None

    def _on_beginning(self, response: dict[str, Any]) -> None:
        # A queued response is followed by one that has begun: the last one counts.
        self._held_bytes -= len(self._response)
        kept = {key: _LEFT_OUT.get(key, value) for key, value in response.items() if key not in _SAID_ANEW}
        if self._rename is not None and type(kept.get("model")) is str:
            kept["model"] = self._rename
        self._response = self._held({"object": "response", **kept})

    def _on_item(self, event: dict[str, Any]) -> None:
        item, index = event.get("item"), event.get("output_index")
        if type(index) is not int:
            index = self._last_index + 1
        streamed = self._streamed.pop(index, 0)
        if type(item) is not dict:
            return
        self.output_chars += max(0, written_chars(item) - streamed)
        kind = item.get("type")
        if type(kind) is str and kind in COUNTED_CALLS:
            self._calls.append(_CALLS[kind])
        if self._is_kept:
            self._claim_ids({}, [item])
        self._held_bytes -= len(self._items.pop(index, b""))
        text = self._held(item)
        if text:
            self._items[index] = text
            self._last_index = max(self._last_index, index)

    def _on_delta(self, kind: str, event: dict[str, Any]) -> None:
        delta = event.get("delta")
        if not delta:
            return
        self.has_content = True
        if kind in _AUDIO:
            return
        chars = len(delta) if type(delta) is str else text_chars(delta, without=BESIDE_TEXT)
        self.output_chars += chars
        index = event.get("output_index")
        if type(index) is int:
            self._streamed[index] = self._streamed.get(index, 0) + chars

    def _on_end(self, response: dict[str, Any]) -> None:
        output = response.get("output")
        items = output if type(output) is list else []
        self._note_ids(response, items)
        self._note_usage(response, items or self._calls)
        self.output_chars = max(self.output_chars, sum(map(written_chars, items)))
        self.is_complete = True
        self.is_over = True
        self._response = b""
        self._items.clear()

    def _note_usage(self, response: dict[str, Any], items: list[Any]) -> None:
        usage = read_usage(response, items)
        if usage is not None:
            self.usage = usage

    def _note_ids(self, response: dict[str, Any], items: list[Any]) -> None:
        stored = response.get("store")
        if stored is not None or self._is_kept is None:
            self._is_kept = stored is not False
        if self._is_kept:
            self._claim_ids(response, items)

    def _claim_ids(self, response: dict[str, Any], items: list[Any]) -> None:
        if self._claim is None:
            return
        for id in kept_ids(response, items):
            if id not in self._claimed and len(self._claimed) < MAX_KEPT:
                self._claimed.add(id)
                self._claim(id)

    def _held(self, value: object) -> bytes:
        """The text of a value that may have to be repeated; empty where it would take too much, or can't be written."""
        try:
            text = dumps_exact(value)
        except (TypeError, ValueError, RecursionError):
            return b""
        if self._held_bytes + len(text) > MAX_HELD_BYTES:
            return b""
        self._held_bytes += len(text)
        return text


def _says_nothing(kind: str, event: dict[str, Any]) -> bool:
    """Whether an event is no content: a beginning, or something empty."""
    if kind in BEGINNINGS or kind in PINGS:
        return True
    if kind.endswith(".delta"):
        return not event.get("delta")
    if kind in (ADDED, ITEM_DONE):
        return _is_empty(event.get("item"))
    if kind in _PARTS:
        return _is_blank(event.get("part"))
    return kind in _TEXTS_DONE and not (event.get("text") or event.get("refusal"))


def _is_empty(item: object) -> bool:
    """Whether an item has nothing in it yet; calls and hosted work are content by being there."""
    if type(item) is not dict:
        return not item
    if item.get("type") not in ("message", "reasoning") or item.get("encrypted_content"):
        return False
    for key in ("content", "summary"):
        parts = item.get(key)
        if parts and not (type(parts) is list and all(map(_is_blank, parts))):
            return False
    return True


def _is_blank(part: object) -> bool:
    if type(part) is not dict:
        return not part
    return not any(value for key, value in part.items() if key != "type")
