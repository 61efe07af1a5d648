"""The scripted upstream and the cutting helper do what tests rely on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.feeding import feed_every_way
from tests.support.upstream import (
    Close,
    RawUpstream,
    Reset,
    Script,
    Send,
    Stall,
    Wait,
    chunked,
    event,
    head,
    json_answer,
    sse_answer,
)

GET = b"GET /v1/models?x=1 HTTP/1.1\r\nHost: a\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\n"
POST = b"POST /chat HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}'
POST_CHUNKED = b"POST /chat HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked([b'{"a"', b":1}"])


class Peer:
    """A client that speaks bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, request: bytes, expected: bytes) -> bytes:
        self.writer.write(request)
        return await asyncio.wait_for(self.reader.readexactly(len(expected)), 5)

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(), 5)


@asynccontextmanager
async def peer_of(upstream: RawUpstream) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
    try:
        yield Peer(reader, writer)
    finally:
        writer.transport.abort()


ANSWERS = [
    pytest.param(head(204), b"HTTP/1.1 204 No Content\r\n\r\n", id="a head without headers"),
    pytest.param(head(999, {"A": "b"}), b"HTTP/1.1 999 Unknown\r\nA: b\r\n\r\n", id="a status that nobody knows"),
    pytest.param(
        head(200, [("A", "1"), ("A", "2")]), b"HTTP/1.1 200 OK\r\nA: 1\r\nA: 2\r\n\r\n", id="a header given twice"
    ),
    pytest.param(
        json_answer({"a": 1}, 429, {"Retry-After": "3"}),
        b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: 7\r\n"
        b'Retry-After: 3\r\n\r\n{"a":1}',
        id="an answer in JSON",
    ),
    pytest.param(
        sse_answer([{"a": 1}, "[DONE]"]),
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'f\r\ndata: {"a":1}\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n',
        id="a stream in chunks",
    ),
    pytest.param(
        sse_answer([b": hi\n\n"], chunked=False),
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: hi\n\n",
        id="a stream up to the end of the connection",
    ),
    pytest.param(chunked([b"ab"], last=False), b"2\r\nab\r\n", id="chunks without the last one"),
    pytest.param(chunked([b"", b"ab"]), b"2\r\nab\r\n0\r\n\r\n", id="an empty piece ends nothing"),
    pytest.param(event("[DONE]"), b"data: [DONE]\n\n", id="a frame of text"),
]


@pytest.mark.parametrize(("actual", "expected"), ANSWERS)
def test_answers_are_written_byte_for_byte(actual: bytes, expected: bytes) -> None:
    assert expected == actual


REQUESTS = [
    pytest.param(
        GET,
        ("GET", "/v1/models?x=1", (("Host", "a"), ("X-Twice", "1"), ("x-twice", "2")), b""),
        id="names and order of headers are kept",
    ),
    pytest.param(
        POST, ("POST", "/chat", (("Host", "a"), ("Content-Length", "7")), b'{"a":1}'), id="a body with a length"
    ),
    pytest.param(
        POST_CHUNKED, ("POST", "/chat", (("Transfer-Encoding", "chunked"),), b'{"a":1}'), id="a body in chunks"
    ),
]


@pytest.mark.parametrize(("wire", "expected"), REQUESTS)
async def test_a_request_is_recorded_as_it_came(wire: bytes, expected: tuple[Any, ...]) -> None:
    async with RawUpstream([json_answer({})]) as upstream, peer_of(upstream) as peer:
        peer.writer.write(wire)
        request = await upstream.received()

    assert expected == (request.method, request.path, request.headers, request.body)


async def test_header_and_body_of_a_request_can_be_read() -> None:
    async with RawUpstream([json_answer({})]) as upstream, peer_of(upstream) as peer:
        peer.writer.write(POST)
        request = await upstream.received()

    assert (request.header("content-length"), request.header("accept"), request.json()) == ("7", None, {"a": 1})


async def test_scripts_answer_the_requests_of_one_connection_in_order() -> None:
    first, second, third = json_answer(1), json_answer(2), json_answer("/chat")
    async with RawUpstream(lambda request: [json_answer(request.path)]) as upstream, peer_of(upstream) as peer:
        upstream.script(first)
        upstream.script_from(lambda request: [json_answer(request.connection + 2)])
        answers = [await peer.ask(GET, first), await peer.ask(POST, second), await peer.ask(POST, third)]

    assert ([first, second, third], 1) == (answers, len(upstream.connections))


async def test_a_pipelined_request_waits_for_the_script_before_it() -> None:
    first, second = json_answer("one"), json_answer("two")
    go_on = asyncio.Event()
    async with RawUpstream() as upstream, peer_of(upstream) as peer:
        upstream.script(Wait(go_on), first)
        upstream.script(second)
        peer.writer.write(GET + GET)
        await upstream.received()
        waiting = len(upstream.requests)
        go_on.set()
        answer = await peer.ask(b"", first + second)

    assert (1, first + second) == (waiting, answer)


async def test_every_connection_is_counted_with_the_requests_on_it() -> None:
    async with RawUpstream([json_answer({})]) as upstream, peer_of(upstream) as one, peer_of(upstream) as other:
        one.writer.write(GET)
        await upstream.received(1)
        other.writer.write(GET)
        await upstream.received(2)

    assert [request.connection for request in upstream.requests] == [0, 1]


async def test_a_request_without_a_script_is_a_500() -> None:
    async with RawUpstream() as upstream, peer_of(upstream) as peer:
        line = await peer.ask(GET, b"HTTP/1.1 500")

    assert line == b"HTTP/1.1 500"


async def test_a_script_waits_for_an_event() -> None:
    go_on = asyncio.Event()
    script: Script = [Send(b"one"), Wait(go_on), Send(b"two"), Wait(0.0), Close()]
    async with RawUpstream(script) as upstream, peer_of(upstream) as peer:
        before = await peer.ask(GET, b"one")
        go_on.set()
        after = await peer.rest()

    assert (before, after) == (b"one", b"two")


async def test_closing_ends_the_bytes_in_good_order() -> None:
    async with RawUpstream([b"half", Close()]) as upstream, peer_of(upstream) as peer:
        peer.writer.write(GET)
        rest = await peer.rest()
        connection = await upstream.closed()

    assert (rest, connection.closed_by_peer) == (b"half", False)


async def test_resetting_breaks_the_connection_off() -> None:
    async with RawUpstream([b"half", Reset()]) as upstream, peer_of(upstream) as peer:
        peer.writer.write(GET)
        with pytest.raises(ConnectionResetError):
            await peer.rest()


async def test_a_connection_can_be_reset_before_any_request() -> None:
    async with RawUpstream() as upstream:
        upstream.greet(Reset())
        async with peer_of(upstream) as peer:
            with pytest.raises(ConnectionResetError):
                await peer.rest()


LEAVINGS: list[Any] = [
    pytest.param(lambda writer: writer.close(), id="by FIN"),
    pytest.param(lambda writer: writer.transport.abort(), id="at once"),
]


@pytest.mark.parametrize("leave", LEAVINGS)
async def test_the_end_of_a_connection_is_seen_while_a_script_stalls(
    leave: Callable[[asyncio.StreamWriter], None],
) -> None:
    async with RawUpstream([b"half", Stall()]) as upstream, peer_of(upstream) as peer:
        await peer.ask(GET, b"half")
        leave(peer.writer)
        connection = await upstream.closed(0)

    assert (connection.closed_by_peer, connection.sent_bytes) == (True, 4)


async def test_waiting_for_the_end_of_an_open_connection_fails_in_time() -> None:
    async with RawUpstream([Stall()]) as upstream, peer_of(upstream):
        await upstream.opened(0)
        with pytest.raises(TimeoutError):
            await upstream.closed(0, within_s=0.01)


async def test_a_peer_that_does_not_read_holds_the_script_up() -> None:
    megabyte = b"x" * 1_000_000
    async with RawUpstream([b"begin", *[megabyte] * 100]) as upstream, peer_of(upstream) as peer:
        await peer.ask(GET, b"begin")
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        with pytest.raises(TimeoutError):
            await upstream.closed(0, within_s=0.1)
        sent = upstream.connections[0].sent_bytes

    assert sent < 50_000_000


async def test_leaving_ends_scripts_that_still_run() -> None:
    async with RawUpstream([Wait(asyncio.Event())]) as upstream, peer_of(upstream) as peer:
        peer.writer.write(GET)
        await upstream.received()

    assert not upstream.connections[0].closed_by_peer


MALFORMED = [
    pytest.param(b"GET /\r\n\r\n", id="a request line of two words"),
    pytest.param(b"GET / HTTP/1.0\r\n\r\n", id="an old protocol"),
    pytest.param(b"GET / HTTP/1.1\r\nno colon\r\n\r\n", id="a header without a colon"),
    pytest.param(b"GET / HTTP/1.1\r\nSpaced : 1\r\n\r\n", id="a header with a space before the colon"),
    pytest.param(b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", id="a length that is none"),
    pytest.param(b"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", id="a body over the bound"),
    pytest.param(b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", id="a chunk with a wrong length"),
    pytest.param(b"x" * 300_000, id="a head over the bound"),
]


@pytest.mark.parametrize("wire", MALFORMED)
async def test_a_malformed_request_fails_the_test(wire: bytes) -> None:
    with pytest.raises(ValueError):
        await _ask_until_closed(RawUpstream([json_answer({})]), wire)


async def test_an_error_in_a_script_fails_the_test() -> None:
    def script(request: object) -> list[bytes]:
        raise AssertionError("wrong request")

    with pytest.raises(AssertionError, match="wrong request"):
        await _ask_until_closed(RawUpstream(script), GET)


async def _ask_until_closed(unstarted: RawUpstream, wire: bytes) -> None:
    async with unstarted as upstream, peer_of(upstream) as peer:
        peer.writer.write(wire)
        await upstream.closed(0)


class Lines:
    """Splits at newlines; what is unfinished comes from `close`."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

    def close(self) -> bytes | None:
        return self._rest or None


class Forgetful(Lines):
    """Takes each piece for itself."""

    def feed(self, data: bytes) -> list[bytes]:
        self._rest = b""
        return super().feed(data)


class Upper:
    """Gives bytes, never the same pieces."""

    def feed(self, data: bytes) -> bytes:
        return data.upper()

    def close(self) -> bytes:
        return b"!"


FED: list[Any] = [
    pytest.param(Lines, b"a\nbc\n", [b"a", b"bc"], id="lists are joined"),
    pytest.param(Lines, b"a\nbc", [b"a", b"bc"], id="a single result is appended"),
    pytest.param(Upper, b"abc", b"ABC!", id="bytes are joined"),
    pytest.param(Lines, b"", [], id="nothing gives nothing"),
]


@pytest.mark.parametrize(("make", "wire", "expected"), FED)
def test_feeding_every_way_gives_what_all_ways_give(make: Callable[[], Any], wire: bytes, expected: Any) -> None:
    assert expected == feed_every_way(make, wire)


def test_feeding_every_way_finds_a_decoder_that_depends_on_the_cuts() -> None:
    with pytest.raises(AssertionError, match="cut into"):
        feed_every_way(Forgetful, b"one\ntwo\nthree")
