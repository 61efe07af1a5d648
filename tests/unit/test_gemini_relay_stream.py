"""Streams between a Gemini upstream and a Gemini client, as events and as one array."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from modelserver.dialects.dialect import StreamRelay
from modelserver.dialects.gemini import GEMINI, GEMINI_ARRAY
from modelserver.errors import StreamBroken, UpstreamFailed
from modelserver.ir.events import End, FinishEvent, Start
from modelserver.ir.parts import Finish, FinishReason
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from tests.support.feeding import feed_every_way
from tests.support.gemini import writing

ERROR = UpstreamFailed("It broke.")


def opened(dialect: Any = GEMINI, *, rename: str | None = None) -> StreamRelay:
    relay: StreamRelay = dialect.open_stream(withhold_usage=False, rename=rename, claim=lambda _: None)
    return relay


def chunk(*parts: dict[str, Any], finish: str | None = None, index: int | None = None, **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}} if parts else {}
    if finish is not None:
        candidate["finishReason"] = finish
    if index is not None:
        candidate["index"] = index
    return {"candidates": [candidate], **fields}


def frame(event: Any) -> bytes:
    return b"data: " + orjson.dumps(event) + b"\r\n\r\n"


def stream(*events: Any) -> bytes:
    return b"".join(map(frame, events))


HELLO = (
    chunk({"text": "Hm", "thought": True}, modelVersion="up"),
    chunk({"text": "Hello"}, modelVersion="up", usageMetadata={"promptTokenCount": 2}),
    chunk(
        {"functionCall": {"name": "f", "args": {"q": "tea"}}, "thoughtSignature": "AbC="},
        finish="STOP",
        modelVersion="up",
        usageMetadata={"candidatesTokenCount": 5, "thoughtsTokenCount": 1},
    ),
)

PASSES = [
    pytest.param(stream(*HELLO), id="as Google sends it"),
    pytest.param(stream(*HELLO).replace(b"\r\n", b"\n"), id="other line ends"),
    pytest.param(stream(*HELLO).replace(b"data: ", b"data:"), id="no space"),
    pytest.param(b'data: {"candidates":\r\ndata:   [{"finishReason":"STOP"}]}\r\n\r\n', id="data in two lines"),
    pytest.param(b'data: {"candidates" : [{"finishReason":"NEW\\u002dWORD"}], "x":7e0}\n\n', id="odd spelling"),
    pytest.param(frame({"vendor": [1]}) + frame(chunk(finish="STOP")), id="an unknown event"),
    pytest.param(frame({"promptFeedback": {"blockReason": "SAFETY"}}), id="a blocked prompt"),
    pytest.param(stream(*HELLO, {"usageMetadata": {"totalTokenCount": 9}}), id="usage behind the end"),
    pytest.param(
        b'data: {"candidates":[{"content":{"parts":[{"text":"\\ud83d"}]},"finishReason":"STOP"}]}\n\n', id="½"
    ),
]


@pytest.mark.parametrize("wire", PASSES)
def test_a_stream_passes_with_every_byte_however_it_is_cut(wire: bytes) -> None:
    assert wire == feed_every_way(opened, wire)


def test_a_last_event_without_its_blank_line_is_completed() -> None:
    assert stream(*HELLO) == feed_every_way(opened, stream(*HELLO)[:-2])


LEFT_OUT = [
    pytest.param(b": ping\n\n" + stream(*HELLO), stream(*HELLO), id="a comment"),
    pytest.param(b"\r\n\r\n" + stream(*HELLO), stream(*HELLO), id="a blank line"),
    pytest.param(b"data:\n\n" + stream(*HELLO), stream(*HELLO), id="empty data"),
    pytest.param(stream(*HELLO) + b"data: [DONE]\n\n", stream(*HELLO), id="the end of another dialect"),
    pytest.param(
        b'event: chunk\n: hi\nid: 7\ndata: {"candidates":[{"finishReason":"STOP"}]}\n\n',
        b'data: {"candidates":[{"finishReason":"STOP"}]}\r\n\r\n',
        id="lines of other fields",
    ),
    pytest.param(b"\xef\xbb\xbf" + stream(*HELLO), stream(*HELLO), id="a byte order mark"),
]


@pytest.mark.parametrize(("wire", "expected"), LEFT_OUT)
def test_what_the_official_client_cannot_read_never_reaches_it(wire: bytes, expected: bytes) -> None:
    assert expected == feed_every_way(opened, wire)


@pytest.mark.parametrize("dialect", [GEMINI, GEMINI_ARRAY])
def test_every_chunk_gets_the_name_that_was_asked_for(dialect: Any) -> None:
    wire = stream(*HELLO, {"modelVersion": 7}, {"responseId": "r"})
    said = feed_every_way(lambda: opened(dialect, rename="mine"), wire)

    assert feed_every_way(lambda: opened(dialect), wire.replace(b'"up"', b'"mine"')) == said


def test_array_clients_get_the_same_chunks_as_elements() -> None:
    texts = [orjson.dumps(event) for event in HELLO]

    assert b"[" + b",\r\n".join(texts) + b"]" == feed_every_way(lambda: opened(GEMINI_ARRAY), stream(*HELLO))


def test_an_element_keeps_its_own_bytes() -> None:
    element = b'{ "candidates" :[{"finishReason":"STOP" }],\n "x":7e0}'
    wire = b": hi\ndata: " + element.replace(b"\n", b"\ndata: ") + b"\n\n"

    assert b"[" + element + b"]" == feed_every_way(lambda: opened(GEMINI_ARRAY), wire + b"data: [DONE]\n\n")


@pytest.mark.parametrize("count", range(4))
def test_a_failed_array_is_closed_behind_what_has_left(count: int) -> None:
    relay = opened(GEMINI_ARRAY)
    said = relay.feed(stream(*HELLO[:count])) + GEMINI_ARRAY.keepalive + relay.fail(ERROR)
    *chunks, last = orjson.loads(said)

    assert chunks == list(HELLO[:count])
    assert last["error"]["code"] == 502


def test_a_closed_array_is_not_continued() -> None:
    relay = opened(GEMINI_ARRAY)
    relay.feed(stream(*HELLO))
    relay.close()

    assert relay.fail(ERROR) == b""


def test_a_failed_stream_of_events_ends_with_the_error_event() -> None:
    relay = opened()
    relay.feed(stream(*HELLO[:1]))

    assert relay.fail(ERROR) == GEMINI.encode_error_event(ERROR)
    assert relay.fail(ERROR).startswith(b'data: {"error":{"code":502,')


@pytest.mark.parametrize("dialect", [GEMINI, GEMINI_ARRAY])
@pytest.mark.parametrize("count", range(3))
def test_a_stream_that_is_cut_before_its_reason_fails(count: int, dialect: Any) -> None:
    relay = opened(dialect)
    said = relay.feed(stream(*HELLO[:count])) + relay.close()

    assert isinstance(relay.failure, UpstreamFailed)
    assert isinstance(relay.failure, StreamBroken) == (count > 0)
    assert not said.endswith(b"]")


UNFINISHED = [
    pytest.param(chunk({"text": "a"}, finish="FINISH_REASON_UNSPECIFIED"), id="no reason yet"),
    pytest.param(chunk({"text": "a"}, finish=""), id="an empty reason"),
    pytest.param({"candidates": [{"finishReason": 0}]}, id="the number of none"),
    pytest.param({"candidates": [{"finishReason": {}}]}, id="a reason that is no word"),
    pytest.param({"candidates": [{"finishReason": "STOP"}, {}]}, id="one of two"),
    pytest.param({"candidates": []}, id="no candidates"),
    pytest.param({"promptFeedback": {"blockReason": ""}}, id="nothing blocked"),
    pytest.param({"usageMetadata": {}}, id="usage alone"),
]


@pytest.mark.parametrize("event", UNFINISHED)
@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n"])
def test_a_stream_ends_well_only_when_every_candidate_has_its_reason(event: Any, end: bytes) -> None:
    relay = opened()
    relay.feed(frame(event) + end)
    relay.close()

    assert isinstance(relay.failure, UpstreamFailed)


def test_candidates_may_end_one_after_the_other() -> None:
    relay = opened()
    relay.feed(stream(chunk({"text": "a"}, index=0), chunk(finish="STOP", index=1), chunk(finish="STOP", index=0)))
    relay.close()

    assert relay.failure is None
    assert relay.done


def test_a_reason_on_every_chunk_ends_nothing() -> None:
    relay = opened()
    wire = stream(chunk({"text": "a"}, finish="STOP"), chunk(finish="RECITATION"))

    assert relay.feed(wire) == wire
    assert not relay.done


NO_CONTENT = [
    pytest.param({}, id="nothing"),
    pytest.param({"candidates": [{"content": {"role": "model"}, "index": 0}]}, id="a role"),
    pytest.param(chunk({}, {"text": ""}, {"text": "", "thought": True}), id="empty parts"),
    pytest.param({"usageMetadata": {"promptTokenCount": 1}, "modelVersion": "m"}, id="usage"),
    pytest.param({"promptFeedback": {"safetyRatings": []}}, id="feedback"),
]
CONTENT = [
    pytest.param(chunk({"text": "a"}), id="text"),
    pytest.param(chunk({"text": "a", "thought": True}), id="a thought"),
    pytest.param(chunk({"text": "", "thoughtSignature": "AbC="}), id="a signature"),
    pytest.param(chunk({"functionCall": {"name": "f"}}), id="a call"),
    pytest.param(chunk({"inlineData": {"data": "AA=="}}), id="media"),
    pytest.param(chunk({"executableCode": {"code": "1"}}), id="code"),
    pytest.param(chunk({"vendor": 1}), id="an unknown part"),
    pytest.param(chunk(finish="STOP"), id="a reason"),
    pytest.param({"promptFeedback": {"blockReason": "OTHER"}}, id="a blocked prompt"),
    pytest.param({"vendor": 1}, id="an unknown event"),
]


@pytest.mark.parametrize("event", NO_CONTENT)
def test_what_says_nothing_is_no_content(event: Any) -> None:
    relay = opened()

    assert relay.feed(frame(event)) == frame(event)
    assert not relay.has_content


@pytest.mark.parametrize("event", CONTENT)
def test_what_says_something_is_content(event: Any) -> None:
    relay = opened()
    relay.feed(frame(event))

    assert relay.has_content


@pytest.mark.parametrize("before", [0, 2])
def test_an_error_event_is_a_complaint_and_never_passes(before: int) -> None:
    wire = stream(*HELLO[:before])
    relay = opened()
    said = relay.feed(wire + frame({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}) + wire)

    assert said == wire
    assert relay.failure == Complaint(status=503, message="busy", type="UNAVAILABLE", in_json=True)
    assert relay.close() == b""


BROKEN = [
    pytest.param(b"data: {\n\n", id="no JSON"),
    pytest.param(b"data: [1]\n\n", id="no object"),
    pytest.param(b"<html>\n\n", id="no event"),
    pytest.param(b'data: {"a":"\xff"}\n\n', id="no UTF-8"),
    pytest.param(b'data: {"a":NaN}\n\n', id="no number"),
]


@pytest.mark.parametrize("wire", BROKEN)
def test_what_is_no_event_ends_the_stream(wire: bytes) -> None:
    relay = opened()

    assert relay.feed(frame(HELLO[0]) + wire + stream(*HELLO)) == frame(HELLO[0])
    assert isinstance(relay.failure, StreamBroken)


ANY: list[Any] = [None, True, 0, -1, 2**70, 1.5, "", "x", [], [1], {}, {"a": [{}]}, [[]], [{"text": 1}]]
SHAPES = [
    *({key: value} for key in ("candidates", "usageMetadata", "promptFeedback", "modelVersion") for value in ANY),
    *(
        {"candidates": [{key: value}]}
        for key in ("index", "content", "finishReason", "groundingMetadata")
        for value in ANY
    ),
    *({"candidates": [{"content": {"parts": value}}]} for value in ANY),
    *(
        {"candidates": [{"content": {"parts": [{key: value}]}}]}
        for key in ("text", "functionCall", "thoughtSignature", "thought")
        for value in ANY
    ),
    *({"usageMetadata": {key: value}} for key in ("promptTokenCount", "trafficType") for value in ANY),
    *({"candidates": [{"groundingMetadata": {"webSearchQueries": value}}], "usageMetadata": {"x": 1}} for value in ANY),
]


@pytest.mark.parametrize("event", SHAPES, ids=str)
def test_any_shape_is_borne_and_passes(event: Any) -> None:
    wire = b"data: " + json.dumps(event).encode() + b"\n\n"

    assert feed_every_way(lambda: opened(rename="x"), wire).replace(b'"x"', b'""') == wire.replace(b'"x"', b'""')


@pytest.mark.parametrize("error", [value for value in ANY if value], ids=str)
def test_any_error_is_a_complaint(error: Any) -> None:
    relay = opened()
    relay.feed(b'data: {"error":' + json.dumps(error).encode() + b"}\n\n")

    assert isinstance(relay.failure, Complaint)


def test_usage_is_merged_field_by_field() -> None:
    relay = opened()
    relay.feed(stream(*HELLO, {"candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b"]}}]}))

    assert relay.usage == Usage(input=2, output=6, reasoning=1, server_calls={"web_search": 2})


def test_generated_text_is_counted_with_thoughts_and_arguments() -> None:
    relay = opened()
    relay.feed(stream(*HELLO, chunk({"inlineData": {"mimeType": "image/png", "data": "A" * 900}})))

    assert relay.output_chars == len("Hm" + "Hello" + "name" + "f" + "args" + "q" + "tea")


def test_the_codec_of_array_clients_writes_an_array() -> None:
    encoder = GEMINI_ARRAY.codec.stream_encoder(writing())
    events = [Start("r", "m", 0), FinishEvent(0, Finish(reason=FinishReason.STOP)), End()]
    said = b"".join(encoder.feed(event) for event in events)

    assert orjson.loads(said)[0]["candidates"][0]["finishReason"] == "STOP"
