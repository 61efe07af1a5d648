"""Recorded answers and requests of the Messages API, through the codec."""

from __future__ import annotations

import itertools
import json
import os
import random
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.anthropic import CODEC
from modelserver.dialects.codec import Reading, Writing
from modelserver.errors import InvalidRequest, Unsupported, UpstreamFailed
from modelserver.ir.card import ModelCard, ReasoningCard
from modelserver.ir.events import End, Fail, StreamEvent
from modelserver.ir.fold import fold, unfold
from modelserver.ir.grammar import Validator
from modelserver.ir.parts import Part, Reasoning, Response, ToolCall
from modelserver.ir.types import Complaint
from tests.support.anthropic import SEALER, chat, check_types, profile

ROOT = Path(__file__).parents[2]
SHARED = next(
    (
        place
        for place in (ROOT.parent / "shared", Path(os.environ.get("MODELSERVER_SHARED", "/nowhere")))
        if place.is_dir()
    ),
    Path("/nowhere"),
)
RECORDINGS = {
    file.stem: orjson.loads(file.read_bytes()) for file in sorted(SHARED.glob("recordings/anthropic-messages/*"))
}
CAPTURED = {
    f"{file.parent.name}/{file.stem}": record["body"]
    for file in sorted(SHARED.glob("client-requests/*/*.json"))
    if (record := orjson.loads(file.read_bytes()))["dialect"] == "anthropic" and record["path"] == "/v1/messages"
}
# What a client was made to send in order to see the refusal.
REFUSED = {"anthropic-py/19": "max_tokens"}
THREADS = {name: body for name, body in CAPTURED.items() if body.get("thread") is not None}
REQUESTS = {name: body for name, body in CAPTURED.items() if name not in THREADS and name not in REFUSED}
ANSWERED = {name: one for name, one in RECORDINGS.items() if one["response"]["status"] == 200}
STREAMS = {name: one["response"]["body"].encode() for name, one in ANSWERED.items() if one["stream"]}
WHOLE = {
    name: one["response"]["body"].encode()
    for name, one in ANSWERED.items()
    if not one["stream"] and "count_tokens" not in one["features"]
}
ERRORS = {name: one["response"] for name, one in RECORDINGS.items() if one["response"]["status"] != 200}
BROKEN = {name for name in STREAMS if "spliced-message-start" in name}

READING = Reading(request=chat(), profile=profile())
WRITING = Writing(request=chat(), sealer=SEALER, seed="req_1", created=1)
CARD = ModelCard(
    top_k=True,
    cache="explicit_anthropic",
    schema="anthropic",
    strict_tools=True,
    mid_system=True,
    prefill=True,
    forced_tools_with_reasoning=True,
)

no_recordings = pytest.mark.skipif(not RECORDINGS, reason="no recordings in ../shared or MODELSERVER_SHARED")
no_requests = pytest.mark.skipif(not REQUESTS, reason="no client requests in ../shared or MODELSERVER_SHARED")


def decoded(*pieces: bytes) -> list[StreamEvent]:
    decoder = CODEC.stream_decoder(READING)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.close()


def shown(events: list[StreamEvent]) -> list[Any]:
    """The events with failures as texts, which can be compared."""
    return [str(event.error) if isinstance(event, Fail) else event for event in events]


@no_recordings
def test_the_recordings_hold_what_is_looked_for() -> None:
    assert (len(STREAMS), len(WHOLE), len(ERRORS)) == (43, 57, 10)


@pytest.mark.parametrize("name", sorted(STREAMS.keys() - BROKEN))
def test_d8_a_stream_is_the_same_for_every_cut(name: str) -> None:
    wire = STREAMS[name]
    events = decoded(wire)
    chance = random.Random(name)
    Validator().check(events)

    assert isinstance(events[-1], End)
    assert events == decoded(*(wire[at : at + 1] for at in range(len(wire))))
    for _ in range(4):
        places = [0, *sorted(chance.sample(range(1, len(wire)), 9)), len(wire)]
        assert events == decoded(*(wire[start:end] for start, end in itertools.pairwise(places)))


@pytest.mark.parametrize("name", STREAMS)
def test_d71_every_beginning_of_a_stream_is_legal_and_fails(name: str) -> None:
    wire = STREAMS[name]
    reason = wire.find(b'"message_delta"')
    for at in sorted(random.Random(name).sample(range(len(wire)), 12)):
        events = decoded(wire[:at])
        validator = Validator()
        validator.check(events)

        assert validator.is_done
        assert isinstance(events[-1], Fail) or at > reason


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_second_start_fails_the_stream(name: str) -> None:
    events = decoded(STREAMS[name])
    Validator().check(events)

    assert isinstance(events[-1], Fail)
    assert shown(events) == shown(decoded(*(STREAMS[name][at : at + 1] for at in range(len(STREAMS[name])))))


@pytest.mark.parametrize("name", sorted(STREAMS.keys() - BROKEN))
def test_a_stream_says_the_usage_that_it_reported_last(name: str) -> None:
    answer = fold(decoded(STREAMS[name]))
    reports = [
        report
        for line in STREAMS[name].split(b"\n")
        if line.startswith(b"data:")
        for wire in (json.loads(line[5:]),)
        for report in (wire.get("usage"), (wire.get("message") or {}).get("usage"))
        if report
    ]
    merged = {key: value for report in reports for key, value in report.items() if value is not None}

    assert isinstance(answer, Response)
    assert answer.usage is not None
    assert answer.usage.output == merged["output_tokens"] or "iterations" in merged
    assert answer.usage.input == sum(
        merged.get(key, 0) for key in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
    ) or ("iterations" in merged)


@no_recordings
def test_d89_the_input_of_a_search_loop_is_that_of_its_end() -> None:
    answer = fold(decoded(next(wire for name, wire in STREAMS.items() if "pause-turn-web-search" in name)))

    assert isinstance(answer, Response)
    assert answer.usage is not None
    assert answer.usage.input == 404_500


@no_recordings
def test_d64_a_compaction_is_counted() -> None:
    answers = [fold(decoded(wire)) for name, wire in STREAMS.items() if "compaction" in name]

    assert [answer.usage.input for answer in answers if isinstance(answer, Response) and answer.usage] == [60_997]


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_read(name: str) -> None:
    answer = CODEC.decode_response(WHOLE[name], READING)

    assert isinstance(answer, Response)
    assert answer.usage is not None
    assert answer.usage.output is not None


@no_recordings
def test_d1_the_recorded_pair_says_the_same() -> None:
    (stream,) = (wire for name, wire in STREAMS.items() if "advisor-stop-reasons" in name)
    (whole,) = (wire for name, wire in WHOLE.items() if "advisor-stop-reasons" in name)
    streamed, answered = fold(decoded(stream)), CODEC.decode_response(whole, READING)

    assert isinstance(streamed, Response)
    assert isinstance(answered, Response)
    assert streamed.choices == answered.choices


@pytest.mark.parametrize("name", ERRORS)
def test_d95_an_error_is_read(name: str) -> None:
    response = ERRORS[name]
    complaint = CODEC.decode_error(response["status"], response["body"].encode())
    error = json.loads(response["body"])["error"]

    assert complaint == Complaint(status=response["status"], message=error["message"], type=error["type"], in_json=True)


def opened(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The parts as a client brought them, with what we made of them undone: envelopes opened, arguments compact."""
    restored: list[Part] = []
    for part in parts:
        match part:
            case Reasoning(seal=seal) if seal is not None and SEALER.is_envelope(seal.payload):
                text = "" if part.form == "hidden" else part.text
                restored.append(attrs.evolve(part, form="full", seal=SEALER.open(seal.payload, text)))
            case Reasoning():
                restored.append(attrs.evolve(part, form="full"))
            case ToolCall():
                restored.append(attrs.evolve(part, arguments=json.dumps(json.loads(part.arguments))))
            case _:
                restored.append(part)
    return tuple(restored)


@pytest.mark.parametrize("name", sorted({**STREAMS, **WHOLE}.keys() - BROKEN))
def test_an_answer_survives_the_way_through_the_client_side(name: str) -> None:
    answer = fold(decoded(STREAMS[name])) if name in STREAMS else CODEC.decode_response(WHOLE[name], READING)
    assert isinstance(answer, Response)
    encoder = CODEC.stream_encoder(WRITING)
    streamed = fold(decoded(b"".join(map(encoder.feed, unfold(answer)))))
    whole = CODEC.decode_response(CODEC.encode_response(answer, WRITING), READING)

    assert isinstance(streamed, Response)
    assert isinstance(whole, Response)
    for back in (streamed, whole):
        assert opened(answer.choices[0].parts) == opened(back.choices[0].parts)
        assert answer.choices[0].finish.reason == back.choices[0].finish.reason
        assert answer.usage is not None
        assert back.usage is not None
        for field in ("input", "output", "cache_read", "cache_write", "reasoning"):
            assert getattr(answer.usage, field) == getattr(back.usage, field)


@pytest.mark.parametrize("name", sorted(STREAMS.keys() - BROKEN))
def test_the_official_library_reads_our_stream(name: str) -> None:
    pytest.importorskip("anthropic")
    from anthropic.lib.streaming._messages import accumulate_event
    from anthropic.types import RawMessageStreamEvent
    from pydantic import TypeAdapter

    events: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
    encoder = CODEC.stream_encoder(WRITING)
    wire = b"".join(map(encoder.feed, decoded(STREAMS[name])))
    if any(kind in wire for kind in (b'"type":"mcp_', b'"type":"compaction"', b'"name":"advisor"')):
        pytest.skip("a block that only the beta types know")
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for line in wire.decode().split("\n"):
        if line.startswith("data: ") and not line.startswith('data: {"type":"ping"'):
            event = events.validate_json(line[6:])
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)

    assert snapshot.stop_reason
    assert snapshot.usage.output_tokens is not None


def canonical(body: dict[str, Any]) -> dict[str, Any]:
    """A request in the form that the encoder writes: texts as blocks, results of one text as strings."""
    body = json.loads(json.dumps(body))
    if isinstance(body.get("system"), str):
        body["system"] = [{"type": "text", "text": body["system"]}]
    for message in body["messages"]:
        if isinstance(message["content"], str):
            message["content"] = [{"type": "text", "text": message["content"]}]
        for block in message["content"]:
            content = block.get("content")
            if isinstance(content, list) and len(content) == 1 and content[0].keys() == {"type", "text"}:
                block["content"] = content[0]["text"]
            if block.get("is_error") is False:
                del block["is_error"]
    if body.get("stream") is False:
        del body["stream"]
    if body.get("system") in ([], [{"type": "text", "text": ""}]):
        del body["system"]
    if (body.get("thinking") or {}).get("type") == "enabled":  # has to leave room, and takes no temperature
        body["thinking"]["budget_tokens"] = min(body["thinking"]["budget_tokens"], body["max_tokens"] - 1)
        body.pop("temperature", None)
    for tool in body.get("tools", []):
        tool["input_schema"] = {"type": "object", **tool["input_schema"]}
    if body.get("stop_sequences") == ["\n\n\n"]:  # refused by the service
        del body["stop_sequences"]
        body["system"][0]["cache_control"]["ttl"] = "1h"  # a later mark lives so long
    if not body.get("tools"):
        body.pop("tools", None)
        body.pop("tool_choice", None)
    return body


@pytest.mark.parametrize("name", REQUESTS)
def test_d2_a_request_of_a_client_is_written_as_it_was(name: str) -> None:
    body = canonical(REQUESTS[name])
    kind = "budget" if (body.get("thinking") or {}).get("type") == "enabled" else "adaptive"
    reasoning = ReasoningCard(kind=kind, efforts=("low", "medium", "high", "xhigh", "max"), between_tools=True)  # type: ignore[arg-type]
    target = profile(attrs.evolve(CARD, reasoning=reasoning))
    encoded = CODEC.encode_request(CODEC.decode_request(json.dumps(REQUESTS[name]).encode()), target)
    actual = orjson.loads(encoded.body)

    assert {**body, "model": "claude-x"} == actual
    assert {loss.code for loss in encoded.losses} <= {"stop_dropped"}


@pytest.mark.parametrize("name", REQUESTS)
def test_d7_nothing_of_this_dialect_alone_crosses(name: str) -> None:
    request = CODEC.decode_request(json.dumps(REQUESTS[name]).encode())
    foreign = attrs.evolve(request, dialect="chat", rejected=())
    encoded = CODEC.encode_request(foreign, profile(attrs.evolve(CARD, reasoning=ReasoningCard(kind="adaptive"))))

    check_types(orjson.loads(encoded.body), beta="anthropic-beta" in encoded.headers)
    assert b"x-anthropic-billing-header" not in encoded.body


@no_requests
def test_d96_a_thread_is_refused_so_that_the_library_sends_the_whole() -> None:
    assert len(THREADS) == 4
    for body in THREADS.values():
        with pytest.raises(Unsupported) as caught:
            CODEC.decode_request(json.dumps(body).encode())

        assert caught.value.code == "thread_unsupported_request"


@no_requests
def test_a_request_that_was_made_wrong_is_refused() -> None:
    for name, param in REFUSED.items():
        with pytest.raises(InvalidRequest) as caught:
            CODEC.decode_request(json.dumps(CAPTURED[name]).encode())

        assert caught.value.param == param


@no_recordings
def test_a_count_is_no_answer() -> None:
    (body,) = (one["response"]["body"] for one in ANSWERED.values() if "count_tokens" in one["features"])
    with pytest.raises(UpstreamFailed):
        CODEC.decode_response(body.encode(), READING)
