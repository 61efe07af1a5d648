"""Answers without measure: too large, too well packed, in too many pieces."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from tests.fault.test_before_the_answer import GOOD
from tests.fault.test_streams import DONE, END, FINISH, FIRST, delta, error_of, relayed
from tests.support.upstream import (
    RawUpstream,
    Received,
    Script,
    Send,
    Stall,
    Wait,
    chunk,
    event,
    head,
    json_answer,
    sse_answer,
    sse_head,
)
from tests.support.watched import watched

TOO_LARGE = (502, "server_error", "upstream_too_large", None)
JSON = {"Content-Type": "application/json"}
MEGABYTE = b"a" * 1_000_000


async def test_a_whole_answer_over_32_mb_is_too_large(upstream: RawUpstream) -> None:
    pieces = [Send(chunk(MEGABYTE))] * 100
    upstream.default = [head(200, {**JSON, "Transfer-Encoding": "chunked"}), *pieces, END]
    async with watched(upstream, "retries = 3") as gateway:
        answer = await gateway.chat()
        ended = await upstream.closed()

    assert answer.error() == TOO_LARGE
    assert len(upstream.requests) == 1
    assert ended.sent_bytes < 60_000_000


async def test_an_answer_of_30_mb_passes(upstream: RawUpstream) -> None:
    text = "a" * 30_000_000
    raw = json_answer({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]})
    upstream.default = [raw]
    async with watched(upstream) as gateway:
        answer = await gateway.chat()
        gateway.heard.clear()  # or it would be searched for secrets

    assert answer.status == 200
    assert answer.body == raw.partition(b"\r\n\r\n")[2]


BOMBS = [
    pytest.param("gzip", gzip.compress(bytes(200_000_000), compresslevel=1), id="gzip"),
    pytest.param("deflate", zlib.compress(bytes(200_000_000), 1), id="deflate"),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("coding", "bomb"), BOMBS)
async def test_a_bomb_is_too_large(upstream: RawUpstream, coding: str, bomb: bytes, stream: bool) -> None:
    kind = "text/event-stream" if stream else "application/json"
    length = str(len(bomb))
    upstream.default = [
        head(200, {"Content-Type": kind, "Content-Encoding": coding, "Content-Length": length}),
        bomb,
    ]
    async with watched(upstream, "retries = 3") as gateway:
        answer = await gateway.chat(stream=stream)

    assert answer.error() == TOO_LARGE
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_coded_stream_is_decoded(upstream: RawUpstream, coding: str) -> None:
    raw = FIRST + FINISH + DONE
    packed = gzip.compress(raw) if coding == "gzip" else zlib.compress(raw)
    upstream.default = [sse_head(headers={"Content-Encoding": coding}), chunk(packed[:9]), chunk(packed[9:]), END]
    async with watched(upstream) as gateway:
        answer = await gateway.chat(stream=True)

    assert answer.body == raw


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_coded_answer_is_decoded(upstream: RawUpstream, coding: str) -> None:
    body = GOOD.partition(b"\r\n\r\n")[2]
    packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    upstream.default = [json_answer(packed, headers={"Content-Encoding": coding})]
    async with watched(upstream) as gateway:
        answer = await gateway.chat()

    assert answer.body == body
    assert answer.header("Content-Encoding") is None


async def test_a_first_event_over_16_mb_is_too_large(upstream: RawUpstream) -> None:
    upstream.default = [sse_head(), chunk(b'data: {"a":"'), *[Send(chunk(MEGABYTE))] * 20, chunk(b'"}\n\n'), END]
    async with watched(upstream, "retries = 3") as gateway:
        answer = await gateway.chat(stream=True)

    assert answer.error() == TOO_LARGE
    assert len(upstream.requests) == 1


async def test_an_event_over_16_mb_ends_a_stream(upstream: RawUpstream) -> None:
    answer = await relayed(upstream, chunk(b'data: {"a":"'), *[Send(chunk(MEGABYTE))] * 20, chunk(b'"}\n\n'), END)

    assert error_of(answer.body) == ("server_error", "upstream_too_large")
    assert len(answer.body) < 1_000


async def test_a_line_without_end_ends_a_stream(upstream: RawUpstream) -> None:
    answer = await relayed(upstream, *[Send(chunk(MEGABYTE))] * 40, Stall())

    assert error_of(answer.body) == ("server_error", "upstream_too_large")


async def test_a_burst_of_tiny_events_does_not_keep_others_waiting(upstream: RawUpstream) -> None:
    gate = asyncio.Event()
    tiny = event(delta("x"))
    burst = b"".join(chunk(tiny * 10) for _ in range(10_000))

    def make(request: Received) -> Script:
        if not request.json().get("stream"):
            return [GOOD]
        return [sse_head() + chunk(FIRST), Wait(gate), burst, chunk(FINISH + DONE), END]

    upstream.default = make
    async with watched(upstream) as gateway:
        caller = await gateway.ask(stream=True)
        await caller.head()
        await caller.until(FIRST + b"\r\n")
        reading = asyncio.create_task(caller.chunks())
        gate.set()
        meanwhile = [await gateway.chat() for _ in range(3)]
        over_already = reading.done()
        rest = await reading

    assert [answer.status for answer in meanwhile] == [200] * 3
    assert not over_already
    assert rest == tiny * 100_000 + FINISH + DONE


async def test_a_client_that_does_not_read_holds_the_provider_up(upstream: RawUpstream) -> None:
    piece = event(delta("x" * 100_000))
    upstream.default = [sse_head(), *[Send(chunk(piece))] * 500, chunk(FINISH + DONE), END]
    async with watched(upstream) as gateway:
        caller = await gateway.ask(stream=True)
        await caller.head()
        connection, before = await upstream.opened(), -1
        while before != connection.sent_bytes:  # whatever the sockets between hold
            before = connection.sent_bytes
            await asyncio.sleep(0.05)
        body = await caller.chunks()

    assert before < 25_000_000
    assert body == piece * 500 + FINISH + DONE


async def test_a_hundred_streams_at_once_stay_apart(upstream: RawUpstream) -> None:
    def make(request: Received) -> Script:
        name = request.json()["user"]
        return [sse_answer([delta(name), delta(name), FINISH, DONE])]

    upstream.default = make
    names = [f"tenant {number}" for number in range(100)]
    async with watched(upstream) as gateway:
        answers = await asyncio.gather(*(gateway.chat(stream=True, user=name) for name in names))

    assert [answer.body for answer in answers] == [event(delta(name)) * 2 + FINISH + DONE for name in names]
