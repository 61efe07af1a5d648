"""Answers of other dialects, written for a Responses client."""

from __future__ import annotations

import math
from typing import Any

import attrs
import orjson
import pytest
from openai.types.responses import Response as OpenAIResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from modelserver.dialects.codec import Reading, Writing
from modelserver.dialects.openai_responses import CODEC, encode_error, encode_error_event
from modelserver.dialects.openai_responses.vocab import ERRORS, STATUSES
from modelserver.errors import (
    ContextLengthExceeded,
    ErrorKind,
    GatewayError,
    InternalError,
    NotFound,
    RateLimited,
    UpstreamOverloaded,
)
from modelserver.ir.card import ModelCard
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
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
from modelserver.ir.fold import unfold
from modelserver.ir.grammar import Validator
from modelserver.ir.parts import (
    Choice,
    Citation,
    Finish,
    FinishReason,
    Image,
    Inline,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Refusal,
    Response,
    Seal,
    Text,
    TokenLogprob,
    ToolCall,
)
from modelserver.ir.profile import Profile
from modelserver.ir.request import Identity, ReasoningSpec, Request
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from modelserver.policy.seals import EnvelopeSealer

SEALER = EnvelopeSealer(b"key")
CLAUDE = Origin(dialect="anthropic", provider="anthropic", account="a", model="claude")
SIGNED = Seal(kind="signature", payload="EqQB", origin=CLAUDE)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
REQUEST = Request(
    dialect="responses",
    model="fast",
    max_output=99,
    identity=Identity(user="ann", metadata={"k": "v"}),
    reasoning=ReasoningSpec(effort="low", show="auto", raw={"effort": "low", "summary": "auto"}),
    extra={"instructions": "S", "tools": [], "text": {"format": {"type": "text"}, "verbosity": "low"}},
)


def writing(**fields: Any) -> Writing:
    return Writing(**{"request": REQUEST, "sealer": SEALER, "seed": "req_1", "created": 7, **fields})


def response(*parts: Part, reason: FinishReason = FinishReason.STOP, **fields: Any) -> Response:
    choice = Choice(index=0, parts=parts, finish=Finish(reason=reason), logprobs=fields.pop("logprobs", None))
    return Response(id="up_1", model="claude", created=1, choices=(choice,), usage=Usage(input=3, output=2), **fields)


def frames(data: bytes) -> list[dict[str, Any]]:
    """The events, each of which the official client's own types accept."""
    events = []
    for frame in data.split(b"\n\n")[:-1]:
        name, _, body = frame.partition(b"\ndata: ")
        event = orjson.loads(body)
        assert name == b"event: " + event["type"].encode()
        EVENT.validate_python(with_known_code(event))
        events.append(event)
    return events


def with_known_code(event: dict[str, Any]) -> dict[str, Any]:
    """The types know fewer codes than the service uses, and Codex reads."""
    if event["type"] != "response.failed":
        return event
    error = {**event["response"]["error"], "code": "server_error"}
    return {**event, "response": {**event["response"], "error": error}}


def streamed(events: list[StreamEvent], how: Writing | None = None) -> list[dict[str, Any]]:
    encoder = CODEC.stream_encoder(how or writing())
    Validator().check(events)
    return frames(b"".join(encoder.feed(event) for event in events))


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


CALL = ToolCall(id="toolu_1", name="f", namespace="crm", arguments='{"q":1}')
PATCH = ToolCall(id="c2", name="apply_patch", arguments="*** Begin\nx", kind="custom")
THOUGHT = Reasoning(text="I should look.", form="full", seal=SIGNED)
CITED = Text(text="Höhe: 330 m", citations=(Citation(kind="url", url="https://e.example", title="E", start=6, end=11),))
ANSWERS = [
    pytest.param((Text(text="Hello"),), id="text"),
    pytest.param((THOUGHT, Text(text="Hi"), CALL, PATCH), id="D66 everything at once"),
    pytest.param((Text(text="a"), Text(text="b"), Refusal(text="No.")), id="one message for a run of text"),
    pytest.param((Reasoning(text="OneTwo", form="summary", sections=(0, 3)),), id="sections"),
    pytest.param((Reasoning(form="hidden", seal=attrs.evolve(SIGNED, kind="redacted")),), id="D49 redacted"),
    pytest.param((CITED,), id="D78 citations"),
    pytest.param((Text(text=""),), id="empty text"),
    pytest.param((), id="nothing"),
    pytest.param((attrs.evolve(CALL, seal=attrs.evolve(SIGNED, kind="thought")),), id="a signed call"),
    pytest.param((Text(text="x", seal=SIGNED),), id="signed text"),
    pytest.param((Image(source=Inline(media_type="image/png", b64="iVBOR")),), id="a picture"),
    pytest.param((Opaque(dialect="gemini", type="x", raw={}, fallback="```\n1\n```"),), id="a fallback"),
    pytest.param(
        (ToolCall(id="s", name="shell", arguments='{"commands":["ls"]}', kind="client_builtin"),),
        id="a client-run tool",
    ),
]


@pytest.mark.parametrize("parts", ANSWERS)
def test_d66_a_stream_is_gapless_and_ends_in_the_whole_answer(parts: tuple[Part, ...]) -> None:
    answer = response(*parts)
    events = streamed(list(unfold(answer)))
    whole = orjson.loads(CODEC.encode_response(answer, writing()))

    assert list(range(len(events))) == [event["sequence_number"] for event in events]
    assert events[-1]["response"] == whole
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert done == whole["output"]
    for kind in ("output_item", "content_part", "reasoning_summary_part"):
        names = kinds(events)
        assert names.count(f"{kind}.added") == names.count(f"{kind}.done")
    OpenAIResponse.model_validate(whole, strict=False)


@pytest.mark.parametrize("parts", ANSWERS)
def test_what_is_written_reads_alike(parts: tuple[Part, ...]) -> None:
    profile = Profile(
        model="m",
        origin=attrs.evolve(CLAUDE, dialect="responses"),
        card=ModelCard(),
        sealer=SEALER,
        pseudonym=str,
    )
    reading = Reading(request=REQUEST, profile=profile)
    answer = response(*parts)
    encoder, decoder = CODEC.stream_encoder(writing()), CODEC.stream_decoder(reading)
    events = decoder.feed(b"".join(encoder.feed(event) for event in unfold(answer)))
    Validator().check(events)
    again = CODEC.decode_response(CODEC.encode_response(answer, writing()), reading)

    assert isinstance(again, Response)
    assert again.choices[0].parts == tuple(event.part for event in events if isinstance(event, BlockEnd))
    calls = [part for part in parts if isinstance(part, ToolCall)]
    read = [part for part in again.choices[0].parts if isinstance(part, ToolCall)]
    assert [(one.id, one.name, one.arguments) for one in calls] == [(one.id, one.name, one.arguments) for one in read]


def test_the_grammar_of_a_stream() -> None:
    events = streamed(list(unfold(response(THOUGHT, Text(text="Hi"), PATCH))))

    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "completed",
    ]


def test_d48_ciphertext_only_in_item_done_and_it_opens_again() -> None:
    events = streamed(list(unfold(response(THOUGHT))))
    added = next(event["item"] for event in events if event["type"] == "response.output_item.added")
    done = next(event["item"] for event in events if event["type"] == "response.output_item.done")
    body = orjson.dumps({"model": "fast", "input": [done]})
    (message,) = CODEC.decode_request(body).messages
    (part,) = message.parts

    assert added["encrypted_content"] is None
    assert isinstance(part, Reasoning)
    assert part.seal is not None
    assert part.text == "I should look."
    assert SEALER.open(part.seal.payload, part.text) == SIGNED


def test_the_whole_object() -> None:
    usage = Usage(input=1200, output=50, cache_read=1000, reasoning=20, tier="priority")
    answer = attrs.evolve(response(CALL, reason=FinishReason.TOOL_CALLS), usage=usage)
    whole = orjson.loads(CODEC.encode_response(answer, writing()))
    item = whole["output"][0]

    assert whole["id"].startswith("resp_")
    assert item["id"].startswith("fc_")
    assert {key: whole[key] for key in ("object", "status", "model", "created_at", "store", "service_tier")} == {
        "object": "response",
        "status": "completed",
        "model": "fast",
        "created_at": 7,
        "store": False,
        "service_tier": "priority",
    }
    assert whole["usage"] == {
        "input_tokens": 1200,
        "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 0},
        "output_tokens": 50,
        "output_tokens_details": {"reasoning_tokens": 20},
        "total_tokens": 1250,
    }
    assert (whole["instructions"], whole["metadata"], whole["text"]["verbosity"]) == ("S", {"k": "v"}, "low")
    assert whole["reasoning"] == {"effort": "low", "summary": "auto"}
    assert {key: value for key, value in item.items() if key != "id"} == {
        "type": "function_call",
        "call_id": "toolu_1",
        "name": "f",
        "arguments": '{"q":1}',
        "namespace": "crm",
        "status": "completed",
    }


def test_unknown_usage_is_zeros_and_ids_follow_the_seed() -> None:
    answer = attrs.evolve(response(Text(text="x")), usage=None)
    one, other = (orjson.loads(CODEC.encode_response(answer, writing(seed=seed))) for seed in ("a", "b"))

    assert one["usage"]["total_tokens"] == 0
    assert one == orjson.loads(CODEC.encode_response(answer, writing(seed="a")))
    assert one["id"] != other["id"]
    assert one["output"][0]["id"] != other["output"][0]["id"]


FINISHES = [
    pytest.param(FinishReason.LENGTH, (), "incomplete", "max_output_tokens", id="length"),
    pytest.param(FinishReason.CONTENT_FILTER, (), "incomplete", "content_filter", id="filter"),
    pytest.param(FinishReason.REFUSAL, (), "incomplete", "content_filter", id="a refusal without words"),
    pytest.param(FinishReason.REFUSAL, (Refusal(text="No."),), "completed", None, id="a refusal with words"),
    pytest.param(FinishReason.STOP_SEQUENCE, (), "completed", None, id="stop sequence"),
    pytest.param(FinishReason.ERROR, (), "failed", None, id="error"),
    pytest.param(FinishReason.MALFORMED_CALL, (), "failed", None, id="malformed call"),
]


@pytest.mark.parametrize(("reason", "parts", "status", "why"), FINISHES)
def test_finish(reason: FinishReason, parts: tuple[Part, ...], status: str, why: str | None) -> None:
    whole = orjson.loads(CODEC.encode_response(response(*parts, reason=reason), writing()))
    events = streamed(list(unfold(response(*parts, reason=reason))))

    assert status == whole["status"] == events[-1]["type"].removeprefix("response.")
    assert why == (whole["incomplete_details"] or {}).get("reason")
    assert (status == "failed") is (whole["error"] is not None)


def test_every_finish_and_error_kind_has_words() -> None:
    assert set(FinishReason) == STATUSES.keys()
    assert set(ErrorKind) == ERRORS.keys()


def test_arguments_stream_and_a_seal_in_front_comes_first() -> None:
    start = BlockStart(0, 0, attrs.evolve(CALL, arguments=""))
    pieces: list[StreamEvent] = [Delta(0, 0, piece) for piece in ('{"q', '":', "1}")]
    head: list[StreamEvent] = [Start("r", "m", 1), start, *pieces]
    late = [*head, SealEvent(0, 0, SIGNED), BlockEnd(0, 0, attrs.evolve(CALL, seal=SIGNED))]
    tail: list[StreamEvent] = [FinishEvent(0, Finish(reason=FinishReason.TOOL_CALLS)), End()]
    events = streamed([*late, *tail])

    assert kinds(events).count("function_call_arguments.delta") == 3
    assert [item["type"] for item in events[-1]["response"]["output"]] == ["function_call", "reasoning"]
    whole = streamed(list(unfold(response(attrs.evolve(CALL, seal=SIGNED)))))
    assert [item["type"] for item in whole[-1]["response"]["output"]] == ["reasoning", "function_call"]


def test_reasoning_that_may_not_be_shown_keeps_its_seal() -> None:
    events = streamed(list(unfold(response(THOUGHT, Text(text="Hi")))), writing(show_reasoning=False))
    item = events[-1]["response"]["output"][0]

    assert item["summary"] == []
    assert SEALER.open(item["encrypted_content"], "") == SIGNED


def test_log_probabilities() -> None:
    token = TokenLogprob(token="é", logprob=-0.5, top=(TokenLogprob(token="e", logprob=-1.0),))
    events = streamed(list(unfold(response(Text(text="é"), logprobs=(token,)))))
    delta = next(event for event in events if event["type"] == "response.output_text.delta")
    part = events[-1]["response"]["output"][0]["content"][0]

    assert delta["logprobs"] == [{"token": "é", "logprob": -0.5, "top_logprobs": [{"token": "e", "logprob": -1.0}]}]
    assert part["logprobs"][0]["bytes"] == [195, 169]
    assert math.isclose(-0.5, part["logprobs"][0]["logprob"])


def test_a_phase_begins_a_message_of_its_own() -> None:
    parts = (Text(text="a", extra={"phase": "commentary"}), Text(text="b", extra={"phase": "final_answer"}))
    whole = orjson.loads(CODEC.encode_response(response(*parts), writing()))

    assert [item["phase"] for item in whole["output"]] == ["commentary", "final_answer"]


FAILURES: list[Any] = [
    pytest.param(UpstreamOverloaded("Overloaded"), "server_error", "Overloaded", id="H37 overloaded"),
    pytest.param(
        RateLimited("Too fast.", retry_after_s=20),
        "rate_limit_exceeded",
        "Too fast. Please try again in 20s.",
        id="rate limit",
    ),
    pytest.param(ContextLengthExceeded("Too long."), "context_length_exceeded", "Too long.", id="context length"),
    pytest.param(
        Complaint(status=500, message="secret"), "server_error", "The provider failed to finish the answer.", id="raw"
    ),
]


@pytest.mark.parametrize(("error", "code", "message"), FAILURES)
def test_d69_d71_a_failure_is_the_last_event(error: GatewayError | Complaint, code: str, message: str) -> None:
    begun: list[StreamEvent] = [
        Start("r", "m", 1),
        BlockStart(0, 0, Text(text="")),
        Delta(0, 0, "Hel"),
        Delta(0, 0, "lo"),
        UsageUpdate(Usage(input=5, output=2)),
    ]
    events = streamed([*begun, Fail(error)])
    failed = events[-1]["response"]

    assert events[-1]["type"] == "response.failed"
    assert ("failed", {"code": code, "message": message}) == (failed["status"], failed["error"])
    assert (failed["output"][0]["status"], failed["output"][0]["content"][0]["text"]) == ("incomplete", "Hello")
    assert failed["usage"]["total_tokens"] == 7
    assert "response.completed" not in [event["type"] for event in events]


def test_nothing_follows_the_end() -> None:
    encoder = CODEC.stream_encoder(writing())
    for event in unfold(response(Text(text="x"))):
        encoder.feed(event)

    assert encoder.feed(Fail(InternalError("late"))) == b""


def test_what_this_dialect_can_not_show_is_left_out() -> None:
    events: list[StreamEvent] = [
        Ping(),
        Start("r", "m", 1),
        Ping(),
        BlockStart(1, 0, Text(text="")),
        Delta(1, 0, "other"),
        BlockEnd(1, 0, Text(text="other")),
        BlockStart(0, 0, Reasoning()),
        Section(0, 0),
        BlockEnd(0, 0, Reasoning()),
        FinishEvent(1, Finish(reason=FinishReason.STOP)),
        FinishEvent(0, Finish(reason=FinishReason.STOP)),
        End(),
    ]

    assert kinds(streamed(events)) == ["created", "in_progress", "completed"]


def test_errors_before_the_answer() -> None:
    status, body = encode_error(NotFound("No such model.", param="model", code="model_not_found"))

    assert status == 404
    assert orjson.loads(body)["error"] == {
        "message": "No such model.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    assert encode_error_event(InternalError("x")).startswith(b"event: response.failed\ndata: {")
