"""Event streams that pass with their own bytes: what the relays of all dialects share.

Every event is parsed, so that what passes is known to be one; it leaves as it came. Only the names of models are
replaced, and only when asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

import orjson

from modelserver.errors import GatewayError, StreamBroken, UpstreamFailed
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from modelserver.wire.json_splice import Member, get_member
from modelserver.wire.json_text import loads_lenient
from modelserver.wire.sse import DONE, Frame, SseFramer, is_whole

Wrap = Callable[[bytes, bytes], bytes]
"""How a frame leaves: its bytes, and its data with the edits made."""

_DATA_LINE = re.compile(rb"(?:\A(?:\xef\xbb\xbf)?|(?<=[\r\n]))data(?:: ?|(?=[\r\n]))")


class EventReader(Protocol):
    """What a dialect makes of the events of one stream."""

    @property
    def has_content(self) -> bool:
        """An event with content or a finish has come."""
        ...

    @property
    def is_complete(self) -> bool:
        """The stream may end here."""
        ...

    @property
    def is_over(self) -> bool:
        """The last event has come."""
        ...

    @property
    def usage(self) -> Usage | None:
        """What the upstream reported, merged."""
        ...

    @property
    def output_chars(self) -> int:
        """Length of the generated text."""
        ...

    def read(self, event: dict[str, Any]) -> Complaint | None:
        """Note what an event says; the error that it is, if it is one. Any shape must be borne."""
        ...

    def model_of(self, data: bytes, event: dict[str, Any]) -> Member | None:
        """Where the text of an event names the model; None where it does not."""
        ...

    def fail(self, error: GatewayError) -> bytes:
        """The frame that ends the stream with an error."""
        ...


class EventRelay:
    """Bytes of an upstream's stream in, the bytes that its client may have out; see `dialect.StreamRelay`.

    `rename` is the id that the client asked for, where the provider's own name for the model differs. `comments` says
    whether frames without data pass. With `wrap` frames leave in another framing, which `ending` closes.
    """

    __slots__ = ("_comments", "_ending", "_framer", "_new_model", "_reader", "_rename", "_wrap", "done", "failure")

    def __init__(
        self,
        reader: EventReader,
        *,
        rename: str | None,
        comments: bool = True,
        wrap: Wrap | None = None,
        ending: Callable[[], bytes] = bytes,
    ) -> None:
        self.done = False
        self.failure: GatewayError | Complaint | None = None
        self._reader = reader
        self._framer = SseFramer()
        self._rename = rename
        self._new_model = b"" if rename is None else orjson.dumps(rename)
        self._comments = comments
        self._wrap = wrap
        self._ending = ending

    @property
    def has_content(self) -> bool:
        """See `dialect.StreamRelay`."""
        return self._reader.has_content

    @property
    def usage(self) -> Usage | None:
        """See `dialect.StreamRelay`."""
        return self._reader.usage

    @property
    def output_chars(self) -> int:
        """See `dialect.StreamRelay`."""
        return self._reader.output_chars

    def feed(self, data: bytes) -> bytes:
        """See `dialect.StreamRelay.feed`."""
        if self.done or self.failure is not None:
            return b""
        out: list[bytes] = []
        try:
            for frame in self._framer.feed(data):
                if not self._relay(frame, out):
                    break
            else:
                self.failure = self._framer.failure
        except GatewayError as error:
            self.failure = error
        return b"".join(out)

    def close(self) -> bytes:
        """See `dialect.StreamRelay.close`."""
        if self.failure is not None or self.done:
            return b""
        out: list[bytes] = []
        rest = self._framer.close()
        try:
            if rest is not None and is_whole(rest.raw if rest.malformed else rest.data):
                self._relay(rest, out)
            if self.failure is None and not self.done:
                if not self._reader.is_complete:
                    raise self._cut()
                self._end(out)
        except GatewayError as error:
            self.failure = error
        self.done = True
        return b"".join(out)

    def fail(self, error: GatewayError) -> bytes:
        """See `dialect.StreamRelay.fail`."""
        return self._reader.fail(error)

    def _relay(self, frame: Frame, out: list[bytes]) -> bool:
        """Whether the stream goes on after this frame."""
        raw, data, malformed = frame
        if malformed:
            self.failure = bare_error(raw, self._reader.read)
            return False
        if data is None:
            if self._comments:
                out.append(raw)
            return True
        if not data:
            return True  # means nothing, and client libraries that read it as JSON fail
        try:
            event = orjson.loads(data)
        except ValueError:
            if data.strip() == DONE:
                if not self._reader.is_complete:
                    raise self._cut() from None
                self._end(out)
                return False
            event = unusual(data)
        if type(event) is not dict:
            raise invalid("an event that is not a JSON object")
        self.failure = self._reader.read(event)
        if self.failure is not None:
            return False
        self._pass(event, frame, data, out)
        if self._reader.is_over:
            self._end(out)
        return not self.done

    def _pass(self, event: dict[str, Any], frame: Frame, data: bytes, out: list[bytes]) -> None:
        raw = frame.raw
        if self._rename is not None and (member := self._reader.model_of(data, event)) is not None:
            raw = spliced(raw, data, member, self._new_model)
            if self._wrap is not None:
                data = data[: member.start] + self._new_model + data[member.end :]
        out.append(raw if self._wrap is None else self._wrap(raw, data))

    def _end(self, out: list[bytes]) -> None:
        self.done = True
        out.append(self._ending())

    def _cut(self) -> UpstreamFailed:
        """What the end of the stream is called when it has come too early."""
        if not self._reader.has_content:
            return UpstreamFailed("The provider's stream ended without an answer.", code="upstream_invalid_response")
        return StreamBroken("The provider ended the stream before the answer was complete.", code="upstream_error")


def member_of(data: bytes, event: dict[str, Any], *keys: str) -> Member | None:
    """Where the text of an object has the string at this path; None where it has none."""
    value: Any = event
    for key in keys:
        value = value.get(key) if type(value) is dict else None
    if type(value) is not str:
        return None
    start, end = 0, len(data)
    for key in keys:
        member = get_member(data[start:end], key)
        start, end = start + member.start, start + member.end
    return Member(keys[-1], start, start, end)


def spliced(raw: bytes, data: bytes, member: Member, text: bytes) -> bytes:
    """A frame with the value of a member of its data replaced by `text`, every other byte kept."""
    if raw.startswith(b"data: ") and raw.startswith(data, 6):
        return raw[: 6 + member.start] + text + raw[6 + member.end :]
    if b"\n" in data[member.start : member.end]:
        # A value that is spread over several `data` lines: no provider does so, but the format allows it.
        lines = (data[: member.start] + text + data[member.end :]).split(b"\n")
        return b"".join(b"data: " + line + b"\n" for line in lines) + b"\n"
    starts = [place.end() for place in _DATA_LINE.finditer(raw)]
    line_start = data.rfind(b"\n", 0, member.start) + 1
    shift = starts[data.count(b"\n", 0, member.start)] - line_start
    return raw[: shift + member.start] + text + raw[shift + member.end :]


def bare_error(raw: bytes, read: Callable[[dict[str, Any]], Complaint | None]) -> Complaint:
    """The error that some providers write into a stream as a JSON object without `data:`; `read` finds it there.

    Raises:
        StreamBroken: It is none, but a line that is no event.
    """
    try:
        event = loads_lenient(raw)
    except ValueError:
        event = None
    complaint = read(event) if type(event) is dict else None
    if complaint is None:
        raise invalid("a line that is no event")
    return complaint


def unusual(data: bytes) -> Any:
    """The value of a text that orjson refuses, if the standard library reads it.

    Raises:
        StreamBroken: It is not JSON.
    """
    try:
        return loads_lenient(data)
    except ValueError:
        raise invalid("an event that is not JSON") from None


def invalid(what: str) -> StreamBroken:
    """The failure of a stream that holds what it must not."""
    return StreamBroken(f"The provider's stream holds {what}.", code="upstream_invalid_response")
