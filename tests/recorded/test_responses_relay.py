"""Recorded exchanges of the Responses API between a client and a provider that both speak it."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from modelserver.dialects.codec import Reading
from modelserver.dialects.dialect import Counter
from modelserver.dialects.openai_responses import CODEC, RESPONSES
from modelserver.dialects.openai_responses.relay_stream import open_stream
from modelserver.dialects.relaying import EventRelay
from modelserver.errors import StreamBroken, Unsupported, UpstreamFailed, UpstreamTimeout
from modelserver.ir.card import ModelCard
from modelserver.ir.fold import fold
from modelserver.ir.parts import Origin, Reasoning, Refusal, Response, Text, ToolCall
from modelserver.ir.profile import Profile
from modelserver.ir.request import Request
from modelserver.ir.types import NOWHERE, Complaint
from modelserver.policy.seals import EnvelopeSealer

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
    file.stem: orjson.loads(file.read_bytes()) for file in sorted(SHARED.glob("recordings/openai-responses/*.json"))
}
ANSWERED = {name: one for name, one in RECORDINGS.items() if one["response"]["status"] == 200}
STREAMS = {name: one["response"]["body"].encode() for name, one in ANSWERED.items() if one["stream"]}
BROKEN = {"documented-openai-responses-mid-stream-error"} & STREAMS.keys()
COMPLETE = sorted(STREAMS.keys() - BROKEN)
COUNTED = {name: one for name, one in ANSWERED.items() if one["request"]["path"].endswith("/input_tokens")}
BODIES = {
    name: one["response"]["body"].encode()
    for name, one in ANSWERED.items()
    if not one["stream"] and name not in COUNTED
}
UNFINISHED = {name for name in BODIES if {"queued", "in_progress"} & set(ANSWERED[name]["finish_reasons"])}
WHOLE = sorted(BODIES.keys() - UNFINISHED)

CAPTURED = {
    f"{file.parent.name}/{file.stem}": record["body"]
    for file in sorted(SHARED.glob("client-requests/*/*.json"))
    if (record := orjson.loads(file.read_bytes()))["dialect"] == "openai-responses"
    and record["path"] == "/v1/responses"
    and record["body"]
}
ASKED = {
    name: one["request"]["body"]
    for name, one in ANSWERED.items()
    if isinstance(one["request"]["body"], dict) and re.search(r"/responses$", one["request"]["path"])
}
STATE = ("background", "conversation", "prompt")
REQUESTS = {name: {"model": "m", **asked} for name, asked in {**CAPTURED, **ASKED}.items()}
STATEFUL = {name for name, asked in REQUESTS.items() if any(asked.get(field) for field in STATE)}
STATELESS = sorted(REQUESTS.keys() - STATEFUL)

READING = Reading(
    request=Request(dialect="chat", model="m"),
    profile=Profile(
        model="m",
        origin=Origin(dialect="responses", provider="p", account="a", model="m"),
        card=ModelCard(),
        sealer=EnvelopeSealer(b"key"),
        pseudonym=lambda user: user,
    ),
)
FINISH = re.compile(
    rb'(?:event: response\.(?:completed|incomplete)\n)?data: {[^\n]*?"response\.(?:completed|incomplete)"'
)

no_recordings = pytest.mark.skipif(not RECORDINGS, reason="no recordings in ../shared or MODELSERVER_SHARED")


def relayed(*pieces: bytes, rename: str | None = None, claimed: list[str] | None = None) -> tuple[bytes, EventRelay]:
    """What passes, and the relay at its end."""
    relay = open_stream(rename=rename, claim=None if claimed is None else claimed.append)
    out = b"".join(map(relay.feed, pieces)) + relay.close()
    return out, relay


def frame_ends(wire: bytes) -> list[int]:
    return [found.end() for found in re.finditer(rb"\r\n\r\n|\n\n", wire)]


def events(wire: bytes) -> list[dict[str, Any]]:
    lines = [line[5:].strip() for line in wire.split(b"\n") if line.startswith(b"data:")]
    return [orjson.loads(line) for line in lines if line != b"[DONE]"]


def finish_of(wire: bytes) -> int:
    """Where the event begins that ends the answer."""
    found = [place.start() for place in FINISH.finditer(wire)]
    return found[-1]


def answer_of(wire: bytes) -> bytes:
    """The stream up to the event that ends the answer, which is all that a client needs."""
    finish = finish_of(wire)
    return wire[: next((end for end in frame_ends(wire) if end > finish), len(wire))]


def folded(wire: bytes) -> Response:
    """What the other side of the dialect makes of a stream."""
    decoder = CODEC.stream_decoder(READING)
    answer = fold([*decoder.feed(wire), *decoder.close()])
    assert isinstance(answer, Response)
    return answer


def written(answer: Response) -> int:
    """Characters in what the model wrote for the client."""
    chars = 0
    for part in answer.choices[0].parts:
        match part:
            case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
                chars += len(text)
            case ToolCall(kind="function" | "custom", name=name, arguments=text):
                chars += len(name) + len(text)
            case _:
                pass
    return chars


@no_recordings
def test_the_recordings_hold_what_is_looked_for() -> None:
    assert (len(COMPLETE), len(BROKEN), len(WHOLE), len(UNFINISHED), len(COUNTED)) == (49, 1, 52, 3, 1)


@pytest.mark.parametrize("name", COMPLETE)
def test_a_stream_passes_byte_for_byte_however_it_is_cut(name: str) -> None:
    wire = STREAMS[name]
    chance = random.Random(name)
    ways = [[wire], [wire[at : at + 1] for at in range(len(wire))]]
    for _ in range(4):
        places = [0, *sorted(chance.sample(range(1, len(wire)), 9)), len(wire)]
        ways.append([wire[start:end] for start, end in itertools.pairwise(places)])

    for pieces in ways:
        out, relay = relayed(*pieces)
        assert out.rstrip() == answer_of(wire).rstrip()
        assert relay.failure is None
        assert relay.done
        assert relay.has_content


@pytest.mark.parametrize("name", COMPLETE)
def test_a_stream_is_metered_as_on_the_other_side_of_the_dialect(name: str) -> None:
    _, relay = relayed(STREAMS[name])

    answer = folded(STREAMS[name])

    assert relay.usage == answer.usage
    # Calls of hosted tools are written too, but not for the client.
    assert relay.output_chars >= written(answer)


@pytest.mark.parametrize("name", COMPLETE)
def test_a_stream_is_renamed_in_its_responses_alone(name: str) -> None:
    wire = answer_of(STREAMS[name])
    out, _ = relayed(wire, rename="mine")
    expected = events(wire)
    for event in expected:
        if "response" in event:
            event["response"]["model"] = "mine"

    assert events(out) == expected
    assert len(frame_ends(out)) == len(frame_ends(wire))


@pytest.mark.parametrize("name", COMPLETE)
def test_a_stream_cut_before_its_finish_fails(name: str) -> None:
    wire = STREAMS[name]
    finish = finish_of(wire)
    boundaries = [at for at in frame_ends(wire) if at <= finish]
    chance = random.Random(name)
    for at in (0, *chance.sample(boundaries, min(len(boundaries), 20)), *chance.sample(range(finish), 12), finish):
        out, relay = relayed(wire[:at])

        assert isinstance(relay.failure, UpstreamFailed)
        assert isinstance(relay.failure, StreamBroken) or not relay.has_content
        assert wire.startswith(out.rstrip())
        assert not FINISH.search(out)


@pytest.mark.parametrize("name", COMPLETE)
def test_the_failure_of_a_cut_stream_goes_on_with_it(name: str) -> None:
    wire = STREAMS[name]
    relay = open_stream()
    seen = events(relay.feed(wire[: finish_of(wire)]))
    failed = events(relay.fail(UpstreamTimeout("too slow")))[0]

    assert failed["sequence_number"] == seen[-1]["sequence_number"] + 1
    assert failed["response"]["id"] == [event["response"]["id"] for event in seen if "response" in event][-1]
    assert failed["response"]["output"] == [
        event["item"] for event in seen if event["type"] == "response.output_item.done"
    ]


@pytest.mark.parametrize("name", COMPLETE)
def test_what_the_provider_keeps_is_claimed(name: str) -> None:
    claimed: list[str] = []
    wire = STREAMS[name]
    relayed(wire, claimed=claimed)
    last = events(answer_of(wire))[-1]["response"]
    expected = {last["id"], *(item["id"] for item in last["output"])} if last.get("store") is not False else set()

    assert expected <= set(claimed)
    assert len(claimed) == len(set(claimed))
    assert bool(claimed) is bool(expected)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_an_error_fails_the_stream(name: str) -> None:
    out, relay = relayed(STREAMS[name])

    assert isinstance(relay.failure, Complaint)
    assert (out, relay.failure.status) == (STREAMS[name][: frame_ends(STREAMS[name])[0]], 500)


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_read(name: str) -> None:
    answer = RESPONSES.read_answer(BODIES[name])
    decoded = CODEC.decode_response(BODIES[name], READING)

    assert not isinstance(answer, Complaint)
    assert isinstance(decoded, Response)
    assert answer.usage == decoded.usage
    assert answer.output_chars >= written(decoded)
    assert answer.parsed == json.loads(BODIES[name])
    assert bool(answer.ids) is (answer.parsed.get("store") is not False)


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_renamed(name: str) -> None:
    parsed = json.loads(BODIES[name])
    expected = {**parsed, "model": "mine"} if "model" in parsed else parsed

    assert json.loads(RESPONSES.rename(BODIES[name], "mine")) == expected


@pytest.mark.parametrize("name", sorted(UNFINISHED))
def test_an_answer_that_has_not_ended_is_none(name: str) -> None:
    with pytest.raises(UpstreamFailed):
        RESPONSES.read_answer(BODIES[name])


@pytest.mark.parametrize("name", STATELESS)
def test_a_request_is_accepted_and_leaves_as_it_came(name: str) -> None:
    wire = json.dumps(REQUESTS[name]).encode()
    ask = RESPONSES.read_request(wire, NOWHERE)
    sent = RESPONSES.forward(ask, target="up", params={}, ask_usage=True, drop_options=True)

    assert (ask.model, ask.stream) == (REQUESTS[name]["model"], REQUESTS[name].get("stream") is True)
    assert sent == json.dumps({**REQUESTS[name], "model": "up"}).encode()


@pytest.mark.parametrize("name", sorted(STATEFUL))
def test_a_request_that_needs_state_is_refused(name: str) -> None:
    with pytest.raises(Unsupported) as refused:
        RESPONSES.read_request(json.dumps(REQUESTS[name]).encode(), NOWHERE)

    assert refused.value.param in STATE
    assert refused.value.code == "unsupported_parameter"


@pytest.mark.parametrize("name", COUNTED)
def test_a_count_is_asked_for_and_read(name: str) -> None:
    counter: Counter | None = RESPONSES.counter
    assert counter is not None
    asked, body = COUNTED[name]["request"]["body"], COUNTED[name]["response"]["body"]
    wire = json.dumps(asked).encode()

    assert counter.forward(counter.read_request(wire, NOWHERE), "up") == json.dumps({**asked, "model": "up"}).encode()
    assert counter.read_answer(body.encode()) == json.loads(body)["input_tokens"]


@pytest.mark.parametrize("name", [name for name, one in RECORDINGS.items() if one["response"]["status"] != 200])
def test_a_recorded_error_is_read(name: str) -> None:
    answer = RECORDINGS[name]["response"]
    complaint = RESPONSES.read_error(answer["status"], answer["body"].encode())

    assert (complaint.status, complaint.in_json) == (answer["status"], True)
    assert complaint.message
