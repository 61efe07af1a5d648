"""Recorded Responses traffic, decoded: every stream however it was cut, and both forms of an answer alike."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.codec import Reading, Writing
from modelserver.dialects.openai_responses import CODEC
from modelserver.dialects.openai_responses.report import decode_error
from modelserver.dialects.openai_responses.response import decode_response
from modelserver.dialects.openai_responses.stream import stream_decoder
from modelserver.errors import GatewayError, UpstreamFailed
from modelserver.ir.card import ModelCard
from modelserver.ir.events import Delta, Fail, StreamEvent
from modelserver.ir.fold import fold
from modelserver.ir.grammar import Validator
from modelserver.ir.parts import (
    Choice,
    Citation,
    FinishReason,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Response,
    Text,
    TokenLogprob,
)
from modelserver.ir.profile import Profile
from modelserver.ir.request import FunctionTool, Request
from modelserver.ir.types import Complaint
from modelserver.policy.seals import EnvelopeSealer
from modelserver.wire.sse import SseFramer
from tests.support.feeding import feed_every_way


def shared() -> Path | None:
    beside = Path(__file__).parents[2].parent / "shared"
    named = os.environ.get("MODELSERVER_SHARED")
    return next((place for place in (beside, Path(named) if named else beside) if place.is_dir()), None)


def recordings() -> dict[str, dict[str, Any]]:
    place = shared()
    files = sorted(place.glob("recordings/openai-responses/*.json")) if place else []
    return {file.stem: orjson.loads(file.read_bytes()) for file in files}


RECORDINGS = recordings()
STREAMS = {name: one for name, one in RECORDINGS.items() if one["stream"] and one["response"]["status"] == 200}
ANSWERS = {
    name: one
    for name, one in RECORDINGS.items()
    if not one["stream"]
    and one["response"]["status"] == 200
    and one["request"]["path"].rpartition("/")[2] in ("responses", "compact")
    and not {"queued", "in_progress"} & set(one["finish_reasons"])
}
ERRORS = {name: one for name, one in RECORDINGS.items() if one["response"]["status"] != 200}
BROKEN = {"documented-openai-responses-mid-stream-error"}
WHOLE_STREAMS = [name for name in STREAMS if name not in BROKEN]

pytestmark = pytest.mark.skipif(not RECORDINGS, reason="no recordings in ../shared or $MODELSERVER_SHARED")

PROFILE = Profile(
    model="m",
    origin=Origin(dialect="responses", provider="p", account="a", model="m"),
    card=ModelCard(),
    sealer=EnvelopeSealer(b"key"),
    pseudonym=lambda user: "u_" + "0" * 32,
)
READING = Reading(request=Request(dialect="chat", model="m"), profile=PROFILE)


def wire_of(name: str) -> bytes:
    body: str = RECORDINGS[name]["response"]["body"]
    return body.encode()


def decoded(wire: bytes) -> list[StreamEvent]:
    decoder = stream_decoder(READING)
    return [*decoder.feed(wire), *decoder.close()]


def final_response(wire: bytes) -> bytes:
    """The response object that the last event of a stream repeats."""
    found = b""
    for frame in SseFramer().feed(wire + b"\n\n"):
        if frame.data is None or frame.data.strip() == b"[DONE]":
            continue
        event = orjson.loads(frame.data)
        if event["type"] in ("response.completed", "response.incomplete"):
            found = orjson.dumps(event["response"])
    return found


def comparable(response: Response | GatewayError | Complaint | None) -> Response:
    """Without ids, which GitHub Copilot changes at will, and ciphertexts, which OpenAI makes anew at the end."""
    assert isinstance(response, Response)
    choices = tuple(
        attrs.evolve(
            choice, parts=tuple(map(without_id, choice.parts)), logprobs=without_bytes(choice.logprobs, choice)
        )
        for choice in response.choices
    )
    return attrs.evolve(response, id="", created=0, service_tier=None, choices=choices)


def without_id(part: Part) -> Part:
    if isinstance(part, Reasoning):
        return attrs.evolve(part, seal=part.seal and attrs.evolve(part.seal, item_id=None, payload=""))
    if isinstance(part, Opaque):
        return attrs.evolve(part, raw={**part.raw, "id": None, "fingerprint": None})
    extra = getattr(part, "extra", None)
    return attrs.evolve(part, extra={**extra, "item_id": None}) if extra else part  # type: ignore[call-arg]


def without_bytes(tokens: Iterable[TokenLogprob] | None, choice: Choice) -> tuple[TokenLogprob, ...] | None:
    if tokens is None:
        return None
    return tuple(attrs.evolve(token, bytes=None, logprob=round(token.logprob, 3), top=()) for token in tokens)


@pytest.mark.parametrize("name", STREAMS)
def test_d8_d90_a_stream_decodes_alike_however_it_is_cut(name: str) -> None:
    events = feed_every_way(lambda: stream_decoder(READING), wire_of(name))

    validator = Validator()
    validator.check(events)
    assert validator.is_done


@pytest.mark.parametrize("name", WHOLE_STREAMS)
def test_d1_a_stream_says_what_its_last_event_repeats(name: str) -> None:
    wire = wire_of(name)

    assert comparable(decode_response(final_response(wire), READING)) == comparable(fold(decoded(wire)))


@pytest.mark.parametrize("name", STREAMS)
def test_d71_every_beginning_of_a_stream_is_legal_and_ends_in_a_failure(name: str) -> None:
    frames = [frame.raw for frame in SseFramer().feed(wire_of(name))]
    step = max(1, len(frames) // 40)
    for count in range(0, len(frames) - 3, step):
        events = decoded(b"".join(frames[:count]))
        validator = Validator()
        validator.check(events)

        assert validator.is_done
        assert isinstance(events[-1], Fail)


@pytest.mark.parametrize("name", WHOLE_STREAMS)
def test_d90_event_lines_ids_and_a_last_done_do_not_matter(name: str) -> None:
    expected = comparable(fold(decoded(wire_of(name))))
    number = itertools.count()
    out: list[bytes] = []
    for frame in SseFramer().feed(wire_of(name)):
        if frame.data is None or frame.data.strip() == b"[DONE]":
            continue
        event = orjson.loads(frame.data)
        if "item_id" in event:
            event["item_id"] = f"other-{next(number)}"
        if isinstance(event.get("item"), dict) and "id" in event["item"]:
            event["item"]["id"] = f"other-{next(number)}"
        out.append(b"data: " + orjson.dumps(event) + b"\n\n")
    out.append(b"data: [DONE]\n\n")

    assert expected == comparable(fold(decoded(b"".join(out))))


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_decodes(name: str) -> None:
    response = decode_response(wire_of(name), READING)

    assert isinstance(response, Response)
    assert response.choices[0].finish.reason in set(FinishReason)


@pytest.mark.parametrize("name", WHOLE_STREAMS + list(ANSWERS))
def test_usage_is_inclusive(name: str) -> None:
    body = final_response(wire_of(name)) if RECORDINGS[name]["stream"] else wire_of(name)
    parsed = orjson.loads(body)
    response = decode_response(body, READING)

    assert isinstance(response, Response)
    if parsed.get("usage"):
        assert response.usage is not None
        assert parsed["usage"]["total_tokens"] == (response.usage.input or 0) + (response.usage.output or 0)
        assert (response.usage.reasoning or 0) <= (response.usage.output or 0)


@pytest.mark.parametrize("name", [name for name in WHOLE_STREAMS if "encrypted_reasoning" in STREAMS[name]["features"]])
def test_d91_the_seal_is_that_of_the_finished_item(name: str) -> None:
    finished = [
        event["item"]["encrypted_content"]
        for frame in SseFramer().feed(wire_of(name))
        if frame.data is not None
        and frame.data.strip() != b"[DONE]"
        and (event := orjson.loads(frame.data))["type"] == "response.output_item.done"
        and event["item"].get("encrypted_content")
    ]
    answer = fold(decoded(wire_of(name)))

    assert isinstance(answer, Response)
    assert finished == [
        part.seal.payload for part in answer.choices[0].parts if isinstance(part, Reasoning) and part.seal
    ]


@pytest.mark.parametrize("name", ERRORS)
def test_d95_an_error_keeps_its_status_and_words(name: str) -> None:
    recording = ERRORS[name]["response"]
    complaint = decode_error(recording["status"], recording["body"].encode())
    error = orjson.loads(recording["body"])["error"]

    assert (recording["status"], error["message"], error["code"]) == (
        complaint.status,
        complaint.message,
        complaint.code,
    )


def test_an_error_event_fails_the_stream() -> None:
    events = decoded(wire_of("documented-openai-responses-mid-stream-error"))

    assert isinstance(events[-1], Fail)
    assert isinstance(events[-1].error, Complaint)
    assert events[-1].error.status == 500


@pytest.mark.parametrize(
    "name", [name for name, one in RECORDINGS.items() if "queued" in one["finish_reasons"] and not one["stream"]]
)
def test_an_answer_that_has_not_ended_is_none(name: str) -> None:
    with pytest.raises(UpstreamFailed):
        decode_response(wire_of(name), READING)


def test_refusal_and_length_are_read() -> None:
    refused = fold(decoded(wire_of("mirascope-test-refusal-openai-gpt-4o-responses-async-stream-0-f820cb")))
    cut = fold(decoded(wire_of("dd-trace-py-v1-response-stream-incomplete-0-1f758e")))

    assert isinstance(refused, Response)
    assert isinstance(cut, Response)
    assert (
        refused.choices[0].finish.reason,
        cut.choices[0].finish.reason,
    ) == (FinishReason.REFUSAL, FinishReason.LENGTH)


def test_text_is_shown_as_it_comes() -> None:
    name = "ai-github-copilot-id-rotation.1-0-cc0152"
    deltas = sum(isinstance(event, Delta) for event in decoded(wire_of(name)))
    sent = wire_of(name).count(b'"type":"response.output_text.delta"')

    assert deltas > sent > 10


def requests() -> dict[str, dict[str, Any]]:
    """Bodies that real clients sent, by client and number."""
    place = shared()
    found = {}
    for file in sorted(place.glob("client-requests/*/*.json")) if place else []:
        record = orjson.loads(file.read_bytes())
        if record["dialect"] == "openai-responses" and record["path"] == "/v1/responses" and record["body"]:
            found[f"{file.parent.name}/{file.stem}"] = record["body"]
    return found


REQUESTS = requests()
RECORDED = {
    name: one["request"]["body"]
    for name, one in RECORDINGS.items()
    if isinstance(one["request"]["body"], dict)
    and one["response"]["status"] == 200
    and one["request"]["path"].endswith("/responses")
}
no_requests = pytest.mark.skipif(not REQUESTS, reason="no client requests in ../shared or $MODELSERVER_SHARED")


@no_requests
@pytest.mark.parametrize("body", [*REQUESTS.values(), *RECORDED.values()], ids=[*REQUESTS, *RECORDED])
def test_d35_d81_requests_of_real_clients_are_read(body: dict[str, Any]) -> None:
    request = CODEC.decode_request(orjson.dumps({"model": "m", **body}))
    names = [tool.name for tool in request.tools if isinstance(tool, FunctionTool)]

    assert names == function_names(body)


def function_names(body: dict[str, Any]) -> list[str]:
    tools = list(body.get("tools") or [])
    given = body.get("input")
    for item in given if isinstance(given, list) else ():
        if item.get("type") in ("additional_tools", "tool_search_output"):
            tools.extend(tool for tool in item.get("tools") or () if tool not in tools)
    inner = [one for tool in tools for one in (tool["tools"] if tool["type"] == "namespace" else [tool])]
    return [tool["name"] for tool in inner if tool["type"] == "function"]


@no_requests
@pytest.mark.parametrize("name", REQUESTS)
def test_d2_requests_of_real_clients_are_written_again(name: str) -> None:
    body = REQUESTS[name]
    card = ModelCard(custom_tools=True, allowed_tools=True)
    encoded = CODEC.encode_request(CODEC.decode_request(orjson.dumps(body)), attrs.evolve(PROFILE, card=card))
    again = orjson.loads(encoded.body)

    kept = {
        "max_output_tokens",
        "temperature",
        "top_p",
        "text",
        "prompt_cache_key",
        "metadata",
        "user",
        "client_metadata",
    }
    assert {key: body[key] for key in kept & body.keys() if body[key] not in (None, {})} == {
        key: again[key] for key in kept & again.keys() if again[key] not in (None, {})
    }
    assert called(body) == called(again)
    assert again["store"] is False


def called(body: dict[str, Any]) -> list[tuple[str, object]]:
    items = body["input"] if isinstance(body["input"], list) else []
    return [(item["call_id"], item.get("arguments")) for item in items if "call_id" in item]


@pytest.mark.parametrize("name", WHOLE_STREAMS)
def test_what_was_recorded_can_be_written_and_read_again(name: str) -> None:
    request = Request(dialect="responses", model="m")
    writing = Writing(request=request, sealer=PROFILE.sealer, seed="req", created=1)
    encoder = CODEC.stream_encoder(writing)
    events = decoded(wire_of(name))
    written = b"".join(encoder.feed(event) for event in events)

    assert shown(fold(events)) == shown(fold(decoded(written)))


def shown(answer: Response | GatewayError | Complaint | None) -> list[Part]:
    """Parts without what is new in every answer of ours: ids, ciphertexts, the offsets that a citation lacked."""
    return [shown_part(part) for part in comparable(answer).choices[0].parts if not isinstance(part, Opaque)]


def shown_part(part: Part) -> Part:
    if isinstance(part, Reasoning):
        return attrs.evolve(part, form="summary" if part.text else "hidden")
    if isinstance(part, Text):
        return attrs.evolve(part, citations=tuple(Citation(kind=one.kind, url=one.url) for one in part.citations))
    return part
