"""Calls through the neutral model: what is sent, what comes back, and what happens when the provider fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from modelserver.clock import settle
from modelserver.config import parse_config
from modelserver.dialects.openai_chat import CHAT
from modelserver.errors import ClientLeft, GatewayError, UpstreamFailed
from modelserver.gateway.gateway import Gateway
from modelserver.ports import Fetched
from tests.support.dialogue import (
    ANTHROPIC,
    CALL,
    GEMINI,
    REASONING,
    TOOL,
    UPSTREAMS,
    Upstream,
)
from tests.support.native import ASKED, answered, native, say, status_and_param, to_finish
from tests.support.scripted import SILENCE, Answer, Scripted, Work, at_work, refusal, stream

EACH = [pytest.param(each, id=each.dialect) for each in UPSTREAMS]
STREAMED = [pytest.param(False, id="whole"), pytest.param(True, id="streamed")]
BROKEN = UpstreamFailed("The provider closed the connection in its answer.", code="upstream_error")
DONE = b"data: [DONE]\n\n"


# What is sent


ADDRESSES = [
    pytest.param("https://h.invalid", "anthropic", "https://h.invalid/v1/messages", id="a bare host"),
    pytest.param("https://h.invalid/v1", "anthropic", "https://h.invalid/v1/messages", id="the version twice"),
    pytest.param("https://h.invalid/a/v1", "anthropic", "https://h.invalid/a/v1/messages", id="below a path"),
    pytest.param("https://h.invalid/v1", "gemini", "https://h.invalid/v1beta/models/x:generateContent", id="another"),
    pytest.param(
        "https://h.invalid/v1beta", "gemini", "https://h.invalid/v1beta/models/x:generateContent", id="Gemini's own"
    ),
    pytest.param(
        "https://h.invalid/v1beta/openai",
        "gemini",
        "https://h.invalid/v1beta/models/x:generateContent",
        id="Google's address for OpenAI's dialects",
    ),
    pytest.param("https://h.invalid/v1", "responses", "https://h.invalid/v1/responses", id="no version in the path"),
]


@pytest.mark.parametrize(("base_url", "dialect", "expected"), ADDRESSES)
async def test_the_version_stands_once_in_an_address(base_url: str, dialect: str, expected: str) -> None:
    """A provider that speaks Chat too has the version in its base URL, whether it was written there or not."""
    settings = parse_config(
        f"""
[defaults]
retries = 0
[providers.up]
base_url = "{base_url}"
speaks = ["chat", "{dialect}"]
[[models]]
model_id = "m"
route = "up/x"
speaks = ["{dialect}"]
"""
    )
    transport = Scripted(refusal(500))
    async with at_work(settings, transport) as work:
        await work.call().error()

    assert transport.requests[0].url == expected


class Fetching:
    """A fetcher that has one picture, whatever is asked."""

    async def fetch(self, url: str, *, arrived: Callable[[int], None]) -> Fetched:
        return Fetched(media_type="text/html", data=b"<html>")


async def test_media_that_can_not_be_inlined_is_named_by_the_path_that_the_client_wrote() -> None:
    part = {"type": "image_url", "image_url": {"url": "https://pictures.invalid/cat.png"}}
    body = {"model": "m", "messages": [{"role": "system", "content": "x"}, {"role": "user", "content": [part]}]}
    transport = Scripted(answered(GEMINI))
    async with Gateway.open(native(GEMINI), clock=transport.clock, transport=transport, fetcher=Fetching()) as gateway:
        with pytest.raises(GatewayError) as caught:
            await gateway.chat(body)

    assert caught.value.param == "messages[1].content[0].image_url"
    assert transport.sends == 0


LOSSY: dict[str, Any] = {
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "logit_bias": {"1": 5},
    "prediction": {"type": "content", "content": "x"},
}


@pytest.mark.parametrize("streamed", STREAMED)
async def test_what_is_lost_is_said_once_and_in_order(streamed: bool) -> None:
    async with at_work(native(ANTHROPIC), Scripted(answered(ANTHROPIC, streamed=streamed))) as work:
        await say(work, stream=streamed, **LOSSY)
        losses = work.callers[0].call.losses

    assert losses == ("field_dropped:logit_bias", "field_dropped:prediction", "penalties_dropped")


@pytest.mark.parametrize("each", EACH)
async def test_an_ignored_field_is_said_once(each: Upstream) -> None:
    async with at_work(native(each), Scripted(answered(each))) as work:
        await say(work, prediction=LOSSY["prediction"])

        assert work.callers[0].call.losses == ("field_dropped:prediction",)


@pytest.mark.parametrize("each", EACH)
async def test_under_refuse_a_loss_is_an_error_that_names_the_field(each: Upstream) -> None:
    settings = native(each, defaults='retries = 0\nunsupported = "refuse"')
    async with at_work(settings, Scripted(answered(each))) as work:
        error = await work.call(prediction={"type": "content", "content": "x"}).error()

        assert work.transport.sends == 0
    status, _, param = status_and_param(error)
    assert (status, param) == (400, "prediction")


@pytest.mark.parametrize("each", EACH)
async def test_a_field_that_can_not_cross_is_refused_by_its_name(each: Upstream) -> None:
    async with at_work(native(each), Scripted(answered(each))) as work:
        error = await work.call(response_format={"type": "grammar"}).error()

        assert work.transport.sends == 0
    assert status_and_param(error) == (400, "unsupported_parameter", "response_format.type")
    assert "response_format.type is not supported" in error.message


# What comes back


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("each", EACH)
async def test_usage_is_counted_alike_for_every_provider(each: Upstream, streamed: bool) -> None:
    """D59"""
    async with at_work(native(each), Scripted(answered(each, streamed=streamed))) as work:
        await say(work, stream=streamed)
        call = work.callers[0].call

    assert call.usage is not None
    usage = call.usage
    assert (usage.input, usage.cache_read, usage.output, usage.reasoning) == each.usage
    assert not call.usage_estimated


@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=utf-8", None])
@pytest.mark.parametrize("each", EACH)
async def test_a_whole_answer_becomes_the_stream_that_was_asked_for(each: Upstream, content_type: str | None) -> None:
    answer = Answer(pieces=[json.dumps(each.first).encode()], content_type=content_type)
    async with at_work(native(each), Scripted(answer)) as work:
        got = await say(work, stream=True)
        call = work.callers[0].call

    assert got.endswith(DONE)
    assert got.count(b"[DONE]") == 1
    assert REASONING.encode() in got
    assert call.usage is not None
    assert (call.usage.input, call.usage.output) == (120, 30)


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "application/json", None])
@pytest.mark.parametrize("each", EACH)
async def test_a_stream_is_known_by_its_bytes(each: Upstream, content_type: str | None) -> None:
    answer = Answer(pieces=each.frames(0), content_type=content_type)
    async with at_work(native(each), Scripted(answer)) as work:
        got = await say(work, stream=True)

        assert got.endswith(DONE)
        assert len(work.callers[0].chunks) > 2, "it was relayed as it came"


async def test_the_array_that_gemini_streams_without_sse_is_a_stream() -> None:
    chunks = [json.dumps(data).encode() for _, data in GEMINI.first_stream]
    pieces = [b"[" + chunks[0], *(b"\n,\r\n" + each for each in chunks[1:]), b"]"]
    answer = Answer(pieces=pieces, content_type="application/json; charset=UTF-8")
    async with at_work(native(GEMINI), Scripted(answer)) as work:
        got = await say(work, stream=True)

        assert got.endswith(DONE)
        assert len(work.callers[0].chunks) > 2


@pytest.mark.parametrize("each", EACH)
async def test_the_gateway_answers_in_process(each: Upstream) -> None:
    transport = Scripted(answered(each), answered(each, streamed=True))
    async with at_work(native(each), transport) as work:
        whole = await work.gateway.chat({"model": "m", "messages": [ASKED], "tools": [TOOL]})
        pieces = [
            piece async for piece in work.gateway.chat_stream({"model": "m", "messages": [ASKED], "tools": [TOOL]})
        ]

    message = whole["choices"][0]["message"]
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == CALL
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    deltas = [piece["choices"][0]["delta"] for piece in pieces if piece["choices"]]
    said = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert json.loads("".join(call["function"].get("arguments", "") for call in said)) == CALL
    assert [piece["choices"][0]["finish_reason"] for piece in pieces if piece["choices"]][-1] == "tool_calls"


# Streams that do not come to their end


ENDS = [pytest.param((), id="closed"), pytest.param((BROKEN,), id="broken")]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("each", EACH)
async def test_a_stream_that_is_cut_behind_its_finish_is_complete(each: Upstream, end: tuple[UpstreamFailed]) -> None:
    async with at_work(native(each), Scripted(stream(to_finish(each), *end))) as work:
        got = await say(work, stream=True)
        call = work.callers[0].call

    assert got.endswith(DONE)
    assert b'"error"' not in got
    assert call.error is None
    assert call.usage is not None
    assert (call.usage.input, call.usage.output) == (120, 30)


async def check_cut(each: Upstream, work: Work, offset: int, end: tuple[UpstreamFailed, ...]) -> None:
    wire = to_finish(each)[:offset]
    work.transport.script(stream(*([wire] if wire else []), *end))
    caller = work.call(messages=[ASKED], tools=[TOOL], stream=True)
    await caller.over()
    error = caller.task.exception()
    if error is not None:
        assert isinstance(error, GatewayError), offset
        assert CHAT.encode_error(error)[0] == 502, offset
        assert caller.got == b""
        return
    *_, last = caller.got.removesuffix(b"\n\n").split(b"\n\n")
    # A cut in the middle of `data:` looks like a line that no stream has.
    code = json.loads(last.removeprefix(b"data: "))["error"]["code"]
    assert code in ("upstream_error", "upstream_invalid_response"), offset
    assert b"[DONE]" not in caller.got, offset
    assert caller.call.error is not None, offset


async def check_cuts(each: Upstream, end: tuple[UpstreamFailed, ...], step: int) -> None:
    # The two line ends behind the frame, and the bracket before them, are not waited for: what is whole is an event.
    last = len(to_finish(each)) - 3
    async with at_work(native(each), Scripted()) as work:
        for offset in sorted({*range(0, last, step), last}):
            await check_cut(each, work, offset, end)
            work.callers.clear()


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("each", EACH)
async def test_a_stream_that_is_cut_before_its_finish_fails(each: Upstream, end: tuple[UpstreamFailed, ...]) -> None:
    """D71, at a sample of the offsets"""
    await check_cuts(each, end, step=53)


@pytest.mark.deep
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("each", EACH)
async def test_a_stream_that_is_cut_anywhere_before_its_finish_fails(
    each: Upstream, end: tuple[UpstreamFailed, ...]
) -> None:
    """D71, at every offset"""
    await check_cuts(each, end, step=1)


@pytest.mark.parametrize("each", EACH)
async def test_a_client_that_leaves_is_metered_and_takes_the_upstream_along(each: Upstream) -> None:
    """D63: with what was reported, and the text's size where the output's count was only a beginning."""
    frames = each.frames(0)[:-4] if each.dialect != "gemini" else each.frames(0)[:2]
    left = False
    async with at_work(native(each), Scripted(stream(*frames, SILENCE))) as work:
        caller = await work.begin(messages=[ASKED], tools=[TOOL], stream=True, has_left=lambda: left)
        assert caller.committed
        left = True
        await work.clock.advance(1.0)
        assert caller.task.done()
        assert isinstance(caller.task.exception(), ClientLeft)
        call = caller.call

        assert work.transport.answers[0].closed
    assert call.usage is not None
    assert call.usage_estimated
    assert call.usage.input == (120 if each.dialect == "anthropic" else pytest.approx(call.prompt_bytes / 4, abs=1))
    assert call.usage.output is not None
    assert call.usage.output >= len(REASONING) // 4


@pytest.mark.parametrize("each", EACH)
async def test_a_caller_that_is_cancelled_takes_the_upstream_along(each: Upstream) -> None:
    async with at_work(native(each), Scripted(stream(*each.frames(0)[:2], SILENCE))) as work:
        caller = await work.begin(messages=[ASKED], tools=[TOOL], stream=True)
        caller.task.cancel()
        await settle()
        with pytest.raises(asyncio.CancelledError):
            caller.task.result()

        assert work.transport.open == 0
