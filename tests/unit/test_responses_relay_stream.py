"""Streams of the Responses API between a client and a provider that both speak it: what passes, and how they end."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from modelserver.dialects.openai_responses import RESPONSES
from modelserver.dialects.openai_responses.relay_stream import MAX_HELD_BYTES, ResponsesReader, open_stream
from modelserver.dialects.relaying import EventRelay
from modelserver.errors import GatewayError, RateLimited, StreamBroken, UpstreamFailed, UpstreamTimeout
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from tests.support.feeding import feed_every_way

CUT, INVALID = "upstream_error", "upstream_invalid_response"
COUNTS = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}
FULL: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 7,
    "status": "in_progress",
    "error": None,
    "incomplete_details": None,
    "instructions": "Be brief.",
    "metadata": {},
    "model": "up",
    "output": [],
    "parallel_tool_calls": True,
    "temperature": 1,
    "tool_choice": "auto",
    "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
    "top_p": 1,
}
"""Every member that the type demands."""


def frame(value: Any) -> bytes:
    name = b"event: " + value["type"].encode() + b"\n" if isinstance(value.get("type"), str) else b""
    return name + b"data: " + orjson.dumps(value) + b"\n\n"


def event(kind: str, index: Any = None, /, **fields: Any) -> dict[str, Any]:
    where = {} if index is None else {"output_index": index}
    return {"type": f"response.{kind}", **where, **fields}


def numbered(*events: dict[str, Any], start: int = 0) -> bytes:
    return b"".join(frame({**one, "sequence_number": start + at}) for at, one in enumerate(events))


def item(kind: str, id: str = "it_1", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": id, **fields}


def said(text: str, id: str = "msg_1") -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return item("message", id, role="assistant", status="completed", content=[part])


def ended(kind: str, *output: Any, **fields: Any) -> dict[str, Any]:
    return event(kind, response={**FULL, "status": kind, "output": [*output], **fields})


OPENED = item("message", "msg_1", role="assistant", status="in_progress", content=[])
BLANK = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
CREATED = event("created", response=FULL)
BEGUN = event("in_progress", response=FULL)
ADDED = event("output_item.added", 0, item=OPENED)
PART = event("content_part.added", 0, content_index=0, item_id="msg_1", part=BLANK)
HEL = event("output_text.delta", 0, content_index=0, item_id="msg_1", delta="Hel")
LO = event("output_text.delta", 0, content_index=0, item_id="msg_1", delta="lo")
DONE = event("output_item.done", 0, item=said("Hello"))
COMPLETED = ended("completed", said("Hello"), usage=COUNTS)
FAILED = ended("failed", error={"code": "rate_limit_exceeded", "message": "no"})
BUSY = {"type": "error", "code": "server_is_overloaded", "message": "busy", "param": None}

EVENTS = (CREATED, BEGUN, ADDED, PART, HEL, LO, DONE, COMPLETED)
START, BODY = numbered(CREATED, BEGUN), numbered(*EVENTS[:-1])
ANSWER = numbered(*EVENTS)


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


def relayed(*events: Any, rename: str | None = None, claimed: list[str] | None = None) -> EventRelay:
    """A relay that was fed these events, each on its own."""
    relay = open_stream(rename=rename, claim=None if claimed is None else claimed.append)
    for one in events:
        relay.feed(frame(one))
    return relay


PASSES = [
    pytest.param(ANSWER, id="an ordinary stream"),
    pytest.param(numbered(CREATED, ended("incomplete", said("Hel"))), id="an answer that was cut at a limit"),
    pytest.param(ANSWER.replace(b"\n", b"\r\n"), id="CR LF"),
    pytest.param(b"".join(b"data:" + orjson.dumps(one) + b"\n\n" for one in EVENTS), id="no names, no spaces"),
    pytest.param(b": PROCESSING\n\n" + START + b": ping\n\n" + ANSWER[len(START) :], id="comments"),
    pytest.param(b"\xef\xbb\xbf" + ANSWER, id="a byte order mark"),
    pytest.param(b'data: {"type":"keepalive","sequence_number":0}\n\n' + ANSWER, id="a keep-alive"),
    pytest.param(START + frame({"type": "vendor.thing", "x": [1]}) + ANSWER, id="an event that is not known"),
    pytest.param(b"data: {}\n\n" + ANSWER, id="an empty object"),
    pytest.param(frame({"type": 5, "response": [1], "output_index": "x"}) + ANSWER, id="members of no shape"),
    pytest.param(frame(event("output_item.done", 0, item=None)) + ANSWER, id="an item that is null"),
    pytest.param(frame(event("mcp_call.failed", 0, error={"message": "no"})) + ANSWER, id="the error of a hosted tool"),
    pytest.param(b'data: { "type" : "response.completed" }\n\n', id="a finish without a response"),
    pytest.param(b'data: {"x":"\\ud83d"}\n\n' + ANSWER, id="half of an emoji"),
    pytest.param(b'data: {"x":1e0,"y":123456789012345678901234567890}\n\n' + ANSWER, id="numbers of odd spelling"),
    pytest.param(b'data: {"x":' + b"[" * 900 + b"]" * 900 + b"}\n\n" + ANSWER, id="nested 900 deep"),
    pytest.param(
        b'data: {"type":"response.output_item.done","item":{"type":"message","content":'
        + b"[" * 900
        + b'"a"'
        + b"]" * 900
        + b"}}\n\n"
        + ANSWER,
        id="an item nested 900 deep",
    ),
]


@pytest.mark.parametrize("wire", PASSES)
def test_a_complete_stream_passes_as_received(wire: bytes) -> None:
    assert [wire, None] == feed_every_way(Told, wire)


ENDINGS = [
    pytest.param(ANSWER + b"data: [DONE]\n\n", ANSWER, None, id="a [DONE] behind the end is not needed"),
    pytest.param(ANSWER + b"data: nonsense\n\n", ANSWER, None, id="nor is anything else"),
    pytest.param(ANSWER[:-1], ANSWER, None, id="a last event that lacks half of its blank line gets it"),
    pytest.param(ANSWER[:-2], ANSWER, None, id="a last event that lacks its blank line gets it"),
    pytest.param(ANSWER[:-5], BODY, CUT, id="an incomplete end is none"),
    pytest.param(BODY, BODY, CUT, id="no end"),
    pytest.param(BODY + b"data: [DONE]\n\n", BODY, CUT, id="[DONE] is no end"),
    pytest.param(START, START, INVALID, id="nothing but a beginning"),
    pytest.param(b"", b"", INVALID, id="nothing at all"),
    pytest.param(BODY + frame(BUSY), BODY, 503, id="an error"),
    pytest.param(frame(BUSY), b"", 503, id="an error at once"),
    pytest.param(BODY + frame(FAILED), BODY, 429, id="a failure"),
    pytest.param(BODY + frame(event("failed")), BODY, 500, id="a failure without words"),
    pytest.param(BODY + frame(event("cancelled", response=FULL)), BODY, 500, id="a cancellation"),
    pytest.param(BODY + frame(ended("completed", status="failed")), BODY, 500, id="an end that says failed"),
    pytest.param(BODY + b'data: {"error":{"code":429}}\n\n', BODY, 429, id="an error without a type"),
    pytest.param(BODY + b"data: {x}\n\n", BODY, INVALID, id="an event that is not JSON"),
    pytest.param(BODY + b"data: 5\n\n", BODY, INVALID, id="an event that is no object"),
    pytest.param(BODY + b"<html>\n\n", BODY, INVALID, id="a line that is no event"),
]


@pytest.mark.parametrize(("wire", "passed", "end"), ENDINGS)
def test_how_a_stream_ends(wire: bytes, passed: bytes, end: object) -> None:
    assert [passed, end] == feed_every_way(Told, wire)


@pytest.mark.parametrize("count", range(len(EVENTS)))
def test_a_stream_that_is_cut_between_two_events_fails(count: int) -> None:
    relay = open_stream()
    out = relay.feed(numbered(*EVENTS[:count])) + relay.close()

    assert out == numbered(*EVENTS[:count])
    assert isinstance(relay.failure, UpstreamFailed)
    assert isinstance(relay.failure, StreamBroken) is relay.has_content is (count > 4)


def test_every_response_is_renamed_at_every_cut() -> None:
    named = b'data: {"model":"up","type":"response.x","response":{ "y":{"model":"up"}, "model" : "up" }}\n\n'
    unnamed = frame(event("x", response={"model": None})) + frame(event("x", response=["model"]))
    expected = ANSWER.replace(b'"model":"up"', b'"model":"mine"')

    assert expected.count(b'"mine"') == 3
    assert feed_every_way(lambda: Told("mine"), named + unnamed + ANSWER) == [
        named.replace(b'"model" : "up"', b'"model" : "mine"') + unnamed + expected,
        None,
    ]


NOTHING_YET = [
    pytest.param(CREATED, id="created"),
    pytest.param(event("queued", response=FULL), id="queued"),
    pytest.param({"type": "keepalive"}, id="a keep-alive"),
    pytest.param({}, id="an empty object"),
    pytest.param(ADDED, id="a message that begins"),
    pytest.param(event("output_item.added", 0, item=item("reasoning", summary=[])), id="reasoning that begins"),
    pytest.param(event("output_item.added", 0, item=item("message", content=[BLANK])), id="an empty part in it"),
    pytest.param(event("output_item.added", 0, item=None), id="no item"),
    pytest.param(PART, id="a part that begins"),
    pytest.param(event("reasoning_summary_part.added", 0, part={"type": "summary_text", "text": ""}), id="a section"),
    pytest.param(event("output_text.delta", 0, delta=""), id="an empty delta"),
    pytest.param(event("output_text.delta", 0), id="no delta"),
    pytest.param(event("output_text.done", 0, text=""), id="an empty text"),
]


@pytest.mark.parametrize("one", NOTHING_YET)
def test_what_is_empty_is_no_content(one: dict[str, Any]) -> None:
    assert not relayed(one).has_content


CONTENT = [
    pytest.param(HEL, id="text"),
    pytest.param(event("refusal.delta", 0, delta="No"), id="a refusal"),
    pytest.param(event("reasoning_summary_text.delta", 0, delta="Hm"), id="a summary"),
    pytest.param(event("reasoning_text.delta", 0, delta="Hm"), id="reasoning"),
    pytest.param(event("function_call_arguments.delta", 0, delta="{"), id="arguments"),
    pytest.param(event("vendor.delta", 0, delta={"x": 1}), id="a delta of another shape"),
    pytest.param(event("output_item.added", 0, item=item("function_call", name="f", arguments="")), id="a call"),
    pytest.param(event("output_item.added", 0, item=item("web_search_call")), id="hosted work"),
    pytest.param(event("output_item.added", 0, item="x"), id="an item that is a text"),
    pytest.param(event("output_item.done", 0, item=item("reasoning", encrypted_content="abc")), id="a seal"),
    pytest.param(event("output_item.done", 0, item=item("message", content="Hi")), id="a message in the short form"),
    pytest.param(event("content_part.added", 0, part={**BLANK, "text": "H"}), id="a part with text"),
    pytest.param(event("output_text.done", 0, text="Hi"), id="a text that was not streamed"),
    pytest.param(event("output_text.annotation.added", 0, annotation={}), id="an annotation"),
    pytest.param({"type": "vendor.thing"}, id="an event that is not known"),
    pytest.param({"x": 1}, id="an event without a type"),
    pytest.param(ended("completed"), id="a finish"),
]


@pytest.mark.parametrize("one", CONTENT)
def test_content_and_a_finish_commit(one: dict[str, Any]) -> None:
    assert relayed(CREATED, one).has_content


WRITTEN = [
    pytest.param([HEL, LO], 5, id="deltas"),
    pytest.param([HEL, LO, DONE, COMPLETED], 5, id="what is repeated counts once"),
    pytest.param([DONE], 5, id="an item that was not streamed"),
    pytest.param([HEL, DONE], 5, id="an item of which a part was streamed"),
    pytest.param([HEL, event("reasoning_text.delta", 1, delta="Hmm"), DONE], 8, id="two items at once"),
    pytest.param([COMPLETED], 5, id="nothing but the end"),
    pytest.param([event("function_call_arguments.delta", 0, delta='{"a":1}')], 7, id="arguments"),
    pytest.param(
        [event("output_item.done", 0, item=item("function_call", name="add", arguments="{}"))], 5, id="a call"
    ),
    pytest.param(
        [event("audio.delta", 0, delta="AAAA"), event("audio.transcript.delta", 0, delta="Hi")], 2, id="audio"
    ),
    pytest.param([event("x.delta", "0", delta=["a", {"b": "cd"}])], 3, id="texts within a delta"),
    pytest.param([event("output_item.done", [0], item={"content": [{"text": "ab"}]})], 2, id="an index of no shape"),
]


@pytest.mark.parametrize(("events", "chars"), WRITTEN)
def test_what_the_model_wrote_is_measured(events: list[dict[str, Any]], chars: int) -> None:
    assert chars == relayed(CREATED, *events).output_chars


SEARCH = item("web_search_call", "ws_1")
USAGES = [
    pytest.param([COMPLETED], Usage(input=5, output=2), id="with the end"),
    pytest.param([ended("incomplete", usage=COUNTS)], Usage(input=5, output=2), id="with an end at a limit"),
    pytest.param(
        [{**FAILED, "response": {**FAILED["response"], "usage": COUNTS}}], Usage(input=5, output=2), id="failed"
    ),
    pytest.param([HEL], None, id="none yet"),
    pytest.param([ended("completed", usage={"input_tokens": -1, "output_tokens": "2"})], None, id="of no shape"),
    pytest.param([ended("completed", usage=[1])], None, id="a list"),
    pytest.param(
        [ended("completed", SEARCH, usage=COUNTS)],
        Usage(input=5, output=2, server_calls={"web_search": 1}),
        id="hosted calls",
    ),
    pytest.param(
        [event("output_item.done", 0, item=SEARCH), ended("completed", usage=COUNTS)],
        Usage(input=5, output=2, server_calls={"web_search": 1}),
        id="hosted calls that the end does not repeat",
    ),
]


@pytest.mark.parametrize(("events", "usage"), USAGES)
def test_usage_is_read(events: list[dict[str, Any]], usage: Usage | None) -> None:
    assert usage == relayed(CREATED, *events).usage


def begun(**fields: Any) -> dict[str, Any]:
    return event("created", response={**FULL, **fields})


CLAIMS = [
    pytest.param([begun(store=True), BEGUN, DONE, COMPLETED], ["resp_1", "msg_1"], id="each once"),
    pytest.param([begun(), DONE], ["resp_1", "msg_1"], id="nothing said: storing is the default"),
    pytest.param([begun(store=False), DONE, ended("completed", said("Hello"), store=False)], [], id="not stored"),
    pytest.param([begun(store=False), begun(), DONE, COMPLETED], [], id="not stored, and later not said"),
    pytest.param([begun(), begun(store=False), DONE], ["resp_1"], id="not stored, said late"),
    pytest.param([DONE, COMPLETED], ["resp_1", "msg_1"], id="an item before its response"),
    pytest.param([ended("completed", SEARCH, said("a"))], ["resp_1", "ws_1", "msg_1"], id="nothing but the end"),
    pytest.param([begun(), ADDED], ["resp_1"], id="an item that is not finished"),
    pytest.param([begun(id=5), event("output_item.done", 0, item={"id": [1]})], [], id="ids of no shape"),
    pytest.param([begun(id=""), event("output_item.done", 0, item={"id": ""})], [], id="empty ids"),
    pytest.param([begun(id="r" * 257), event("output_item.done", 0, item={"id": "i" * 257})], [], id="implausible ids"),
    pytest.param(
        [begun(), *(event("output_item.done", n, item={"id": f"msg_{n}"}) for n in range(2000))],
        ["resp_1", *(f"msg_{n}" for n in range(999))],
        id="no more than an answer has",
    ),
]


@pytest.mark.parametrize(("events", "expected"), CLAIMS)
def test_the_ids_of_what_the_provider_keeps_are_claimed(events: list[dict[str, Any]], expected: list[str]) -> None:
    claimed: list[str] = []
    relayed(*events, claimed=claimed)

    assert expected == claimed


def failed_with(relay: EventRelay, error: GatewayError | None = None) -> dict[str, Any]:
    """The event by which a relay ends its stream."""
    name, data, *rest = relay.fail(error or UpstreamTimeout("Too slow.")).split(b"\n")

    assert (name, rest) == (b"event: response.failed", [b"", b""])
    parsed: dict[str, Any] = orjson.loads(data.removeprefix(b"data: "))
    return parsed


def test_a_failure_goes_on_with_the_stream() -> None:
    relay = open_stream()
    relay.feed(BODY + numbered(event("output_item.added", 1, item=SEARCH), start=7))
    failed = failed_with(relay)
    response = failed.pop("response")

    assert failed == {"type": "response.failed", "sequence_number": 8}
    assert response == {
        **FULL,
        "instructions": None,
        "tools": [],
        "status": "failed",
        "error": {"code": "server_error", "message": "Too slow."},
        "output": [said("Hello")],
    }


def test_a_failure_is_one_of_the_official_client() -> None:
    failed = failed_with(relayed(CREATED, DONE), RateLimited("Slow down.", retry_after_s=3))
    TypeAdapter(ResponseStreamEvent).validate_python(failed)

    assert failed["response"]["error"] == {
        "code": "rate_limit_exceeded",
        "message": "Slow down. Please try again in 3s.",
    }


def test_a_failure_has_the_items_in_their_order_and_the_model_that_was_asked_for() -> None:
    late, early = (event("output_item.done", at, item=said(f"{at}", f"msg_{at}")) for at in (2, 0))
    again = event("output_item.done", 2, item=said("two", "msg_2"))
    response = failed_with(relayed(CREATED, late, early, again, rename="mine"))["response"]

    assert response["output"] == [early["item"], again["item"]]
    assert response["model"] == "mine"


def test_a_failure_has_items_of_servers_that_number_none() -> None:
    first, second = (event("output_item.done", item=said("a", id)) for id in ("msg_1", "msg_2"))

    assert failed_with(relayed(CREATED, first, second))["response"]["output"] == [first["item"], second["item"]]


def test_a_failure_repeats_the_last_beginning() -> None:
    queued = event("queued", response={**FULL, "status": "queued", "created_at": 1})

    assert failed_with(relayed(queued, CREATED))["response"]["created_at"] == 7


NUMBERS = [
    pytest.param([CREATED, HEL], 2, id="none: counted"),
    pytest.param([{**CREATED, "sequence_number": 5}, HEL], 7, id="of the first event"),
    pytest.param([CREATED, {**HEL, "sequence_number": -4}, {**LO, "sequence_number": "x"}], 3, id="of no shape"),
    pytest.param([CREATED, {**BUSY, "sequence_number": 9}], 1, id="of an error, which does not pass"),
]


@pytest.mark.parametrize(("events", "number"), NUMBERS)
def test_a_failure_has_the_next_number(events: list[dict[str, Any]], number: int) -> None:
    assert number == failed_with(relayed(*events))["sequence_number"]


def test_a_failure_of_a_stream_without_a_beginning_is_that_of_one_without_events() -> None:
    error = UpstreamTimeout("Too slow.")

    assert relayed(HEL).fail(error) == RESPONSES.encode_error_event(error)


def test_a_failure_repeats_no_more_than_may_be_held() -> None:
    picture = item("image_generation_call", "ig_1", result="A" * MAX_HELD_BYTES)
    large = relayed(begun(text={"x": "A" * MAX_HELD_BYTES}))
    response = failed_with(relayed(CREATED, event("output_item.done", 0, item=picture), {**DONE, "output_index": 1}))

    assert response["response"]["output"] == [said("Hello")]
    assert failed_with(large)["response"].keys() == {"object", "status", "error", "output"}


ODD = [
    pytest.param(
        b'{"type":"response.created","response":{"id":"\\ud83d","n":123456789012345678901234567890}}', id="odd"
    ),
    pytest.param(b'{"type":"response.created","response":{"x":' + b"[" * 900 + b"]" * 900 + b"}}", id="deep"),
    pytest.param(b'{"type":"response.created","response":{}}', id="empty"),
]


@pytest.mark.parametrize("data", ODD)
def test_a_failure_can_be_written_whatever_the_beginning_was(data: bytes) -> None:
    relay = open_stream()
    relay.feed(b"data: " + data + b"\n\n")
    text = relay.fail(UpstreamTimeout("Too slow.")).split(b"data: ")[1]

    assert json.loads(text)["response"]["status"] == "failed"


NAMES = st.sampled_from(
    (
        *("type", "response", "item", "part", "delta", "output", "output_index", "error", "status", "usage", "content"),
        *("summary", "store", "id", "model", "sequence_number", "text", "code", "input_tokens", "input_tokens_details"),
    )
)
WORDS = st.sampled_from(
    (
        *("response.created", "response.output_item.added", "response.output_item.done", "response.output_text.delta"),
        *("response.completed", "response.failed", "response.content_part.added", "error", "failed", "message", "x"),
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)


@given(st.lists(st.dictionaries(NAMES, VALUES, max_size=6), max_size=5))
def test_any_events_are_borne(events: list[dict[str, Any]]) -> None:
    reader = ResponsesReader(rename="mine", claim=lambda id: None)
    for one in events:
        data = json.dumps(one).encode()
        reader.model_of(data, one)
        reader.read(one)

    assert json.loads(reader.fail(UpstreamTimeout("Too slow.")).split(b"data: ")[1])["type"] == "response.failed"
