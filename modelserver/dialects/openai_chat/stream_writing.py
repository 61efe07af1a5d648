"""Streams for clients of the Chat API."""

from __future__ import annotations

from typing import Any

import orjson

from modelserver.dialects.codec import Writing
from modelserver.dialects.openai_chat.reasoning import SECTION_BREAK, encode_detail, is_shown
from modelserver.dialects.openai_chat.response import encode_error_event
from modelserver.dialects.openai_chat.usage import encode_usage
from modelserver.dialects.openai_chat.vocab import DONE_FRAME, finish_word
from modelserver.dialects.openai_chat.writing import (
    answer_id,
    audio_id,
    broken_off,
    encode_audio,
    encode_citations,
    encode_image,
    encode_logprobs,
    encode_seal,
    takes_custom,
    visible_text,
)
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
    Section,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.parts import Audio, Finish, FinishReason, Image, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from modelserver.ir.usage import Usage, merge_usage
from modelserver.wire.json_text import dumps_exact, wrap_string

_ROLE = {"role": "assistant", "content": ""}


class _ChoiceState:
    """What has been written of one choice."""

    __slots__ = (
        "annotations",
        "call",
        "details",
        "finish",
        "has_sound",
        "images",
        "length",
        "middle",
        "open",
        "refused",
        "spoke",
        "start",
    )

    def __init__(self) -> None:
        self.open: Part | None = None
        self.middle = b""
        """What stands before the text of a delta of the open part; empty: its deltas are not written one by one."""
        self.spoke = False
        """The open part has had text."""
        self.start = 0
        """Where the open text begins in the content."""
        self.length = 0
        """Characters of content."""
        self.call = -1
        self.details = 0
        self.images = 0
        self.annotations: list[dict[str, Any]] = []
        self.has_sound = False
        self.refused = False
        self.finish: Finish | None = None


class ChatStreamEncoder:
    """Events in, frames of a Chat stream out.

    Finish chunks are held back until `End`: a failure may follow a finish, and no client may take for whole what was
    broken off.
    """

    def __init__(self, writing: Writing) -> None:
        request = writing.request
        self._writing = writing
        self._show = is_shown(writing)
        self._legacy = request.legacy_functions
        self._custom = takes_custom(writing)
        self._wants_usage = request.stream_usage
        self._usage: Usage | None = None
        self._choices: dict[int, _ChoiceState] = {}
        shared = orjson.dumps(
            {
                "id": answer_id(writing),
                "object": "chat.completion.chunk",
                "created": writing.created,
                "model": request.model,
            }
        )
        # The members that every chunk repeats are written once; most chunks differ in one string only.
        self._head = b"data: " + shared[:-1] + b',"choices":['
        self._tail = b',"usage":null}\n\n' if self._wants_usage else b"}\n\n"
        self._rest = b'},"logprobs":null,"finish_reason":null}]' + self._tail

    def feed(self, event: StreamEvent) -> bytes:
        """What the client gets now."""
        match event:
            case Delta():
                return self._delta(event)
            case BlockStart(choice=index, part=part):
                return self._begin(index, part)
            case BlockEnd(choice=index, part=part):
                return self._end_block(index, part)
            case Section(choice=index):
                state = self._choices[index]
                return self._text(index, state, SECTION_BREAK) if state.middle and state.spoke else b""
            case UsageUpdate(usage=usage):
                self._usage = merge_usage(self._usage, usage)
                return b""
            case FinishEvent(choice=index, finish=finish):
                return self._finish(index, finish)
            case Start(usage=usage):
                if usage is not None:
                    self._usage = merge_usage(self._usage, usage)
                return self._role(0)
            case End():
                return self._close()
            case Fail(error=error):
                return _error_frame(error)
            case Ping() | Cite() | SealEvent():
                return b""

    def _delta(self, event: Delta) -> bytes:
        index = event.choice
        state = self._choices[index]
        if not state.middle:
            return b""
        text = event.text
        if event.logprobs and type(state.open) is Text:
            state.length += len(text)
            return self._chunk(index, {"content": text}, logprobs=encode_logprobs(event.logprobs))
        return self._text(index, state, text)

    def _text(self, index: int, state: _ChoiceState, text: str) -> bytes:
        """A chunk with more text of the open part."""
        state.spoke = True
        kind = type(state.open)
        if kind is Text:
            state.length += len(text)
        quoted = _quoted(text)
        middle = state.middle
        if kind is Reasoning:
            return self._head + middle + quoted + b',"reasoning":' + quoted + self._rest
        if kind is ToolCall:
            return self._head + middle + quoted + (b"}" if self._legacy else b"}}]") + self._rest
        if kind is Audio:
            return self._head + middle + quoted + b"}" + self._rest
        return self._head + middle + quoted + self._rest

    def _begin(self, index: int, part: Part) -> bytes:
        state = self._choices.get(index)
        first = b""
        if state is None:
            first = self._role(index)
            state = self._choices[index]
        state.open, state.spoke = part, False
        prefix = b'{"index":%d,"delta":{' % index
        match part:
            case Text():
                state.start = state.length
                state.middle = prefix + b'"content":'
            case Reasoning():
                state.middle = prefix + b'"reasoning_content":' if self._show else b""
            case Refusal():
                state.middle = prefix + b'"refusal":'
                state.refused = True
            case ToolCall():
                return first + self._begin_call(index, state, part, prefix)
            case Audio():
                state.middle = prefix + b'"audio":{"data":'
                if not state.has_sound:
                    state.has_sound = True
                    return first + self._chunk(index, {"audio": {"id": audio_id(self._writing, index)}})
            case _:
                state.middle = b""
        return first

    def _begin_call(self, index: int, state: _ChoiceState, call: ToolCall, prefix: bytes) -> bytes:
        state.call += 1
        state.middle = b""
        if self._legacy:
            if state.call:
                return b""  # there is room for one only
            state.middle = prefix + b'"function_call":{"arguments":'
            return self._chunk(index, {"function_call": {"name": call.name, "arguments": ""}})
        begun: dict[str, Any] = {"index": state.call, "id": call.id}
        if call.kind == "custom" and self._custom:
            begun |= {"type": "custom", "custom": {"name": call.name, "input": ""}}
            state.middle = prefix + b'"tool_calls":[{"index":%d,"custom":{"input":' % state.call
        else:
            begun |= {"type": "function", "function": {"name": call.name, "arguments": ""}}
            if call.kind != "custom":
                state.middle = prefix + b'"tool_calls":[{"index":%d,"function":{"arguments":' % state.call
        return self._chunk(index, {"tool_calls": [begun]})

    def _end_block(self, index: int, part: Part) -> bytes:
        """What can be said only of a whole part; the part of the event is the one that counts."""
        state = self._choices[index]
        opened, state.open = state.open, None
        match part:
            case Reasoning():
                detail = encode_detail(part, self._writing, index, state.details, show=self._show)
                if detail is None:
                    return b""
                state.details += 1
                return self._chunk(index, {"reasoning_details": [detail]})
            case Text(citations=citations):
                state.annotations += encode_citations(citations, state.start, state.length - state.start)
                return b""
            case ToolCall():
                return self._end_call(index, state, part)
            case Image():
                image = {**encode_image(part), "index": state.images}
                state.images += 1
                return self._chunk(index, {"images": [image]})
            case Audio():
                sound = encode_audio(part, self._writing, index)
                # The data went out piece by piece, unless the part came whole.
                said = ("transcript", "expires_at") if isinstance(opened, Audio) and opened.source is None else sound
                return self._chunk(index, {"audio": {key: sound[key] for key in said}})
            case Opaque():
                text = visible_text(part)
                state.length += len(text)
                return self._chunk(index, {"content": text}) if text else b""
            case _:
                return b""

    def _end_call(self, index: int, state: _ChoiceState, call: ToolCall) -> bytes:
        if self._legacy:
            return b""
        said: dict[str, Any] = {"index": state.call}
        if call.kind == "custom" and not self._custom:
            said["function"] = {"arguments": wrap_string(call.arguments)}
        seal = encode_seal(call, self._writing)
        if seal is not None:
            said["extra_content"] = seal
            # The official helper asserts that a fragment of a function call has this member.
            if call.kind != "custom" or not self._custom:
                said.setdefault("function", {"arguments": ""})
        return self._chunk(index, {"tool_calls": [said]}) if len(said) > 1 else b""

    def _finish(self, index: int, finish: Finish) -> bytes:
        first = b"" if index in self._choices else self._role(index)
        state = self._choices[index]
        state.finish = finish
        if not state.annotations:
            return first
        # All in one chunk: the official helper can't join lists whose members have no index.
        return first + self._chunk(index, {"annotations": state.annotations})

    def _close(self) -> bytes:
        frames: list[bytes] = []
        for index, state in sorted(self._choices.items()):
            if state.finish is None:
                continue
            if state.finish.reason is FinishReason.ERROR:
                return encode_error_event(broken_off())
            word = finish_word(state.finish.reason, refused=state.refused, legacy=self._legacy)
            frames.append(self._chunk(index, {}, finish=word))
        usage = encode_usage(self._usage) if self._wants_usage and self._usage is not None else None
        if usage is not None:
            frames.append(self._head + b'],"usage":' + orjson.dumps(usage) + b"}\n\n")
        frames.append(DONE_FRAME)
        return b"".join(frames)

    def _role(self, index: int) -> bytes:
        self._choices[index] = _ChoiceState()
        return self._chunk(index, _ROLE)

    def _chunk(
        self, index: int, delta: dict[str, Any], *, logprobs: dict[str, Any] | None = None, finish: str | None = None
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        try:
            return self._head + orjson.dumps(choice) + b"]" + self._tail
        except TypeError:
            return self._head + dumps_exact(choice) + b"]" + self._tail


def _quoted(text: str) -> bytes:
    try:
        return orjson.dumps(text)
    except TypeError:  # half a surrogate pair
        return dumps_exact(text)


def _error_frame(error: object) -> bytes:
    """The frame that ends a failed stream. An upstream's own words are not shown: nobody has looked at them."""
    if isinstance(error, GatewayError):
        return encode_error_event(error)
    return encode_error_event(UpstreamFailed("The provider reported an error.", code="upstream_error"))
