"""Places at a provider that serves only so many calls at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from modelserver.clock import settle
from modelserver.config import Config, Provider
from modelserver.errors import ClientLeft, Unavailable
from modelserver.gateway.gateway import Gateway
from modelserver.gateway.lifecycle import Expired, Watch
from modelserver.gateway.places import Place, Places
from tests.support.scripted import (
    COMPLETE,
    DONE,
    FINISH,
    ROLE,
    SILENCE,
    TEXT,
    Answer,
    Caller,
    Scripted,
    Step,
    Work,
    at_work,
    config,
    refusal,
    stream,
    whole,
)

ONE = Provider(name="one", concurrency=1)
TWO = Provider(name="one", concurrency=2)
THREE = Provider(name="one", concurrency=3)
FREE = Provider(name="one")


class Guest:
    """Someone who takes a place as soon as there is one."""

    def __init__(self, places: Places, provider: Provider, watch: Watch | None = None) -> None:
        self.watch = watch or Watch()
        self.task: asyncio.Task[Place] = asyncio.create_task(places.take(provider, self.watch))

    @property
    def has_place(self) -> bool:
        return self.task.done() and not self.task.cancelled() and self.task.exception() is None

    def leave(self) -> None:
        self.task.result().release()


async def guests(places: Places, provider: Provider, count: int) -> list[Guest]:
    coming = [Guest(places, provider) for _ in range(count)]
    await settle()
    return coming


async def dismiss(*everyone: Guest) -> None:
    for guest in everyone:
        if guest.has_place:
            guest.leave()
        guest.task.cancel()
    await asyncio.gather(*(guest.task for guest in everyone), return_exceptions=True)
    for guest in everyone:
        if guest.has_place:
            guest.leave()


async def test_whoever_has_left_takes_no_room_in_line() -> None:
    places = Places()
    provider = Provider(name="one", concurrency=1, queue=1)
    first, second = await guests(places, provider, 2)
    second.watch.interrupt(Expired())
    await settle()
    (third,) = await guests(places, provider, 1)
    first.leave()
    await settle()
    seen = second.has_place, third.has_place
    await dismiss(second, third)

    assert seen == (False, True)


async def test_whoever_comes_too_late_to_be_served_is_given_no_place() -> None:
    places = Places()
    (first,) = await guests(places, ONE, 1)
    doomed = Watch()
    doomed.end(Unavailable("over", code="draining"))
    late = Guest(places, ONE, doomed)
    await settle()
    first.leave()
    error = late.task.exception()

    assert isinstance(error, Unavailable)
    assert (places.held(), places.waiting()) == (0, 0)


def seated(everyone: list[Guest]) -> list[bool]:
    return [guest.has_place for guest in everyone]


async def test_there_are_as_many_places_as_said_and_they_go_in_order() -> None:
    places = Places()
    everyone = await guests(places, TWO, 5)
    seen = [seated(everyone)]
    everyone[1].leave()
    await settle()
    seen.append(seated(everyone))
    everyone[0].leave()
    everyone[2].leave()
    await settle()
    seen.append(seated(everyone))
    held = places.held(), places.waiting()
    await dismiss(*everyone)

    assert seen == [
        [True, True, False, False, False],
        [True, True, True, False, False],
        [True, True, True, True, True],
    ]
    assert held == (2, 0)
    assert (places.held(), places.waiting()) == (0, 0)


async def test_a_place_is_given_back_once() -> None:
    places = Places()
    place = await places.take(TWO, Watch())
    other = await places.take(TWO, Watch())
    place.release()
    place.release()

    assert places.held() == 1
    other.release()


async def test_a_newcomer_does_not_pass_the_line() -> None:
    places = Places()
    first, second = await guests(places, ONE, 2)
    first.leave()  # the place is the second one's already, though it has not woken
    (newcomer,) = await guests(places, ONE, 1)
    seen = second.has_place, newcomer.has_place
    await dismiss(second, newcomer)

    assert seen == (True, False)
    assert places.held() == 0


async def test_providers_do_not_share_places() -> None:
    places = Places()
    first = await places.take(ONE, Watch())
    other = await places.take(Provider(name="other", concurrency=1), Watch())

    assert places.held() == 2
    first.release()
    other.release()


@pytest.mark.parametrize("queue", [0, 1, 2])
async def test_a_line_is_as_long_as_it_may_be(queue: int) -> None:
    places = Places()
    provider = Provider(name="one", concurrency=1, queue=queue)
    everyone = await guests(places, provider, 1 + queue)

    with pytest.raises(Unavailable) as refused:
        await places.take(provider, Watch())
    await dismiss(*everyone)

    assert (refused.value.code, refused.value.retry_after_s) == ("queue_full", 5)
    assert places.held() == 0


def leaves_by_expiry(guest: Guest) -> None:
    guest.watch.interrupt(Expired())


def leaves_with_its_client(guest: Guest) -> None:
    guest.watch.interrupt(ClientLeft("gone"))


def is_cancelled(guest: Guest) -> None:
    guest.task.cancel()


LEAVING = [leaves_by_expiry, leaves_with_its_client, is_cancelled]


@pytest.mark.parametrize("leave", LEAVING)
async def test_whoever_leaves_the_line_holds_up_nobody(leave: Callable[[Guest], None]) -> None:
    places = Places()
    first, second, third = await guests(places, ONE, 3)
    leave(second)
    await settle()
    first.leave()
    await settle()
    seen = second.has_place, third.has_place
    await dismiss(second, third)

    assert seen == (False, True)
    assert (places.held(), places.waiting()) == (0, 0)


@pytest.mark.parametrize("leave", LEAVING)
async def test_a_place_that_comes_in_the_moment_of_leaving_goes_to_the_next(leave: Callable[[Guest], None]) -> None:
    places = Places()
    first, second, third = await guests(places, ONE, 3)
    first.leave()
    leave(second)
    await settle()
    seen = second.has_place, third.has_place
    await dismiss(second, third)

    assert seen == (False, True)
    assert (places.held(), places.waiting()) == (0, 0)


@pytest.mark.parametrize("leave", LEAVING)
async def test_a_place_given_up_in_the_moment_of_leaving_goes_to_the_next(leave: Callable[[Guest], None]) -> None:
    places = Places()
    first, second, third = await guests(places, ONE, 3)
    leave(second)
    first.leave()
    await settle()
    seen = second.has_place, third.has_place
    await dismiss(second, third)

    assert seen == (False, True)
    assert (places.held(), places.waiting()) == (0, 0)


RESIZED = [
    pytest.param(ONE, TWO, [True, True, False], id="one more"),
    pytest.param(ONE, THREE, [True, True, True], id="two more"),
    pytest.param(ONE, FREE, [True, True, True], id="no limit any more"),
    pytest.param(ONE, ONE, [True, False, False], id="the same"),
]


@pytest.mark.parametrize(("before", "after", "expected"), RESIZED)
async def test_more_places_are_given_out_at_once(before: Provider, after: Provider, expected: list[bool]) -> None:
    places = Places()
    everyone = await guests(places, before, 3)
    places.resize([after])
    await settle()
    seen = seated(everyone)
    await dismiss(*everyone)

    assert seen == expected
    assert places.held() == 0


async def test_fewer_places_are_waited_for() -> None:
    places = Places()
    everyone = await guests(places, THREE, 3)
    places.resize([ONE])
    everyone += await guests(places, ONE, 1)
    seen = []
    for guest in everyone[:3]:
        guest.leave()
        await settle()
        seen.append((places.held(), everyone[3].has_place))
    await dismiss(*everyone)

    assert seen == [(2, False), (1, False), (1, True)]


async def test_calls_without_a_limit_count_when_one_is_set() -> None:
    places = Places()
    everyone = await guests(places, FREE, 2)
    places.resize([ONE])
    everyone += await guests(places, ONE, 1)
    seen = [everyone[2].has_place]
    for guest in everyone[:2]:
        guest.leave()
        await settle()
        seen.append(everyone[2].has_place)
    await dismiss(*everyone)

    assert seen == [False, False, True]


LIMITED = "concurrency = 1\nqueue = 1"


async def two_calls(work: Work, **given: object) -> tuple[Caller, Caller]:
    first = await work.begin(stream=True)
    return first, await work.begin(stream=True, **given)


async def test_a_call_waits_until_the_one_before_is_over_and_let_go_of() -> None:
    transport = Scripted(stream(ROLE, TEXT, SILENCE), stream(*COMPLETE))
    async with at_work(config(provider=LIMITED), transport) as work:
        first, second = await two_calls(work)
        early = transport.sends
        first.task.cancel()
        await settle()

        assert (early, transport.sends, transport.open_at_send) == (1, 2, [0, 0])
        assert await second.body()


async def test_a_retry_keeps_its_place() -> None:
    transport = Scripted(refusal(500), whole())
    async with at_work(config(provider=LIMITED), transport) as work:
        first, second = await two_calls(work)
        await work.over([first, second], within_s=5)

    assert transport.sends == 3
    assert (first.call.attempts, second.call.attempts) == (2, 1)


async def test_one_too_many_is_told_when_to_come_again() -> None:
    transport = Scripted(stream(TEXT, SILENCE), whole())
    async with at_work(config(provider=LIMITED), transport) as work:
        first, second = await two_calls(work)
        third = await work.begin()
        error = await third.error()
        first.task.cancel()
        await second.over()

    assert (error.code, error.retry_after_s, third.call.attempts) == ("queue_full", 5, 0)


async def test_a_place_that_does_not_come_in_time_is_no_fault_of_the_provider() -> None:
    settings = config(provider=LIMITED, defaults='timeout = { total = "10s" }')
    async with at_work(settings, Scripted(stream(TEXT, SILENCE))) as work:
        first = await work.begin(stream=True)
        await work.clock.advance(0.25)
        call = work.new_call()
        call.started_s -= 5
        second = Caller(work.gateway, call)
        await work.clock.advance(5.3)
        error = await second.error()
        first.task.cancel()

    assert (error.code, call.attempts, call.usage) == ("queue_full", 0, None)


async def test_a_client_that_leaves_the_line_is_not_served() -> None:
    transport = Scripted(stream(TEXT, SILENCE))
    left: list[bool] = []
    async with at_work(config(provider=LIMITED), transport) as work:
        first, second = await two_calls(work, has_left=lambda: bool(left))
        left.append(True)
        await work.clock.advance(0.25)
        error = await second.error()
        first.task.cancel()

    assert (type(error), transport.sends) == (ClientLeft, 1)


PHASES = [
    pytest.param(Answer(before=[SILENCE]), id="before the head"),
    pytest.param(stream(SILENCE), id="before the first byte"),
    pytest.param(stream(ROLE, SILENCE), id="before the commit point"),
    pytest.param(stream(ROLE, TEXT, SILENCE), id="in the stream"),
    pytest.param(refusal(429), id="in a pause"),
]


@pytest.mark.parametrize("early", ["", 'early_commit = "5s"'], ids=["", "early commit"])
@pytest.mark.parametrize("answer", PHASES)
async def test_a_place_is_given_back_wherever_the_call_is_cancelled(answer: Answer, early: str) -> None:
    transport = Scripted(answer, stream(*COMPLETE))
    async with at_work(config(provider=f"{LIMITED}\n{early}"), transport) as work:
        first, second = await two_calls(work)
        first.task.cancel()
        await settle()

        assert first.task.cancelled()
        assert (await second.body()).endswith(DONE)
    assert transport.open_at_send == [0, 0]


async def test_a_reload_gives_out_its_places_at_once() -> None:
    transport = Scripted(stream(TEXT, SILENCE))
    read: list[Config] = [config(provider="concurrency = 3")]
    async with at_work(config(provider=LIMITED), transport, load=read.pop) as work:
        callers = [*await two_calls(work)]
        before = transport.sends
        await reloaded(work.gateway)
        callers.append(await work.begin(stream=True))
        after = transport.sends
        for caller in callers:
            caller.task.cancel()

    assert (before, after) == (1, 3)


async def reloaded(gateway: Gateway) -> None:
    await gateway.reload()
    await settle()


ENDINGS: list[Step] = [TEXT, FINISH, DONE]


async def test_many_calls_go_through_few_places() -> None:
    transport = Scripted(stream(*ENDINGS))
    async with at_work(config(provider="concurrency = 2"), transport) as work:
        callers = [work.call(stream=True) for _ in range(20)]
        bodies = [await caller.body() for caller in callers]

    assert bodies == [TEXT + FINISH + DONE] * 20
    assert max(transport.open_at_send) <= 1
