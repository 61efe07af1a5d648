"""Whole answers, usage and errors of the Messages API, read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from modelserver.dialects.anthropic.response import decode_error, decode_response
from modelserver.dialects.anthropic.usage import decode_usage, encode_usage
from modelserver.dialects.anthropic.vocab import ERRORS, STOP_REASONS, STOP_WORDS
from modelserver.dialects.codec import Reading, WireTool
from modelserver.errors import ErrorKind, RateLimited, UpstreamFailed, UpstreamOverloaded
from modelserver.ir.parts import (
    Choice,
    Finish,
    FinishReason,
    Opaque,
    Reasoning,
    Refusal,
    Response,
    Seal,
    Text,
    ToolCall,
)
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from modelserver.policy.faults import classify
from tests.support.anthropic import ORIGIN, chat, profile

READING = Reading(
    request=chat(),
    profile=profile(),
    tools={"crm__find": WireTool(name="find", namespace="crm"), "patch": WireTool(name="patch", kind="custom")},
    json_tool="json",
)


def message(content: list[dict[str, Any]], reason: str | None = "end_turn", **members: Any) -> bytes:
    wire = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-y", "content": content}
    return orjson.dumps({**wire, "stop_reason": reason, "stop_sequence": None, **members})


def seal(kind: Any, payload: str) -> Seal:
    return Seal(kind=kind, payload=payload, origin=ORIGIN)


def ended(reason: FinishReason, raw: str | None, **fields: Any) -> Finish:
    return Finish(reason=reason, raw=raw, **fields)


STOPPED = ended(FinishReason.STOP, "end_turn")
CALLED = ended(FinishReason.TOOL_CALLS, "tool_use")

ANSWERS = [
    pytest.param(
        message([{"type": "text", "text": "Hi"}, {"type": "text", "text": ""}]), (Text(text="Hi"),), STOPPED, id="text"
    ),
    pytest.param(
        message(
            [
                {"type": "thinking", "thinking": "", "signature": "EqQB"},
                {"type": "redacted_thinking", "data": "EmwK"},
                {"type": "tool_use", "id": "t", "name": "crm__find", "input": {"q": [1, None]}},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            ],
            "tool_use",
        ),
        (
            Reasoning(form="summary", seal=seal("signature", "EqQB")),
            Reasoning(form="hidden", seal=seal("redacted", "EmwK")),
            ToolCall(id="t", name="find", namespace="crm", arguments='{"q":[1,null]}'),
            Opaque(
                dialect="anthropic",
                type="server_tool_use",
                raw={"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            ),
        ),
        CALLED,
        id="D49 D52 D27 thoughts, calls and what only this API knows",
    ),
    pytest.param(
        message([{"type": "tool_use", "id": "t", "name": "patch", "input": {"input": "a\nb"}}], "end_turn"),
        (ToolCall(id="t", name="patch", kind="custom", arguments="a\nb"),),
        ended(FinishReason.TOOL_CALLS, "end_turn"),
        id="D34 F1 free text is unwrapped, and a call ends for the call",
    ),
    pytest.param(
        message([{"type": "tool_use", "id": "t", "name": "json", "input": {"age": 3}}], "tool_use"),
        (Text(text='{"age":3}'),),
        ended(FinishReason.STOP, "tool_use"),
        id="H16 the forced function is the answer",
    ),
    pytest.param(
        message([{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}], "max_tokens"),
        (ToolCall(id="t", name="f", arguments='{"a":1}'),),
        ended(FinishReason.LENGTH, "max_tokens"),
        id="F2 a limit wins over calls",
    ),
    pytest.param(
        message([], "refusal", stop_details={"type": "refusal", "category": "cyber", "explanation": "Declined."}),
        (Refusal(text="Declined."),),
        ended(FinishReason.REFUSAL, "refusal", detail="Declined."),
        id="H25 a refusal without text",
    ),
    pytest.param(
        message(
            [{"type": "text", "text": "Well"}],
            "refusal",
            stop_details={"type": "refusal", "category": "cyber", "explanation": "Declined."},
        ),
        (Text(text="Well"),),
        ended(FinishReason.REFUSAL, "refusal", detail="Declined."),
        id="H25 a refusal after text",
    ),
    pytest.param(
        message([{"type": "text", "text": "a"}], "stop_sequence", stop_sequence="END"),
        (Text(text="a"),),
        ended(FinishReason.STOP_SEQUENCE, "stop_sequence", stop_sequence="END"),
        id="a stop sequence",
    ),
    pytest.param(
        message([{"type": "text", "text": "a"}], "tired"),
        (Text(text="a"),),
        ended(FinishReason.OTHER, "tired"),
        id="an unknown reason",
    ),
    pytest.param(message([], None), (), ended(FinishReason.OTHER, None), id="no reason, no content"),
]


@pytest.mark.parametrize(("body", "parts", "finish"), ANSWERS)
def test_an_answer_is_read(body: bytes, parts: tuple[Any, ...], finish: Finish) -> None:
    answer = decode_response(body, READING)

    assert answer == Response(
        id="msg_1", model="claude-y", created=0, choices=(Choice(index=0, parts=parts, finish=finish),)
    )


def test_d32_input_keeps_its_digits() -> None:
    body = message([{"type": "tool_use", "id": "t", "name": "f", "input": {"n": 0}}]).replace(
        b'"n":0', b'"n":12345678901234567890123'
    )
    answer = decode_response(body, READING)

    assert isinstance(answer, Response)
    assert answer.choices[0].parts == (ToolCall(id="t", name="f", arguments='{"n":12345678901234567890123}'),)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b"{}", b'{"content":null}', b'{"content":["x"]}'], ids=repr
)
def test_what_is_no_answer_fails(body: bytes) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        decode_response(body, READING)

    assert caught.value.code == "upstream_invalid_response"


ERROR_BODIES = [
    pytest.param(
        429,
        b'{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"x_limit"}}}',
        Complaint(status=429, message="m", type="rate_limit_error", code="x_limit", in_json=True),
        id="with a code",
    ),
    pytest.param(
        400,
        b'{"type":"invalid_request_error","message":"m"}',
        Complaint(status=400, message="m", type="invalid_request_error", in_json=True),
        id="D95 without error",
    ),
    pytest.param(500, b'{"error":"m"}', Complaint(status=500, message="m", in_json=True), id="an error that is text"),
    pytest.param(413, b"<html>", Complaint(status=413), id="from the edge"),
    pytest.param(502, b"[]", Complaint(status=502, in_json=True), id="no object"),
]


@pytest.mark.parametrize(("status", "body", "expected"), ERROR_BODIES)
def test_an_error_is_read(status: int, body: bytes, expected: Complaint) -> None:
    assert expected == decode_error(status, body)


def test_d72_an_error_of_status_200_has_the_status_of_its_type() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'

    assert decode_response(body, READING) == Complaint(
        status=529, message="Overloaded", type="overloaded_error", in_json=True
    )


@pytest.mark.parametrize(
    ("status", "kind", "code", "expected"),
    [
        pytest.param(429, "rate_limit_error", "enforced_spend_limit_reached", UpstreamFailed, id="a spend limit"),
        pytest.param(429, "rate_limit_error", None, RateLimited, id="a rate limit"),
        pytest.param(529, "overloaded_error", None, UpstreamOverloaded, id="overload"),
    ],
)
def test_d73_limits_are_told_apart(status: int, kind: str, code: str | None, expected: type[Exception]) -> None:
    details = {"details": {"error_code": code}} if code else {}
    body = orjson.dumps({"type": "error", "error": {"type": kind, "message": "m", **details}})

    assert expected is type(classify(decode_error(status, body), provider="p", clean=str).error)


USAGES = [
    pytest.param(
        {
            "input_tokens": 100,
            "cache_read_input_tokens": 1000,
            "cache_creation_input_tokens": 100,
            "output_tokens": 50,
            "output_tokens_details": {"thinking_tokens": 20},
        },
        Usage(input=1200, output=50, cache_read=1000, cache_write=100, reasoning=20),
        id="D59 counts beside each other",
    ),
    pytest.param(
        {
            "input_tokens": 10,
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            "output_tokens": 1,
            "service_tier": "priority",
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
        },
        Usage(
            input=40,
            output=1,
            cache_write=30,
            cache_write_by_ttl={"5m": 10, "1h": 20},
            tier="priority",
            server_calls={"web_search": 2},
        ),
        id="writes by life time, hosted calls, the tier",
    ),
    pytest.param({"output_tokens": 7}, Usage(output=7), id="D60 what is not said is unknown"),
    pytest.param({"input_tokens": -1, "output_tokens": 2**50}, Usage(), id="absurd counts are none"),
    pytest.param(
        {
            "input_tokens": 612,
            "output_tokens": 2819,
            "iterations": [
                {"type": "compaction", "input_tokens": 60385, "output_tokens": 522},
                {"type": "message", "input_tokens": 612, "output_tokens": 2819},
            ],
        },
        Usage(input=60997, output=3341),
        id="D64 a compaction is counted",
    ),
    pytest.param(
        {
            "input_tokens": 10,
            "output_tokens": 5,
            "iterations": [
                {"type": "message", "input_tokens": 99, "output_tokens": 9},
                {"type": "fallback_message", "input_tokens": 10, "output_tokens": 5},
            ],
        },
        Usage(input=10, output=5),
        id="D64 after a fallback the top level is the served answer",
    ),
    pytest.param(
        {
            "input_tokens": 10,
            "output_tokens": 5,
            "iterations": [
                {"type": "message", "input_tokens": 10, "output_tokens": 5},
                {"type": "advisor_message", "model": "claude-big", "input_tokens": 3, "output_tokens": 2},
            ],
        },
        Usage(input=10, output=5, by_model=(("claude-big", Usage(input=3, output=2)),)),
        id="D64 an advisor has its own price",
    ),
]


@pytest.mark.parametrize(("wire", "expected"), USAGES)
def test_usage_is_read(wire: dict[str, Any], expected: Usage) -> None:
    assert expected == decode_usage(wire)


def test_h36_usage_is_written_disjoint_and_without_unknowns() -> None:
    usage = Usage(input=1200, cache_read=1000, output=50, reasoning=20)

    assert encode_usage(usage) == {
        "input_tokens": 200,
        "cache_read_input_tokens": 1000,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 20},
    }


def test_every_kind_and_reason_has_a_word() -> None:
    assert set(ErrorKind) == ERRORS.keys()
    assert set(FinishReason) == STOP_WORDS.keys()
    assert set(STOP_REASONS) <= set(STOP_WORDS.values())
