"""Streams that are begun before the provider has said anything, with every outcome."""

from __future__ import annotations

import asyncio
import gc

import pytest

from modelserver.clock import settle
from modelserver.errors import UpstreamFailed
from modelserver.gateway.call import StreamReply
from tests.gateway.test_commit_point import error_in
from tests.support.scripted import (
    COMPLETE,
    DONE,
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
    failing,
    refusal,
    stream,
    whole,
)

EARLY = """
early_commit = "2s"
keepalive = "5s"
retries = 1
timeout = { first = "20s", idle = "20s", total = "60s" }
"""
BROKEN = UpstreamFailed("The provider broke off in the middle of its answer.", code="upstream_error")
COMPLETED = b"".join(COMPLETE)
USAGE_WANTED = {"stream_options": {"include_usage": True}}


def after(seconds: float, *pieces: Step) -> Answer:
    """A stream whose head takes its time."""
    return Answer(before=[Pause(seconds)], pieces=pieces)


PROMPT = [
    pytest.param(after(1, *COMPLETE), COMPLETED, id="a stream"),
    pytest.param(stream(Pause(1.9), *COMPLETE), COMPLETED, id="a stream whose head came first"),
]


@pytest.mark.parametrize(("answer", "expected"), PROMPT)
async def test_an_answer_within_the_time_is_as_ever(answer: Answer, expected: bytes) -> None:
    async with at_work(config(defaults=EARLY), Scripted(answer)) as work:
        caller = await work.begin(stream=True, **USAGE_WANTED)
        await work.clock.advance(2)

        assert await caller.body() == expected


async def test_a_failure_within_the_time_has_its_true_status() -> None:
    async with at_work(config(defaults=EARLY), Scripted(refusal(400))) as work:
        caller = await work.begin(stream=True)

        assert type(await caller.error()).__name__ == "InvalidRequest"


async def test_a_whole_answer_is_not_begun_early() -> None:
    transport = Scripted(Answer(before=[Pause(10)], pieces=[WHOLE], content_type="application/json"))
    async with at_work(config(defaults=EARLY), transport) as work:
        caller = await work.begin()
        await work.clock.advance(9)
        committed = caller.committed
        await work.clock.advance(1)

        assert (committed, await caller.body()) == (False, WHOLE)


OUTCOMES = [
    pytest.param([after(13, *COMPLETE)], COMPLETED, None, id="a stream"),
    pytest.param([stream(ROLE, Pause(13), *COMPLETE[1:])], COMPLETED, None, id="a stream that hesitates"),
    pytest.param([refusal(500), after(13, *COMPLETE)], COMPLETED, None, id="a stream after a retry"),
    pytest.param([after(13, TEXT, BROKEN)], TEXT, "upstream_error", id="a stream that breaks"),
    pytest.param([Answer(before=[Pause(13)], status=400)], b"", None, id="a refusal"),
    pytest.param([Answer(before=[Pause(13)], status=401)], b"", "upstream_auth_error", id="a key refused"),
    pytest.param([Answer(before=[Pause(6), BROKEN])], b"", "upstream_error", id="no answer, twice"),
    pytest.param([Answer(before=[SILENCE])], b"", "upstream_timeout", id="silence"),
    pytest.param([stream(SILENCE)], b"", "upstream_timeout", id="a head and silence"),
]


@pytest.mark.parametrize(("answers", "passed", "code"), OUTCOMES)
async def test_an_answer_that_is_late_comes_after_keepalives(
    answers: list[Answer], passed: bytes, code: str | None
) -> None:
    async with at_work(config(defaults=EARLY), Scripted(*answers)) as work:
        caller = await work.begin(stream=True, **USAGE_WANTED)
        await work.clock.advance(1.9)
        early = caller.committed
        await work.clock.advance(5.2)
        first, second = caller.got_at_s[:2]
        await work.over([caller], within_s=30)
        body = (await caller.body()).replace(PING, b"")

        assert not early
        assert (caller.chunks[0], first) == (PING, 2.0)
        assert second - first <= 5.0
        assert body.startswith(passed)
        if passed != COMPLETED:
            assert error_in(body)["code"] == code
            assert caller.call.error is not None
            assert DONE not in body
        else:
            assert (body, caller.call.error) == (COMPLETED, None)
        assert caller.call.first_byte_s == 2.0


async def test_json_that_is_late_becomes_a_stream_too() -> None:
    transport = Scripted(Answer(before=[Pause(6)], pieces=[WHOLE], content_type="application/json"))
    async with at_work(config(defaults=EARLY), transport) as work:
        caller = await work.begin(stream=True)
        await work.clock.advance(6)
        body = await caller.body()

        assert body.startswith(PING + b"data: ")
        assert body.endswith(DONE)


async def test_only_an_answer_is_charged() -> None:
    async with at_work(config(defaults=EARLY), Scripted(Answer(before=[Pause(6)], status=400))) as work:
        caller = await work.begin(stream=True)
        await work.clock.advance(6)
        await caller.body()

        assert caller.call.usage is None


async def test_a_stream_may_begin_at_once() -> None:
    async with at_work(config(defaults='early_commit = "0s"'), Scripted(after(6, *COMPLETE))) as work:
        caller = await work.begin(stream=True)
        seen = caller.got
        await work.clock.advance(6)
        await caller.body()

        assert seen == PING


async def test_waiting_in_line_is_silence_as_well() -> None:
    transport = Scripted(stream(TEXT, Pause(8), *COMPLETE[2:]), stream(*COMPLETE))
    async with at_work(config(defaults=EARLY, provider="concurrency = 1"), transport) as work:
        await work.begin(stream=True)
        second = await work.begin(stream=True, **USAGE_WANTED)
        await work.clock.advance(2)
        seen = second.got
        await work.clock.advance(6)

        assert seen == PING
        assert await second.body() == PING + PING + COMPLETED


async def test_a_place_that_does_not_come_is_said_within_the_stream() -> None:
    transport = Scripted(stream(TEXT, SILENCE))
    settings = config(defaults=EARLY.replace('idle = "20s"', 'idle = "90s"'), provider="concurrency = 1")
    async with at_work(settings, transport) as work:
        first = await work.begin(stream=True)
        call = work.new_call(stream=True)
        call.started_s -= 50
        second = Caller(work.gateway, call)
        await work.clock.advance(10.3)
        body = await second.body()
        first.task.cancel()

        assert error_in(body)["code"] == "queue_full"


MOMENTS = [
    pytest.param(0.5, id="before the stream has begun"),
    pytest.param(4.0, id="while keep-alives flow"),
    pytest.param(14.0, id="while the answer flows"),
]


@pytest.mark.parametrize("moment_s", MOMENTS)
async def test_a_client_that_leaves_ends_the_attempts(moment_s: float) -> None:
    left: list[bool] = []
    transport = Scripted(after(13, TEXT, SILENCE))
    async with at_work(config(defaults=EARLY), transport) as work:
        caller = await work.begin(stream=True, has_left=lambda: bool(left))
        await work.clock.advance(moment_s)
        left.append(True)
        await work.clock.advance(0.25)

        assert type(await caller.error()).__name__ == "ClientLeft"
        assert work.left_over() == {}


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("moment_s", MOMENTS)
async def test_a_call_that_is_cancelled_ends_the_attempts(moment_s: float, times: int) -> None:
    transport = Scripted(after(13, TEXT, SILENCE))
    async with at_work(config(defaults=EARLY, provider="concurrency = 1"), transport) as work:
        caller = await work.begin(stream=True)
        await work.clock.advance(moment_s)
        for _ in range(times):
            caller.task.cancel()
            await asyncio.sleep(0)
        await settle()

        assert caller.task.cancelled()
        assert work.left_over() == {}


async def test_a_reply_that_nobody_reads_ends_the_attempts() -> None:
    async with at_work(config(defaults=EARLY), Scripted(Answer(before=[SILENCE]))) as work:

        async def prepare_fails() -> None:
            async with work.gateway.relay(work.new_call(stream=True)) as reply:
                assert isinstance(reply, StreamReply)
                raise ConnectionResetError

        task = asyncio.create_task(prepare_fails())
        await work.clock.advance(2)
        await asyncio.wait([task])

        assert isinstance(task.exception(), ConnectionResetError)
        assert work.left_over() == {}
        assert work.transport.open == 0


async def test_a_writer_that_waits_does_not_hide_the_attempts_from_the_sweep() -> None:
    async with at_work(config(defaults=EARLY), Scripted(Answer(before=[SILENCE]))) as work:

        async def consume(chunk: bytes) -> None:
            if chunk == PING:
                watch = caller.call.watch
                assert watch is not None
                await watch.wait(work.clock.sleep(0.1))

        caller = await work.begin(stream=True, consume=consume)
        await work.over([caller], within_s=21)

        assert error_in(await caller.body())["code"] == "upstream_timeout"


DRAINED = [
    pytest.param(1.0, id="before the stream has begun"),
    pytest.param(4.0, id="while keep-alives flow"),
    pytest.param(14.0, id="while the answer flows"),
]


@pytest.mark.parametrize("moment_s", DRAINED)
async def test_a_drain_ends_the_call_in_each_phase(moment_s: float) -> None:
    async with at_work(config(defaults=EARLY), Scripted(after(13, TEXT, SILENCE))) as work:
        caller = await work.begin(stream=True)
        await work.clock.advance(moment_s)
        ending = asyncio.create_task(work.gateway.end_calls(0))
        await work.clock.advance(1.1)
        await ending
        await caller.over()

        assert caller.call.error is not None
        assert caller.call.error.code == "draining"
        if caller.committed:
            assert error_in(await caller.body())["code"] == "draining"


@pytest.mark.parametrize("turns", range(6))
async def test_attempts_that_fail_as_the_call_is_cancelled_concern_nobody(turns: int) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    failed = asyncio.Event()
    async with at_work(config(defaults=EARLY), Scripted(Answer(before=[failed], status=400))) as work:
        caller = await work.begin(stream=True)
        await work.clock.advance(3)
        failed.set()
        await settle(turns)
        caller.task.cancel()
        await caller.over()

        assert work.left_over() == {}
    work.callers.clear()
    del caller
    gc.collect()  # a task whose failure nobody has asked for complains as it goes

    assert complaints == []


async def test_a_failure_that_is_immediate_leaves_no_timer() -> None:
    async with at_work(config(defaults=EARLY), Scripted(failing(BROKEN), whole(b"{}"))) as work:
        before = asyncio.all_tasks()
        caller = await work.begin(stream=True)
        await work.over([caller], within_s=2)
        await caller.error()
        await settle()

        assert asyncio.all_tasks() - before - {caller.task} == set()
