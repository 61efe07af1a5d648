"""`gateway.chat` and `gateway.chat_stream`: the gateway for the program it is embedded in."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from contextlib import aclosing
from typing import Any

import pytest

from modelserver.clock import settle
from modelserver.config import Limits
from modelserver.errors import GatewayError, InvalidRequest, NotFound, RateLimited, Unavailable, UpstreamFailed
from modelserver.policy.principals import Principal, Scope
from tests.support.scripted import (
    COMPLETE,
    DONE,
    FINISH,
    MESSAGES,
    MORE,
    PING,
    ROLE,
    SILENCE,
    TEXT,
    USAGE,
    WHOLE,
    Answer,
    Pause,
    Scripted,
    Work,
    at_work,
    config,
    refusal,
    stream,
    whole,
)

BODY: dict[str, Any] = {"model": "m", "messages": MESSAGES}
BROKEN = UpstreamFailed("The provider broke off in the middle of its answer.", code="upstream_error")


def limited(**limits: int) -> Principal:
    scope = Scope(kind="key", name="alice", limits=Limits(**limits))
    return Principal(key="alice", user="alice", group="default", scopes=(scope,))


async def chunks_of(work: Work, **fields: Any) -> list[Any]:
    async with asyncio.timeout(5):
        return [chunk async for chunk in work.gateway.chat_stream({**BODY, **fields})]


async def collect(work: Work, chunks: list[Any]) -> None:
    async for chunk in work.gateway.chat_stream(BODY):
        chunks.append(chunk)


def texts(chunks: list[Any]) -> str:
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])


async def test_chat_gives_the_answer() -> None:
    async with at_work(config(), Scripted(whole())) as work:
        answer = await work.gateway.chat(BODY)

    assert answer["choices"][0]["message"]["content"] == "Hello"
    assert b'"stream":false' in (work.transport.requests[0].body or b"")


async def test_chat_gives_the_one_answer_that_json_of_our_kind_can_not_read() -> None:
    lone = WHOLE.replace(b"Hello", rb"\ud83d")
    async with at_work(config(), Scripted(whole(lone))) as work:
        answer = await work.gateway.chat(BODY)

    assert answer["choices"][0]["message"]["content"] == "\ud83d"


async def test_chat_stream_gives_the_chunks_as_they_come() -> None:
    async with at_work(config(), Scripted(stream(PING, *COMPLETE))) as work:
        chunks = await chunks_of(work, stream_options={"include_usage": True})

    assert texts(chunks) == "Hello world"
    assert chunks[-1]["usage"] == {"prompt_tokens": 7, "completion_tokens": 2}
    assert len(chunks) == 5


async def test_chat_stream_gives_what_json_of_our_kind_can_not_read() -> None:
    lone = TEXT.replace(b"Hello wor", rb"\ud83d")
    async with at_work(config(), Scripted(stream(ROLE, lone, FINISH, DONE))) as work:
        chunks = await chunks_of(work)

    assert texts(chunks) == "\ud83d"


async def test_an_answer_that_came_whole_is_chunks_as_well() -> None:
    async with at_work(config(), Scripted(whole())) as work:
        chunks = await chunks_of(work)

    assert texts(chunks) == "Hello"


async def test_chunks_are_there_before_the_next_ones_are() -> None:
    going_on = asyncio.Event()
    async with (
        at_work(config(), Scripted(stream(ROLE + TEXT, going_on, FINISH, DONE))) as work,
        aclosing(work.gateway.chat_stream(BODY)) as chunks,
    ):
        first = [await anext(chunks), await anext(chunks)]
        going_on.set()
        rest = [chunk async for chunk in chunks]

    assert (texts(first), len(rest)) == ("Hello wor", 1)


REFUSED = [
    pytest.param({"model": "none"}, NotFound, id="an unknown model"),
    pytest.param({"messages": "Hi"}, InvalidRequest, id="a field of the wrong type"),
    pytest.param({"messages": object()}, InvalidRequest, id="what is no JSON"),
    pytest.param({5: 5}, InvalidRequest, id="a name that is no string"),
    pytest.param({"seed": 2**70}, InvalidRequest, id="a number that is too large"),
    pytest.param({"user": "\ud83d"}, InvalidRequest, id="a text that is none"),
]


@pytest.mark.parametrize(("fields", "expected"), REFUSED)
async def test_what_is_wrong_is_raised(fields: dict[Any, Any], expected: type[GatewayError]) -> None:
    async with at_work(config(), Scripted(whole())) as work:
        with pytest.raises(expected):
            await work.gateway.chat({**BODY, **fields})
        with pytest.raises(expected):
            [chunk async for chunk in work.gateway.chat_stream({**BODY, **fields})]

    assert work.transport.sends == 0


async def test_what_is_wrong_with_the_provider_is_raised() -> None:
    async with at_work(config(defaults="retries = 0"), Scripted(refusal(500))) as work:
        with pytest.raises(UpstreamFailed):
            await work.gateway.chat(BODY)
        with pytest.raises(UpstreamFailed):
            await chunks_of(work)


MIDDLES = [
    pytest.param([ROLE, TEXT, BROKEN], "Hello wor", id="a break"),
    pytest.param([ROLE, TEXT], "Hello wor", id="a clean end"),
    pytest.param([ROLE, TEXT, MORE + b"data: {nonsense\n\n"], "Hello world", id="nonsense behind a good event"),
    pytest.param([ROLE, TEXT, b'data: {"error": {"message": "no", "code": 500}}\n\n'], "Hello wor", id="an error"),
]


@pytest.mark.parametrize(("pieces", "expected"), MIDDLES)
async def test_a_stream_that_fails_in_the_middle_raises_after_what_came(pieces: list[Any], expected: str) -> None:
    chunks: list[Any] = []
    async with at_work(config(), Scripted(stream(*pieces))) as work:
        with pytest.raises(UpstreamFailed):
            await collect(work, chunks)

    assert texts(chunks) == expected


async def test_closing_the_iterator_closes_the_upstream() -> None:
    async with at_work(config(), Scripted(stream(ROLE, TEXT, SILENCE))) as work:
        chunks = work.gateway.chat_stream(BODY)
        await anext(chunks)
        open_before = work.transport.open
        await chunks.aclose()

        assert (open_before, work.transport.open, work.gateway.open_calls) == (1, 0, 0)


async def test_dropping_the_iterator_closes_the_upstream() -> None:
    async with at_work(config(), Scripted(stream(ROLE, TEXT, SILENCE))) as work:
        async for _ in work.gateway.chat_stream(BODY):
            break
        gc.collect()
        await settle()

        assert (work.transport.open, work.gateway.open_calls) == (0, 0)


async def test_an_iterator_that_nobody_asks_does_nothing() -> None:
    async with at_work(config(), Scripted(whole())) as work:
        chunks = work.gateway.chat_stream(BODY)
        await chunks.aclose()

        assert (work.transport.sends, work.gateway.open_calls) == (0, 0)


@pytest.mark.parametrize("answer", [Answer(before=[SILENCE]), stream(SILENCE), stream(ROLE, TEXT, SILENCE)])
@pytest.mark.parametrize("early", ["", 'early_commit = "0s"'], ids=["", "early commit"])
async def test_cancelling_the_caller_closes_the_upstream(answer: Answer, early: str) -> None:
    async with at_work(config(defaults=early), Scripted(answer)) as work:
        task = asyncio.create_task(chunks_of(work))
        await settle()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await settle()

        assert task.cancelled()
        assert work.left_over() == {}


async def test_cancelling_a_whole_call_closes_the_upstream() -> None:
    async with at_work(
        config(), Scripted(Answer(pieces=[WHOLE[:9], SILENCE], content_type="application/json"))
    ) as work:
        task = asyncio.create_task(work.gateway.chat(BODY))
        await settle()
        task.cancel()
        await asyncio.wait([task])

        assert task.cancelled()
        assert work.left_over() == {}


async def test_limits_hold_for_calls_of_the_program_too() -> None:
    alice = limited(rpm=1)
    async with at_work(config(), Scripted(whole())) as work:
        await work.gateway.chat(BODY, principal=alice)
        with pytest.raises(RateLimited):
            await work.gateway.chat(BODY, principal=alice)
        with pytest.raises(RateLimited):
            await anext(work.gateway.chat_stream(BODY, principal=alice))
        await work.gateway.chat(BODY)

    assert work.transport.sends == 2


async def test_a_stream_holds_its_slot_until_it_is_closed() -> None:
    alice = limited(concurrency=1)
    async with at_work(config(), Scripted(stream(ROLE, TEXT, SILENCE), whole())) as work:
        chunks = work.gateway.chat_stream(BODY, principal=alice)
        await anext(chunks)
        with pytest.raises(RateLimited):
            await work.gateway.chat(BODY, principal=alice)
        await chunks.aclose()

        assert await work.gateway.chat(BODY, principal=alice)


@pytest.mark.parametrize("answer", [refusal(400), stream(ROLE, TEXT, BROKEN), stream(*COMPLETE), whole()])
async def test_a_slot_is_given_back_however_the_call_ends(answer: Answer) -> None:
    alice = limited(concurrency=1)
    async with at_work(config(), Scripted(answer)) as work:
        for _ in range(2):
            with contextlib.suppress(UpstreamFailed, InvalidRequest):
                async for _ in work.gateway.chat_stream(BODY, principal=alice):
                    pass

    assert work.transport.sends == 2


async def test_keepalives_are_none_of_the_callers_business() -> None:
    async with at_work(config(defaults='keepalive = "1s"'), Scripted(stream(TEXT, Pause(5), FINISH, DONE))) as work:
        task = asyncio.create_task(chunks_of(work))
        await work.clock.advance(5)

        assert len(await task) == 2


async def test_the_program_s_calls_end_with_the_server() -> None:
    async with at_work(config(), Scripted(stream(ROLE, TEXT, SILENCE))) as work:
        task = asyncio.create_task(chunks_of(work))
        await settle()
        ending = asyncio.create_task(work.gateway.end_calls(0))
        await work.clock.advance(0.1)
        await ending
        with pytest.raises(Unavailable):
            await task


async def test_the_model_is_the_one_that_was_asked_for() -> None:
    renamed = '[[models]]\nmodel_id = "house"\nroute = "up/inner"'
    async with at_work(config(more=renamed), Scripted(stream(*COMPLETE, USAGE), whole())) as work:
        chunks = await chunks_of(work, model="house")
        answer = await work.gateway.chat({**BODY, "model": "house"})

    assert {chunk["model"] for chunk in chunks} == {"house"}
    assert answer["model"] == "house"
