"""Streams of the Messages API: which bytes pass, and how a stream ends."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.dialects.anthropic.relay_stream import MessagesReader, open_stream
from modelserver.dialects.relaying import EventRelay
from modelserver.errors import GatewayError, StreamBroken, UpstreamFailed, UpstreamTimeout
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from tests.support.anthropic import PING, STOP, TEXT, argued, begin, delta, frames, opened, over, said, stopped
from tests.support.feeding import feed_every_way

BEGIN, HEL, DONE = frames(begin()), frames(*TEXT[:2]), frames(over("end_turn"))
BODY = frames(begin(), PING, *TEXT)
ANSWER = BODY + DONE + frames(STOP)
ERROR = frames({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})

CUT, INVALID = "upstream_error", "upstream_invalid_response"


class Told:
    """What a relay lets out, and how it ended: None, the code of an error, or the status of a complaint."""

    def __init__(self, rename: str | None = None) -> None:
        self._relay = open_stream(rename=rename)
        self._out = b""

    def feed(self, data: bytes) -> None:
        self._out += self._relay.feed(data)

    def close(self) -> list[Any]:
        self._out += self._relay.close()
        match self._relay.failure:
            case GatewayError(code=end) | Complaint(status=end):
                return [self._out, end]
            case _:
                return [self._out, None]


def relayed(wire: bytes) -> EventRelay:
    relay = open_stream()
    relay.feed(wire)
    return relay


def event(value: Any) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


PASSES = [
    pytest.param(ANSWER, id="text"),
    pytest.param(
        frames(
            begin(),
            opened(0, "thinking", thinking="", signature=""),
            delta(0, "thinking_delta", thinking="I"),
            delta(0, "signature_delta", signature="EqQB"),
            stopped(0),
            opened(1, "tool_use", id="toolu_1", name="lookup", input={}),
            argued(1, '{"q":"tea"}'),
            stopped(1),
            over("tool_use"),
            STOP,
        ),
        id="thinking and a call",
    ),
    pytest.param(ANSWER.replace(b"\n", b"\r\n"), id="CR LF"),
    pytest.param(ANSWER.replace(b"\n", b"\r"), id="CR"),
    pytest.param(ANSWER.replace(b"data: ", b"data:"), id="no space after data:"),
    pytest.param(ANSWER.replace(b"}\n\n", b"}   \n\n"), id="padded against who counts bytes"),
    pytest.param(BODY.replace(b'"index":0', b'"index" : 0.0e0') + DONE + frames(STOP), id="a number spelled oddly"),
    pytest.param(b"\xef\xbb\xbf" + ANSWER, id="a byte order mark"),
    pytest.param(b": hello\n\n" + ANSWER, id="a comment"),
    pytest.param(b"".join(event(each) for each in (begin(), *TEXT, over("end_turn"), STOP)), id="no event lines"),
    pytest.param(BODY + DONE, id="no message_stop: none is added"),
    pytest.param(BODY + DONE + frames(PING, over("end_turn", {"output_tokens": 9}), STOP), id="two message_delta"),
    pytest.param(BODY + frames(over(None), STOP), id="a server that gives no reason"),
    pytest.param(frames(begin(), over("end_turn"), STOP), id="nothing said"),
    pytest.param(frames(begin(), *TEXT[:3], over("end_turn"), STOP), id="a block that is not stopped"),
    pytest.param(frames(begin(), said(7, "x"), over("vendor_reason"), STOP), id="what the grammar does not allow"),
    pytest.param(BEGIN + frames({"type": "vendor.thing", "x": [1, {}]}) + DONE + frames(STOP), id="an unknown event"),
    pytest.param(event({}) + event({"type": None}) + event({"type": [1]}) + ANSWER, id="events without a type"),
    pytest.param(b'data: {"type":"ping","a":"\\ud83d"}\n\n' + ANSWER, id="half of an emoji"),
    pytest.param(b'data: {"type":"ping","a":' + b"[" * 900 + b"]" * 900 + b"}\n\n" + ANSWER, id="nested 900 deep"),
]


@pytest.mark.parametrize("wire", PASSES)
def test_a_complete_stream_passes_as_received(wire: bytes) -> None:
    assert [wire, None] == feed_every_way(Told, wire)


ENDINGS = [
    pytest.param(ANSWER[:-2], ANSWER, None, id="a last event that lacks its blank line gets it"),
    pytest.param(BODY + DONE[:-9], BODY + DONE[:0], CUT, id="an incomplete event is dropped"),
    pytest.param(ANSWER + b"data: [DONE]\n\n" + ERROR + b"junk", ANSWER, None, id="nothing passes after the end"),
    pytest.param(BODY + DONE + b"data: [DONE]\n\n", BODY + DONE, None, id="a [DONE] of other APIs is left out"),
    pytest.param(BODY + b"data: [DONE]\n\n", BODY, CUT, id="and ends nothing before the reason"),
    pytest.param(b"", b"", INVALID, id="nothing at all"),
    pytest.param(BEGIN + frames(PING), BEGIN + frames(PING), INVALID, id="the start only"),
    pytest.param(BEGIN + HEL, BEGIN + HEL, CUT, id="H38 cut inside a block"),
    pytest.param(BODY, BODY, CUT, id="H38 cut before the reason"),
    pytest.param(BODY + frames(over(None)), BODY + frames(over(None)), CUT, id="cut behind a reason that is null"),
    pytest.param(BODY + frames(STOP), BODY, CUT, id="an end without a reason"),
    pytest.param(BEGIN + frames(STOP), BEGIN, INVALID, id="an end of nothing"),
    pytest.param(BEGIN + HEL + BEGIN + ANSWER, BEGIN + HEL, INVALID, id="a second start"),
    pytest.param(BEGIN + ANSWER, BEGIN, INVALID, id="a second start at once"),
    pytest.param(ERROR, b"", 529, id="an error first"),
    pytest.param(BEGIN + frames(PING) + ERROR + DONE, BEGIN + frames(PING), 529, id="an error after the start"),
    pytest.param(BEGIN + HEL + ERROR + DONE, BEGIN + HEL, 529, id="H37 an error inside a block"),
    pytest.param(BODY + DONE + ERROR + frames(STOP), BODY + DONE, 529, id="an error after the reason"),
    pytest.param(BEGIN + event({"error": "gone"}), BEGIN, 502, id="an error of another API"),
    pytest.param(BEGIN + event({**STOP, "error": {"type": "api_error"}}), BEGIN, 500, id="an error in an event"),
    pytest.param(BEGIN + b"data: {oops\n\n" + DONE, BEGIN, INVALID, id="an event that is not JSON"),
    pytest.param(BEGIN + b"data: [1]\n\n" + DONE, BEGIN, INVALID, id="an event that is no object"),
    pytest.param(BEGIN + b"<html>\n\n" + DONE, BEGIN, INVALID, id="a line that is no field"),
    pytest.param(BEGIN + b'data: {"type":"\xff"}\n\n' + DONE, BEGIN, INVALID, id="not UTF-8"),
]


@pytest.mark.parametrize(("wire", "expected", "end"), ENDINGS)
def test_a_stream_ends(wire: bytes, expected: bytes, end: str | int | None) -> None:
    assert [expected, end] == feed_every_way(Told, wire)


@pytest.mark.parametrize("count", range(7))
def test_a_stream_cut_between_events_fails(count: int) -> None:
    wire = frames(*(begin(), PING, *TEXT, over("end_turn"), STOP)[:count])
    relay = relayed(wire)
    relay.close()

    assert isinstance(relay.failure, UpstreamFailed)
    assert isinstance(relay.failure, StreamBroken) is (count > 3)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(BEGIN + HEL + frames(STOP), id="ended without a reason"),
        pytest.param(BEGIN + BEGIN, id="begun anew"),
        pytest.param(BEGIN + HEL + b"data: {\n\n", id="no JSON"),
    ],
)
def test_what_had_begun_is_not_asked_for_again(wire: bytes) -> None:
    assert isinstance(relayed(wire).failure, StreamBroken)


def test_nothing_leaves_after_a_failure() -> None:
    relay = relayed(BEGIN + ERROR)

    assert relay.feed(ANSWER) + relay.close() == b""


def test_the_stream_is_over_with_message_stop() -> None:
    relay = relayed(BODY + DONE)

    assert not relay.done
    assert relay.feed(frames(STOP)) == frames(STOP)
    assert relay.done


NAMED = b'{"model":"up","message":{"model":"older", "id":"msg_1" , "model" : "up"},"type":"message_start"}'
RENAMED = [
    pytest.param(ANSWER, ANSWER.replace(b'"claude-y"', b'"mine"'), id="the name"),
    pytest.param(
        b"event: message_start\r\ndata:" + NAMED + b"\r\n\r\n" + DONE,
        b"event: message_start\r\ndata:" + NAMED.replace(b' "up"}', b' "mine"}') + b"\r\n\r\n" + DONE,
        id="the one that counts of two, other bytes as they were",
    ),
    pytest.param(frames(begin(), {**PING, "message": {"model": "x"}}, over("end_turn")), None, id="of the start only"),
    pytest.param(event({"type": "message_start", "message": {"model": 7}}) + DONE, None, id="a name that is none"),
    pytest.param(event({"type": "message_start", "message": [1]}) + DONE, None, id="a start without a message"),
    pytest.param(event({"type": "message_start", "model": "up"}) + DONE, None, id="a name elsewhere"),
]


@pytest.mark.parametrize(("wire", "expected"), RENAMED)
def test_the_model_is_renamed(wire: bytes, expected: bytes | None) -> None:
    if expected is None:
        expected = wire.replace(b'"claude-y"', b'"mine"')

    assert [expected, None] == feed_every_way(lambda: Told("mine"), wire)


CONTENT = [
    pytest.param(begin(), False, id="the start is none"),
    pytest.param(
        {"type": "message_start", "message": {"content": [{"type": "text", "text": "x"}]}}, True, id="a whole"
    ),
    pytest.param(PING, False, id="a ping is none"),
    pytest.param(opened(0, "text", text=""), False, id="an empty text is none"),
    pytest.param(opened(0, "text", text="", citations=None), False, id="nor one without citations"),
    pytest.param(opened(0, "text", text="x"), True, id="a text"),
    pytest.param(opened(0, "thinking", thinking="", signature=""), False, id="empty thinking is none"),
    pytest.param(opened(0, "thinking", thinking="", signature="EqQB"), True, id="a seal"),
    pytest.param(opened(0, "redacted_thinking", data="EmwK"), True, id="redacted thinking"),
    pytest.param(opened(0, "tool_use", id="t", name="f", input={}), True, id="the start of a call"),
    pytest.param(opened(0, "server_tool_use", id="s", name="web_search", input={}), True, id="a hosted call"),
    pytest.param(opened(0, "vendor_block"), True, id="a block that is not known"),
    pytest.param({"type": "content_block_start", "index": 0}, False, id="a start of nothing is none"),
    pytest.param(said(0, ""), False, id="an empty delta is none"),
    pytest.param(said(0, " "), True, id="a space"),
    pytest.param(delta(0, "thinking_delta", thinking="x"), True, id="thinking"),
    pytest.param(delta(0, "signature_delta", signature="EqQB"), True, id="a signature"),
    pytest.param(argued(0, ""), False, id="empty arguments are none"),
    pytest.param(argued(0, "{"), True, id="arguments"),
    pytest.param(delta(0, "citations_delta", citation={"url": "u"}), True, id="a citation"),
    pytest.param({"type": "content_block_delta", "delta": ["x"]}, True, id="a delta of another shape"),
    pytest.param(stopped(0), False, id="the end of a block is none"),
    pytest.param(over(None), False, id="a reason that is null is none"),
    pytest.param(over("end_turn"), True, id="a finish"),
    pytest.param({"type": "vendor.thing", "x": 1}, True, id="an event that is not known"),
    pytest.param({}, False, id="an empty object is none"),
]


@pytest.mark.parametrize(("value", "expected"), CONTENT)
def test_content_commits(value: dict[str, Any], expected: bool) -> None:
    assert expected is relayed(event(value)).has_content


CALL = opened(0, "tool_use", id="t", name="f", input={"q": "tea"})
CHARS = [
    pytest.param(TEXT, 5, id="text"),
    pytest.param([said(0, "é中🙂")], 3, id="characters, not bytes"),
    pytest.param([delta(0, "thinking_delta", thinking="abc"), said(1, "de")], 5, id="thinking"),
    pytest.param([delta(0, "signature_delta", signature="EqQB")], 0, id="a signature is not generated text"),
    pytest.param([delta(0, "citations_delta", citation={"cited_text": "x"})], 0, id="nor is what was cited"),
    pytest.param([opened(0, "tool_use", input={}), argued(0, '{"a":1}')], 7, id="arguments"),
    pytest.param([CALL, stopped(0)], 4, id="arguments in the start"),
    pytest.param([CALL, argued(0, ""), argued(0, '{"q":'), argued(0, '"tea"}')], 11, id="and said again"),
    pytest.param([CALL, stopped(0), opened(1, "tool_use"), argued(1, "{}")], 6, id="those of two calls"),
    pytest.param([delta(0, "compaction_delta", content="abc")], 3, id="a compaction"),
    pytest.param(
        [opened(0, "web_search_tool_result", content=[{"title": "x"}])], 0, id="a result is none of the model"
    ),
    pytest.param([delta(0, "text_delta", text=["x"]), opened(1, "text", text=5)], 0, id="what is no text"),
]


@pytest.mark.parametrize(("values", "expected"), CHARS)
def test_generated_text_is_measured(values: list[dict[str, Any]], expected: int) -> None:
    assert expected == relayed(frames(*values)).output_chars


USAGES = [
    pytest.param([], None, id="none"),
    pytest.param([begin()], Usage(input=9, output=1), id="of the start"),
    pytest.param([begin(), over("end_turn")], Usage(input=9, output=5), id="the last count of each wins"),
    pytest.param(
        [begin(), over("end_turn", {"input_tokens": 400, "output_tokens": 7, "cache_read_input_tokens": None})],
        Usage(input=400, output=7),
        id="a larger input replaces the first one",
    ),
    pytest.param(
        [begin(), over(None, {"output_tokens": 3}), over("end_turn", {"output_tokens": 8})],
        Usage(input=9, output=8),
        id="of two reports",
    ),
    pytest.param(
        [begin({"input_tokens": True, "output_tokens": -1, "cache_creation": [], "iterations": [7, {"type": []}]})],
        Usage(),
        id="types are not trusted",
    ),
    pytest.param([begin(), {"type": "message_delta", "usage": [1]}], Usage(input=9, output=1), id="no report"),
]


@pytest.mark.parametrize(("values", "expected"), USAGES)
def test_usage_is_merged(values: list[dict[str, Any]], expected: Usage | None) -> None:
    assert expected == relayed(frames(*values)).usage


def test_a_report_nested_as_deep_as_the_parser_allows_is_borne() -> None:
    deep = b"[" * 1000 + b"]" * 1000
    relay = relayed(
        b'data: {"type":"message_delta","usage":{"iterations":[{"type":' + deep + b'}],"output_tokens":1}}\n\n'
    )

    assert relay.failure is None
    assert relay.usage == Usage(output=1)


def test_a_failure_is_told_in_an_error_frame() -> None:
    frame = relayed(BEGIN + HEL).fail(UpstreamTimeout("Too slow."))

    assert frame == frames({"type": "error", "error": {"type": "timeout_error", "message": "Too slow."}})


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    ("message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "ping", "error")
)
KEYS = ("message", "content_block", "delta", "usage", "error", "index")
INNER = st.dictionaries(
    st.sampled_from(
        ("type", "text", "content", "input", "usage", "iterations", "stop_reason", "model", "partial_json")
    ),
    VALUES,
    max_size=4,
)
EVENTS = st.fixed_dictionaries({}, optional={"type": WORDS | VALUES, **dict.fromkeys(KEYS, VALUES | INNER)})


@given(st.lists(EVENTS, max_size=6))
def test_any_events_are_borne(values: list[dict[str, Any]]) -> None:
    reader = MessagesReader()
    try:
        for value in values:
            reader.model_of(json.dumps(value).encode(), value)
            reader.read(value)
    except GatewayError:
        return

    assert reader.output_chars >= 0
