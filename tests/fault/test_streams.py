"""Faults in the middle of a stream: an error event and the end, never a tidy one, never an invented finish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from modelserver.clock import ManualClock
from modelserver.config import Config
from modelserver.dialects.openai_chat import CHAT
from modelserver.gateway import lifecycle
from modelserver.gateway.call import Call, StreamReply
from modelserver.gateway.gateway import Gateway
from modelserver.policy.principals import LOCAL
from tests.fault.test_before_the_answer import GOOD, INVALID, UPSTREAM_ERROR, leaky
from tests.support.front import Answer, chat_body, settings
from tests.support.upstream import (
    Close,
    RawUpstream,
    Reset,
    Stall,
    Step,
    Wait,
    chunk,
    chunked,
    event,
    head,
    json_answer,
    sse_answer,
    sse_head,
)
from tests.support.watched import frames, watched


def delta(text: str, index: int = 0, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": index, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "choices": [choice]}


FIRST = event(delta("Hi"))
FINISH = event(delta("", finish="stop"))
DONE = event("[DONE]")
USAGE = event({"id": "c1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}})
END = chunk(b"")
HELD = b"never to be seen"


async def relayed(upstream: RawUpstream, *steps: Step, first: bytes = FIRST, provider: str = "") -> Answer:
    """The answer to a stream of which the client had `first` before the provider took the rest of the steps."""
    gate = asyncio.Event()
    upstream.script(sse_head(), chunk(first), Wait(gate), *steps)
    async with watched(upstream, f"retries = 5\n{provider}") as gateway:
        caller = await gateway.ask(stream=True)
        _, headers = await caller.head()
        size = int(await caller.until(b"\r\n"), 16)
        begun = (await caller.reader.readexactly(size + 2))[:-2]
        gate.set()
        rest = await caller.chunks()
        answer = Answer(200, headers, begun + rest)
        gateway.heard.append(answer)
        line = gateway.lines()[0]

    assert begun == first
    assert len(upstream.requests) == 1
    assert line["output_tokens"] >= 1
    return answer


def error_of(body: bytes) -> tuple[str, str]:
    """Type and code of the error event that is the last thing in a stream."""
    *before, last = frames(body)
    assert set(last) == {"error"}
    assert list(last["error"]) == ["message", "type", "param", "code"]
    assert "[DONE]" not in before
    assert body.endswith(b"\n\n")
    return last["error"]["type"], last["error"]["code"]


CUTS = [
    pytest.param([Reset()], id="reset"),
    pytest.param([Close()], id="FIN"),
    pytest.param([b"zz\r\n", Stall()], id="a malformed chunk size"),
    pytest.param([b"ffff\r\n" + event(delta(" th")), Close()], id="FIN within a chunk"),
    pytest.param([b"ffff\r\n" + event(delta(" th")), Reset()], id="reset within a chunk"),
    pytest.param([chunk(event(delta(" there"))[:-9]), Close()], id="FIN within an event"),
    pytest.param([chunk(event(delta(" there"))), END], id="a clean end without a finish"),
    pytest.param([chunk(DONE), END], id="DONE without a finish"),
    pytest.param([chunk(event(delta("", 1))), chunk(FINISH), chunk(DONE), END], id="one choice without a finish"),
    pytest.param([chunk(event({"choices": []})), chunk(DONE), END], id="DONE after an empty chunk"),
]


@pytest.mark.parametrize("steps", CUTS)
async def test_a_stream_that_is_cut_ends_with_an_error(upstream: RawUpstream, steps: list[Step]) -> None:
    answer = await relayed(upstream, *steps)

    assert error_of(answer.body) == ("server_error", "upstream_error")
    assert answer.body.startswith(FIRST)
    if FINISH not in b"".join(step for step in steps if isinstance(step, bytes)):
        assert b'"stop"' not in answer.body


BROKEN = [
    pytest.param(b"data: " + HELD + b"\n\n", id="not JSON"),
    pytest.param(b'data: {"choices":[{"index":0,"delta":{"content":"never to be seen"}\n\n', id="half an object"),
    pytest.param(b'data: ["never to be seen"]\n\n', id="a list"),
    pytest.param(b'data: "never to be seen"\n\n', id="a string"),
    pytest.param(b"data: null\n\n", id="null"),
    pytest.param(b'data: {"a":NaN,"b":"never to be seen"}\n\n', id="NaN"),
    pytest.param(b'data: {"a":"never to be seen \xff\xfe"}\n\n', id="not UTF-8"),
    pytest.param(b"<html>never to be seen</html>\n\n", id="HTML"),
    pytest.param(b"data: " + b"[" * 100_000 + b"\n\n", id="nested without end"),
]


@pytest.mark.parametrize("raw", BROKEN)
async def test_an_event_that_is_none_is_not_relayed(upstream: RawUpstream, raw: bytes) -> None:
    answer = await relayed(upstream, chunk(raw), chunk(FINISH + DONE), END)

    assert error_of(answer.body) == ("server_error", "upstream_invalid_response")
    assert HELD not in answer.body
    assert len(frames(answer.body)) == 2


@pytest.mark.parametrize("raw", BROKEN)
async def test_an_event_that_is_none_at_the_beginning_is_an_error(upstream: RawUpstream, raw: bytes) -> None:
    upstream.default = [sse_head(), chunk(raw), chunk(FINISH + DONE), END]
    async with watched(upstream) as gateway:
        answer = await gateway.chat(stream=True)

    assert answer.error() == INVALID
    assert HELD not in answer.body


async def test_what_came_before_a_broken_event_in_the_same_read_is_relayed(upstream: RawUpstream) -> None:
    answer = await relayed(upstream, chunk(event(delta(" there")) + b"data: {\n\n" + FINISH), END)

    assert answer.body.startswith(FIRST + event(delta(" there")))
    assert error_of(answer.body) == ("server_error", "upstream_invalid_response")


async def test_an_error_event_is_relayed_redacted_and_is_the_end(upstream: RawUpstream) -> None:
    answer = await relayed(upstream, chunk(event(leaky(upstream))), chunk(FINISH + DONE), END)

    assert error_of(answer.body) == ("server_error", "upstream_error")
    assert len(frames(answer.body)) == 2


@pytest.mark.parametrize(("code", "status", "told"), [(None, 502, "upstream_error"), (503, 503, "overloaded")])
async def test_an_error_event_at_the_beginning_is_a_status(
    upstream: RawUpstream, code: int | None, status: int, told: str
) -> None:
    error = leaky(upstream)
    error["error"]["code"] = code
    upstream.default = [sse_answer([b": hello\n\n", error, "[DONE]"])]
    async with watched(upstream) as gateway:
        answer = await gateway.chat(stream=True)

    assert answer.error() == (status, "server_error", told, None)


EMPTY = [
    pytest.param([sse_answer([])], INVALID, id="nothing"),
    pytest.param([sse_answer([], chunked=False), Close()], INVALID, id="nothing but a close"),
    pytest.param([sse_answer(["[DONE]"])], INVALID, id="DONE alone"),
    pytest.param([sse_answer([b": ping\n\n"])], INVALID, id="a comment"),
    pytest.param([sse_answer([{"choices": []}, "[DONE]"])], INVALID, id="no choices"),
    pytest.param([sse_answer([delta("")])], UPSTREAM_ERROR, id="a choice without content"),
]


@pytest.mark.parametrize(("steps", "told"), EMPTY)
async def test_a_stream_without_an_answer_is_an_error(
    upstream: RawUpstream, steps: list[Step], told: tuple[Any, ...]
) -> None:
    upstream.default = steps
    async with watched(upstream) as gateway:
        answer = await gateway.chat(stream=True)

    assert answer.error() == told


COMPLETE = [
    pytest.param([chunk(FINISH), Reset()], FINISH, id="reset"),
    pytest.param([chunk(FINISH), Close()], FINISH, id="FIN"),
    pytest.param([chunk(FINISH), END], FINISH, id="no DONE"),
    pytest.param([chunk(FINISH + USAGE), Reset()], FINISH, id="reset after the usage"),
    pytest.param([chunk(FINISH), b"zz\r\n", Stall()], FINISH, id="a malformed chunk size"),
    pytest.param([chunk(FINISH + DONE), Reset()], FINISH + DONE, id="reset after DONE"),
    pytest.param([chunk(FINISH + DONE), b"zz\r\n", Stall()], FINISH + DONE, id="a malformed chunk size after DONE"),
    pytest.param([chunk(FINISH + DONE + b"data: junk\n\n"), END, Close()], FINISH + DONE, id="junk after DONE"),
]


@pytest.mark.parametrize(("steps", "rest"), COMPLETE)
async def test_a_cut_after_the_finish_ends_the_stream_with_what_came(
    upstream: RawUpstream, steps: list[Step], rest: bytes
) -> None:
    answer = await relayed(upstream, *steps)

    assert answer.body == FIRST + rest


async def test_a_stream_that_stays_open_after_its_end_is_let_go_of(upstream: RawUpstream) -> None:
    answer = await relayed(upstream, chunk(FINISH + DONE), Stall())

    assert answer.body == FIRST + FINISH + DONE
    assert (await upstream.closed()).closed_by_peer


async def test_usage_that_makes_no_sense_passes(upstream: RawUpstream) -> None:
    raw = event({"choices": [], "usage": {"prompt_tokens": -1, "completion_tokens": 2**80}})
    gate = asyncio.Event()
    gate.set()
    upstream.default = [sse_answer([FIRST, FINISH, raw, DONE])]
    async with watched(upstream) as gateway:
        answer = await gateway.chat(stream=True, stream_options={"include_usage": True})

    assert answer.body == FIRST + FINISH + raw + DONE


async def test_silence_within_a_stream_ends_it(upstream: RawUpstream) -> None:
    answer = await relayed(upstream, Stall(), provider='timeout = { idle = "300ms" }')

    assert error_of(answer.body) == ("server_error", "upstream_timeout")
    assert (await upstream.closed()).closed_by_peer


async def test_silence_within_an_event_ends_the_stream(upstream: RawUpstream) -> None:
    half = event(delta("half of it"))[:-9]
    answer = await relayed(upstream, chunk(half), Stall(), provider='timeout = { idle = "300ms" }')

    assert error_of(answer.body) == ("server_error", "upstream_timeout")
    assert b"half" not in answer.body


async def test_silence_within_a_json_body_is_a_timeout(upstream: RawUpstream) -> None:
    upstream.default = [head(200, {"Content-Type": "application/json", "Content-Length": "99"}), b"{", Stall()]
    async with watched(upstream, 'timeout = { idle = "300ms" }') as gateway:
        answer = await gateway.chat()

    assert answer.error() == (504, "server_error", "upstream_timeout", None)
    assert (await upstream.closed()).closed_by_peer


CLEAN = [
    pytest.param(b": ping\n\n", id="a comment"),
    pytest.param(b":\r\n\r\n", id="an empty comment"),
    pytest.param(b"event: ping\n\n", id="an event without data"),
    pytest.param(b"retry: 3000\n\n", id="a retry"),
    pytest.param(event({"type": "unheard of", "x": [1.0]}), id="an object of a new shape"),
    pytest.param(b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n', id="half an emoji"),
]


@pytest.mark.parametrize("raw", CLEAN)
async def test_what_is_odd_but_sound_passes_as_it_came(upstream: RawUpstream, raw: bytes) -> None:
    upstream.default = [sse_answer([FIRST, raw, FINISH, DONE])]
    async with watched(upstream) as gateway:
        answer = await gateway.chat(stream=True)

    assert answer.body == FIRST + raw + FINISH + DONE


async def test_a_stream_may_come_byte_by_byte(upstream: RawUpstream) -> None:
    raw = FIRST + FINISH + USAGE + DONE
    pieces = [raw[at : at + 1] for at in range(len(raw))]
    upstream.default = [sse_head() + chunked(pieces)]
    async with watched(upstream) as gateway:
        answer = await gateway.chat(stream=True, stream_options={"include_usage": True})

    assert answer.body == raw


async def test_json_although_a_stream_was_asked_for_becomes_one(upstream: RawUpstream) -> None:
    upstream.default = [GOOD]
    async with watched(upstream) as gateway:
        answer = await gateway.chat(stream=True)
        chunks = frames(answer.body)

    assert answer.status == 200
    assert chunks[-1] == "[DONE]"
    assert "".join(piece["choices"][0]["delta"].get("content", "") for piece in chunks[:-1]) == "Hi."
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


async def test_a_client_that_leaves_a_stream_stops_the_provider(upstream: RawUpstream) -> None:
    upstream.script(sse_head(), chunk(FIRST), Stall())
    async with watched(upstream) as gateway:
        caller = await gateway.ask(stream=True)
        await caller.until(FIRST)
        caller.leave()

        assert (await upstream.closed(within_s=1)).closed_by_peer


# Time moved by hand.


@asynccontextmanager
async def call_at(upstream: RawUpstream, clock: ManualClock, provider: str) -> AsyncIterator[StreamReply]:
    config: Config = settings(upstream.url, provider=provider)
    async with Gateway.open(config, clock=clock) as gateway:
        call = Call(id="req_1", dialect=CHAT, wire=chat_body(stream=True), principal=LOCAL, started_s=clock.now_s())
        async with gateway.relay(call) as reply:
            assert isinstance(reply, StreamReply)
            yield reply


@pytest.fixture
def slow_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at every wait once in a second that the clock is moved by."""
    monkeypatch.setattr(lifecycle, "SWEEP_S", 1.0)


async def test_comments_reset_the_idle_timer(upstream: RawUpstream, slow_sweep: None) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    pings = [step for gate in gates for step in (Wait(gate), chunk(b": ping\n\n"))]
    upstream.script(sse_head(), chunk(FIRST), *pings, Stall())
    clock = ManualClock()
    found = []
    async with call_at(upstream, clock, 'keepalive = "500s"\ntimeout = { idle = "100s" }') as reply:
        found.append(await anext(reply.chunks))
        for gate in gates:
            reading = asyncio.ensure_future(anext(reply.chunks))
            await clock.advance(90)
            gate.set()
            found.append(await asyncio.wait_for(reading, 5))
        reading = asyncio.ensure_future(anext(reply.chunks))
        await clock.advance(90)
        still_waits = not reading.done()
        await clock.advance(11)
        last = await asyncio.wait_for(reading, 5)

    assert found == [FIRST] + [b": ping\n\n"] * 3
    assert still_waits
    assert error_of(last) == ("server_error", "upstream_timeout")


async def test_comments_do_not_put_off_the_total(upstream: RawUpstream, slow_sweep: None) -> None:
    gates = [asyncio.Event() for _ in range(3)]
    pings = [step for gate in gates for step in (Wait(gate), chunk(b": ping\n\n"))]
    upstream.script(sse_head(), chunk(FIRST), *pings, Stall())
    clock = ManualClock()
    async with call_at(upstream, clock, 'keepalive = "500s"\ntimeout = { idle = "100s", total = "300s" }') as reply:
        await anext(reply.chunks)
        for gate in gates:
            reading = asyncio.ensure_future(anext(reply.chunks))
            await clock.advance(90)
            gate.set()
            await asyncio.wait_for(reading, 5)
        reading = asyncio.ensure_future(anext(reply.chunks))
        await clock.advance(31)
        last = await asyncio.wait_for(reading, 5)

    assert error_of(last) == ("server_error", "upstream_timeout")


async def test_a_silent_stream_keeps_its_client_awake(upstream: RawUpstream, slow_sweep: None) -> None:
    upstream.script(sse_head(), chunk(FIRST), Stall())
    clock = ManualClock()
    async with call_at(upstream, clock, 'keepalive = "10s"\ntimeout = { idle = "100s" }') as reply:
        await anext(reply.chunks)
        reading = asyncio.ensure_future(anext(reply.chunks))
        await clock.advance(11)

        assert await asyncio.wait_for(reading, 5) == CHAT.keepalive


async def test_a_wait_that_the_provider_asked_for_is_kept(upstream: RawUpstream, slow_sweep: None) -> None:
    upstream.script(json_answer({"error": {"message": "Slow."}}, 429, {"Retry-After": "6"}))
    upstream.script(GOOD)
    clock = ManualClock()
    async with Gateway.open(settings(upstream.url, provider="retries = 1"), clock=clock) as gateway:
        asking = asyncio.create_task(gateway.chat({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}))
        await upstream.received()
        while len(upstream.requests) < 2 and clock.now_s() < 60:
            await clock.advance(0.5)
        answer = await asking

    assert 6 <= clock.now_s() <= 7.5
    assert answer["id"] == "c1"
