"""Clients that leave or do not read: the provider is let go of at once, and nothing piles up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from modelserver.dialects.openai_chat.stream import ChatStreamRelay
from modelserver.web import generate
from tests.support.front import BEARER, CHAT_PATH, Caller, Front, chat_body, front, request, settings
from tests.support.upstream import RawUpstream, Stall, Step, Wait, chunk, head, json_answer, sse_head
from tests.support.waiting import until

BEGIN = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
STREAM = {"stream": True}

PHASES = [
    pytest.param((Stall(),), {}, None, id="no status yet"),
    pytest.param((Stall(),), STREAM, None, id="no status yet, stream"),
    pytest.param(
        (head(200, {"Content-Type": "application/json", "Content-Length": "99"}), Stall()), {}, None, id="head"
    ),
    pytest.param(
        (head(200, {"Content-Type": "application/json", "Content-Length": "99"}) + b"{", Stall()), {}, None, id="body"
    ),
    pytest.param((head(500, {"Content-Length": "99"}), Stall()), {}, None, id="error without its body"),
    pytest.param((sse_head(), Stall()), STREAM, None, id="head of a stream"),
    pytest.param((sse_head(), chunk(b": ping\n\n"), chunk(ROLE), Stall()), STREAM, None, id="before the commit"),
    pytest.param((sse_head(), chunk(BEGIN), Stall()), STREAM, BEGIN, id="in the stream"),
    pytest.param((sse_head(), chunk(BEGIN + END[:9]), Stall()), STREAM, BEGIN, id="in half a frame"),
]


async def calls_open(server: Front, count: int) -> None:
    """Return once so many calls are open."""
    await until(lambda: server.gateway.open_calls == count, f"{count} open calls")


@pytest.mark.usefixtures("quick_sweep")
@pytest.mark.parametrize(("steps", "fields", "mark"), PHASES)
async def test_the_provider_is_let_go_of_in_each_phase(
    upstream: RawUpstream, way: str, steps: tuple[Step, ...], fields: dict[str, Any], mark: bytes | None
) -> None:
    upstream.script(*steps)
    async with front(settings(upstream.url), way) as server:
        caller = await server.connect()
        await caller.send(request("POST", CHAT_PATH, BEARER, chat_body(**fields)))
        await upstream.received()
        if mark is not None:
            await caller.until(mark)
        caller.leave()
        connection = await upstream.closed(within_s=1.0)

        assert connection.closed_by_peer
        await calls_open(server, 0)


async def test_a_client_that_only_ends_its_side_has_left_too_within_a_second(upstream: RawUpstream, way: str) -> None:
    upstream.script(Stall())
    async with front(settings(upstream.url), way) as server:
        caller = await server.connect()
        await caller.send(request("POST", CHAT_PATH, BEARER, chat_body()))
        await upstream.received()
        caller.writer.write_eof()

        assert (await upstream.closed(within_s=1.0)).closed_by_peer


async def test_a_client_that_waits_in_line_and_leaves_gives_up_its_turn(upstream: RawUpstream, way: str) -> None:
    gate = asyncio.Event()
    done = {"choices": [{"index": 0, "finish_reason": "stop"}]}
    upstream.default = lambda asked: [Wait(gate), json_answer({**done, "user": asked.json()["user"]})]
    async with front(settings(upstream.url, provider="concurrency = 1"), way) as server:
        callers = [await server.connect() for _ in range(3)]
        for number, caller in enumerate(callers):
            await caller.send(request("POST", CHAT_PATH, BEARER, chat_body(user=str(number))))
            await calls_open(server, number + 1)
        callers[1].leave()
        await calls_open(server, 2)
        gate.set()
        answers = [(await callers[index].answer()).json()["user"] for index in (0, 2)]

    assert answers == ["0", "2"]
    assert [asked.json()["user"] for asked in upstream.requests] == ["0", "2"]


FLOOD = 64 << 20
DELTA = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 8000)


FLOODING: tuple[Step, ...] = (sse_head(), *([chunk(DELTA * 16)] * (FLOOD // (len(DELTA) * 16))), Stall())


async def stalled(server: Front) -> Caller:
    """A caller whose stream has begun and who does not read."""
    caller = await server.connect(receive_bytes=4096)
    await caller.send(request("POST", CHAT_PATH, BEARER, chat_body(stream=True)))
    await caller.head()
    return caller


async def stops_sending(upstream: RawUpstream) -> int:
    """How much the provider got rid of when for a while it could not get rid of more."""
    connection = await upstream.opened()
    sent = -1
    while sent != connection.sent_bytes:
        sent = connection.sent_bytes
        await asyncio.sleep(0.1)
    return sent


async def test_a_reader_that_stops_stops_the_provider(upstream: RawUpstream, way: str) -> None:
    upstream.script(*FLOODING)
    async with front(settings(upstream.url), way) as server:
        await stalled(server)
        sent = await stops_sending(upstream)

        assert sent < FLOOD / 4, "somewhere between the sockets bytes pile up"
        assert (await server.ask("GET", "/health")).status == 200


async def test_a_reader_that_goes_on_gets_everything(upstream: RawUpstream) -> None:
    count = 2000
    upstream.script(sse_head(), *([chunk(DELTA)] * count), chunk(END), chunk(b""))
    async with front(settings(upstream.url)) as server:
        caller = await stalled(server)
        await stops_sending(upstream)
        body = await caller.chunks()

    assert body == DELTA * count + END


@pytest.mark.usefixtures("quick_sweep")
async def test_a_reader_without_progress_is_cut(
    upstream: RawUpstream, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "STALLED_S", 0.1)
    upstream.script(*FLOODING)
    async with front(settings(upstream.url), way) as server:
        caller = await stalled(server)

        assert (await upstream.closed()).closed_by_peer
        await calls_open(server, 0)
        assert not (await caller.rest()).endswith(b"0\r\n\r\n")


@pytest.mark.usefixtures("quick_sweep")
async def test_a_reader_that_stalls_at_the_end_of_a_stream_is_cut(
    upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "STALLED_S", 0.1)
    calls: list[web.Request] = []

    def note(request: web.Request) -> Callable[[], bool]:
        calls.append(request)
        return lambda: False

    monkeypatch.setattr(generate, "left_by", note)
    upstream.script(sse_head(), Stall())
    async with front(settings(upstream.url)) as server:
        await server.connect(receive_bytes=4096)
        await server.callers[0].send(request("POST", CHAT_PATH, BEARER, chat_body(stream=True)))
        await upstream.received()
        provider = upstream.connections[0]
        while not calls or not calls[0].protocol.writing_paused:  # every write has returned, and more is not taken
            await provider.play([chunk(DELTA)])
            await asyncio.sleep(0.001)
        await provider.play([chunk(END), chunk(b"")])
        await calls_open(server, 0)

        assert not (await server.callers[0].rest()).endswith(b"0\r\n\r\n")


@pytest.mark.usefixtures("quick_sweep")
async def test_a_reader_of_a_whole_answer_without_progress_is_cut(
    upstream: RawUpstream, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "STALLED_S", 0.1)
    upstream.script(json_answer({"choices": [{"finish_reason": "stop"}], "pad": "x" * 2_000_000}))
    async with front(settings(upstream.url), way) as server:
        caller = await server.connect(receive_bytes=4096)
        await caller.send(request("POST", CHAT_PATH, BEARER, chat_body()))
        await caller.head()
        await calls_open(server, 0)

        assert len(await caller.rest()) < 2_000_000


HUGE: tuple[Step, ...] = (json_answer({"choices": [{"finish_reason": "stop"}], "pad": "x" * 8_000_000}),)


@pytest.mark.usefixtures("quick_sweep")
@pytest.mark.parametrize("answer", [HUGE, FLOODING], ids=["whole", "stream"])
async def test_a_slow_reader_with_progress_is_not_cut(
    upstream: RawUpstream, answer: tuple[Step, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "STALLED_S", 0.1)
    upstream.script(*answer)
    loop = asyncio.get_running_loop()
    async with front(settings(upstream.url)) as server:
        caller = await server.connect(receive_bytes=8192)
        await caller.send(request("POST", CHAT_PATH, BEARER, chat_body(stream=answer is not HUGE)))
        await caller.head()
        until = loop.time() + 4 * generate.STALLED_S
        while loop.time() < until:
            await caller.reader.read(8192)
            await asyncio.sleep(0.002)

        assert server.gateway.open_calls == 1
        assert not (await upstream.opened()).is_over


@pytest.mark.usefixtures("quick_sweep")
async def test_a_reader_that_stalls_at_the_drain_gets_no_second_head(upstream: RawUpstream, way: str) -> None:
    upstream.script(*FLOODING)
    async with front(settings(upstream.url), way) as server:
        caller = await stalled(server)
        await stops_sending(upstream)
        ending = asyncio.ensure_future(server.gateway.end_calls(0.0))
        await upstream.closed()
        rest = await caller.rest()
        await ending

    assert b"HTTP/1.1" not in rest
    assert b'"code":"draining"' in rest
    assert rest.endswith(b"\n\n\r\n0\r\n\r\n")


@pytest.mark.usefixtures("quick_sweep")
async def test_a_whole_answer_that_stalls_at_the_drain_gets_no_second_head(upstream: RawUpstream, way: str) -> None:
    body = {"choices": [{"finish_reason": "stop"}], "pad": "x" * 2_000_000}
    upstream.script(json_answer(body))
    async with front(settings(upstream.url), way) as server:
        caller = await server.connect(receive_bytes=4096)
        await caller.send(request("POST", CHAT_PATH, BEARER, chat_body()))
        _, headers = await caller.head()
        ending = asyncio.ensure_future(server.gateway.end_calls(0.0))
        rest = await caller.rest()
        await ending

    assert len(rest) == int(dict(headers)["Content-Length"])
    assert rest.endswith(b'x"}')


async def test_a_bug_in_a_stream_ends_it_with_an_error_event(
    upstream: RawUpstream, way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = asyncio.Event()
    upstream.script(sse_head(), chunk(BEGIN), Wait(gate), chunk(END), chunk(b""))
    async with front(settings(upstream.url), way) as server:
        caller = await server.connect()
        await caller.send(request("POST", CHAT_PATH, {**BEARER, "X-Request-Id": "mine"}, chat_body(stream=True)))
        await caller.until(BEGIN)

        def fail(*_: object) -> bytes:
            raise ZeroDivisionError("the inner secret")

        monkeypatch.setattr(ChatStreamRelay, "feed", fail)
        gate.set()
        rest = await caller.rest()

    assert b"HTTP/1.1" not in rest
    assert b"[DONE]" not in rest
    assert b'"type":"server_error"' in rest
    assert b"mine" in rest
    assert b"secret" not in rest
    assert rest.endswith(b"\n\n\r\n0\r\n\r\n")
    assert "request mine failed" in caplog.text


async def test_many_clients_that_leave_at_once_leave_nothing_behind(upstream: RawUpstream, way: str) -> None:
    upstream.default = lambda asked: [sse_head(), chunk(BEGIN), Stall()]
    async with front(settings(upstream.url), way) as server:
        callers = [await server.connect() for _ in range(50)]
        for caller in callers:
            await caller.send(request("POST", CHAT_PATH, BEARER, chat_body(stream=True)))
        for caller in callers:
            await caller.until(BEGIN)
        for caller in callers:
            caller.writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        for index in range(50):
            await upstream.closed(index, within_s=1.0)
        await calls_open(server, 0)
