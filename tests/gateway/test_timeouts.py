"""How long each phase may take, and what a silent stream is sent meanwhile. Time is moved by hand."""

from __future__ import annotations

import asyncio

import pytest

from modelserver.clock import settle
from modelserver.gateway.lifecycle import SWEEP_S
from tests.gateway.test_commit_point import error_in
from tests.support.scripted import (
    COMPLETE,
    DONE,
    FINISH,
    MORE,
    PING,
    ROLE,
    SILENCE,
    TEXT,
    WHOLE,
    Answer,
    Caller,
    Pause,
    Scripted,
    Step,
    at_work,
    config,
    refusal,
    stream,
    whole,
)

TIMES = """
retries = 3
keepalive = "6s"
timeout = { connect = "4s", first = "10s", whole = "20s", idle = "15s", total = "50s" }
"""
IN_JSON = "application/json"


def each(seconds: float, *pieces: bytes) -> list[Step]:
    """The pieces with time after each."""
    return [step for piece in pieces for step in (piece, Pause(seconds))]


def slowly(*pieces: Step) -> Answer:
    """A whole answer in pieces."""
    return Answer(pieces=pieces, content_type=IN_JSON)


ENDS = [
    pytest.param(Answer(before=[SILENCE]), True, 10, id="a stream without a head"),
    pytest.param(stream(SILENCE), True, 10, id="a stream without a byte"),
    pytest.param(Answer(before=[Pause(7)], pieces=[SILENCE]), True, 10, id="the head is no byte"),
    pytest.param(Answer(pieces=[SILENCE], content_type=None), True, 10, id="a stream of no type without a byte"),
    pytest.param(slowly(SILENCE), True, 10, id="JSON for a stream without a byte"),
    pytest.param(Answer(status=500, pieces=[SILENCE]), True, 10.1, id="an error without a body, and a retry"),
    pytest.param(Answer(before=[SILENCE]), False, 20, id="an answer without a head"),
    pytest.param(slowly(SILENCE), False, 20, id="an answer without a byte"),
    pytest.param(slowly(Pause(9), WHOLE[:5], SILENCE), False, 24, id="an answer that stops"),
    pytest.param(slowly(*each(14, *[WHOLE[:1]] * 9)), False, 50, id="an answer that takes for ever"),
]


@pytest.mark.parametrize(("answer", "streamed", "expected_s"), ENDS)
async def test_a_silent_provider_is_waited_for_until(answer: Answer, streamed: bool, expected_s: float) -> None:
    transport = Scripted(answer, Answer(before=[SILENCE]))
    async with at_work(config(defaults=TIMES), transport) as work:
        caller = await work.begin(stream=streamed)
        await work.clock.advance(expected_s - 0.01)
        early = caller.task.done() or transport.sends > 1
        await work.clock.advance(SWEEP_S + 0.4)
        late = caller.task.done() or transport.sends > 1
        await work.over([caller], within_s=50)
        error = await caller.error()

    assert (early, late) == (False, True)
    assert type(error).__name__ == "UpstreamTimeout"


async def test_connecting_has_its_own_limit() -> None:
    transport = Scripted(whole())
    async with at_work(config(defaults=TIMES), transport) as work:
        await (await work.begin()).body()

    assert transport.requests[0].connect_s == 4.0


async def test_a_silence_within_a_stream_ends_it_after_idle() -> None:
    async with at_work(config(defaults=TIMES), Scripted(stream(TEXT, Pause(3), MORE, SILENCE))) as work:
        caller = await work.begin(stream=True)
        await work.clock.advance(17.9)
        early = caller.task.done()
        await work.clock.advance(0.5)
        body = await caller.body()

        assert not early
        assert body.startswith(TEXT + MORE + PING + PING)
        assert error_in(body)["code"] == "upstream_timeout"
        assert work.transport.answers[0].closed


async def test_idle_counts_from_the_providers_last_byte_and_not_from_a_keepalive() -> None:
    async with at_work(config(defaults=TIMES), Scripted(stream(TEXT, SILENCE))) as work:
        caller = await work.begin(stream=True)
        await work.over([caller], within_s=16)

        assert caller.got_at_s[:-1] == [0.0, 6.0, 12.0]
        assert caller.chunks[:-1] == [TEXT, PING, PING]


async def test_comments_of_the_provider_reset_idle_and_pass() -> None:
    pings = each(5, *[PING] * 6)
    async with at_work(config(defaults=TIMES), Scripted(stream(TEXT, *pings, FINISH, DONE))) as work:
        caller = await work.begin(stream=True)
        await work.clock.advance(30)

        assert await caller.body() == TEXT + PING * 6 + FINISH + DONE


async def test_a_keepalive_is_due_where_bytes_come_but_none_can_leave() -> None:
    drops = each(2, *(MORE[at : at + 1] for at in range(6)))
    async with at_work(config(defaults=TIMES), Scripted(stream(TEXT, *drops, MORE[6:], FINISH, DONE))) as work:
        caller = await work.begin(stream=True)
        await work.clock.advance(13)

        assert await caller.body() == TEXT + PING + MORE + FINISH + DONE


async def test_keepalives_lose_no_byte() -> None:
    slow = each(14, *COMPLETE)
    async with at_work(config(defaults=TIMES), Scripted(stream(*slow[:6], *COMPLETE[3:]))) as work:
        caller = await work.begin(stream=True, stream_options={"include_usage": True})
        await work.clock.advance(45)
        body = await caller.body()

        assert body.replace(PING, b"") == b"".join(COMPLETE)
        assert body.count(PING) == 3 * 2 - 1


TOTALS = [
    pytest.param(stream(*each(1, *[TEXT] * 90)), True, id="a stream that goes on and on"),
    pytest.param(stream(TEXT, *each(1, *[PING] * 90)), True, id="a stream of comments"),
    pytest.param(refusal(429, headers={"Retry-After": "9"}), False, id="pauses"),
    pytest.param(slowly(*each(1, *[b" "] * 90)), False, id="an answer in drops"),
    pytest.param(Answer(before=[Pause(19.5)], status=500, pieces=[b"{}"]), False, id="slow errors"),
]


@pytest.mark.parametrize(("answer", "streamed"), TOTALS)
async def test_no_call_lasts_longer_than_the_total(answer: Answer, streamed: bool) -> None:
    async with at_work(config(defaults=TIMES.replace("retries = 3", "retries = 90")), Scripted(answer)) as work:
        caller = await work.begin(stream=streamed)
        await work.over([caller], within_s=50 + SWEEP_S)

        assert caller.call.error is not None


async def test_a_stream_that_never_has_to_be_waited_for_ends_at_the_total_too() -> None:
    async with at_work(config(defaults=TIMES), Scripted(stream(*[TEXT] * 500))) as work:

        async def consume(_: bytes) -> None:
            await work.clock.sleep(1)

        caller = await work.begin(stream=True, consume=consume)
        await work.over([caller], within_s=53)
        body = await caller.body()

        assert error_in(body)["code"] == "upstream_timeout"


async def test_the_total_counts_from_the_start_of_the_call() -> None:
    async with at_work(config(defaults=TIMES), Scripted(Answer(before=[SILENCE]))) as work:
        call = work.new_call()
        call.started_s -= 45
        caller = Caller(work.gateway, call)
        await work.over([caller], within_s=5 + SWEEP_S)

        assert type(await caller.error()).__name__ == "UpstreamTimeout"


async def test_the_total_holds_in_line_too() -> None:
    transport = Scripted(stream(TEXT, SILENCE))
    settings = config(defaults=TIMES.replace('idle = "15s"', 'idle = "100s"'), provider="concurrency = 1")
    async with at_work(settings, transport) as work:
        first = await work.begin(stream=True)
        await work.clock.advance(30)
        second = await work.begin()
        await work.clock.advance(20.3)
        first_error = error_in(await first.body())
        await settle()

        assert first_error["code"] == "upstream_timeout"
        assert transport.sends == 2  # its place is the second one's
        await work.over([second], within_s=30)
        assert type(await second.error()).__name__ == "UpstreamTimeout"
        assert work.clock.now_s() <= 80.5


async def test_a_slow_client_does_not_make_the_provider_look_silent() -> None:
    released = asyncio.Event()

    async def consume(chunk: bytes) -> None:
        if chunk == TEXT:
            await work.clock.sleep(20)

    async with at_work(
        config(defaults=TIMES), Scripted(stream(TEXT, Pause(0.1), released, MORE, FINISH, DONE))
    ) as work:
        caller = await work.begin(stream=True, consume=consume)
        await work.clock.advance(22)
        released.set()
        await settle()

        assert (await caller.body()).replace(PING, b"") == TEXT + MORE + FINISH + DONE


async def test_a_retry_has_the_whole_time_for_its_first_byte_again() -> None:
    slow = Answer(before=[Pause(8)], status=500)
    transport = Scripted(slow, slow, Answer(before=[Pause(8)], pieces=COMPLETE))
    async with at_work(config(defaults=TIMES), transport) as work:
        caller = await work.begin(stream=True)
        await work.clock.advance(26)

        assert (await caller.body()).startswith(ROLE)


async def test_a_pause_that_ends_with_the_total_gives_the_fault() -> None:
    transport = Scripted(refusal(503, headers={"Retry-After": "2"}))
    async with at_work(config(defaults='timeout.total = "2s"'), transport) as work:
        caller = await work.begin()

        assert type(await caller.error()).__name__ == "UpstreamOverloaded"
