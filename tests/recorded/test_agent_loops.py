"""Coding agents in a loop with a tool over models of every other dialect, as they were seen to go on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import anthropic
import openai
import pytest
from google.genai import errors as google

from tests.support.agents import LOOPS, Loop, ask
from tests.support.client_requests import ABSENT, PROVIDER
from tests.support.front import Answer, request
from tests.support.official_requests import check_request
from tests.support.official_streams import read_stream
from tests.support.pairs import Meeting, meeting
from tests.support.service_rules import check_rules
from tests.support.speech import REASONING, Provider, Turn
from tests.support.upstream import Wait, chunk, json_answer, sse_head

pytestmark = pytest.mark.sdk

MAIN = (
    *("codex", "claude-code", "gemini-cli"),
    *("opencode", "opencode-responses", "opencode-anthropic", "opencode-google"),
)
DONE = Turn(reasoning=REASONING, text="It is done.")


def over(agents: Iterable[str], *, every: int = 1) -> Any:
    """Each agent with each dialect that it does not speak; all but every so many are deep."""
    found = [
        (agent, dialect)
        for agent in agents
        if agent in LOOPS
        for dialect in PROVIDER
        if dialect != LOOPS[agent].asked.dialect
    ]
    return [
        pytest.param(
            LOOPS[agent],
            PROVIDER[dialect],
            id=f"{agent} over {dialect}",
            marks=() if number % every == 0 else pytest.mark.deep,
        )
        for number, (agent, dialect) in enumerate(found)
    ] or [pytest.param(None, None, id="none", marks=pytest.mark.skip(reason=ABSENT))]


async def run(loop: Loop, provider: Provider) -> None:
    """Two turns: the model thinks and calls a tool, and is done with its result. What it thought comes back sealed."""
    async with meeting(provider) as both:
        both.script(Turn(reasoning=REASONING, calls=[loop.call]), streamed=True)
        first = await ask(both, loop, loop.first)
        assert first.status == 200, first.body
        called = loop.speaker.read_stream(first.body)
        both.script(DONE, streamed=True)
        second = await ask(both, loop, loop.follow_up(called))
        assert second.status == 200, second.body
        ended = loop.speaker.read_stream(second.body)

    assert ([call.name for call in called.calls], called.calls) == ([loop.call.name], (loop.call,))
    assert (called.finish, ended.finish) == (loop.speaker.words["calls"], loop.speaker.words["stop"])
    assert ended.text == DONE.text
    for answer in (first, second):
        read_stream(loop.asked.dialect, answer.body)
    for sent in both.upstream.requests:
        check_request(provider.dialect, sent.json(), beta=sent.header("anthropic-beta") is not None)
        check_rules(provider.dialect, sent.json())
    heard = both.heard[1]
    assert (heard.calls, heard.seals) == ((loop.call,), (provider.seal,))
    assert [call for call, _ in heard.results] == [loop.call]


@pytest.mark.parametrize(("loop", "provider"), over(MAIN))
async def test_an_agent_calls_its_tool_and_goes_on(loop: Loop, provider: Provider) -> None:
    """D80 D81"""
    await run(loop, provider)


@pytest.mark.parametrize(("loop", "provider"), over((name for name in LOOPS if name not in MAIN), every=4))
async def test_another_agent_does_so_too(loop: Loop, provider: Provider) -> None:
    await run(loop, provider)


# An error before the answer is one by its status.

OVERLOADED = {"chat": (503, "overloaded"), "responses": (503, "overloaded")} | {
    "anthropic": (529, "overloaded_error"),
    "gemini": (503, "UNAVAILABLE"),
}


@pytest.mark.parametrize(("loop", "provider"), over(MAIN))
async def test_an_agent_is_told_that_a_provider_is_overloaded(loop: Loop, provider: Provider) -> None:
    status = 529 if provider.dialect == "anthropic" else 503
    async with meeting(provider) as both:
        both.upstream.script(json_answer(provider.refusal(503), status))
        answer = await ask(both, loop, loop.first)

    assert loop.speaker.trouble(answer.status, answer.body) == OVERLOADED[loop.asked.dialect]
    assert answer.header("Retry-After")


# An error within the answer ends it, in the form that the agent takes for one.


async def broken_off(both: Meeting, loop: Loop, frames: list[bytes], rest: bytes) -> Answer:
    """The answer of a provider that goes on with an error when the agent has been answered."""
    answered = asyncio.Event()
    both.upstream.script(sse_head() + chunk(b"".join(frames)), Wait(answered), chunk(rest) + chunk(b""))
    method, path, headers, _ = loop.asked.asked("m")
    caller = await both.server.connect()
    await caller.send(request(method, path, headers, json.dumps(loop.first).encode()))
    status, pairs = await caller.head()
    answered.set()
    return Answer(status, pairs, await caller.chunks())


def last_event(body: bytes) -> bytes:
    """The last event of a stream."""
    return body.replace(b"\r\n", b"\n").strip().rsplit(b"\n\n", 1)[-1]


ENDS = {
    "chat": b'data: {"error":{',
    "responses": b"event: response.failed\ndata: {",
    "anthropic": b'event: error\ndata: {"type":"error",',
    "gemini": b'data: {"error":{"code":502,',
}


@pytest.mark.parametrize(("loop", "provider"), over(MAIN))
async def test_an_agent_is_told_within_a_stream_that_it_failed(loop: Loop, provider: Provider) -> None:
    frames = provider.frames(Turn(reasoning=REASONING, calls=[loop.call]))
    begun = next(number for number, frame in enumerate(frames) if provider.is_content(frame))
    async with meeting(provider) as both:
        answer = await broken_off(both, loop, frames[: begun + 1], provider.failure(500))

    assert answer.status == 200
    assert last_event(answer.body).startswith(ENDS[loop.asked.dialect])
    assert failure(loop.asked.dialect, answer.body)


def failure(dialect: str, body: bytes) -> str:
    """The message of the error that the official client sees."""
    try:
        response = read_stream(dialect, body)
    except (openai.APIError, anthropic.APIError, google.APIError) as error:
        return str(error)
    assert response.status == "failed"
    return str(response.error.message)
