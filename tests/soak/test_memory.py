"""What thousands of calls leave behind, and how many can be open at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.process import KEY, Watched, watched
from tests.support.upstream import RawUpstream, Received, Script, Wait, chunk, event, json_answer, sse_answer, sse_head

CALLERS = 16
GROWTH_BYTES = 8_000_000
"""What an allocator may keep over what a thousand calls left."""

ANSWER = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok" * 200}, "finish_reason": "stop"}]}  # fmt: skip # noqa: E501
START = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "ok"}, "finish_reason": None}]}  # fmt: skip # noqa: E501
FINISH = {**START, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
STREAM = sse_answer([event(json.dumps(START))] * 10 + [event(json.dumps(FINISH)), event("[DONE]")])


def asked(*, stream: bool) -> bytes:
    body = json.dumps({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "x" * 500}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"  # noqa: E501
    return head.encode() + body


def answers(request: Received) -> Script:
    return [STREAM] if b'"stream": true' in request.body else [json_answer(ANSWER)]


async def one_of_each(port: int, count: int, wire: bytes, end: bytes) -> None:
    """`count` calls, one after the other on each of a few connections."""

    async def calls(mine: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(mine):
            writer.write(wire)
            async with asyncio.timeout(30):
                assert (await reader.readuntil(end)).startswith(b"HTTP/1.1 200 OK\r\n")
        writer.transport.abort()

    await asyncio.gather(*(calls(count // CALLERS) for _ in range(CALLERS)))


async def grows_by(home: Path, requests: int, streams: int) -> int:
    async with RawUpstream(answers) as upstream, watched(home, upstream.url) as server:
        whole: Callable[[int], Awaitable[None]] = lambda count: one_of_each(  # noqa: E731
            server.port, count, asked(stream=False), b'"stop"}]}'
        )
        streamed: Callable[[int], Awaitable[None]] = lambda count: one_of_each(  # noqa: E731
            server.port, count, asked(stream=True), b"\r\n0\r\n\r\n"
        )
        await whole(1_000)
        await streamed(1_000)
        before = server.rss_bytes()
        await whole(requests)
        await streamed(streams)
        return server.rss_bytes() - before


async def test_calls_leave_no_memory_behind(tmp_path: Path) -> None:
    assert await grows_by(tmp_path, 2_000, 1_000) < GROWTH_BYTES


@pytest.mark.deep
async def test_50_000_requests_and_20_000_streams_leave_no_memory_behind(tmp_path: Path) -> None:
    assert await grows_by(tmp_path, 50_000, 20_000) < GROWTH_BYTES


async def crowd(home: Path, idle: int, slow: int) -> None:
    """Idle connections and open streams together; each stream goes on when all are open, and all end well."""
    go_on = asyncio.Event()
    slow_script: Script = [
        sse_head(),
        chunk(event(json.dumps(START))),
        Wait(go_on),
        chunk(event(json.dumps(FINISH)) + event("[DONE]")),
        b"0\r\n\r\n",
    ]
    async with (
        RawUpstream(lambda request: slow_script if b'"stream": true' in request.body else answers(request)) as upstream,
        watched(home, upstream.url) as server,
    ):
        idlers = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(idle)]
        streams = []
        for _ in range(slow):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(asked(stream=True))
            streams.append((reader, writer))
        for reader, _ in streams:
            async with asyncio.timeout(60):
                await reader.readuntil(b"\n\n")
        assert await served_beside(server) == 200
        go_on.set()
        for reader, _ in streams:
            async with asyncio.timeout(60):
                assert (await reader.readuntil(b"\r\n0\r\n\r\n")).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        for _, writer in idlers + streams:
            writer.transport.abort()


async def served_beside(server: Watched) -> int:
    """The status of a whole answer that is asked for now."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(asked(stream=False))
    async with asyncio.timeout(30):
        line = await reader.readline()
    writer.transport.abort()
    return int(line.split(b" ")[1])


async def test_a_crowd_of_idle_connections_and_open_streams_is_served(tmp_path: Path) -> None:
    await crowd(tmp_path, 200, 100)


@pytest.mark.deep
async def test_2_000_idle_connections_and_1_000_open_streams_are_served(tmp_path: Path) -> None:
    await crowd(tmp_path, 2_000, 1_000)
