"""The official OpenAI client in a two-turn tool conversation with reasoning, over each provider's native API."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessage

from modelserver.config import Config, parse_config
from modelserver.stores.keyfile import digest
from tests.support.dialogue import CALL, REASONING, SEALS, TOOL, UPSTREAMS, Upstream, seals_in
from tests.support.front import BEARER, KEY, Front, front
from tests.support.upstream import Close, RawUpstream, chunk, sse_head

pytestmark = pytest.mark.sdk

ASKED: dict[str, Any] = {"role": "user", "content": "What is the weather in Paris?"}
EACH = [pytest.param(each, id=each.dialect) for each in UPSTREAMS]
ECHOES = [pytest.param(True, id="D45 D46 a: reasoning echoed"), pytest.param(False, id="D45 D46 b: ids only")]


def configured(upstream: RawUpstream, each: Upstream) -> Config:
    return parse_config(
        f"""
[defaults]
retries = 0
[providers.native]
base_url = "{upstream.url}"
key = "native-secret-0123456789"
speaks = ["{each.dialect}"]
[[models]]
model_id = "m"
route = "native/{each.model}"
[[keys]]
name = "alice"
hash = "sha256:{digest(KEY)}"
"""
    )


@asynccontextmanager
async def talking(each: Upstream) -> AsyncIterator[tuple[openai.AsyncOpenAI, RawUpstream, Front]]:
    async with (
        RawUpstream() as upstream,
        front(configured(upstream, each)) as server,
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=KEY, max_retries=0) as client,
    ):
        yield client, upstream, server


def following(message: ChatCompletionMessage, *, echo: bool) -> list[dict[str, Any]]:
    """The conversation with the assistant's turn and the tool's result behind it."""
    said = message.model_dump(exclude_none=True)
    if not echo:
        said = {name: said[name] for name in ("role", "tool_calls")}
    return [ASKED, said, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "21 degrees"}]


def check_call(message: ChatCompletionMessage) -> None:
    calls = message.tool_calls
    assert calls is not None
    (call,) = calls
    assert call.type == "function"
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments) == CALL
    assert message.model_extra is not None
    assert message.model_extra["reasoning_content"] == REASONING


def check_usage(usage: Any, each: Upstream) -> None:
    prompt, cached, completion, reasoning = each.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (
        prompt,
        completion,
        prompt + completion,
    )
    assert usage.prompt_tokens_details.cached_tokens == cached
    assert usage.completion_tokens_details.reasoning_tokens == reasoning


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("each", EACH)
async def test_a_tool_conversation_keeps_its_seals(each: Upstream, echo: bool) -> None:
    async with talking(each) as (client, upstream, _):
        upstream.script(each.whole(0))
        upstream.script(each.whole(1))
        first = await client.chat.completions.create(model="m", messages=[ASKED], tools=[TOOL])
        message = first.choices[0].message
        second = await client.chat.completions.create(model="m", messages=following(message, echo=echo), tools=[TOOL])

    assert first.choices[0].finish_reason == "tool_calls"
    check_call(message)
    check_usage(first.usage, each)
    assert second.choices[0].message.content == "Sunny."
    assert seals_in(each.dialect, json.loads(upstream.requests[1].body)) == [SEALS[each.dialect]]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("each", EACH)
async def test_a_streamed_tool_conversation_keeps_its_seals(each: Upstream, echo: bool) -> None:
    async with talking(each) as (client, upstream, _):
        upstream.script(each.streamed(0))
        upstream.script(each.streamed(1))
        async with client.chat.completions.stream(
            model="m", messages=[ASKED], tools=[TOOL], stream_options={"include_usage": True}
        ) as stream:
            first = await stream.get_final_completion()
        message = first.choices[0].message
        text = ""
        async for piece in await client.chat.completions.create(
            model="m", messages=following(message, echo=echo), tools=[TOOL], stream=True
        ):
            text += piece.choices[0].delta.content or ""

    assert first.choices[0].finish_reason == "tool_calls"
    check_call(message)
    check_usage(first.usage, each)
    assert text == "Sunny."
    assert seals_in(each.dialect, json.loads(upstream.requests[1].body)) == [SEALS[each.dialect]]


@pytest.mark.parametrize("each", EACH)
async def test_nothing_of_the_gateway_reaches_the_provider(each: Upstream) -> None:
    async with talking(each) as (_, upstream, server):
        upstream.script(each.whole(1))
        answer = await server.chat(headers={**BEARER, "X-Other": "x"})
        headers = {name.lower() for name, _ in upstream.requests[0].headers}

    assert answer.status == 200
    assert KEY not in upstream.requests[0].body.decode()
    assert headers <= {
        "host", "accept", "accept-encoding", "user-agent", "content-type", "content-length", "authorization",
        "anthropic-version",
    }  # fmt: skip


def finish_at(each: Upstream, frames: list[bytes]) -> int:
    """The offset of the end of the frame that says how the answer ended."""
    marks = {"anthropic": b'"message_delta"', "gemini": b'"finishReason"', "responses": b'"response.completed"'}
    at = 0
    for frame in frames:
        at += len(frame)
        if marks[each.dialect] in frame:
            return at
    raise AssertionError("no finish")


@pytest.mark.parametrize("each", EACH)
async def test_a_stream_cut_before_its_finish_is_never_complete(each: Upstream) -> None:
    """D71: at a sample of offsets, in each frame and at its ends."""
    frames = each.frames(0)
    wire = b"".join(frames)
    end = finish_at(each, frames)
    # The two line ends behind the frame are not waited for: data that is whole is an event.
    offsets = sorted({0, 1, end - 3, *range(7, end - 3, 61)})
    async with talking(each) as (_, upstream, server):
        for offset in offsets:
            upstream.script(sse_head() + (chunk(wire[:offset]) if offset else b""), Close())
            answer = await server.chat(stream=True, tools=[TOOL])
            assert b"[DONE]" not in answer.body, offset
            assert b'"error"' in answer.body, offset
            assert answer.status in (200, 502), offset
