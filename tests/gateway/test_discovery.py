"""Models by pattern: whatever their provider lists."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from modelserver.clock import settle
from modelserver.config import Config
from modelserver.errors import UpstreamFailed
from modelserver.gateway.discovery import MAX_LIST_BYTES, MAX_MODELS, REFRESH_S, WAIT_S
from modelserver.policy.principals import LOCAL
from tests.support.scripted import SILENCE, Answer, Scripted, Work, at_work, config, failing, refusal, whole

PATTERN = '[[models]]\nmodel_id = "here/*"\nroute = "up/*"'


def listing(*ids: object) -> Answer:
    return whole(orjson.dumps({"data": [{"id": one} for one in ids]}))


def patterned(more: str = "") -> Config:
    return config(more=PATTERN + more)


async def names(work: Work) -> list[str]:
    """What can be called now; time passes as far as the look waits."""
    looking = asyncio.create_task(work.gateway.offers(LOCAL))
    await settle()
    if not looking.done():
        await work.clock.advance(WAIT_S)
    async with asyncio.timeout(5):
        return list(await looking)


async def test_what_the_provider_lists_is_shown_where_the_pattern_stands() -> None:
    transport = Scripted(listing("b", "org/a:1b"))
    async with at_work(patterned('\n[[models]]\nmodel_id = "z"\nroute = "up/z"'), transport) as work:
        found = await names(work)

    assert found == ["m", "here/b", "here/org/a:1b", "z"]
    (asked,) = transport.requests
    assert (asked.method, asked.url, asked.body) == ("GET", "http://up.invalid/v1/models", None)
    assert asked.headers["Authorization"] == "Bearer provider-secret-0123456789"
    assert transport.answers[0].closed


async def test_nobody_is_asked_without_a_pattern() -> None:
    transport = Scripted(listing("b"))
    async with at_work(config(), transport) as work:
        await names(work)

    assert transport.sends == 0


async def test_nobody_is_asked_without_a_key() -> None:
    transport = Scripted(listing("b"))
    async with at_work(config(more=PATTERN, environ={}), transport) as work:
        found = await names(work)

    assert (found, transport.sends) == ([], 0)


async def test_a_list_is_asked_for_again_when_it_is_old() -> None:
    transport = Scripted(listing("a"), listing("b"))
    async with at_work(patterned(), transport) as work:
        seen = [await names(work)]
        await work.clock.advance(REFRESH_S - 0.1)
        seen.append(await names(work))
        await work.clock.advance(0.1)
        seen.append(await names(work))

    assert seen == [["m", "here/a"], ["m", "here/a"], ["m", "here/b"]]


async def test_lookers_at_the_same_time_share_one_question() -> None:
    answering = asyncio.Event()
    transport = Scripted(Answer(before=[answering], pieces=[b'{"data":[{"id":"a"}]}'], content_type=None))
    async with at_work(patterned(), transport) as work:
        looking = [asyncio.create_task(work.gateway.offers(LOCAL)) for _ in range(5)]
        await settle()
        answering.set()
        found = [list(each) for each in await asyncio.gather(*looking)]

    assert (found, transport.sends) == ([["m", "here/a"]] * 5, 1)


async def test_a_slow_provider_is_waited_for_a_second_and_its_list_shown_the_next_time() -> None:
    answering = asyncio.Event()
    transport = Scripted(Answer(before=[answering], pieces=[b'{"data":[{"id":"a"}]}'], content_type=None))
    async with at_work(patterned(), transport) as work:
        looking = asyncio.create_task(work.gateway.offers(LOCAL))
        await work.clock.advance(WAIT_S - 0.01)
        early = looking.done()
        await work.clock.advance(0.01)
        before = list(await looking)
        answering.set()
        await settle()

        assert (early, before, await names(work)) == (False, ["m"], ["m", "here/a"])


async def test_a_looker_that_leaves_does_not_take_the_question_along() -> None:
    answering = asyncio.Event()
    transport = Scripted(Answer(before=[answering], pieces=[b'{"data":[{"id":"a"}]}'], content_type=None))
    async with at_work(patterned(), transport) as work:
        looking = asyncio.create_task(work.gateway.offers(LOCAL))
        await settle()
        looking.cancel()
        answering.set()
        await settle()

        assert await names(work) == ["m", "here/a"]
    assert transport.sends == 1


UNUSABLE = [
    pytest.param(failing(UpstreamFailed("gone", code="upstream_unreachable")), id="no connection"),
    pytest.param(refusal(401), id="a refusal"),
    pytest.param(whole(b'{"data": [{"id": "z"}]}', status=500), id="a list of a provider that fails"),
    pytest.param(whole(b"<html>"), id="a page"),
    pytest.param(whole(b'{"models": []}'), id="another shape"),
    pytest.param(whole(b" " * (MAX_LIST_BYTES + 1)), id="too much"),
    pytest.param(Answer(pieces=[b'{"data":', UpstreamFailed("cut")]), id="a cut"),
]


@pytest.mark.parametrize("answer", UNUSABLE)
async def test_a_provider_that_can_not_be_asked_keeps_the_list_it_had(answer: Answer) -> None:
    transport = Scripted(listing("a"), answer)
    async with at_work(patterned(), transport) as work:
        await names(work)
        await work.clock.advance(REFRESH_S)
        found = await names(work)

    assert (found, transport.sends) == (["m", "here/a"], 2)
    assert transport.open == 0


async def test_a_provider_that_never_answers_hides_its_models_only() -> None:
    transport = Scripted(Answer(before=[SILENCE]))
    async with at_work(patterned(), transport) as work:
        found = await names(work)
        await work.clock.advance(2 * REFRESH_S)
        again = await names(work)

        assert (found, again) == (["m"], ["m"])
        assert transport.sends == 1
        transport.sending = 0  # it is asked until the gateway ends


SHAPES = [
    pytest.param({"data": [{"id": "a"}, {"id": "a"}, {}, {"id": 5}, "x", {"id": ""}]}, ["a"], id="what has no id"),
    pytest.param([{"id": "a"}], ["a"], id="a bare list"),
    pytest.param({"data": []}, [], id="nothing"),
    pytest.param({"data": [{"id": "a b"}, {"id": "a\nb"}, {"id": "*"}]}, [], id="ids that nobody could ask for"),
]


@pytest.mark.parametrize(("body", "expected"), SHAPES)
async def test_a_list_may_hold_anything(body: object, expected: list[str]) -> None:
    async with at_work(patterned(), Scripted(whole(orjson.dumps(body)))) as work:
        found = await names(work)

    assert found == ["m", *(f"here/{name}" for name in expected)]


async def test_a_list_is_bounded() -> None:
    async with at_work(patterned(), Scripted(listing(*map(str, range(MAX_MODELS + 5))))) as work:
        found = await names(work)

    assert len(found) == 1 + MAX_MODELS


async def test_a_new_configuration_asks_again() -> None:
    transport = Scripted(listing("a"), listing("b"))
    async with at_work(patterned(), transport, load=patterned) as work:
        await names(work)
        await work.gateway.reload()

        assert await names(work) == ["m", "here/b"]
