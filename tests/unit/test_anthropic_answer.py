"""Answers, streams and errors for clients of the Messages API."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.anthropic import CODEC, encode_error, encode_error_event
from modelserver.dialects.anthropic.client_request import decode_request
from modelserver.dialects.codec import Writing
from modelserver.dialects.names import fit_id
from modelserver.errors import (
    ContextLengthExceeded,
    GatewayError,
    RateLimited,
    Unsupported,
    UpstreamFailed,
    UpstreamOverloaded,
)
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Delta,
    End,
    Fail,
    FinishEvent,
    Ping,
    Section,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.fold import unfold
from modelserver.ir.parts import (
    Choice,
    Citation,
    Finish,
    FinishReason,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Refusal,
    Response,
    Seal,
    Text,
    ToolCall,
)
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from tests.support.anthropic import SEALER, chat, frames

WRITING = Writing(request=attrs.evolve(chat(), model="alias", dialect="anthropic"), sealer=SEALER, seed="r", created=1)
ORIGIN = Origin(dialect="responses", provider="o", account="a", model="gpt")
SEAL = Seal(kind="encrypted", payload="gAAA", item_id="rs_1", origin=ORIGIN)
STOP = Finish(reason=FinishReason.STOP)
USAGE = Usage(input=1200, cache_read=1000, output=50)


def response(*parts: Part, finish: Finish = STOP, usage: Usage | None = USAGE) -> Response:
    return Response(
        id="resp_1", model="gpt", created=1, choices=(Choice(index=0, parts=parts, finish=finish),), usage=usage
    )


def whole(answer: Response, writing: Writing = WRITING) -> dict[str, Any]:
    wire: dict[str, Any] = orjson.loads(CODEC.encode_response(answer, writing))
    return wire


def events(stream: list[StreamEvent], writing: Writing = WRITING) -> list[dict[str, Any]]:
    """The data of the frames; each has an event line of its type."""
    encoder = CODEC.stream_encoder(writing)
    wire = b"".join(map(encoder.feed, stream))
    said = [orjson.loads(line[6:]) for line in wire.split(b"\n") if line.startswith(b"data: ")]

    assert wire == frames(*said)
    return said


LOOKUP = ToolCall(id="functions.add:0", name="lookup", arguments='{"q":"tea"}')
ENVELOPE = SEALER.wrap(SEAL, "hm")
EMPTY = SEALER.wrap(SEAL, "")
NATIVE = {"type": "char_location", "cited_text": "c", "document_index": 0}

PARTS = [
    pytest.param(Text(text="Hi"), {"type": "text", "text": "Hi"}, id="text"),
    pytest.param(
        Text(text="Hi", citations=(Citation(kind="document", raw=NATIVE), Citation(kind="url", url="https://e"))),
        {"type": "text", "text": "Hi", "citations": [NATIVE]},
        id="H26 citations of this API only",
    ),
    pytest.param(
        Reasoning(text="hm", seal=SEAL),
        {"type": "thinking", "thinking": "hm", "signature": ENVELOPE},
        id="D47 a thought carries an envelope",
    ),
    pytest.param(
        Reasoning(form="hidden", seal=SEAL),
        {"type": "redacted_thinking", "data": EMPTY},
        id="D49 H42 a hidden thought is data",
    ),
    pytest.param(
        Reasoning(text="hm"), {"type": "thinking", "thinking": "hm", "signature": ""}, id="a thought without a seal"
    ),
    pytest.param(
        Reasoning(text="ab", form="summary", sections=(0, 1)),
        {"type": "thinking", "thinking": "a\n\nb", "signature": ""},
        id="sections stand apart",
    ),
    pytest.param(Reasoning(), None, id="nothing at all"),
    pytest.param(
        LOOKUP,
        {
            "type": "tool_use",
            "id": fit_id("functions.add:0", pattern="[a-zA-Z0-9_-]+", maximum=64),
            "name": "lookup",
            "input": {"q": "tea"},
        },
        id="H5 a call",
    ),
    pytest.param(
        ToolCall(id="t", name="f", arguments='{"a'),
        {"type": "tool_use", "id": "t", "name": "f", "input": {"_raw": '{"a'}},
        id="D33 arguments that were cut",
    ),
    pytest.param(Opaque(dialect="anthropic", type="x", raw={"type": "x"}), {"type": "x"}, id="what this API knows"),
    pytest.param(Opaque(dialect="gemini", type="x", raw={}), None, id="what another one knows"),
    pytest.param(
        Opaque(dialect="gemini", type="x", raw={}, fallback="code"), {"type": "text", "text": "code"}, id="a fallback"
    ),
]


@pytest.mark.parametrize(("part", "expected"), PARTS)
def test_a_part_is_a_block_whole_and_streamed(part: Part, expected: dict[str, Any] | None) -> None:
    content = whole(response(part))["content"]

    assert ([] if expected is None else [expected]) == content
    assert content == accumulated(events(list(unfold(response(part)))))


def accumulated(stream: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The content that a client makes of a stream."""
    blocks: list[dict[str, Any]] = []
    for event in stream:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append({**event["content_block"], "partial": ""})
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            match delta["type"]:
                case "text_delta":
                    blocks[-1]["text"] += delta["text"]
                case "thinking_delta":
                    blocks[-1]["thinking"] += delta["thinking"]
                case "signature_delta":
                    blocks[-1]["signature"] = delta["signature"]
                case "input_json_delta":
                    blocks[-1]["partial"] += delta["partial_json"]
                case "citations_delta":
                    blocks[-1].setdefault("citations", []).append(delta["citation"])
    for block in blocks:
        partial = block.pop("partial")
        if partial:
            try:
                block["input"] = orjson.loads(partial)
            except ValueError:
                block["input"] = {"_raw": partial}
    return blocks


def test_d48_an_envelope_comes_back_as_it_was_made() -> None:
    answer = whole(response(Reasoning(text="hm", seal=SEAL), Text(text="Hi")))
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "assistant", "content": answer["content"]}]}
    part = decode_request(orjson.dumps(body)).messages[0].parts[0]

    assert isinstance(part, Reasoning)
    assert part.seal is not None
    assert SEALER.open(part.seal.payload, part.text) == SEAL


def test_reasoning_that_is_not_to_be_shown_leaves_its_seal() -> None:
    quiet = attrs.evolve(WRITING, show_reasoning=False)
    answer = response(Reasoning(text="hm", seal=SEAL), Text(text="Hi"))
    content = whole(answer, quiet)["content"]

    assert content == [{"type": "redacted_thinking", "data": EMPTY}, {"type": "text", "text": "Hi"}]
    assert content == accumulated(events(list(unfold(answer)), quiet))


def test_a_whole_answer() -> None:
    answer = whole(response(Text(text="Hi")))

    assert answer == {
        "id": answer["id"],
        "type": "message",
        "role": "assistant",
        "model": "alias",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 200, "output_tokens": 50, "cache_read_input_tokens": 1000},
    }
    assert answer["id"].startswith("msg_")


def test_d67_a_stream() -> None:
    thought = Reasoning(text="hm", seal=SEAL)
    said = events(
        [
            Start("resp_1", "gpt", 1),
            Ping(),
            BlockStart(0, 0, Reasoning()),
            Delta(0, 0, "h"),
            Delta(0, 0, "m"),
            BlockEnd(0, 0, thought),
            BlockStart(0, 1, ToolCall(id="t", name="f", arguments="")),
            Delta(0, 1, "{}"),
            BlockEnd(0, 1, ToolCall(id="t", name="f", arguments="{}")),
            UsageUpdate(USAGE, final=True),
            FinishEvent(0, Finish(reason=FinishReason.TOOL_CALLS)),
            End(),
        ]
    )

    assert said[1:] == [
        {"type": "ping"},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "thinking", "thinking": "", "signature": ""},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "h"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "m"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": ENVELOPE}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "content_block_start",
            "index": 1,
            "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        },
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": {"input_tokens": 200, "cache_read_input_tokens": 1000, "output_tokens": 50},
        },
        {"type": "message_stop"},
    ]
    assert said[0]["message"]["usage"] == {"input_tokens": 0, "output_tokens": 0}
    assert said[0]["message"]["id"] == whole(response(Text(text="Hi")))["id"]


def test_sections_of_a_summary_stand_apart() -> None:
    part = Reasoning(text="ab", form="summary", sections=(0, 1), seal=SEAL)
    said = events(
        [
            Start("r", "m", 1),
            BlockStart(0, 0, Reasoning(form="summary")),
            Section(0, 0),
            Delta(0, 0, "a"),
            Section(0, 0),
            Delta(0, 0, "b"),
            BlockEnd(0, 0, part),
        ]
    )

    assert accumulated(said) == [{"type": "thinking", "thinking": "a\n\nb", "signature": SEALER.wrap(SEAL, "a\n\nb")}]


def test_d60_what_nobody_counted_is_left_out_or_estimated() -> None:
    answer = response(Text(text="x" * 41), usage=None)

    assert events(list(unfold(answer)))[-2]["usage"] == {"output_tokens": 11}
    assert whole(answer)["usage"] == {"input_tokens": 0, "output_tokens": 11}


FINISHES = [
    pytest.param(
        Finish(reason=FinishReason.STOP_SEQUENCE, stop_sequence="E"),
        {"stop_reason": "stop_sequence", "stop_sequence": "E"},
        id="a stop sequence",
    ),
    pytest.param(
        Finish(reason=FinishReason.CONTEXT_FULL),
        {"stop_reason": "model_context_window_exceeded", "stop_sequence": None},
        id="a full window",
    ),
    pytest.param(
        Finish(reason=FinishReason.CONTENT_FILTER), {"stop_reason": "refusal", "stop_sequence": None}, id="a filter"
    ),
    pytest.param(
        Finish(reason=FinishReason.REFUSAL, detail="No."),
        {
            "stop_reason": "refusal",
            "stop_sequence": None,
            "stop_details": {"type": "refusal", "category": None, "explanation": "No."},
        },
        id="H25 a refusal",
    ),
]


@pytest.mark.parametrize(("finish", "expected"), FINISHES)
def test_the_reason_to_stop(finish: Finish, expected: dict[str, Any]) -> None:
    answer = response(Text(text="Hi"), finish=finish)

    assert expected == {key: value for key, value in whole(answer).items() if key.startswith("stop_")}
    assert expected == events(list(unfold(answer)))[-2]["delta"]


def test_h25_a_refusal_is_text_and_reason() -> None:
    answer = response(Refusal(text="I can't."))

    assert whole(answer)["content"] == [{"type": "text", "text": "I can't."}]
    assert whole(answer)["stop_details"]["explanation"] == "I can't."
    assert events(list(unfold(answer)))[-2]["delta"]["stop_details"]["explanation"] == "I can't."


@pytest.mark.parametrize(
    ("error", "word"),
    [
        pytest.param(UpstreamFailed("cut", code="upstream_error"), "api_error", id="D71 a cut"),
        pytest.param(UpstreamOverloaded("busy"), "overloaded_error", id="D73 overload"),
        pytest.param(Complaint(status=529, message="secret"), "overloaded_error", id="a complaint"),
        pytest.param(Complaint(status=401, message="secret"), "api_error", id="D88 our key's affair"),
    ],
)
def test_d69_a_failure_ends_the_stream_with_an_error(error: GatewayError | Complaint, word: str) -> None:
    said = events([Start("r", "m", 1), BlockStart(0, 0, Text(text="")), Delta(0, 0, "Hel"), Fail(error)])

    assert said[-1]["type"] == "error"
    assert said[-1]["error"]["type"] == word
    assert "secret" not in str(said)


ERRORS = [
    pytest.param(RateLimited("slow down"), 429, {"type": "rate_limit_error", "message": "slow down"}, id="rate"),
    pytest.param(UpstreamOverloaded("busy"), 529, {"type": "overloaded_error", "message": "busy"}, id="D73 overload"),
    pytest.param(
        ContextLengthExceeded("9 > 8"),
        400,
        {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"},
        id="the window",
    ),
    pytest.param(
        Unsupported("m", code="thread_unsupported_request"),
        400,
        {"type": "invalid_request_error", "message": "m", "details": {"error_code": "thread_unsupported_request"}},
        id="D96 a code",
    ),
]


@pytest.mark.parametrize(("error", "status", "expected"), ERRORS)
def test_an_error_is_written(error: GatewayError, status: int, expected: dict[str, Any]) -> None:
    actual, body = encode_error(error, "req_1")

    assert (status, {"type": "error", "error": expected, "request_id": "req_1"}) == (actual, orjson.loads(body))
    assert orjson.loads(encode_error(error)[1]) == {"type": "error", "error": expected}
    assert encode_error_event(error) == frames({"type": "error", "error": expected})
