"""One usage, told by a provider of each dialect, arrives in the counters of each client dialect."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from tests.support.pairs import WAYS, is_same, meeting, pairs_of, told
from tests.support.providers import ANTHROPIC, PROVIDERS
from tests.support.speakers import ANTHROPIC as ANTHROPIC_SPEAKER
from tests.support.speakers import CHAT, SPEAKERS
from tests.support.speech import TOKENS, TOTALS, Ask, Provider, Speaker, Tokens, Turn
from tests.support.upstream import chunk, sse_head

KNOWN = [
    pytest.param(TOKENS, id="D59 every counter"),
    pytest.param(TOTALS, id="D60 totals only"),
    pytest.param(attrs.evolve(TOTALS, reasoning=2), id="all of it reasoning"),
    pytest.param(attrs.evolve(TOTALS, cached=7), id="all of it cached"),
]


@pytest.mark.parametrize("tokens", KNOWN)
@pytest.mark.parametrize(("speaker", "provider", "streamed"), WAYS)
async def test_usage_arrives(speaker: Speaker, provider: Provider, tokens: Tokens, streamed: bool) -> None:
    async with meeting(provider) as both:
        actual = await both.talk(speaker, Ask(), Turn(text="Sunny.", tokens=tokens), streamed=streamed)

    assert actual.tokens == told(speaker, provider, tokens)


@pytest.mark.parametrize(("speaker", "provider"), pairs_of())
async def test_the_wire_usage_is_the_dialects_own(speaker: Speaker, provider: Provider) -> None:
    """H36 D59; what Gemini does not count is left out where that can be."""
    async with meeting(provider) as both:
        answer = await both.hear(speaker, Ask(), Turn(text="Sunny."), streamed=False)

    usage = answer.json()["usageMetadata" if speaker.dialect == "gemini" else "usage"]
    assert usage == wire_usage(speaker, has_writes=provider.dialect != "gemini")


def wire_usage(speaker: Speaker, *, has_writes: bool) -> dict[str, Any]:
    """The counters of a call with 1200 in, of which 1000 cached and 100 written, and 50 out, of which 20 thought."""
    match speaker.dialect:
        case "chat":
            writes = {"cache_write_tokens": 100} if has_writes else {}
            return {
                "prompt_tokens": 1200,
                "completion_tokens": 50,
                "total_tokens": 1250,
                "prompt_tokens_details": {"cached_tokens": 1000, **writes},
                "completion_tokens_details": {"reasoning_tokens": 20},
            }
        case "responses":
            return {
                "input_tokens": 1200,
                "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 100 if has_writes else 0},
                "output_tokens": 50,
                "output_tokens_details": {"reasoning_tokens": 20},
                "total_tokens": 1250,
            }
        case "anthropic":
            writes = {"cache_creation_input_tokens": 100} if has_writes else {}
            return {
                "input_tokens": 100 if has_writes else 200,
                "cache_read_input_tokens": 1000,
                **writes,
                "output_tokens": 50,
                "output_tokens_details": {"thinking_tokens": 20},
            }
        case _:
            return {
                "promptTokenCount": 1200,
                "cachedContentTokenCount": 1000,
                "candidatesTokenCount": 30,
                "thoughtsTokenCount": 20,
                "totalTokenCount": 1250,
            }


MESSAGES = [case for case in pairs_of([ANTHROPIC_SPEAKER]) if not is_same(*case.values)]


@pytest.mark.parametrize(("speaker", "provider"), MESSAGES)
async def test_a_stream_of_messages_never_tells_a_zero_for_what_is_not_known(
    speaker: Speaker, provider: Provider
) -> None:
    """D60; the TypeScript library needs both counters of the start, and the end has the true ones."""
    async with meeting(provider) as both:
        answer = await both.hear(speaker, Ask(), Turn(text="Sunny.", tokens=TOTALS), streamed=True)

    events = speaker.events(answer.body)
    start, end = events[0]["message"]["usage"], events[-2]["usage"]
    unknown = {"cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens_details"}
    if provider.dialect == "responses":  # it tells them, as zeros
        unknown = {"none"}
    assert (start["input_tokens"], start["output_tokens"]) == (0, 0)
    assert (end["input_tokens"], end["output_tokens"]) == (7, 2)
    assert not unknown & {*start, *end}


UNCOUNTED = {
    "chat": None,
    "gemini": None,
    "responses": Tokens(input=0, cached=0, written=0, output=0, reasoning=0),
    "anthropic": Tokens(input=0, output=3),
}
"""Left out where that can be, required where it can't; the output that Anthropic's clients need is estimated."""


UNCOUNTING = [
    case for case in WAYS if case.values[1].dialect != "anthropic" and case.values[0].dialect != case.values[1].dialect
]


@pytest.mark.parametrize(("speaker", "provider", "streamed"), UNCOUNTING)
async def test_what_nobody_counted_is_left_out(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    """H35"""
    async with meeting(provider) as both:
        actual = await both.talk(speaker, Ask(), Turn(text="Sunny today.", tokens=None), streamed=streamed)

    assert actual.tokens == UNCOUNTED[speaker.dialect]


EACH_SPEAKER = [pytest.param(speaker, id=speaker.dialect) for speaker in SPEAKERS]


@pytest.mark.parametrize("speaker", EACH_SPEAKER)
async def test_what_only_the_start_tells_stays(speaker: Speaker) -> None:
    """D60 D89"""
    frames = ANTHROPIC.frames(Turn(text="Sunny."))
    last = next(number for number, frame in enumerate(frames) if ANTHROPIC.is_finish(frame))
    ending = {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 50},
    }
    frames[last] = b"event: message_delta\ndata: " + json.dumps(ending).encode() + b"\n\n"
    async with meeting(ANTHROPIC) as both:
        both.upstream.script(sse_head() + chunk(b"".join(frames)) + chunk(b""))
        answer = await both.send(speaker, speaker.body(Ask(), stream=True), streamed=True)

    assert speaker.read_stream(answer.body).tokens == told(speaker, ANTHROPIC, TOKENS)


@pytest.mark.parametrize("provider", [pytest.param(each, id=each.dialect) for each in PROVIDERS])
async def test_chat_gets_usage_once_and_only_if_it_asks(provider: Provider) -> None:
    """D62"""
    async with meeting(provider) as both:
        asking = await both.hear(CHAT, Ask(), Turn(text="Sunny."), streamed=True)
        both.script(Turn(text="Sunny."), streamed=True)
        silent = await both.send(CHAT, {**CHAT.body(Ask()), "stream": True}, streamed=True)

    *chunks, last = CHAT.events(asking.body)
    assert (last["choices"], last["usage"]["prompt_tokens"]) == ([], 1200)
    assert not [chunk for chunk in chunks if chunk.get("usage") or not chunk["choices"]]
    assert b'"usage"' not in silent.body
    assert not [chunk for chunk in CHAT.events(silent.body) if not chunk["choices"]]
    assert silent.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("provider", [pytest.param(each, id=each.dialect) for each in PROVIDERS[1:]])
async def test_chat_chunks_before_the_usage_have_a_null(provider: Provider) -> None:
    """D62"""
    async with meeting(provider) as both:
        answer = await both.hear(CHAT, Ask(), Turn(text="Sunny."), streamed=True)

    assert [chunk["usage"] for chunk in CHAT.events(answer.body)[:-1]] == [None] * (len(CHAT.events(answer.body)) - 1)
