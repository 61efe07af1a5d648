"""Connections that are used again, those that must not be, and what is left in memory of those that are gone."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

import pytest
from aiohttp.streams import StreamReader

from modelserver.errors import UpstreamFailed
from modelserver.upstream import transport as transports
from modelserver.upstream.answer import StreamedAnswer
from modelserver.upstream.connection import UpstreamConnection
from tests.fault.conftest import Carrier, rest
from tests.support.upstream import Close, RawUpstream, Reset, Stall, Step, Wait, chunk, head, json_answer
from tests.support.waiting import until

CHUNKED = {"Transfer-Encoding": "chunked"}
OURS = b'{"ours":true}'
NOT_OURS = [
    pytest.param(json_answer({"theirs": True}), id="an answer"),
    pytest.param(json_answer({}, 408, {"Connection": "close"}), id="a late 408"),
    pytest.param(head(500, {"Content-Length": "99"}) + b"{", id="half an answer"),
    pytest.param(b"HTTP/1.1 500 Oops\r\nX-Rest: ", id="half a head"),
    pytest.param(b"H", id="one byte"),
    pytest.param(b"garbage\r\n\r\n", id="garbage"),
]


def is_poisoned(carrier: Carrier, upstream: RawUpstream) -> bool:
    """Whether what came on the idle connection has arrived here."""
    if carrier.proxy is None:
        return upstream.connections[0].is_over
    assert carrier.transport._proxied is not None
    connector = carrier.transport._proxied._session.connector
    assert connector is not None
    return all(protocol.should_close for kept in connector._conns.values() for protocol, _ in kept)


@pytest.mark.parametrize("junk", NOT_OURS[:2])
async def test_an_answer_nobody_asked_for_reaches_nobody(carrier: Carrier, upstream: RawUpstream, junk: bytes) -> None:
    gate = asyncio.Event()
    upstream.script(json_answer({"first": True}), Wait(gate), junk)
    upstream.script(json_answer(OURS))
    first = await carrier.fetch(upstream.url)
    gate.set()
    await until(lambda: is_poisoned(carrier, upstream), "the second answer")
    second = await carrier.fetch(upstream.url)

    assert (first, second) == ((200, b'{"first":true}'), (200, OURS))
    assert upstream.requests[1].connection == 1


@pytest.mark.parametrize("junk", NOT_OURS)
async def test_bytes_on_an_idle_connection_close_it(own: Carrier, upstream: RawUpstream, junk: bytes) -> None:
    gate = asyncio.Event()
    upstream.script(json_answer({"first": True}), Wait(gate), junk)
    upstream.script(json_answer(OURS))
    await own.fetch(upstream.url)
    gate.set()
    await upstream.closed()

    assert await own.fetch(upstream.url) == (200, OURS)
    assert upstream.requests[1].connection == 1


@pytest.mark.parametrize("junk", [case for case in NOT_OURS if case.id not in ("one byte", "garbage")])
async def test_what_is_appended_to_an_answer_reaches_nobody(
    carrier: Carrier, upstream: RawUpstream, junk: bytes
) -> None:
    upstream.script(json_answer({"first": True}) + junk)
    upstream.script(json_answer(OURS))
    first = await carrier.fetch(upstream.url)
    second = await carrier.fetch(upstream.url)

    assert (first, second) == ((200, b'{"first":true}'), (200, OURS))


@pytest.mark.parametrize("junk", NOT_OURS)
async def test_no_connection_is_used_again_on_which_more_came_than_an_answer(
    own: Carrier, upstream: RawUpstream, junk: bytes
) -> None:
    upstream.script(json_answer({"first": True}) + junk)
    upstream.script(json_answer(OURS))
    with suppress(UpstreamFailed):  # what the parser refuses in the same breath takes the answer with it
        await own.fetch(upstream.url)
    second = await own.fetch(upstream.url)

    assert second == (200, OURS)
    assert upstream.requests[1].connection == 1


async def test_empty_lines_between_answers_are_nothing(own: Carrier, upstream: RawUpstream) -> None:
    """RFC 9112, 2.2."""
    upstream.script(json_answer({"first": True}) + b"\r\n")
    upstream.script(json_answer(OURS))
    await own.fetch(upstream.url)

    assert await own.fetch(upstream.url) == (200, OURS)
    assert len(upstream.connections) == 1


STALE: list[Any] = [pytest.param(Reset(), id="reset"), pytest.param(Close(), id="FIN")]


@pytest.mark.parametrize("end", STALE)
async def test_a_connection_that_died_in_the_pool_is_replaced_silently(
    carrier: Carrier, upstream: RawUpstream, end: Step
) -> None:
    upstream.script(json_answer({"first": True}))
    upstream.script(end)
    upstream.script(json_answer(OURS))
    await carrier.fetch(upstream.url)
    second = await carrier.fetch(upstream.url)

    assert second == (200, OURS)
    assert [request.connection for request in upstream.requests] == [0, 0, 1]


@pytest.mark.parametrize("end", STALE)
async def test_it_is_replaced_once(carrier: Carrier, upstream: RawUpstream, end: Step) -> None:
    upstream.script(json_answer({"first": True}))
    upstream.script(end)
    upstream.script(end)
    await carrier.fetch(upstream.url)
    with pytest.raises(UpstreamFailed):
        await carrier.fetch(upstream.url)

    assert [request.connection for request in upstream.requests] == [0, 0, 1]


async def test_an_answer_that_breaks_on_a_pooled_connection_is_not_asked_for_again(
    carrier: Carrier, upstream: RawUpstream
) -> None:
    """It was no dead connection: the provider has done the work."""
    upstream.script(json_answer({"first": True}))
    upstream.script(b"HTTP/1.1 nonsense\r\n\r\n", Stall())
    await carrier.fetch(upstream.url)
    with pytest.raises(UpstreamFailed):
        await carrier.fetch(upstream.url)

    assert len(upstream.requests) == 2


@pytest.mark.parametrize("end", STALE)
async def test_a_connection_that_the_provider_closes_is_not_used(
    carrier: Carrier, upstream: RawUpstream, end: Step
) -> None:
    gate = asyncio.Event()
    upstream.script(json_answer({"first": True}), Wait(gate), end)
    upstream.script(json_answer(OURS))
    await carrier.fetch(upstream.url)
    gate.set()
    await upstream.closed()
    if carrier.proxy is None:
        await until(lambda: not carrier.open, "the news of it")

    assert await carrier.fetch(upstream.url) == (200, OURS)
    assert upstream.requests[-1].connection == 1


async def test_a_retry_never_uses_the_pool(carrier: Carrier, upstream: RawUpstream) -> None:
    upstream.default = [json_answer(OURS)]
    await carrier.fetch(upstream.url)
    await carrier.fetch(upstream.url, fresh=True)

    assert [request.connection for request in upstream.requests] == [0, 1]


async def test_requests_at_the_same_time_never_share_a_connection(carrier: Carrier, upstream: RawUpstream) -> None:
    upstream.default = lambda request: [json_answer(request.body)]
    bodies = [b"%d" % number for number in range(40)]
    await carrier.fetch(upstream.url)
    found = await asyncio.gather(*(carrier.fetch(upstream.url, body) for body in bodies))

    assert found == [(200, body) for body in bodies]


async def test_places_have_connections_of_their_own(own: Carrier, upstream: RawUpstream) -> None:
    async with RawUpstream([json_answer({"other": True})]) as other:
        upstream.default = [json_answer(OURS)]
        found = [await own.fetch(url) for url in (upstream.url, other.url, upstream.url, other.url)]

        assert found == [(200, OURS), (200, b'{"other":true}')] * 2


async def test_what_is_idle_for_long_is_closed(
    own: Carrier, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transports, "_IDLE_S", 0.02)
    upstream.default = [json_answer(OURS)]
    await own.fetch(upstream.url)
    closed = await upstream.closed()
    await until(lambda: own.transport._pruning is None, "the end of the timer")

    assert closed.closed_by_peer
    assert not own.transport._idle


async def test_closing_ends_what_is_idle_and_what_is_in_use(carrier: Carrier, upstream: RawUpstream) -> None:
    upstream.script(head(200, CHUNKED), chunk(b"{}"), Stall())
    upstream.script(json_answer(OURS))
    used = await carrier.send(upstream.url)
    await used.read()
    reading = asyncio.create_task(used.read())
    await carrier.fetch(upstream.url)
    await carrier.transport.close()

    with pytest.raises(UpstreamFailed):
        await asyncio.wait_for(reading, 5)
    used.close()
    assert [(await upstream.closed(index)).closed_by_peer for index in (0, 1)] == [True, True]


# What is said early, while the request is still on its way.


class Early(asyncio.Protocol):
    """A provider that reads a little of a request, does what it was told, and never reads on."""

    def __init__(self, act: Callable[[asyncio.Transport], None]) -> None:
        self._act = act
        self.over = asyncio.Event()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.transport.pause_reading()
        self._act(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()


LARGE = bytes(20_000_000)
REFUSED = json_answer({"error": "too large"}, 413)


def say(transport: asyncio.Transport) -> None:
    transport.write(REFUSED)


def say_and_close(transport: asyncio.Transport) -> None:
    transport.write(REFUSED)
    transport.write_eof()


def close(transport: asyncio.Transport) -> None:
    transport.write_eof()


def reset(transport: asyncio.Transport) -> None:
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


async def early_fetch(own: Carrier, act: Callable[[asyncio.Transport], None]) -> tuple[int, bytes]:
    early = Early(act)
    server = await asyncio.get_running_loop().create_server(lambda: early, "127.0.0.1", 0)
    try:
        return await own.fetch(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", LARGE)
    finally:
        server.close()
        await until(lambda: not own.open, "the end of the connection")
        early.transport.abort()
        await early.over.wait()


@pytest.mark.parametrize("act", [say, say_and_close])
async def test_an_answer_before_the_end_of_the_request_is_taken_and_ends_the_connection(
    own: Carrier, act: Callable[[asyncio.Transport], None]
) -> None:
    assert await early_fetch(own, act) == (413, b'{"error":"too large"}')


@pytest.mark.parametrize("act", [close, reset])
async def test_a_provider_that_leaves_before_the_end_of_the_request_is_not_waited_for(
    own: Carrier, act: Callable[[asyncio.Transport], None]
) -> None:
    with pytest.raises(UpstreamFailed):
        await early_fetch(own, act)


async def test_a_flood_of_interim_answers_is_an_end(own: Carrier, upstream: RawUpstream) -> None:
    upstream.script(head(103) * 1_000, json_answer(OURS))
    with pytest.raises(UpstreamFailed):
        await own.fetch(upstream.url)

    assert (await upstream.closed()).closed_by_peer


@pytest.mark.parametrize("greeting", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b"220 hello\r\n"])
async def test_a_provider_that_speaks_first_and_closes_is_an_error_or_an_answer(
    own: Carrier, upstream: RawUpstream, greeting: bytes
) -> None:
    """Whether its bytes come before the request has left is chance; neither may be more than one failed try."""
    upstream.greet(greeting, Close())
    with suppress(UpstreamFailed):
        assert await own.fetch(upstream.url) == (200, b"{}")


async def test_a_connection_lost_between_connecting_and_asking_is_an_error(own: Carrier, upstream: RawUpstream) -> None:
    connection = await own.transport._connect(transports._Place("127.0.0.1", upstream.port, False), 5)
    (await upstream.opened()).abort()
    await until(lambda: not own.open, "the news of it")
    with pytest.raises(UpstreamFailed) as caught:
        await connection.exchange(b"GET / HTTP/1.1\r\n\r\n")

    assert caught.value.code == "upstream_error"


async def test_what_came_before_a_cut_is_read_although_nobody_read_it_in_time(
    own: Carrier, upstream: RawUpstream
) -> None:
    upstream.script(head(200, CHUNKED), chunk(b"all"), chunk(b"of it"), Reset())
    answer = await own.send(upstream.url)
    await until(lambda: not own.open, "the reset")

    assert await answer.read() == b"allof it"
    with pytest.raises(UpstreamFailed):
        await answer.read()


async def test_an_answer_read_late_is_whole_although_its_connection_went_on_and_died(
    own: Carrier, upstream: RawUpstream
) -> None:
    upstream.script(json_answer(OURS))
    upstream.script(head(200, {"Content-Length": "99"}), b"{", Reset())
    first = await own.send(upstream.url)
    await until(lambda: own.idle == 1)
    second = await own.send(upstream.url)
    await until(lambda: not own.open, "the reset")

    assert await rest(first) == OURS
    with pytest.raises(UpstreamFailed):
        await rest(second)


async def test_an_exchange_cancelled_as_its_answer_comes_does_not_close_a_connection_in_use(
    own: Carrier, upstream: RawUpstream
) -> None:
    """The first answer is complete, so the connection is free, and another request has it already."""
    connection = await own.transport._connect(transports._Place("127.0.0.1", upstream.port, False), 5)
    gate = asyncio.Event()
    wire = b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
    upstream.script(Stall())
    first = asyncio.create_task(connection.exchange(wire))
    await upstream.received()
    connection.data_received(json_answer(OURS))
    second = asyncio.create_task(connection.exchange(wire))
    first.cancel()
    await asyncio.wait([first])
    gate.set()
    connection.data_received(json_answer({"second": True}))

    assert first.cancelled()
    assert await rest(await second) == b'{"second":true}'
    connection.drop()


async def test_an_exchange_cancelled_as_half_its_answer_comes_closes_the_connection(
    own: Carrier, upstream: RawUpstream
) -> None:
    connection = await own.transport._connect(transports._Place("127.0.0.1", upstream.port, False), 5)
    upstream.script(Stall())
    exchange = asyncio.create_task(connection.exchange(b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"))
    await upstream.received()
    connection.data_received(head(200, CHUNKED))
    exchange.cancel()
    await asyncio.wait([exchange])

    assert exchange.cancelled()
    assert (await upstream.closed()).closed_by_peer


def alive() -> list[object]:
    """What a connection consists of, of every connection there is."""
    kinds = (StreamReader, UpstreamConnection, StreamedAnswer)
    return [found for found in gc.get_objects() if type(found) in kinds]


GONE = [
    pytest.param([Close()], id="no answer"),
    pytest.param([b"garbage\r\n\r\n", Stall()], id="garbage"),
    pytest.param([head(200, CHUNKED), chunk(b"{}"), Reset()], id="a reset"),
    pytest.param([head(200, CHUNKED), chunk(b"{}"), Close()], id="a FIN"),
    pytest.param([head(200, CHUNKED), chunk(b"{}"), b"zz\r\n", Stall()], id="a malformed chunk"),
    pytest.param([head(200), b"{}", Close()], id="the end of the connection"),
    pytest.param([json_answer({}) + b"HTTP/1.1 500 Oops\r\nX: "], id="an answer too many"),
]


@pytest.mark.parametrize("steps", GONE)
async def test_nothing_of_a_connection_outlives_it_in_a_cycle(
    own: Carrier, upstream: RawUpstream, steps: list[Step]
) -> None:
    """Its buffers would stay until a collection of the oldest generation, which can be long."""
    upstream.script(*steps)
    gc.collect()
    before = set(map(id, alive()))
    gc.disable()
    try:
        await _fetch_and_forget(own, upstream)
        await until(lambda: not own.open, "the end of the connection")
        own.transport._idle.clear()
        await until(lambda: before.issuperset(map(id, alive())), "the end of its objects")
    finally:
        gc.enable()


async def _fetch_and_forget(own: Carrier, upstream: RawUpstream) -> None:
    with suppress(UpstreamFailed):
        await own.fetch(upstream.url)
