"""Chat streams: which bytes pass, how a stream ends, and what a whole answer looks like as one."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from modelserver.dialects.openai_chat.stream import ChatStreamRelay, replay
from modelserver.errors import GatewayError, StreamBroken, UpstreamFailed
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from tests.support.feeding import feed_every_way


def event(value: Any) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def chunk(delta: Any = None, finish: Any = None, /, *, index: int = 0, **fields: Any) -> bytes:
    choice = {"index": index, "delta": {} if delta is None else delta, "finish_reason": finish}
    return event({"id": "c1", "object": "chat.completion.chunk", "model": "up", "choices": [choice], **fields})


ROLE = chunk({"role": "assistant", "content": ""})
HEL = chunk({"content": "Hel"})
LO = chunk({"content": "lo"})
STOP = chunk({}, "stop")
COUNTS = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
USAGE = event({"id": "c1", "choices": [], "usage": COUNTS})
DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
ANSWER = ROLE + HEL + LO + STOP
ERROR = event({"error": {"message": "no", "code": 429}})

CUT = "upstream_error"
INVALID = "upstream_invalid_response"


class Told:
    """What a relay lets out, and how it ended: None, the code of an error, or the status of a complaint."""

    def __init__(self, **options: Any) -> None:
        self._relay = ChatStreamRelay(**options)
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


def relayed(*pieces: bytes, **options: Any) -> ChatStreamRelay:
    relay = ChatStreamRelay(**options)
    for piece in pieces:
        relay.feed(piece)
    return relay


PASSES = [
    pytest.param(ANSWER + USAGE + DONE, id="an ordinary stream"),
    pytest.param(ANSWER, id="no [DONE]: none is added"),
    pytest.param((ANSWER + DONE).replace(b"\n", b"\r\n"), id="CR LF"),
    pytest.param((ANSWER + DONE).replace(b"\n", b"\r"), id="CR"),
    pytest.param((ANSWER + DONE).replace(b"data: ", b"data:"), id="no space after data:"),
    pytest.param(b"\xef\xbb\xbf" + ANSWER + DONE, id="a byte order mark"),
    pytest.param(b": PROCESSING\n\n" * 3 + ANSWER + PING + DONE, id="comments"),
    pytest.param(b": \xff\n\n" + ANSWER + DONE, id="a comment that is not UTF-8"),
    pytest.param(b"retry: 10\n\nevent: ping\n\n" + ANSWER + DONE, id="fields without data"),
    pytest.param(b"event: x\nid: 1\n" + ANSWER + DONE, id="fields beside data"),
    pytest.param(b"\n\n" + ANSWER + b"\n" + DONE, id="more blank lines"),
    pytest.param(b'data: {"choices":\ndata: []}\n\n' + ANSWER, id="data over two lines"),
    pytest.param(b'data: { "choices" : [ ] }\n\n' + ANSWER, id="JSON with spaces"),
    pytest.param(ANSWER + b"data: [DONE]  \n\n", id="[DONE] with spaces behind"),
    pytest.param(ANSWER + b"data:[DONE]\n\n", id="[DONE] without a space"),
    pytest.param(ANSWER + b"event: done\ndata: [DONE]\n\n", id="[DONE] with a name"),
    pytest.param(b"data: {}\n\n" + ANSWER, id="an empty object"),
    pytest.param(event({"type": "vendor.thing", "x": [1, {}]}) + ANSWER, id="an event of a shape that is not known"),
    pytest.param(event({"choices": {"0": 1}}) + ANSWER, id="choices that are no list"),
    pytest.param(event({"choices": [None, 1, "x", []]}) + ANSWER, id="choices that are no objects"),
    pytest.param(event({"choices": [], "prompt_filter_results": []}) + ANSWER, id="a chunk without choices"),
    pytest.param(ROLE + chunk(None, None, usage=None) + STOP, id="usage is null"),
    pytest.param(event({"choices": [{"index": 0, "delta": None}]}) + STOP, id="delta is null"),
    pytest.param(event({"error": None, "choices": []}) + ANSWER, id="error is null"),
    pytest.param(event({"error": {}, "choices": []}) + ANSWER, id="error is empty"),
    pytest.param(HEL + chunk({"content": "lo"}, "") + STOP, id="finish_reason is empty until the end"),
    pytest.param(HEL + chunk({"content": "lo"}, "stop"), id="the finish beside content"),
    pytest.param(ANSWER + HEL + DONE, id="content after the finish"),
    pytest.param(ANSWER + STOP + DONE, id="the finish twice"),
    pytest.param(HEL + chunk({}, "vendor_reason") + DONE, id="a finish that is not known"),
    pytest.param(STOP + DONE, id="nothing but a finish"),
    pytest.param(HEL + chunk({"content": "x"}, index=1) + STOP + chunk({}, "stop", index=1), id="two choices"),
    pytest.param(
        event({"choices": [{"delta": {"content": "a"}}]}) + event({"choices": [{"finish_reason": "stop"}]}),
        id="choices without an index",
    ),
    pytest.param(b'data: {"a":"\\ud83d","choices":[]}\n\n' + ANSWER, id="half of an emoji"),
    pytest.param(b'data: {"a":123456789012345678901234567890}\n\n' + ANSWER, id="an integer of thirty digits"),
    pytest.param(b'data: {"a":1e999}\n\n' + ANSWER, id="a number beyond floats"),
    pytest.param(b'data: {"a":1,"a":2}\n\n' + ANSWER, id="a key twice"),
    pytest.param('data: {"a":"\u2028\u0085\x7f"}\n\n'.encode() + ANSWER, id="separators that are no line ends"),
    pytest.param(b'data: {"a":' + b"[" * 900 + b"]" * 900 + b"}\n\n" + ANSWER, id="nested 900 deep"),
    pytest.param(ANSWER + b"\n", id="a line end at the end"),
]


@pytest.mark.parametrize("wire", PASSES)
def test_a_complete_stream_passes_as_received(wire: bytes) -> None:
    assert [wire, None] == feed_every_way(Told, wire)


ENDINGS = [
    pytest.param(ANSWER + DONE[:-1], ANSWER + DONE, None, id="a [DONE] that lacks half of its blank line gets it"),
    pytest.param(ANSWER + DONE[:-2], ANSWER + DONE, None, id="a [DONE] that lacks its blank line gets it"),
    pytest.param(ROLE + STOP[:-2], ROLE + STOP, None, id="a last event that lacks its blank line gets it"),
    pytest.param(ROLE + STOP[:-9], ROLE, CUT, id="an incomplete event is dropped"),
    pytest.param(ANSWER + USAGE[:-9], ANSWER, None, id="an incomplete event after the finish is dropped"),
    pytest.param(ANSWER + b"data: [DO", ANSWER, None, id="an incomplete [DONE] is dropped"),
    pytest.param(ANSWER + b": pi", ANSWER, None, id="an incomplete comment is dropped"),
    pytest.param(ANSWER + b"<html", ANSWER, None, id="an incomplete line that is no field is dropped"),
    pytest.param(ANSWER + b"data:", ANSWER, None, id="an incomplete empty event is dropped"),
    pytest.param(ANSWER + b"data: 1", ANSWER, INVALID, id="a last event that is JSON but no object"),
    pytest.param(ROLE + b"data: " + ERROR[6:-2], ROLE, 429, id="a last event that is an error"),
    pytest.param(ANSWER + DONE + HEL + b"junk\n\n" + PING, ANSWER + DONE, None, id="nothing passes after [DONE]"),
    pytest.param(ANSWER + DONE + ERROR, ANSWER + DONE, None, id="an error after [DONE] is too late"),
    pytest.param(ROLE + b"data:\n\n" + STOP, ROLE + STOP, None, id="an event with empty data is left out"),
    pytest.param(ROLE + b"data: \n\n" + STOP, ROLE + STOP, None, id="an event with empty data and a space"),
    pytest.param(b"", b"", INVALID, id="nothing at all"),
    pytest.param(PING, PING, INVALID, id="comments only"),
    pytest.param(DONE, b"", INVALID, id="[DONE] only"),
    pytest.param(b"data: {}\n\n" + DONE, b"data: {}\n\n", INVALID, id="no choices"),
    pytest.param(USAGE + DONE, USAGE, INVALID, id="usage only"),
    pytest.param(ROLE, ROLE, CUT, id="the role only"),
    pytest.param(ROLE + HEL, ROLE + HEL, CUT, id="cut in the middle"),
    pytest.param(ROLE + HEL + DONE, ROLE + HEL, CUT, id="[DONE] before the finish"),
    pytest.param(ROLE + HEL + USAGE + DONE, ROLE + HEL + USAGE, CUT, id="usage and [DONE] before the finish"),
    pytest.param(ROLE + HEL + DONE + STOP, ROLE + HEL, CUT, id="a finish after [DONE]"),
    pytest.param(HEL + chunk({}, "") + DONE, HEL + chunk({}, ""), CUT, id="an empty finish is none"),
    pytest.param(HEL + chunk({}, True) + DONE, HEL + chunk({}, True), CUT, id="a finish that is no word is none"),
    pytest.param(
        HEL + chunk({"content": "x"}, index=1) + STOP + DONE,
        HEL + chunk({"content": "x"}, index=1) + STOP,
        CUT,
        id="one of two choices is not finished",
    ),
    pytest.param(
        event({"choices": [{"delta": {}}, {"delta": {}}]}) + event({"choices": [{"finish_reason": "stop"}]}),
        event({"choices": [{"delta": {}}, {"delta": {}}]}) + event({"choices": [{"finish_reason": "stop"}]}),
        CUT,
        id="one of two choices without an index is not finished",
    ),
    pytest.param(
        STOP + chunk({"content": "x"}, index=1), STOP + chunk({"content": "x"}, index=1), CUT, id="a late one"
    ),
    pytest.param(ROLE + ERROR + STOP + DONE, ROLE, 429, id="an error"),
    pytest.param(ANSWER + ERROR + DONE, ANSWER, 429, id="an error after the finish"),
    pytest.param(
        ROLE + chunk({"content": "x"}, None, error={"code": 400}) + DONE, ROLE, 400, id="an error with choices"
    ),
    pytest.param(ROLE + event({"error": "gone"}), ROLE, 502, id="an error that is a text"),
    pytest.param(b"event: error\n" + ERROR, b"", 429, id="an error with a name"),
    pytest.param(ROLE + b"data: hello\n\n" + STOP, ROLE, INVALID, id="text that is not JSON"),
    pytest.param(ROLE + b"data: [DONE] x\n\n", ROLE, INVALID, id="text behind [DONE]"),
    pytest.param(ROLE + b"data: {\n\n" + STOP, ROLE, INVALID, id="half an object"),
    pytest.param(ROLE + b'data: {}{"a":1}\n\n' + STOP, ROLE, INVALID, id="two objects"),
    pytest.param(ROLE + b"data: []\n\n" + STOP, ROLE, INVALID, id="a list"),
    pytest.param(ROLE + b"data: null\n\n" + STOP, ROLE, INVALID, id="null"),
    pytest.param(ROLE + b'data: "[DONE]"\n\n' + STOP, ROLE, INVALID, id="a string"),
    pytest.param(ROLE + b'data: {"a":NaN}\n\n' + STOP, ROLE, INVALID, id="NaN"),
    pytest.param(ROLE + b'data: {"a":-Infinity}\n\n' + STOP, ROLE, INVALID, id="an infinity"),
    pytest.param(ROLE + b'data: {"a":"\xff"}\n\n' + STOP, ROLE, INVALID, id="not UTF-8"),
    pytest.param(ROLE + b'data: {"a":"\xed\xa0\xbd"}\n\n' + STOP, ROLE, INVALID, id="a raw surrogate"),
    pytest.param(ROLE + b"data: \x00{\x00}\n\n" + STOP, ROLE, INVALID, id="UTF-16"),
    pytest.param(ROLE + b"event: \xff\ndata: {}\n\n" + STOP, ROLE, INVALID, id="a name that is not UTF-8"),
    pytest.param(ROLE + b"<html></html>\n\n" + STOP, ROLE, INVALID, id="a line that is no field"),
    pytest.param(ROLE + b'{"error":{"code":429}}\n\n' + STOP, ROLE, 429, id="an error that is no event"),
    pytest.param(ROLE + b'{"error":\n{"code":429}}', ROLE, 429, id="one at the end, over two lines"),
    pytest.param(ROLE + b'{"error":{"code":4', ROLE, CUT, id="one that is cut"),
    pytest.param(ROLE + b'{"choices":[]}\n\n' + STOP, ROLE, INVALID, id="JSON that is no event"),
    pytest.param(ROLE + b'["error"]\n\n' + STOP, ROLE, INVALID, id="JSON that is no object"),
    pytest.param(ROLE + STOP[:-1] + b"oops\n\n" + DONE, ROLE, INVALID, id="a line that is no field in an event"),
    pytest.param(ROLE + b"data: " + b"[" * 10_000 + b"]" * 10_000 + b"\n\n", ROLE, INVALID, id="nested 10,000 deep"),
]


@pytest.mark.parametrize(("wire", "expected", "end"), ENDINGS)
def test_a_stream_ends(wire: bytes, expected: bytes, end: str | int | None) -> None:
    assert [expected, end] == feed_every_way(Told, wire)


def test_a_stream_that_was_cut_is_not_asked_for_again() -> None:
    relay = relayed(HEL)
    relay.close()

    assert isinstance(relay.failure, StreamBroken)


def test_a_stream_without_any_answer_may_be_asked_for_again() -> None:
    relay = relayed(PING)
    relay.close()

    assert isinstance(relay.failure, UpstreamFailed)
    assert not isinstance(relay.failure, StreamBroken)


def test_nothing_leaves_after_a_failure() -> None:
    relay = relayed(b"data: junk\n\n")

    assert relay.feed(STOP + DONE) + relay.close() == b""


def test_what_comes_before_an_oversized_event_leaves() -> None:
    relay = ChatStreamRelay()

    assert relay.feed(ROLE + b"data: " + b"x" * 16_000_001) == ROLE
    assert relay.failure is not None
    assert getattr(relay.failure, "code", None) == "upstream_too_large"


def test_an_oversized_event_after_the_end_is_of_no_interest() -> None:
    relay = ChatStreamRelay()

    assert relay.feed(ANSWER + DONE + b"data: " + b"x" * 16_000_001) == ANSWER + DONE
    assert relay.failure is None


def test_the_stream_is_over_with_done() -> None:
    relay = relayed(ANSWER)

    assert not relay.done
    relay.feed(DONE)
    assert relay.done


CONTENT = [
    pytest.param(ROLE, False, id="the role is none"),
    pytest.param(chunk({"role": "assistant", "content": None, "refusal": None}), False, id="null is none"),
    pytest.param(chunk({"content": "", "tool_calls": [], "reasoning_content": ""}), False, id="what is empty is none"),
    pytest.param(PING + USAGE + event({"choices": []}), False, id="usage and comments are none"),
    pytest.param(chunk({"content": " "}), True, id="a space"),
    pytest.param(chunk({"reasoning_content": "x"}), True, id="reasoning"),
    pytest.param(chunk({"refusal": "no"}), True, id="a refusal"),
    pytest.param(chunk({"tool_calls": [{"index": 0, "id": "a"}]}), True, id="the start of a tool call"),
    pytest.param(chunk({"function_call": {"name": "f"}}), True, id="the old form of a call"),
    pytest.param(chunk({"content": [{"type": "text", "text": "x"}]}), True, id="parts"),
    pytest.param(chunk({}, "stop"), True, id="a finish"),
    pytest.param(chunk({}, ""), False, id="an empty finish is none"),
]


@pytest.mark.parametrize(("wire", "expected"), CONTENT)
def test_content_commits(wire: bytes, expected: bool) -> None:
    assert expected is relayed(wire).has_content


CHARS = [
    pytest.param({"role": "assistant", "content": "Hello"}, 5, id="text"),
    pytest.param({"content": "é中🙂"}, 3, id="characters, not bytes"),
    pytest.param({"content": "ab", "reasoning_content": "cde"}, 5, id="text and reasoning"),
    pytest.param({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}, 7, id="arguments of a call"),
    pytest.param({"content": None, "x": 5, "y": True}, 0, id="what is no text"),
]


@pytest.mark.parametrize(("delta", "expected"), CHARS)
def test_generated_text_is_measured(delta: dict[str, Any], expected: int) -> None:
    assert expected == relayed(chunk(delta)).output_chars


def test_a_delta_nested_as_deep_as_the_parser_allows_is_measured() -> None:
    deep = b"[" * 1000 + b'"abc"' + b"]" * 1000

    assert relayed(b'data: {"choices":[{"delta":{"x":' + deep + b"}}]}\n\n").output_chars == 3


USAGES = [
    pytest.param([{"usage": COUNTS}], Usage(input=5, output=2), id="one report"),
    pytest.param([{"usage": None}, {"usage": COUNTS}], Usage(input=5, output=2), id="null is no report"),
    pytest.param([{"usage": COUNTS}, {"usage": None}, {}], Usage(input=5, output=2), id="null changes nothing later"),
    pytest.param(
        [{"usage": {"prompt_tokens": 5, "completion_tokens": 1}}, {"usage": {"completion_tokens": 9}}],
        Usage(input=5, output=9),
        id="field by field, the last wins",
    ),
    pytest.param(
        [{"usage": COUNTS}, {"usage": {"prompt_tokens": None, "completion_tokens": -1, "total_tokens": "x"}}],
        Usage(input=5, output=2),
        id="what is no count changes nothing",
    ),
    pytest.param(
        [
            {"usage": {"prompt_tokens": 5, "completion_tokens": 2}},
            {"usage": {"completion_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 10}},
        ],
        Usage(input=5, output=5, reasoning=3),
        id="what includes what is judged by the merged counts",
    ),
    pytest.param(
        [
            {"usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens": 1}},
            {"usage": {"prompt_tokens": 6}},
        ],
        Usage(input=6, output=1, cache_read=6),
        id="parts stay within their whole",
    ),
    pytest.param([{"x_groq": {"usage": COUNTS}}], Usage(input=5, output=2), id="Groq's place"),
    pytest.param([{"x_groq": {"id": "r"}}], None, id="Groq's place without usage"),
    pytest.param([{"usage": []}, {"usage": "x"}, {"usage": {}}], None, id="what is no report"),
    pytest.param([{"usage": COUNTS, "error": {"code": 500}}], Usage(input=5, output=2), id="beside an error"),
    pytest.param([], None, id="none"),
]


@pytest.mark.parametrize(("reports", "expected"), USAGES)
def test_usage_is_merged(reports: list[dict[str, Any]], expected: Usage | None) -> None:
    assert expected == relayed(*(chunk({}, **report) for report in reports)).usage


WITHHELD = [
    pytest.param(ANSWER + USAGE + DONE, ANSWER + DONE, id="the usage chunk"),
    pytest.param(HEL + USAGE + STOP, HEL + STOP, id="a usage chunk before the finish"),
    pytest.param(ANSWER + event({"usage": COUNTS}), ANSWER, id="a usage chunk that lacks choices"),
    pytest.param(
        HEL + chunk({}, "stop", usage=COUNTS), HEL + chunk({}, "stop", usage=COUNTS), id="not beside a choice"
    ),
    pytest.param(chunk({"content": "x"}, usage=None) + STOP, chunk({"content": "x"}, usage=None) + STOP, id="not null"),
    pytest.param(
        event({"choices": [], "usage": None}) + ANSWER,
        event({"choices": [], "usage": None}) + ANSWER,
        id="not a chunk without choices that reports nothing",
    ),
    pytest.param(
        event({"choices": [], "x_groq": {"id": "r"}}) + ANSWER,
        event({"choices": [], "x_groq": {"id": "r"}}) + ANSWER,
        id="not a chunk without choices that reports something else",
    ),
]


@pytest.mark.parametrize(("wire", "expected"), WITHHELD)
def test_usage_that_the_client_did_not_ask_for_is_withheld(wire: bytes, expected: bytes) -> None:
    assert [expected, None] == feed_every_way(lambda: Told(withhold_usage=True), wire)


def test_withheld_usage_is_still_read() -> None:
    assert relayed(ANSWER + USAGE + DONE, withhold_usage=True).usage == Usage(input=5, output=2)


RENAMED = [
    pytest.param(b'data: {"model":"up"}\n\n', b'data: {"model":"mine"}\n\n', id="a model"),
    pytest.param(b'data: { "model" :\t"up" , "x":1.0}\n\n', b'data: { "model" :\t"mine" , "x":1.0}\n\n', id="spaces"),
    pytest.param(b'data: {"model":""}\n\n', b'data: {"model":"mine"}\n\n', id="an empty one"),
    pytest.param(b'data: {"model":null}\n\n', b'data: {"model":"mine"}\n\n', id="null"),
    pytest.param(b'data: {"model":{"a":["}"]}}\n\n', b'data: {"model":"mine"}\n\n', id="an object"),
    pytest.param(b'data: {"x":1}\n\n', b'data: {"x":1}\n\n', id="none: none is added"),
    pytest.param(b'data: {"model":"mine"}\n\n', b'data: {"model":"mine"}\n\n', id="the right one already"),
    pytest.param(
        b'data: {"x":{"model":"up"},"model":"up","y":[{"model":"up"}]}\n\n',
        b'data: {"x":{"model":"up"},"model":"mine","y":[{"model":"up"}]}\n\n',
        id="not a nested one",
    ),
    pytest.param(b'data: {"x":{"model":"up"}}\n\n', b'data: {"x":{"model":"up"}}\n\n', id="only a nested one"),
    pytest.param(b'data: {"mod\\u0065l":"up"}\n\n', b'data: {"mod\\u0065l":"mine"}\n\n', id="an escaped name"),
    pytest.param(
        b'data: {"model":"a","model":"b"}\n\n', b'data: {"model":"a","model":"mine"}\n\n', id="the last of two"
    ),
    pytest.param(b'data:{"model":"up"}\n\n', b'data:{"model":"mine"}\n\n', id="no space after data:"),
    pytest.param(b'data: {"model":"up"}\r\n\r\n', b'data: {"model":"mine"}\r\n\r\n', id="CR LF"),
    pytest.param(
        b'\xef\xbb\xbfdata: {"model":"up"}\n\n', b'\xef\xbb\xbfdata: {"model":"mine"}\n\n', id="a byte order mark"
    ),
    pytest.param(
        b': {"model":"up"}\nid: 7\ndata: {"model":"up"}\n\n',
        b': {"model":"up"}\nid: 7\ndata: {"model":"mine"}\n\n',
        id="not in a comment",
    ),
    pytest.param(
        b'event: x\ndata: {"a":1,\r\ndata:"model":"up"}\nid: 7\n\n',
        b'event: x\ndata: {"a":1,\r\ndata:"model":"mine"}\nid: 7\n\n',
        id="data over two lines",
    ),
    pytest.param(
        b'data\ndata: {"model":"up"}\n\n', b'data\ndata: {"model":"mine"}\n\n', id="an empty line of data before"
    ),
    pytest.param(
        b'data: {"model":{\ndata: "a":1},"x":2}\n\n', b'data: {"model":"mine","x":2}\n\n', id="a value over two lines"
    ),
    pytest.param(
        b'data: {"model":"up","a":"\\ud83d"}\n\n', b'data: {"model":"mine","a":"\\ud83d"}\n\n', id="surrogates"
    ),
]


@pytest.mark.parametrize(("wire", "expected"), RENAMED)
def test_the_model_becomes_the_one_asked_for(wire: bytes, expected: bytes) -> None:
    mine = STOP.replace(b"up", b"mine")

    assert [expected + mine, None] == feed_every_way(lambda: Told(rename="mine"), wire + STOP)


def test_a_name_is_written_as_json() -> None:
    assert ChatStreamRelay(rename='a"é').feed(event({"model": "up"})) == 'data: {"model":"a\\"é"}\n\n'.encode()


def test_a_large_event_in_small_pieces_passes() -> None:
    wire = event({"choices": [{"delta": {"content": "x" * 4_000_000}, "finish_reason": "stop"}]})
    relay = ChatStreamRelay()

    out = b"".join(relay.feed(wire[at : at + 65_536]) for at in range(0, len(wire), 65_536)) + relay.close()

    assert out == wire
    assert relay.failure is None


def test_many_tiny_events_pass() -> None:
    wire = b"data: {}\n\n" * 20_000
    relay = ChatStreamRelay()

    assert wire == b"".join(relay.feed(wire[at : at + 1000]) for at in range(0, len(wire), 1000))


def answer(message: Any, finish: Any = "stop", **fields: Any) -> dict[str, Any]:
    return {"id": "c1", "object": "chat.completion", "created": 7, "model": "up", **fields} | {
        "choices": [{"index": 0, "message": message, "finish_reason": finish}]
    }


def chunks(stream: bytes) -> list[Any]:
    *frames, done, rest = stream.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames]


def deltas(stream: bytes) -> list[Any]:
    return [choice["delta"] for chunk in chunks(stream) for choice in chunk["choices"]]


ROLE_DELTA = {"role": "assistant", "content": ""}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}

REPLAYED = [
    pytest.param({"role": "assistant", "content": "Hi"}, [{"content": "Hi"}], id="text"),
    pytest.param({"role": "assistant", "content": None, "refusal": "no"}, [{"refusal": "no"}], id="a refusal"),
    pytest.param({"content": "", "tool_calls": [], "x": None}, [], id="nothing"),
    pytest.param(
        {"content": "Hi", "tool_calls": [CALL, CALL]},
        [{"content": "Hi"}, {"tool_calls": [{**CALL, "index": 0}]}, {"tool_calls": [{**CALL, "index": 1}]}],
        id="calls, one index each",
    ),
    pytest.param(
        {"tool_calls": [None, {**CALL, "index": 9}]}, [{"tool_calls": [{**CALL, "index": 1}]}], id="bad calls"
    ),
    pytest.param(
        {"content": "Hi", "reasoning_content": "Hm", "annotations": [1]},
        [{"reasoning_content": "Hm"}, {"content": "Hi"}, {"annotations": [1]}],
        id="reasoning comes first",
    ),
    pytest.param({"function_call": {"name": "f"}}, [{"function_call": {"name": "f"}}], id="the old form of a call"),
    pytest.param(None, [], id="no message"),
    pytest.param("x", [], id="a message that is no object"),
]


@pytest.mark.parametrize(("message", "expected"), REPLAYED)
def test_a_whole_answer_becomes_one_delta_a_part(message: Any, expected: list[Any]) -> None:
    stream = replay(answer(message), model=None, wants_usage=False)

    assert [ROLE_DELTA, *expected, {}] == deltas(stream)


FINISHES = [
    pytest.param(answer({"content": "x"}, "length"), "length", id="what the provider said"),
    pytest.param(answer({"content": "x"}, None), "stop", id="null after text"),
    pytest.param(answer({"content": "x"}, ""), "stop", id="empty after text"),
    pytest.param(answer({"tool_calls": [CALL]}, None), "tool_calls", id="null after calls"),
]


@pytest.mark.parametrize(("parsed", "expected"), FINISHES)
def test_the_last_chunk_alone_has_the_finish(parsed: dict[str, Any], expected: str) -> None:
    reasons = [
        choice["finish_reason"]
        for chunk in chunks(replay(parsed, model=None, wants_usage=False))
        for choice in chunk["choices"]
    ]

    assert [None] * (len(reasons) - 1) + [expected] == reasons


def test_every_chunk_repeats_what_the_answer_says_of_itself() -> None:
    stream = replay(answer({"content": "x"}, system_fingerprint="f", service_tier="t"), model=None, wants_usage=False)

    for chunk in chunks(stream):
        chunk.pop("choices")
        assert chunk == {
            "id": "c1",
            "object": "chat.completion.chunk",
            "created": 7,
            "model": "up",
            "system_fingerprint": "f",
            "service_tier": "t",
        }


def test_the_model_is_the_one_asked_for() -> None:
    stream = replay(answer({"content": "x"}), model="mine", wants_usage=False)

    assert {"mine"} == {chunk["model"] for chunk in chunks(stream)}


def test_usage_comes_last_and_is_null_before() -> None:
    *before, last = chunks(replay(answer({"content": "x"}, usage=COUNTS), model=None, wants_usage=True))

    assert [chunk["usage"] for chunk in before] == [None] * 3
    assert (last["choices"], last["usage"]) == ([], COUNTS)


def test_usage_is_left_out_where_it_was_not_asked_for() -> None:
    stream = replay(answer({"content": "x"}, usage=COUNTS), model=None, wants_usage=False)

    assert not any("usage" in chunk for chunk in chunks(stream))


@pytest.mark.parametrize("usage", [None, [], "x"], ids=repr)
def test_usage_that_is_none_gets_no_chunk(usage: Any) -> None:
    stream = replay(answer({"content": "x"}, usage=usage), model=None, wants_usage=True)

    assert all(chunk["choices"] for chunk in chunks(stream))


def test_logprobs_stand_beside_the_text() -> None:
    parsed = answer({"content": "x"})
    parsed["choices"][0]["logprobs"] = {"content": [1]}

    said = [chunk["choices"][0]["logprobs"] for chunk in chunks(replay(parsed, model=None, wants_usage=False))]

    assert said == [None, {"content": [1]}, None]


def test_every_choice_is_replayed_with_its_index() -> None:
    parsed: dict[str, Any] = {
        "choices": [{"index": 1, "message": {"content": "b"}}, None, {"index": None, "message": {}}]
    }

    indexes = [chunk["choices"][0]["index"] for chunk in chunks(replay(parsed, model=None, wants_usage=False))]

    assert indexes == [1, 1, 1, 2, 2]


@pytest.mark.parametrize(
    "value",
    ["\ud83d", 2**70, [[]] * 3, json.loads("[" * 300 + "]" * 300)],
    ids=["surrogate", "integer", "list", "deep"],
)
def test_whatever_an_answer_holds_is_replayed(value: Any) -> None:
    assert [ROLE_DELTA, {"x": value}, {}] == deltas(replay(answer({"x": value}), model=None, wants_usage=False))


def nested(depth: int) -> list[Any]:
    """Lists within lists, deeper than any version of Python writes."""
    innermost: list[Any] = []
    for _ in range(depth):
        innermost = [innermost]
    return innermost


@pytest.mark.parametrize(
    "message",
    [{"x": nested(50_000)}, {"x": ["\ud83d", float("inf")]}],
    ids=["too deep", "a number beyond floats"],
)
def test_an_answer_that_can_not_be_written_is_refused(message: Any) -> None:
    parsed = answer(message)

    with pytest.raises(UpstreamFailed) as caught:
        replay(parsed, model=None, wants_usage=False)

    assert caught.value.code == INVALID


def test_a_replayed_stream_passes_a_relay() -> None:
    stream = replay(answer({"content": "Hi", "tool_calls": [CALL]}, usage=COUNTS), model="mine", wants_usage=True)

    assert [stream, None] == feed_every_way(lambda: Told(rename="mine"), stream)
