"""Chat streams: relayed with their own bytes, and written from a whole answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from modelserver.dialects.openai_chat.response import loads, merge_usage, read_complaint, read_usage
from modelserver.dialects.openai_chat.vocab import DONE, DONE_FRAME
from modelserver.errors import GatewayError, UpstreamFailed
from modelserver.ir.types import Complaint, Usage
from modelserver.wire.json_splice import Edit, get_member, splice
from modelserver.wire.sse import Frame, SseFramer


class ChatStreamRelay:
    """Bytes of an upstream's Chat stream in, the bytes that its Chat client may have out.

    Every event is parsed, so that what passes is known to be one; it leaves as it came. Two things are changed, and
    only when asked for: `rename` replaces the `model` of each chunk, `withhold_usage` keeps back the usage chunk that
    the client did not ask for.

    Attributes:
        has_content: An event with content or a finish has come: the answer may be committed.
        done: The stream is complete and over; what follows is of no interest.
        failure: Why the stream must end with an error; nothing after it is relayed.
        usage: What the upstream reported, merged.
        output_chars: Length of the generated text, for an estimate where usage is missing.
    """

    def __init__(self, *, withhold_usage: bool = False, rename: str | None = None) -> None:
        self.has_content = False
        self.done = False
        self.failure: GatewayError | Complaint | None = None
        self.usage: Usage | None = None
        self.output_chars = 0
        self._framer = SseFramer()
        self._withhold_usage = withhold_usage
        self._rename = rename
        self._unfinished: set[object] = set()
        self._finished: set[object] = set()

    def feed(self, data: bytes) -> bytes:
        """What of the stream may leave now; empty after `failure`."""
        if self.failure is not None:
            return b""
        out: list[bytes] = []
        try:
            for frame in self._framer.feed(data):
                if not self._relay(frame, out):
                    break
        except GatewayError as error:
            self.failure = error
        return b"".join(out)

    def close(self) -> bytes:
        """Call at the end of the upstream's bytes: what may still leave; sets `failure` when the stream was cut."""
        if self.failure is not None or self.done:
            return b""
        out: list[bytes] = []
        rest = self._framer.close()
        if rest is not None and not rest.malformed and _is_whole(rest):
            try:
                self._relay(rest, out)
            except GatewayError as error:
                self.failure = error
        if self.failure is None and not self._is_complete():
            self.failure = _cut()
        self.done = True
        return b"".join(out)

    def _relay(self, frame: Frame, out: list[bytes]) -> bool:
        """Whether the stream goes on after this frame."""
        data = frame.data
        if frame.malformed:
            raise _invalid("a line that is no event")
        if data is None:
            out.append(frame.raw)
        elif not data or self.done:
            return True
        elif data == DONE or data.strip() == DONE:
            if not self._is_complete():
                raise _cut()
            self.done = True
            out.append(frame.raw)
        else:
            chunk = _object(data)
            if chunk.get("error"):
                self._note_usage(chunk)
                self.failure = read_complaint(200, chunk)
                return False
            self._read_chunk(chunk, frame, data, out)
        return True

    def _read_chunk(self, chunk: dict[str, Any], frame: Frame, data: bytes, out: list[bytes]) -> None:
        choices = chunk.get("choices")
        if type(choices) is list:
            for choice in choices:
                if type(choice) is dict:
                    self._read_choice(choice)
        if "usage" in chunk or "x_groq" in chunk:
            self._note_usage(chunk)
            if self._withhold_usage and choices == [] and chunk.get("usage"):
                return
        if self._rename is not None and chunk.get("model", self._rename) != self._rename:
            out.append(_renamed(frame, data, self._rename))
        else:
            out.append(frame.raw)

    def _read_choice(self, choice: dict[str, Any]) -> None:
        index = choice.get("index", 0)
        if type(index) is not int:
            index = 0
        if choice.get("finish_reason"):
            self._finished.add(index)
            self._unfinished.discard(index)
            self.has_content = True
        elif index not in self._finished:
            self._unfinished.add(index)
        delta = choice.get("delta")
        if type(delta) is dict:
            for name, value in delta.items():
                if value and name != "role":
                    self.has_content = True
                    self.output_chars += len(value) if type(value) is str else len(str(value))

    def _note_usage(self, chunk: dict[str, Any]) -> None:
        usage = read_usage(chunk)
        if usage is not None:
            self.usage = merge_usage(self.usage, usage)

    def _is_complete(self) -> bool:
        return bool(self._finished) and not self._unfinished


def replay(parsed: Mapping[str, Any], *, model: str | None, wants_usage: bool) -> bytes:
    """The stream that says what a whole answer says: one delta a part, `[DONE]` at the end.

    `model` is the id that the client asked for, where it differs from the name sent upstream.
    """
    shared = {key: parsed[key] for key in ("id", "created", "service_tier", "system_fingerprint") if key in parsed}
    shared |= {"object": "chat.completion.chunk", "model": model if model is not None else parsed.get("model")}
    frames: list[bytes] = []

    def add(choices: list[dict[str, Any]], usage: object = None) -> None:
        chunk = {**shared, "choices": choices}
        if wants_usage:
            chunk["usage"] = usage
        frames.append(b"data: " + orjson.dumps(chunk, default=str) + b"\n\n")

    for position, choice in enumerate(parsed["choices"]):
        if not isinstance(choice, dict):
            continue
        index = choice.get("index", position)
        message = choice.get("message")
        message = message if isinstance(message, dict) else {}
        for delta in _deltas(message):
            add([{"index": index, "delta": delta, "logprobs": None, "finish_reason": None}])
        # An answer that is whole by its framing is complete, whatever its provider forgot to say.
        finish = choice.get("finish_reason") or ("tool_calls" if message.get("tool_calls") else "stop")
        add([{"index": index, "delta": {}, "logprobs": choice.get("logprobs"), "finish_reason": finish}])
    if wants_usage and isinstance(parsed.get("usage"), dict):
        add([], parsed["usage"])
    frames.append(DONE_FRAME)
    return b"".join(frames)


def _deltas(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    for name, value in message.items():
        if name in ("role", "tool_calls") or value is None or value in ("", []):
            continue
        deltas.append({name: value})
    calls = message.get("tool_calls")
    for index, call in enumerate(calls if isinstance(calls, list) else ()):
        if isinstance(call, dict):
            deltas.append({"tool_calls": [{**call, "index": index}]})
    return deltas


def _renamed(frame: Frame, data: bytes, model: str) -> bytes:
    """The frame with its `model` replaced, every other byte kept."""
    member = get_member(data, "model")
    spliced = splice(data, [Edit(member.start, member.end, orjson.dumps(model))])
    if data in frame.raw:
        return frame.raw.replace(data, spliced, 1)
    # Data over several lines: no provider does so, but the format allows it.
    return b"".join(b"data: " + line + b"\n" for line in spliced.split(b"\n")) + b"\n"


def _object(data: bytes) -> dict[str, Any]:
    try:
        chunk = loads(data)
    except ValueError:
        raise _invalid("an event that is not JSON") from None
    if type(chunk) is not dict:
        raise _invalid("an event that is not a JSON object")
    return chunk


def _is_whole(rest: Frame) -> bool:
    if rest.data is None:
        return not rest.raw.strip(b"\r\n")
    if rest.data.strip() == DONE:
        return True
    try:
        loads(rest.data)
    except ValueError:
        return False
    return True


def _cut() -> UpstreamFailed:
    return UpstreamFailed("The provider closed the stream before the answer was complete.", code="upstream_error")


def _invalid(what: str) -> UpstreamFailed:
    return UpstreamFailed(f"The provider's stream holds {what}.", code="upstream_invalid_response")
