"""Recorded exchanges of the Messages API between a client and a provider that both speak it."""

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

from modelserver.dialects.anthropic import ANTHROPIC, CODEC
from modelserver.dialects.anthropic.relay_stream import open_stream
from modelserver.dialects.codec import Reading
from modelserver.dialects.dialect import Counter
from modelserver.errors import StreamBroken, Unsupported, UpstreamFailed
from modelserver.ir.fold import fold
from modelserver.ir.parts import Reasoning, Response, Text, ToolCall
from modelserver.ir.types import NOWHERE, Complaint
from tests.support.anthropic import chat, profile

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
ANSWERED = {name: one for name, one in RECORDINGS.items() if one["response"]["status"] == 200}
STREAMS = {name: one["response"]["body"].encode() for name, one in ANSWERED.items() if one["stream"]}
COUNTED = {name: one for name, one in ANSWERED.items() if "count_tokens" in one["features"]}
WHOLE = {
    name: one["response"]["body"].encode()
    for name, one in ANSWERED.items()
    if not one["stream"] and name not in COUNTED
}
BROKEN = {name for name in STREAMS if "spliced-message-start" in name}
COMPLETE = sorted(STREAMS.keys() - BROKEN)
# Vertex has the model in its path; a recorded refusal may be of the request.
ASKED = {
    name: one["request"]["body"]
    for name, one in ANSWERED.items()
    if one["request"]["body"] and "model" in one["request"]["body"] and name not in COUNTED
}
CAPTURED = {
    f"{file.parent.name}/{file.stem}": record
    for file in sorted(SHARED.glob("client-requests/*/*.json"))
    if (record := orjson.loads(file.read_bytes()))["dialect"] == "anthropic" and record["body"]
}
COUNTS = {name: record["body"] for name, record in CAPTURED.items() if record["path"].endswith("/count_tokens")} | {
    name: one["request"]["body"] for name, one in COUNTED.items()
}
THREADS = {name: record["body"] for name, record in CAPTURED.items() if record["body"].get("thread") is not None}
# What a client was made to send in order to see the refusal.
REFUSED = {"anthropic-py/19"}
REQUESTS = {
    name: record["body"] for name, record in CAPTURED.items() if name not in {*COUNTS, *THREADS, *REFUSED}
} | ASKED

READING = Reading(request=chat(), profile=profile())

no_recordings = pytest.mark.skipif(not RECORDINGS, reason="no recordings in ../shared or MODELSERVER_SHARED")


def relayed(*pieces: bytes, rename: str | None = None) -> tuple[bytes, Any]:
    """What passes, and the relay at its end."""
    relay = open_stream(rename=rename)
    out = b"".join(map(relay.feed, pieces)) + relay.close()
    return out, relay


def frame_ends(wire: bytes) -> list[int]:
    return [found.end() for found in re.finditer(rb"\r\n\r\n|\n\n", wire)]


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
            case ToolCall(arguments="{}"):
                pass  # often not written at all
            case Text(text=text) | Reasoning(text=text) | ToolCall(arguments=text):
                chars += len(text)
            case _:
                pass
    return chars


@no_recordings
def test_the_recordings_hold_what_is_looked_for() -> None:
    assert (len(STREAMS), len(WHOLE), len(COUNTED), len(BROKEN)) == (43, 57, 1, 1)


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
        assert out.rstrip() == wire.rstrip()
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
def test_a_stream_is_renamed_in_its_start_alone(name: str) -> None:
    wire = STREAMS[name]
    out, _ = relayed(wire, rename="mine")
    expected, count = re.subn(rb'(?<="model":)\s*"[^"]*"', b'"mine"', wire[: frame_ends(wire)[0]], count=1)

    assert count == 1
    assert out.rstrip().replace(b'"model": "mine"', b'"model":"mine"') == (
        expected + wire[frame_ends(wire)[0] :]
    ).rstrip().replace(b'"model": "mine"', b'"model":"mine"')


@pytest.mark.parametrize("name", COMPLETE)
def test_a_stream_cut_before_its_finish_fails(name: str) -> None:
    wire = STREAMS[name]
    finish = wire.rindex(b"event: message_delta")
    boundaries = [at for at in frame_ends(wire) if at <= finish]
    chance = random.Random(name)
    for at in (0, *chance.sample(boundaries, min(len(boundaries), 20)), *chance.sample(range(finish), 12), finish):
        out, relay = relayed(wire[:at])

        assert isinstance(relay.failure, UpstreamFailed)
        assert isinstance(relay.failure, StreamBroken) is relay.has_content
        assert wire.startswith(out.rstrip())
        assert b"message_stop" not in out


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_second_start_fails_the_stream(name: str) -> None:
    out, relay = relayed(STREAMS[name])

    assert isinstance(relay.failure, StreamBroken)
    assert out.count(b'"message_start"') == 1


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_read(name: str) -> None:
    answer = ANTHROPIC.read_answer(WHOLE[name])
    decoded = CODEC.decode_response(WHOLE[name], READING)

    assert not isinstance(answer, Complaint)
    assert isinstance(decoded, Response)
    assert answer.usage == decoded.usage
    assert answer.parsed == json.loads(WHOLE[name])
    assert json.loads(ANTHROPIC.rename(WHOLE[name], "mine")) == {**answer.parsed, "model": "mine"}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_accepted_and_leaves_as_it_came(name: str) -> None:
    wire = json.dumps(REQUESTS[name]).encode()
    ask = ANTHROPIC.read_request(wire, NOWHERE)
    sent = ANTHROPIC.forward(ask, target="up", params={}, ask_usage=False, drop_options=False)

    assert (ask.model, ask.stream) == (REQUESTS[name]["model"], REQUESTS[name].get("stream") is True)
    assert sent == json.dumps({**REQUESTS[name], "model": "up"}).encode()


@pytest.mark.parametrize("name", THREADS)
def test_d96_a_thread_is_refused(name: str) -> None:
    with pytest.raises(Unsupported) as refused:
        ANTHROPIC.read_request(json.dumps(THREADS[name]).encode(), NOWHERE)

    assert refused.value.code == "thread_unsupported_request"


def counter() -> Counter:
    found = ANTHROPIC.counter
    assert found is not None
    return found


@pytest.mark.parametrize("name", COUNTS)
def test_a_request_for_a_count_is_accepted_and_leaves_as_it_came(name: str) -> None:
    wire = json.dumps(COUNTS[name]).encode()

    assert counter().forward(counter().read_request(wire, NOWHERE), "up") == (
        json.dumps({**COUNTS[name], "model": "up"}).encode()
    )


@pytest.mark.parametrize("name", COUNTED)
def test_a_count_is_read(name: str) -> None:
    body = COUNTED[name]["response"]["body"]

    assert counter().read_answer(body.encode()) == json.loads(body)["input_tokens"]
