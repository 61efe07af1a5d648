"""How calls end when the server does."""

from __future__ import annotations

import asyncio

import pytest

from modelserver.clock import settle
from modelserver.errors import Unavailable
from modelserver.gateway.gateway import Gateway
from tests.gateway.test_commit_point import error_in
from tests.support.scripted import (
    COMPLETE,
    ROLE,
    SILENCE,
    TEXT,
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


def drain(work: Work, grace_s: float) -> asyncio.Task[None]:
    return asyncio.create_task(work.gateway.end_calls(grace_s))


async def test_an_idle_gateway_drains_at_once() -> None:
    async with at_work(config(), Scripted(whole())) as work:
        draining = drain(work, 60)
        await settle()

        assert draining.done()
        assert work.gateway.draining


async def test_calls_may_finish_within_the_grace() -> None:
    transport = Scripted(stream(TEXT, Pause(5), *COMPLETE[2:]))
    async with at_work(config(), transport) as work:
        caller = await work.begin(stream=True)
        draining = drain(work, 10)
        await work.clock.advance(4.9)
        early = draining.done()
        await work.clock.advance(0.2)

        assert (early, draining.done()) == (False, True)
        assert (await caller.body()).endswith(COMPLETE[-1])
        assert caller.call.error is None


PHASES = [
    pytest.param(Answer(before=[SILENCE]), id="before the head"),
    pytest.param(stream(SILENCE), id="before the first byte"),
    pytest.param(stream(ROLE, SILENCE), id="before the commit point"),
    pytest.param(refusal(429), id="in a pause"),
    pytest.param(Answer(status=500, pieces=[SILENCE]), id="in the body of an error"),
]


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("answer", PHASES)
async def test_a_call_that_is_not_committed_gets_its_status(answer: Answer, streamed: bool) -> None:
    async with at_work(config(), Scripted(answer)) as work:
        caller = await work.begin(stream=streamed)
        draining = drain(work, 0.5)
        await work.clock.advance(0.6)
        error = await caller.error()

        assert (type(error), error.code, error.retry_after_s) == (Unavailable, "draining", 5)
        await work.clock.advance(0.1)
        assert draining.done()
    assert work.transport.sends == 1


async def test_a_stream_is_ended_with_an_error_event() -> None:
    async with at_work(config(), Scripted(stream(ROLE, TEXT, SILENCE))) as work:
        caller = await work.begin(stream=True)
        draining = drain(work, 3)
        await work.clock.advance(2.9)
        early = caller.task.done()
        await work.clock.advance(0.3)
        body = await caller.body()
        await draining

        assert not early
        assert body.startswith(ROLE + TEXT)
        assert error_in(body)["code"] == "draining"
        assert caller.call.usage_estimated


async def test_a_stream_that_never_waits_is_ended_too() -> None:
    async with at_work(config(), Scripted(stream(*[TEXT] * 2000))) as work:

        async def consume(_: bytes) -> None:
            await work.clock.sleep(0.01)

        caller = await work.begin(stream=True, consume=consume)
        draining = drain(work, 1)
        await work.clock.advance(1.2)
        body = await caller.body()
        await draining

        assert error_in(body)["code"] == "draining"


async def test_a_call_in_line_is_ended_too() -> None:
    async with at_work(config(provider="concurrency = 1"), Scripted(stream(TEXT, SILENCE))) as work:
        first = await work.begin(stream=True)
        second = await work.begin(stream=True)
        draining = drain(work, 0)
        await work.clock.advance(0.1)

        assert error_in(await first.body())["code"] == "draining"
        assert (await second.error()).code == "draining"
        await draining
    assert work.transport.sends == 1


async def test_calls_are_served_while_others_finish_and_refused_afterwards() -> None:
    transport = Scripted(stream(TEXT, SILENCE), whole())
    async with at_work(config(), transport) as work:
        first = await work.begin(stream=True)
        draining = drain(work, 5)
        await work.clock.advance(1)
        served = await (await work.begin()).body()
        await work.clock.advance(4.1)
        late = await work.begin()
        refused = await late.error()
        await first.body()
        await draining

        assert (served, refused.code, late.call.attempts) == (WHOLE, "draining", 0)


async def test_no_call_slips_in_while_the_last_ones_are_ended() -> None:
    async with at_work(config(), Scripted(stream(TEXT, SILENCE))) as work:

        async def consume(chunk: bytes) -> None:
            if b"error" in chunk:
                await work.clock.sleep(0.5)

        first = await work.begin(stream=True, consume=consume)
        draining = drain(work, 0)
        await work.clock.advance(0.2)
        late = await work.begin(stream=True)
        error = await late.error()
        await work.clock.advance(1)
        await asyncio.gather(draining, first.over())

        assert error.code == "draining"


async def test_a_call_that_does_not_end_is_waited_for_a_second() -> None:
    released = asyncio.Event()
    async with at_work(config(), Scripted(stream(TEXT, SILENCE))) as work:

        async def consume(chunk: bytes) -> None:
            if b"error" in chunk:
                await released.wait()

        caller = await work.begin(stream=True, consume=consume)
        draining = drain(work, 0)
        await work.clock.advance(0.9)
        early = draining.done()
        await work.clock.advance(0.3)
        late = draining.done()
        released.set()
        await caller.over()

        assert (early, late) == (False, True)


async def test_a_drain_that_is_cut_short_ends_the_calls() -> None:
    async with at_work(config(), Scripted(stream(TEXT, SILENCE))) as work:
        caller = await work.begin(stream=True)
        draining = drain(work, 60)
        await work.clock.advance(1)
        draining.cancel()
        await settle()

        assert error_in(await caller.body())["code"] == "draining"


async def test_beginning_to_drain_changes_nothing_for_calls() -> None:
    async with at_work(config(), Scripted(whole())) as work:
        work.gateway.begin_drain()

        assert await (await work.begin()).body() == WHOLE
        assert work.gateway.draining


@pytest.mark.parametrize("answer", PHASES)
async def test_a_gateway_that_is_closed_leaves_no_call_waiting(answer: Answer) -> None:
    transport = Scripted(answer)
    async with Gateway.open(config(), clock=transport.clock, transport=transport) as gateway:
        waiting = asyncio.create_task(gateway.chat({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}))
        await settle()
    async with asyncio.timeout(5):
        await asyncio.wait([waiting])

    assert isinstance(waiting.exception(), Unavailable)
    assert transport.open == 0


async def test_a_body_that_is_being_read_is_a_call_too() -> None:
    async with at_work(config(), Scripted(whole())) as work:
        watch = work.gateway.watch()
        reading = asyncio.create_task(watch.wait(asyncio.Event().wait()))
        await settle()
        counted = work.gateway.open_calls
        draining = drain(work, 0)
        await settle()
        work.gateway.unwatch(watch)
        await work.clock.advance(0.1)
        await draining

        assert counted == 1
        assert isinstance(reading.exception(), Unavailable)
