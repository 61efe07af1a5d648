"""Waits that are interrupted by the sweep, told apart from those that are cancelled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from modelserver.clock import ManualClock, settle
from modelserver.errors import ClientLeft, GatewayError, Unavailable, UpstreamFailed
from modelserver.gateway.lifecycle import SWEEP_S, Expired, OpenCalls, Watch

DOOM = Unavailable("over", code="draining")


class Waiting:
    """A task that waits under a watch, and how that ended."""

    def __init__(self, watch: Watch, awaitable: Awaitable[object], until_s: float = 1.0) -> None:
        self.cancelling: int | None = None
        self.watch = watch
        self.task = asyncio.create_task(self._run(awaitable, until_s))

    async def _run(self, awaitable: Awaitable[object], until_s: float) -> str:
        task = asyncio.current_task()
        assert task is not None
        try:
            return f"got {await self.watch.wait(awaitable, until_s)}"
        except asyncio.CancelledError:
            return "cancelled"
        except (Expired, GatewayError) as error:
            return type(error).__name__
        finally:
            self.cancelling = task.cancelling()

    async def ended(self) -> str:
        async with asyncio.timeout(5):
            return await self.task


def future() -> asyncio.Future[object]:
    return asyncio.get_running_loop().create_future()


async def test_a_wait_gives_what_was_waited_for() -> None:
    arriving = future()
    waiting = Waiting(Watch(), arriving)
    await settle()
    arriving.set_result(1)

    assert await waiting.ended() == "got 1"


CHECKS = [
    pytest.param(0.9, 1.0, None, None, id="not yet"),
    pytest.param(1.0, 1.0, None, "Expired", id="the wait has lasted long enough"),
    pytest.param(1.0, 5.0, None, "Expired", id="the call has lasted long enough"),
    pytest.param(0.5, 5.0, True, "ClientLeft", id="the client has left"),
    pytest.param(0.5, 5.0, False, None, id="the client is there"),
    pytest.param(1.0, 1.0, True, "Expired", id="both"),
]


@pytest.mark.parametrize(("now_s", "until_s", "left", "expected"), CHECKS)
async def test_a_check_interrupts_what_is_over(
    now_s: float, until_s: float, left: bool | None, expected: str | None
) -> None:
    watch = Watch(ends_s=1.0, has_left=None if left is None else lambda: bool(left))
    waiting = Waiting(watch, future(), until_s)
    await settle()
    watch.check(now_s)
    await settle()
    ended = waiting.task.result() if waiting.task.done() else None
    waiting.task.cancel()
    await waiting.ended()

    assert ended == expected


async def test_an_interruption_leaves_no_trace_on_the_task() -> None:
    waiting = Waiting(Watch(), future())
    await settle()
    waiting.watch.check(2.0)

    assert await waiting.ended() == "Expired"
    assert waiting.cancelling == 0


async def test_a_cancellation_is_one() -> None:
    waiting = Waiting(Watch(), future())
    await settle()
    waiting.task.cancel()

    assert await waiting.ended() == "cancelled"
    assert waiting.cancelling == 1


def interrupt_then_cancel(waiting: Waiting) -> None:
    waiting.watch.check(2.0)
    waiting.task.cancel()


def cancel_then_interrupt(waiting: Waiting) -> None:
    waiting.task.cancel()
    waiting.watch.check(2.0)


@pytest.mark.parametrize("both", [interrupt_then_cancel, cancel_then_interrupt])
async def test_a_cancellation_wins_over_an_interruption_at_the_same_moment(both: Callable[[Waiting], None]) -> None:
    waiting = Waiting(Watch(), future())
    await settle()
    both(waiting)

    assert await waiting.ended() == "cancelled"
    assert waiting.cancelling == 1


async def test_a_second_interruption_is_none() -> None:
    waiting = Waiting(Watch(), future())
    await settle()
    waiting.watch.check(2.0)
    waiting.watch.interrupt(DOOM)

    assert await waiting.ended() == "Expired"
    assert waiting.cancelling == 0


async def test_a_task_that_was_cancelled_before_waits_like_any_other() -> None:
    watch = Watch()
    seen: list[object] = []

    async def stubborn() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await future()
        try:
            await watch.wait(future(), 1.0)
        except Expired:
            seen.append("Expired")

    task = asyncio.create_task(stubborn())
    await settle()
    task.cancel()
    await settle()
    watch.check(2.0)
    await asyncio.wait([task])

    assert seen == ["Expired"]


async def test_an_interruption_within_a_timeout_of_others_is_not_taken_for_it() -> None:
    watch = Watch()

    async def outer() -> str:
        try:
            async with asyncio.timeout(60):
                await watch.wait(future(), 1.0)
        except Expired:
            return "Expired"
        return "over"

    task = asyncio.create_task(outer())
    await settle()
    watch.check(2.0)

    assert await task == "Expired"


async def test_what_arrives_at_the_moment_of_the_interruption_is_not_lost_by_the_one_who_waits() -> None:
    arriving = future()
    waiting = Waiting(Watch(), arriving)
    await settle()
    arriving.set_result(1)
    waiting.watch.check(2.0)

    assert await waiting.ended() == "Expired"
    assert arriving.result() == 1
    assert waiting.cancelling == 0


async def deaf_to_cancellation(then: BaseException | None = None) -> int:
    try:
        await future()
    except asyncio.CancelledError:
        if then is not None:
            raise then from None
    return 1


IN_SPITE = [
    pytest.param(None, "got 1", id="comes"),
    pytest.param(UpstreamFailed("broken"), "UpstreamFailed", id="fails"),
]


@pytest.mark.parametrize(("then", "expected"), IN_SPITE)
async def test_a_wait_that_ends_in_spite_of_its_interruption_leaves_the_next_one_alone(
    then: BaseException | None, expected: str
) -> None:
    watch = Watch()
    first = Waiting(watch, deaf_to_cancellation(then))
    await settle()
    watch.check(2.0)

    assert await first.ended() == expected
    assert first.cancelling == 0

    second = Waiting(watch, future())
    await settle()
    assert not second.task.done()
    watch.check(2.0)
    assert await second.ended() == "Expired"


async def test_a_doomed_call_ends_at_its_next_wait_even_if_nothing_has_to_be_waited_for() -> None:
    watch = Watch()
    watch.end(DOOM)

    async def ready() -> int:
        return 1

    waiting = Waiting(watch, ready())

    assert await waiting.ended() == "Unavailable"
    assert waiting.cancelling == 0


async def test_doom_comes_once_so_that_it_can_be_said() -> None:
    watch = Watch()
    interrupted = Waiting(watch, future())
    await settle()
    watch.end(DOOM)
    await interrupted.ended()
    saying = future()
    waiting = Waiting(watch, saying)
    await settle()
    saying.set_result("it")

    assert await waiting.ended() == "got it"


async def test_a_second_task_of_a_call_is_watched_while_the_first_one_waits() -> None:
    watch = Watch(ends_s=1.0)
    watch.aside = Watch(ends_s=1.0)
    aside = Waiting(watch.aside, future())
    first = Waiting(watch, future())
    await settle()
    watch.check(1.0)

    assert [await first.ended(), await aside.ended()] == ["Expired", "Expired"]


async def test_doom_goes_to_the_second_task_and_back_when_it_has_ended() -> None:
    watch = Watch()
    watch.aside = Watch()
    watch.end(DOOM)
    dooms = [watch.doom]
    watch.rejoin()
    dooms.append(watch.doom)

    assert dooms == [None, DOOM]
    assert watch.aside is None


async def test_the_sweep_looks_four_times_a_second() -> None:
    clock = ManualClock()
    calls = OpenCalls(clock)
    watch = calls.open()
    sweep = asyncio.create_task(calls.sweep())
    waiting = Waiting(watch, future(), until_s=1.1)
    await clock.advance(1.2)
    early = waiting.task.done()
    await clock.advance(SWEEP_S)
    sweep.cancel()

    assert (early, await waiting.ended()) == (False, "Expired")


async def test_a_client_that_left_is_noticed_by_the_sweep() -> None:
    clock = ManualClock()
    calls = OpenCalls(clock)
    left: list[bool] = []
    watch = calls.open(has_left=lambda: bool(left))
    sweep = asyncio.create_task(calls.sweep())
    waiting = Waiting(watch, future(), until_s=99)
    await clock.advance(1)
    left.append(True)
    await clock.advance(SWEEP_S)
    sweep.cancel()

    assert await waiting.ended() == ClientLeft.__name__


async def test_a_closed_watch_is_not_looked_at() -> None:
    clock = ManualClock()
    calls = OpenCalls(clock)
    watch = calls.open(ends_s=1)
    calls.close(watch)
    sweep = asyncio.create_task(calls.sweep())
    waiting = Waiting(watch, future())
    await clock.advance(5)
    sweep.cancel()
    done = waiting.task.done()
    waiting.task.cancel()
    await waiting.ended()

    assert (done, len(calls)) == (False, 0)


async def test_calls_that_begin_after_the_end_end_at_once() -> None:
    calls = OpenCalls(ManualClock())
    calls.end_now()
    waiting = Waiting(calls.open(), future())

    assert await waiting.ended() == "Unavailable"
