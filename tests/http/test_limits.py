"""Limits over HTTP: how many pass, what the others are told, and how long a place is held."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from modelserver.config import Config
from tests.support.front import BEARER, CHAT_PATH, KEY, Front, chat_body, front, request, settings
from tests.support.upstream import RawUpstream, Reset, Stall, Step, Wait, chunk, json_answer, sse_answer, sse_head
from tests.support.waiting import until

WHOLE = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
BEGIN = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
LIMITED = (429, "rate_limit_error", "rate_limit_exceeded", None)
LIMITS = ("X-RateLimit-Limit-Requests", "X-RateLimit-Remaining-Requests", "X-RateLimit-Reset-Requests")


def limited(upstream: RawUpstream, limits: str, more: str = "") -> Config:
    """The limits are those of alice's key, which is the last table."""
    return settings(upstream.url, f"limits = {{ {limits} }}\n{more}")


def standing(headers: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {name: value for name, value in headers if name in LIMITS}


async def test_exactly_as_many_of_200_at_once_pass_as_the_rate_allows(upstream: RawUpstream, way: str) -> None:
    upstream.default = lambda asked: [json_answer(WHOLE)]
    async with front(limited(upstream, "rpm = 7"), way) as server:
        answers = await asyncio.gather(*(server.chat() for _ in range(200)))

    assert Counter(answer.status for answer in answers) == {200: 7, 429: 193}
    assert len(upstream.requests) == 7
    assert sorted(standing(a.headers)[LIMITS[1]] for a in answers if a.status == 200) == list("0123456")


async def test_exactly_as_many_of_200_at_once_run_as_may(upstream: RawUpstream, way: str) -> None:
    gate = asyncio.Event()
    upstream.default = lambda asked: [Wait(gate), json_answer(WHOLE)]
    async with front(limited(upstream, "concurrency = 5"), way) as server:
        calls = [asyncio.ensure_future(server.chat()) for _ in range(200)]
        await until(lambda: sum(call.done() for call in calls) >= 195, "the refusals")
        await upstream.received(5)
        gate.set()
        answers = await asyncio.gather(*calls)

    assert Counter(answer.status for answer in answers) == {200: 5, 429: 195}
    assert len(upstream.requests) == 5


async def test_an_answer_says_what_is_left(upstream: RawUpstream) -> None:
    upstream.default = lambda asked: [json_answer(WHOLE)]
    async with front(limited(upstream, "rpm = 60")) as server:
        first, second = await server.chat(), await server.chat()

    assert standing(first.headers) == {LIMITS[0]: "60", LIMITS[1]: "59", LIMITS[2]: "1s"}
    assert standing(second.headers)[LIMITS[1]] == "58"


async def test_a_stream_and_an_error_say_it_too(upstream: RawUpstream) -> None:
    upstream.script(sse_answer([BEGIN, END]))
    async with front(limited(upstream, "rpm = 60")) as server:
        streamed, bad = await server.chat(stream=True), await server.chat(b"no json")

    assert [standing(each.headers)[LIMITS[1]] for each in (streamed, bad)] == ["59", "58"]


async def test_a_429_says_which_limit_and_when_to_come_back(upstream: RawUpstream) -> None:
    upstream.default = lambda asked: [json_answer(WHOLE)]
    async with front(limited(upstream, "rpm = 1")) as server:
        await server.chat()
        answer = await server.chat()

    assert answer.error() == LIMITED
    assert "the key 'alice'" in answer.json()["error"]["message"]
    assert answer.header("Retry-After") == "60"
    assert standing(answer.headers) == {LIMITS[0]: "1", LIMITS[1]: "0", LIMITS[2]: "1m0s"}
    assert answer.header("X-Should-Retry") is None


async def test_a_429_comes_before_the_body(upstream: RawUpstream) -> None:
    async with front(limited(upstream, "rpm = 1")) as server:
        await server.chat(b"no json")
        caller = await server.connect()
        await caller.send(request("POST", CHAT_PATH, {**BEARER, "Content-Length": "9", "Expect": "100-continue"}))

        assert (await caller.answer()).status == 429


async def test_lists_and_refused_keys_use_nothing_up(upstream: RawUpstream) -> None:
    upstream.default = lambda asked: [json_answer(WHOLE)]
    async with front(limited(upstream, "rpm = 1")) as server:
        for path in ("/v1/models", "/v1/models/m", "/api/v1/models", "/health", "/nowhere"):
            await server.ask("GET", path, BEARER)
        await server.chat(headers={"Authorization": f"Bearer {KEY}x"})

        assert (await server.chat()).status == 200


async def test_without_limits_nothing_is_said_of_them(server: Front, upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE, headers={"X-RateLimit-Limit-Requests": "1"}))

    assert standing((await server.chat()).headers) == {}


async def test_the_limits_of_key_user_and_group_all_hold_and_the_tightest_is_told(upstream: RawUpstream) -> None:
    upstream.default = lambda asked: [json_answer(WHOLE)]
    more = "user = 'u'\n[users.u]\ngroup = 'g'\nlimits = { rpm = 3 }\n[groups.g]\nlimits = { rpm = 2 }\n"
    async with front(limited(upstream, "rpm = 9", more)) as server:
        answers = [await server.chat() for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [standing(answer.headers)[LIMITS[0]] for answer in answers] == ["2", "2", "2"]
    assert "the group 'g'" in answers[2].json()["error"]["message"]


ONE = "concurrency = 1"


async def test_a_place_is_held_until_the_last_byte_of_a_stream(upstream: RawUpstream, way: str) -> None:
    gate = asyncio.Event()
    upstream.script(sse_head(), chunk(BEGIN), Wait(gate), chunk(END), chunk(b""))
    upstream.script(json_answer(WHOLE))
    async with front(limited(upstream, ONE), way) as server:
        caller = await server.connect()
        await caller.send(request("POST", CHAT_PATH, BEARER, chat_body(stream=True)))
        await caller.until(BEGIN)
        during = await server.chat()
        gate.set()
        await caller.until(b"\r\n0\r\n\r\n")
        after = await server.chat()

    assert (during.error(), during.header("Retry-After")) == (LIMITED, "1")
    assert after.status == 200


async def test_a_place_is_held_until_the_client_has_taken_a_whole_answer(upstream: RawUpstream, way: str) -> None:
    big = {**WHOLE, "pad": "x" * 2_000_000}
    upstream.script(json_answer(big))
    upstream.script(json_answer(WHOLE))
    async with front(limited(upstream, ONE), way) as server:
        caller = await server.connect(receive_bytes=4096)
        await caller.send(request("POST", CHAT_PATH, BEARER, chat_body()))
        await caller.head()
        during = await server.chat()
        while len(await caller.reader.read(1 << 20)) > 0:
            if caller.reader.at_eof() or not server.gateway.open_calls:
                break
        after = await server.chat()

    assert (during.status, after.status) == (429, 200)


WAYS_OUT = [
    pytest.param((json_answer(WHOLE),), {}, id="whole answer"),
    pytest.param((sse_answer([BEGIN, END]),), {"stream": True}, id="stream"),
    pytest.param((sse_head(), chunk(BEGIN), Reset()), {"stream": True}, id="broken stream"),
    pytest.param((json_answer({"error": {"message": "no"}}, status=500),), {}, id="error of the provider"),
    pytest.param((Reset(),), {}, id="no answer"),
    pytest.param((), {"model": "none"}, id="unknown model"),
    pytest.param((), {"temperature": 9}, id="bad request"),
]


@pytest.mark.parametrize(("steps", "fields"), WAYS_OUT)
async def test_a_place_is_free_again_after(
    upstream: RawUpstream, steps: tuple[Step, ...], fields: dict[str, Any]
) -> None:
    if steps:
        upstream.script(*steps)
    async with front(limited(upstream, ONE)) as server:
        await server.chat(**fields)
        upstream.script(json_answer(WHOLE))

        assert (await server.chat()).status == 200


PHASES = [
    pytest.param({"Content-Length": "99"}, b"{", (), id="in its body"),
    pytest.param({}, chat_body(), (Stall(),), id="before the status"),
    pytest.param({}, chat_body(stream=True), (sse_head(), Stall()), id="before the first event"),
    pytest.param({}, chat_body(stream=True), (sse_head(), chunk(BEGIN), Stall()), id="in a stream"),
]


@pytest.mark.usefixtures("quick_sweep")
@pytest.mark.parametrize(("headers", "body", "steps"), PHASES)
async def test_a_place_is_free_again_when_the_client_leaves(
    upstream: RawUpstream, way: str, headers: dict[str, str], body: bytes, steps: tuple[Step, ...]
) -> None:
    if steps:
        upstream.script(*steps)
    async with front(limited(upstream, ONE), way) as server:
        caller = await server.connect()
        await caller.send(request("POST", CHAT_PATH, {**BEARER, **headers}, body))
        await until(lambda: bool(server.gateway.open_calls) and len(upstream.requests) >= bool(steps), "the call")
        caller.leave()
        await until(lambda: not server.gateway.open_calls, "the end of the call")
        upstream.script(json_answer(WHOLE))

        assert (await server.chat()).status == 200


async def test_the_places_of_a_provider_have_a_line_and_the_rest_is_sent_away(upstream: RawUpstream) -> None:
    gate = asyncio.Event()
    upstream.default = lambda asked: [Wait(gate), json_answer(WHOLE)]
    async with front(settings(upstream.url, provider="concurrency = 1\nqueue = 2")) as server:
        calls = [asyncio.ensure_future(server.chat()) for _ in range(10)]
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        await until(lambda: sum(call.done() for call in calls) >= 7, "the refusals")
        gate.set()
        answers = await asyncio.gather(*calls)

    assert Counter(answer.status for answer in answers) == {200: 3, 503: 7}
    refused = done.pop().result()
    assert refused.error() == (503, "server_error", "queue_full", None)
    assert refused.header("Retry-After") == "5"
