"""Streams of the Messages API that end badly, are framed oddly, or say what a whole answer says."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.anthropic.response import decode_response
from modelserver.dialects.anthropic.stream import AnthropicStreamDecoder
from modelserver.dialects.codec import Reading, WireTool
from modelserver.errors import UpstreamFailed
from modelserver.ir.events import (
    BlockEnd,
    Fail,
    Ping,
    Start,
    StreamEvent,
)
from modelserver.ir.fold import fold
from modelserver.ir.grammar import Validator
from modelserver.ir.parts import (
    FinishReason,
    Response,
    ToolCall,
)
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from tests.support.anthropic import (
    PING,
    STOP,
    TEXT,
    argued,
    begin,
    chat,
    delta,
    frames,
    opened,
    over,
    profile,
    said,
    stopped,
)
from tests.support.feeding import feed_every_way

READING = Reading(request=chat(), profile=profile(), tools={"apply_patch": WireTool(name="apply_patch", kind="custom")})
EARLY, LATE = Usage(input=9, output=1), Usage(input=9, output=5)
START = Start("msg_1", "claude-y", 0, EARLY)

CUT = "The provider closed the stream early."
FAILURES = [
    pytest.param(frames(begin(), *TEXT), CUT, id="D71 H38 a cut"),
    pytest.param(b"", CUT, id="nothing"),
    pytest.param(frames(begin(), *TEXT[:2]), CUT, id="a cut inside a block"),
    pytest.param(frames(begin(), *TEXT, STOP), "The provider's answer ends without a reason.", id="no message_delta"),
    pytest.param(frames(begin(), *TEXT[:2], begin()), "The provider's answer began a second time.", id="two starts"),
    pytest.param(frames(*TEXT), "The provider's answer has content before its start.", id="no start"),
    pytest.param(
        frames(begin(), *TEXT, said(0, "x")),
        "The provider's answer has a delta of a block that is not open.",
        id="a closed block",
    ),
    pytest.param(
        frames(begin(), opened(0, "tool_use", id="x")),
        "The provider's answer has a tool call without a name.",
        id="a call without name",
    ),
    pytest.param(
        frames(begin()) + b"data: {oops\n\n", "The provider's answer has an event that is not JSON.", id="no JSON"
    ),
    pytest.param(
        frames(begin()) + b"data: [1]\n\n", "The provider's answer has an event that is no JSON object.", id="no object"
    ),
    pytest.param(
        frames(begin()) + b"<html>\n\n", "The provider's answer has something that is no event.", id="no event"
    ),
]


class Worded:
    """A decoder whose failures are texts, which can be compared."""

    def __init__(self) -> None:
        self._decoder = AnthropicStreamDecoder(READING)
        self._validator = Validator()

    def feed(self, data: bytes) -> list[Any]:
        return self._worded(self._decoder.feed(data))

    def close(self) -> list[Any]:
        return self._worded(self._decoder.close())

    def _worded(self, events: list[StreamEvent]) -> list[Any]:
        self._validator.check(events)
        return [
            event.error.message if isinstance(event, Fail) and isinstance(event.error, UpstreamFailed) else event
            for event in events
        ]


@pytest.mark.parametrize(("wire", "message"), FAILURES)
def test_a_broken_stream_fails(wire: bytes, message: str) -> None:
    assert message == feed_every_way(Worded, wire)[-1]


OVERLOADED = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(frames(OVERLOADED), id="first"),
        pytest.param(frames(begin(), PING, OVERLOADED), id="D99 after the start"),
        pytest.param(frames(begin(), *TEXT[:2], OVERLOADED), id="inside a block"),
        pytest.param(frames(begin(), *TEXT, over("end_turn"), OVERLOADED), id="after the reason"),
        pytest.param(frames(begin()) + orjson.dumps(OVERLOADED) + b"\n\n", id="that is no event"),
    ],
)
def test_h37_an_error_in_the_stream_is_a_complaint(wire: bytes) -> None:
    events = feed_every_way(lambda: AnthropicStreamDecoder(READING), wire)

    Validator().check(events)
    assert events[-1] == Fail(Complaint(status=529, message="Overloaded", type="overloaded_error", in_json=True))


def test_comments_are_signs_of_life() -> None:
    wire = b": hello\n\n" + frames(begin(), *TEXT, over("end_turn"), STOP) + b": late\n\ndata: [DONE]\n\n"

    assert feed_every_way(lambda: AnthropicStreamDecoder(READING), wire)[:2] == [Ping(), START]


def test_frames_without_event_lines_padded_and_with_cr_lf_are_read() -> None:
    wire = frames(begin(), *TEXT, over("end_turn"), STOP)
    padded = b"".join(
        b"data: " + line[6:-1] + b"   }\r\n\r\n" for line in wire.split(b"\n") if line.startswith(b"data: ")
    )

    assert feed_every_way(lambda: AnthropicStreamDecoder(READING), padded) == feed_every_way(
        lambda: AnthropicStreamDecoder(READING), wire
    )


def test_the_quirk_takes_an_end_for_a_stop() -> None:
    reading = attrs.evolve(READING, profile=profile(quirks={"eof_is_stop": True}))
    answer = fold(feed_every_way(lambda: AnthropicStreamDecoder(reading), frames(begin(), *TEXT)))

    assert isinstance(answer, Response)
    assert answer.choices[0].finish.reason is FinishReason.OTHER


def test_d32_input_keeps_its_digits() -> None:
    wire = frames(
        begin(), opened(0, "tool_use", id="t", name="f", input={}), argued(0, '{"n":12345678901234567890123}')
    )
    events = AnthropicStreamDecoder(READING).feed(wire + frames(stopped(0)))

    assert events[-1] == BlockEnd(0, 0, ToolCall(id="t", name="f", arguments='{"n":12345678901234567890123}'))


def test_d1_the_stream_says_what_the_whole_answer_says() -> None:
    whole = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-y",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "EqQB"},
            {"type": "text", "text": "Hello", "citations": None},
            {"type": "tool_use", "name": "apply_patch", "input": {"input": "a\nb"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 5},
    }
    wire = frames(
        begin(),
        opened(0, "thinking", thinking="", signature=""),
        delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="EqQB"),
        stopped(0),
        opened(1, "text", text=""),
        said(1, "Hello"),
        stopped(1),
        opened(2, "tool_use", name="apply_patch", input={}),
        argued(2, '{"input": "a\\nb"}'),
        stopped(2),
        over("tool_use"),
        STOP,
    )

    assert decode_response(orjson.dumps(whole), READING) == fold(
        feed_every_way(lambda: AnthropicStreamDecoder(READING), wire)
    )


@pytest.mark.parametrize("depth", [990, 100_000])
def test_what_is_nested_too_deeply_fails(depth: int) -> None:
    arguments = b'{"a":' * depth + b"1" + b"}" * depth
    block = b'{"type":"tool_use","id":"t","name":"f","input":' + arguments + b"}"
    wire = b'data: {"type":"content_block_start","index":0,"content_block":' + block + b"}\n\n"

    *_, failure = Worded().feed(frames(begin()) + wire + frames(stopped(0)))

    assert "The provider's answer" in failure
    with pytest.raises(UpstreamFailed):
        decode_response(b'{"content":[' + block + b"]}", READING)
