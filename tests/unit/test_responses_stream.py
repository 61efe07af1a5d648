"""Responses streams decoded, in the shapes that recordings lack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelserver.dialects.codec import Reading, WireTool
from modelserver.dialects.openai_responses.report import decode_error
from modelserver.dialects.openai_responses.response import decode_response
from modelserver.dialects.openai_responses.stream import stream_decoder
from modelserver.errors import UpstreamFailed
from modelserver.ir.card import ModelCard
from modelserver.ir.events import Delta, Fail, FinishEvent, Ping, StreamEvent
from modelserver.ir.fold import fold
from modelserver.ir.grammar import Validator
from modelserver.ir.parts import FinishReason, Origin, Part, Reasoning, Refusal, Response, Seal, Text, ToolCall
from modelserver.ir.profile import Profile
from modelserver.ir.request import Request, Sampling
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from modelserver.policy.seals import EnvelopeSealer
from tests.support.feeding import feed_every_way

OURS = -1
"""Stands for the status of a failure that the upstream did not word."""
ORIGIN = Origin(dialect="responses", provider="p", account="a", model="m")


def reading(
    *, tools: Mapping[str, WireTool] | None = None, stop: tuple[str, ...] = (), quirks: Mapping[str, Any] | None = None
) -> Reading:
    profile = Profile(
        model="m",
        origin=ORIGIN,
        card=ModelCard(),
        quirks=quirks or {},
        sealer=EnvelopeSealer(b"key"),
        pseudonym=lambda user: user,
    )
    request = Request(dialect="chat", model="m", sampling=Sampling(stop=stop))
    return Reading(request=request, profile=profile, tools=tools or {})


def event(kind: str, index: int | None = None, **fields: Any) -> dict[str, Any]:
    where = {} if index is None else {"output_index": index}
    return {"type": kind if kind == "error" else f"response.{kind}", **where, **fields}


def wire(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + orjson.dumps(one) + b"\n\n" for one in events)


CREATED = event("created", response={"id": "resp_1", "model": "m-1", "created_at": 7.0, "status": "in_progress"})


def completed(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    response = {"id": "resp_1", "model": "m-1", "created_at": 7, "status": "completed", "output": list(output)}
    return event("completed", response={**response, **fields})


def message(*texts: str) -> dict[str, Any]:
    return {"type": "message", "id": "msg_1", "content": [{"type": "output_text", "text": text} for text in texts]}


def call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"type": "function_call", "id": f"fc_{id}", "call_id": id, "name": name, "arguments": arguments}


class Comparing:
    """A decoder whose failures are equal when they say the same: exceptions are not."""

    def __init__(self, how: Reading) -> None:
        self._decoder = stream_decoder(how)

    def feed(self, data: bytes) -> list[StreamEvent]:
        return [comparable(event) for event in self._decoder.feed(data)]

    def close(self) -> list[StreamEvent]:
        return [comparable(event) for event in self._decoder.close()]


def comparable(event: StreamEvent) -> StreamEvent:
    if isinstance(event, Fail) and isinstance(event.error, UpstreamFailed):
        return Fail(Complaint(status=OURS, message=event.error.message, code=event.error.code))
    return event


def decode(data: bytes, how: Reading | None = None) -> list[StreamEvent]:
    events: list[StreamEvent] = feed_every_way(lambda: Comparing(how or reading()), data)
    Validator().check(events)
    return events


def parts(events: list[StreamEvent]) -> tuple[Part, ...]:
    answer = fold(events)
    assert isinstance(answer, Response)
    return answer.choices[0].parts


TEXT_ONLY_DONE = (
    event("output_item.added", 0, item={"type": "message", "content": []}),
    event("output_text.done", 0, content_index=0, text="Hello"),
)
CALL_A = ToolCall(id="a", name="f", arguments='{"x":1}', extra={"item_id": "fc_a"})
CALL_B = ToolCall(id="b", name="g", arguments="{}", extra={"item_id": "fc_b"})

PARTS = [
    pytest.param(
        (*TEXT_ONLY_DONE, event("output_item.done", 0, item=message("Hello")), completed(message("Hello"))),
        (Text(text="Hello"),),
        id="deltas that never came are filled from done",
    ),
    pytest.param((completed(message("Hello")),), (Text(text="Hello"),), id="an item that never streamed"),
    pytest.param(
        (event("output_text.delta", 0, content_index=0, delta="Hel"), completed(message("Hello"))),
        (Text(text="Hello"),),
        id="no item.added and no item.done",
    ),
    pytest.param(
        (event("output_item.done", 0, item=call("a", "f", '{"x":1}')), completed(call("a", "f", '{"x":1}'))),
        (CALL_A,),
        id="item.done alone",
    ),
    pytest.param(
        (
            event("output_item.added", 0, item=call("a", "f", "")),
            event("output_item.added", 1, item=call("b", "g", "")),
            event("function_call_arguments.delta", 1, delta="{"),
            event("function_call_arguments.delta", 0, delta='{"x"'),
            event("function_call_arguments.delta", 1, delta="}"),
            event("function_call_arguments.delta", 0, delta=":1}"),
            event("output_item.done", 1, item=call("b", "g", "{}")),
            event("output_item.done", 0, item=call("a", "f", '{"x":1}')),
            completed(),
        ),
        (CALL_A, CALL_B),
        id="interleaved items come one after the other",
    ),
    pytest.param(
        (
            event("output_item.added", 0, item=call("a", "f", "")),
            event("output_item.done", 0, item=call("a", "f", '{"x":1}')),
            event("output_item.added", 0, item=call("b", "g", "")),
            event("output_item.done", 0, item=call("b", "g", "{}")),
            completed(call("a", "f", '{"x":1}'), call("b", "g", "{}")),
        ),
        (CALL_A, CALL_B),
        id="a server that counts every item as the first",
    ),
    pytest.param(
        (
            event("output_item.added", 1, item=message()),
            event("output_text.delta", 1, content_index=1, delta="Hi"),
            event("output_item.done", 1, item=message("Hi")),
            completed(message("Hi")),
        ),
        (Text(text="Hi"),),
        id="counting from one",
    ),
    pytest.param(
        (
            event("output_item.added", 0, item={"type": "reasoning", "encrypted_content": "short", "id": "rs_0"}),
            event("reasoning_summary_text.delta", 0, summary_index=0, delta="One"),
            event("reasoning_summary_text.delta", 0, summary_index=1, delta="Two"),
            event(
                "output_item.done",
                0,
                item={
                    "type": "reasoning",
                    "id": "rs_1",
                    "encrypted_content": "long",
                    "summary": [{"text": "One"}, {"text": "Two"}],
                },
            ),
            completed(),
        ),
        (
            Reasoning(
                text="OneTwo",
                form="summary",
                sections=(0, 3),
                seal=Seal(kind="encrypted", payload="long", item_id="rs_1", origin=ORIGIN),
            ),
        ),
        id="D91 the seal and id are those of item.done",
    ),
    pytest.param(
        (completed({"type": "reasoning", "id": "rs_1", "summary": []}, message("x")),),
        (Text(text="x"),),
        id="a reasoning item with nothing in it",
    ),
    pytest.param(
        (completed({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]}, message("x")),),
        (
            Reasoning(text="Hm.", form="full", seal=Seal(kind="encrypted", payload="", origin=ORIGIN)),
            Text(text="x"),
        ),
        id="raw reasoning without ciphertext remembers its origin",
    ),
    pytest.param(
        (completed({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}),),
        (Refusal(text="No."),),
        id="refusal",
    ),
]


@pytest.mark.parametrize(("events", "expected"), PARTS)
def test_a_stream_decodes(events: tuple[dict[str, Any], ...], expected: tuple[Part, ...]) -> None:
    assert expected == parts(decode(wire(CREATED, *events)))


CUSTOM = {"patch": WireTool(name="apply.patch", namespace="fs", kind="custom"), "f": WireTool(name="f.x")}
NAMED = [
    pytest.param(
        call("a", "patch", '{"input":"a\\n\\ud83d\\ude00"}'),
        (
            ToolCall(
                id="a",
                name="apply.patch",
                namespace="fs",
                kind="custom",
                arguments="a\n😀",
                extra={"item_id": "fc_a"},
            ),
        ),
        id="a custom tool that was declared as a function is unwrapped",
    ),
    pytest.param(
        {"type": "custom_tool_call", "call_id": "a", "name": "patch", "input": "*** x"},
        (ToolCall(id="a", name="apply.patch", namespace="fs", kind="custom", arguments="*** x"),),
        id="a custom call",
    ),
    pytest.param(
        call("a", "f", "{}"),
        (ToolCall(id="a", name="f.x", arguments="{}", extra={"item_id": "fc_a"}),),
        id="D26 the client's own name comes back",
    ),
    pytest.param(
        call(
            "a",
            "parallel",
            '{"tool_uses":[{"recipient_name":"functions.f","parameters":{"n":1}},'
            '{"recipient_name":"functions.f","parameters":{}}]}',
        ),
        (ToolCall(id="a_0", name="f.x", arguments='{"n":1}'), ToolCall(id="a_1", name="f.x", arguments="{}")),
        id="an undeclared parallel call is expanded",
    ),
    pytest.param(
        call("a", "parallel", '{"tool_uses":[{"recipient_name":"functions.other","parameters":{}}]}'),
        (
            ToolCall(
                id="a",
                name="parallel",
                arguments='{"tool_uses":[{"recipient_name":"functions.other","parameters":{}}]}',
                extra={"item_id": "fc_a"},
            ),
        ),
        id="a parallel call to something unknown is kept",
    ),
    pytest.param(
        {"type": "shell_call", "id": "sh_1", "call_id": "a", "action": {"commands": ["ls"]}},
        (
            ToolCall(
                id="a",
                name="shell",
                kind="client_builtin",
                arguments='{"commands":["ls"]}',
                extra={"item_id": "sh_1"},
            ),
        ),
        id="a client-run tool without a schema",
    ),
]


@pytest.mark.parametrize(("item", "expected"), NAMED)
def test_calls_get_their_own_names(item: dict[str, Any], expected: tuple[Part, ...]) -> None:
    how = reading(tools=CUSTOM)
    full = str(item.get("arguments", item.get("input", "")))
    kind = "custom_tool_call_input" if "input" in item else "function_call_arguments"
    begun = {**item, "arguments": ""}
    deltas = [event(f"{kind}.delta", 0, delta=letter) for letter in full]
    streamed = wire(
        CREATED,
        event("output_item.added", 0, item=begun),
        *deltas,
        event("output_item.done", 0, item=item),
        completed(),
    )

    assert expected == parts(decode(streamed, how)) == parts(decode(wire(completed(item)), how))


FAILURES = [
    pytest.param(wire(CREATED), OURS, "upstream_error", id="D71 cut after created"),
    pytest.param(b"", OURS, "upstream_error", id="nothing at all"),
    pytest.param(wire(CREATED) + b"data: [DONE]\n\n", OURS, "upstream_error", id="done without completed"),
    pytest.param(b"data: {nope\n\n", OURS, "upstream_invalid_response", id="no JSON"),
    pytest.param(b"data: []\n\n", OURS, "upstream_invalid_response", id="no object"),
    pytest.param(b"<html>\n\n", OURS, "upstream_invalid_response", id="no event"),
    pytest.param(
        wire(CREATED, completed({"type": "function_call", "call_id": "a"})),
        OURS,
        "upstream_invalid_response",
        id="a call without a name",
    ),
    pytest.param(wire(event("error", code="server_error", message="m")), 500, "server_error", id="flat error event"),
    pytest.param(
        wire(CREATED, {"type": "error", "error": {"type": "invalid_request_error", "code": None, "message": "m"}}),
        400,
        None,
        id="nested error event",
    ),
    pytest.param(
        wire(CREATED, event("failed", response={"error": {"code": "rate_limit_exceeded", "message": "m"}})),
        429,
        "rate_limit_exceeded",
        id="response.failed",
    ),
    pytest.param(wire(CREATED, event("failed", response={})), 500, "server_error", id="response.failed without error"),
    pytest.param(wire({"error": {"code": 503, "message": "m"}}), 503, "503", id="a bare error object"),
]


@pytest.mark.parametrize(("data", "status", "code"), FAILURES)
def test_a_failure_ends_the_stream(data: bytes, status: int, code: str | None) -> None:
    failure = decode(data)[-1]

    assert isinstance(failure, Fail)
    assert isinstance(failure.error, Complaint)
    assert (status, code) == (failure.error.status, failure.error.code)


def test_open_blocks_may_end_in_a_failure() -> None:
    events = decode(wire(CREATED, event("output_text.delta", 0, content_index=0, delta="Hel")))

    assert isinstance(events[-1], Fail)


def test_comments_and_keepalives_are_pings() -> None:
    events = decode(b": x\n\n" + wire(event("created"), {"type": "keepalive"}, completed()))

    assert sum(isinstance(one, Ping) for one in events) == 2


def test_d42_a_stop_string_is_enforced() -> None:
    deltas = [event("output_text.delta", 0, content_index=0, delta=text) for text in ("one E", "ND two", "never")]
    how = reading(stop=("END",))
    streamed = decode(wire(CREATED, *deltas, completed(message("one END twonever"))), how)
    body = orjson.dumps(completed(message("one END two"))["response"])
    whole = decode_response(body, how)

    assert isinstance(whole, Response)
    assert (Text(text="one "),) == parts(streamed) == whole.choices[0].parts
    assert whole.choices[0].finish.stop_sequence == "END"
    assert "".join(one.text for one in streamed if isinstance(one, Delta)) == "one "


FINISHES = [
    pytest.param({}, (), FinishReason.STOP, id="completed"),
    pytest.param({}, (call("a", "f", ""),), FinishReason.TOOL_CALLS, id="F1 completed with calls"),
    pytest.param(
        {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
        (call("a", "f", "{"),),
        FinishReason.LENGTH,
        id="F2 a limit wins over calls",
    ),
    pytest.param(
        {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
        (),
        FinishReason.CONTENT_FILTER,
        id="content filter",
    ),
    pytest.param({"status": "incomplete"}, (), FinishReason.OTHER, id="incomplete for no reason"),
    pytest.param({}, ({"type": "web_search_call", "id": "ws"},), FinishReason.STOP, id="F3 hosted calls end nothing"),
    pytest.param(
        {},
        ({"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}, call("a", "f", "{}")),
        FinishReason.TOOL_CALLS,
        id="calls win over a refusal",
    ),
]


@pytest.mark.parametrize(("fields", "output", "reason"), FINISHES)
def test_finish(fields: dict[str, Any], output: tuple[dict[str, Any], ...], reason: FinishReason) -> None:
    events = decode(wire(CREATED, completed(*output, **fields)))

    assert reason is next(one.finish.reason for one in events if isinstance(one, FinishEvent))


def test_d59_usage() -> None:
    usage = {
        "input_tokens": 1200,
        "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 100},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 1250,
    }
    body = completed({"type": "web_search_call", "id": "w"}, usage=usage, service_tier="flex")["response"]
    response = decode_response(orjson.dumps(body), reading())

    assert isinstance(response, Response)
    assert response.usage == Usage(
        input=1200,
        output=50,
        cache_read=1000,
        cache_write=100,
        reasoning=20,
        server_calls={"web_search": 1},
        tier="flex",
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"<html>", b"{}", b'{"output":[],"status":"queued"}', b'{"output":[{"type":"function_call"}]}'],
)
def test_what_is_no_answer_fails(body: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        decode_response(body, reading())


COMPLAINTS = [
    pytest.param(b'{"error":{"code":"rate_limit_exceeded","message":"m"}}', 429, id="D72 an error in a 200"),
    pytest.param(b'{"status":"failed","error":{"code":"server_error","message":"m"},"output":[]}', 500, id="failed"),
    pytest.param(b'{"status":"cancelled","error":null,"output":[]}', 502, id="cancelled"),
]


@pytest.mark.parametrize(("body", "status"), COMPLAINTS)
def test_an_error_inside_a_200(body: bytes, status: int) -> None:
    complaint = decode_response(body, reading())

    assert isinstance(complaint, Complaint)
    assert status == complaint.status


ERROR_BODIES = [
    pytest.param(b"<html>", Complaint(status=418), id="D95 no JSON"),
    pytest.param(b'"x"', Complaint(status=418, in_json=True), id="D95 JSON of another kind"),
    pytest.param(b'{"message":"m"}', Complaint(status=418, message="m", in_json=True), id="D95 error is missing"),
    pytest.param(b'{"detail":"m"}', Complaint(status=418, message="m", in_json=True), id="detail"),
    pytest.param(b'{"error":"m"}', Complaint(status=418, message="m", in_json=True), id="error is text"),
]


@pytest.mark.parametrize(("body", "expected"), ERROR_BODIES)
def test_errors_are_read_in_any_shape(body: bytes, expected: Complaint) -> None:
    assert expected == decode_error(418, body)


def test_a_stream_without_its_end_counts_where_a_quirk_says_so() -> None:
    data = wire(CREATED, event("output_text.delta", 0, content_index=0, delta="Hi"))

    assert (Text(text="Hi"),) == parts(decode(data, reading(quirks={"eof_is_stop": True})))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KINDS = st.sampled_from(
    [
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_text.delta",
        "response.output_text.done",
        "response.output_text.annotation.added",
        "response.refusal.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.custom_tool_call_input.delta",
        "response.completed",
    ]
)
ITEMS = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "function_call", "custom_tool_call", "shell_call", "new"])},
    optional={
        key: st.text(max_size=3) | JSON
        for key in ("id", "name", "call_id", "arguments", "input", "content", "summary", "encrypted_content", "action")
    },
)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {"type": KINDS, "output_index": st.integers(0, 2) | JSON},
        optional={
            "item": ITEMS,
            "delta": st.text(max_size=3) | JSON,
            "text": st.text(max_size=3) | JSON,
            "arguments": JSON,
            "content_index": st.integers(0, 1) | JSON,
            "summary_index": JSON,
            "part": JSON,
            "annotation": JSON,
            "logprobs": JSON,
            "response": st.fixed_dictionaries({}, optional={"output": st.lists(ITEMS), "usage": JSON, "status": JSON}),
        },
    ),
    max_size=12,
)


@given(EVENTS)
def test_whatever_comes_the_events_are_legal(events: list[dict[str, Any]]) -> None:
    decoder = stream_decoder(reading(stop=("ab",)))
    validator = Validator()
    validator.check(decoder.feed(wire(*events)))
    validator.check(decoder.close())

    assert validator.is_done


@pytest.mark.parametrize("member", ["type", "arguments"])
def test_what_is_nested_too_deeply_fails(member: str) -> None:
    deep = b'{"a":' * 990 + b"1" + b"}" * 990
    item = orjson.dumps({"type": "function_call", "call_id": "c", "name": "f", member: 0}).replace(b"0", deep)
    body = b'{"status":"completed","output":[' + item + b"]}"
    data = wire(CREATED) + b'data: {"type":"response.completed","response":' + body + b"}\n\n"
    decoder = stream_decoder(reading())
    validator = Validator()
    validator.check([*decoder.feed(data), *decoder.close()])

    assert validator.is_done
    if member == "arguments":
        with pytest.raises(UpstreamFailed):
            decode_response(body, reading())
