"""What providers were recorded to answer comes out of the server as it was, and is counted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from modelserver.dialects.openai_chat import CHAT
from tests.support.recordings import (
    WAYS,
    Played,
    Recording,
    cases,
    cut,
    expected_usage,
    frames,
    load_recordings,
    metered_usage,
    sent,
    stage,
)

RECORDINGS = load_recordings()
PLAIN = {name: recording for name, recording in RECORDINGS.items() if recording.is_plain}
STREAMS = {name: recording for name, recording in PLAIN.items() if recording.stream}
WHOLE = {name: recording for name, recording in PLAIN.items() if not recording.stream}
WITH_HEADERS = {name: recording for name, recording in RECORDINGS.items() if recording.headers}

ABSENT = "no recordings in ../shared"
ALIAS = "the-name-that-the-client-uses"
EVERY_CUT = [pytest.param(way, 0, id=way) for way in WAYS[:2]]
EVERY_CUT += [pytest.param("random", seed, id=f"random {seed}") for seed in range(8)]


async def play(recording: Recording, way: str, seed: int = 0) -> Played:
    """The recorded exchange; where the client did not ask for usage, the provider sends it all the same."""
    usage = "option" if recording.asks_usage or not recording.stream else "always"
    async with stage({recording.model: recording.model}, stream_usage=usage) as running:
        return await running.play(recording, cut(recording.body, way, seed))


def a_way(name: str) -> str:
    """One way of cutting for each recording, the same in every run."""
    return WAYS[list(PLAIN).index(name) % len(WAYS)]


def shown(played: Played) -> tuple[int, str | None, bytes]:
    return played.answer.status, played.answer.header("Content-Type"), played.answer.body


def expected_answer(recording: Recording) -> tuple[int, str, bytes]:
    return 200, "text/event-stream; charset=utf-8" if recording.stream else "application/json", recording.body


# Where the provider's counters do not add up as OpenAI's do, or say little: input, output, and what was noted.
ODD = {
    "reasoning beside the completion": (
        "fantasy-testopenaicompatiblecommon-xai-grok-4-fast-multi-tool-0-ef8034",
        {"input": 436, "output": 216, "reasoning": 148, "cache_read": 152},
    ),
    "reasoning larger than the completion beside it": (
        "fantasy-testopenaicompatiblethinking-xai-grok-3-mini-thinking-1-97b4ce",
        {"input": 331, "output": 343, "reasoning": 332, "cache_read": 283},
    ),
    "reasoning larger than the completion that should hold it": (
        "fantasy-testvercelthinking-gemini-3-pro-preview-thinking-0-2b3e37",
        {"input": 28, "output": 78, "reasoning": 69, "cache_read": 0},
    ),
    "audio beside the prompt": (
        "ruby-llm-chat-audio-models-mistral-voxtral-small-latest-can-understand-audio-0-4dc582",
        {"input": 384, "output": 248, "audio_in": 375, "cache_read": 0},
    ),
    "more cached than the prompt has": (
        "ruby-llm-chat-with-params-azure-grok-4-1-fast-non-reasoning-supports-response-format-param-0-ec3f17",
        {"input": 29, "output": 6, "cache_read": 29},
    ),
    "growing in every chunk, with null members": (
        "chatlas-test-provider-databricks-test-databricks-tool-variations-2-c63a06",
        {"input": 501, "output": 51, "cache_read": 0},
    ),
    "in every chunk, beside a cost": (
        "ruby-llm-chat-streaming-responses-perplexity-sonar-supports-streaming-responses-0-49bb5c",
        {"input": 8, "output": 5},
    ),
    "in x_groq only": (
        "pydantic-ai-test-groq-test-groq-model-web-search-tool-stream-0-2ad769",
        {"input": 5003, "output": 359},
    ),
    "cached tokens without details": (
        "pydantic-ai-test-tool-choice-matrix-test-tool-choice-matrix-tools-plus-output-mistral-1-6c69d0",
        {"input": 175, "output": 39, "cache_read": 174},
    ),
}


def unasked(recording: Recording) -> bytes:
    """The stream without the frames that hold usage and nothing else."""
    return b"".join(
        frame
        for frame, obj in frames(recording.body)
        if obj is None or not (obj.get("usage") and obj.get("choices") == [])
    )


def under_alias(recording: Recording) -> bytes:
    """What a client gets that asked by another name than the provider's."""
    if not recording.stream:
        return CHAT.rename(recording.body, ALIAS)
    relay = CHAT.open_stream(withhold_usage=False, rename=ALIAS)
    return relay.feed(recording.body) + relay.close()


def with_models(body: bytes, models: list[Any]) -> bytes:
    """The body with the alias, wherever it stands, replaced by one after the other of the models."""
    pieces = body.split(json.dumps(ALIAS).encode())

    assert len(pieces) == len(models) + 1
    return b"".join(piece + json.dumps(model).encode() for piece, model in zip(pieces, [*models, None], strict=True))[
        :-4
    ]


@pytest.mark.parametrize("name", cases(PLAIN, ABSENT))
async def test_a_recorded_answer_comes_out_byte_for_byte(name: str) -> None:
    recording = PLAIN[name]

    played = await play(recording, a_way(name))

    assert expected_answer(recording) == shown(played)


@pytest.mark.deep
@pytest.mark.parametrize(("way", "seed"), EVERY_CUT)
@pytest.mark.parametrize("name", cases(PLAIN, ABSENT))
async def test_a_recorded_answer_comes_out_byte_for_byte_however_it_is_cut(name: str, way: str, seed: int) -> None:
    recording = PLAIN[name]

    played = await play(recording, way, seed)

    assert expected_answer(recording) == shown(played)


@pytest.mark.parametrize("name", cases([name for name in PLAIN if expected_usage(PLAIN[name])], ABSENT, every=3))
async def test_the_usage_that_a_provider_reported_reaches_the_meter(name: str) -> None:
    recording = PLAIN[name]

    played = await play(recording, a_way(name))

    assert played.call is not None
    assert expected_usage(recording) == metered_usage(played.call.usage)
    assert not played.call.usage_estimated


@pytest.mark.parametrize("name", cases([name for name in PLAIN if not expected_usage(PLAIN[name])], ABSENT))
async def test_usage_that_a_provider_did_not_report_is_estimated_and_marked(name: str) -> None:
    played = await play(PLAIN[name], a_way(name))

    assert (
        played.line["estimated"],
        played.line["input_tokens"] > 0,
        played.line["output_tokens"] > 0,
    ) == (True, True, True)


@pytest.mark.skipif(not RECORDINGS, reason=ABSENT)
@pytest.mark.parametrize(("name", "expected"), [pytest.param(*case, id=id) for id, case in ODD.items()])
async def test_counters_that_do_not_add_up_are_understood(name: str, expected: Mapping[str, int]) -> None:
    played = await play(PLAIN[name], "whole")

    assert played.call is not None
    found = attrs.asdict(played.call.usage)  # type: ignore[arg-type]
    assert expected == {key: count for key, count in found.items() if count or key in expected}
    assert (expected["input"], expected["output"]) == (played.line["input_tokens"], played.line["output_tokens"])


@pytest.mark.parametrize("name", cases(STREAMS, ABSENT))
async def test_a_stream_whose_usage_nobody_asked_for_loses_the_usage_chunk_and_nothing_else(name: str) -> None:
    recording = STREAMS[name]
    async with stage({recording.model: recording.model}) as running:
        played = await running.play(recording, cut(recording.body, a_way(name)), stream_options=None)

        assert sent(running).json()["stream_options"] == {"include_usage": True}
    assert unasked(recording) == played.answer.body


@pytest.mark.skipif(not RECORDINGS, reason=ABSENT)
def test_some_streams_have_a_chunk_that_is_withheld() -> None:
    assert sum(unasked(recording) != recording.body for recording in STREAMS.values()) >= 20


@pytest.mark.parametrize("name", cases(PLAIN, ABSENT))
def test_under_an_alias_the_model_of_each_chunk_is_replaced_and_nothing_else(name: str) -> None:
    recording = PLAIN[name]

    body = under_alias(recording)

    models = [obj["model"] for obj in recording.objects if "model" in obj]
    assert recording.body == with_models(body, models)
    assert {ALIAS} == {obj["model"] for obj in attrs.evolve(recording, body=body).objects if "model" in obj}


@pytest.mark.parametrize("name", cases(WITH_HEADERS, ABSENT))
async def test_a_providers_headers_stay_behind(name: str) -> None:
    played = await play(WITH_HEADERS[name], "whole")

    names = {header.lower() for header, _ in played.answer.headers}
    assert set() == {header for header in names if header.startswith("x-ratelimit-")}
    assert WITH_HEADERS[name].headers.get("x-request-id") != played.answer.header("X-Request-Id")


@pytest.mark.skipif(not RECORDINGS, reason=ABSENT)
def test_the_recordings_hold_what_is_looked_for() -> None:
    assert (len(WHOLE) > 60, len(STREAMS) > 45) == (True, True)
