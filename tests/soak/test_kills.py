"""Clients that are killed at random moments: within a second nothing of their calls is left."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from modelserver.web.app import create_app
from tests.support.front import BEARER, CHAT_PATH, WAYS, Front, chat_body, front, request, serving_app, settings
from tests.support.upstream import RawUpstream, Received, Script, Stall, chunk, event, head, json_answer, sse_head

GONE_S = 1.0
"""How long an upstream connection may outlive its client."""
PHASES = ("queued", "first token", "stream", "slow reader", "whole", "answered", "half a request")
MOUNTED = "mounted"

TOKEN = chunk(event({"choices": [{"index": 0, "delta": {"content": "x" * 200}, "finish_reason": None}]}))
ANSWER = json_answer({"choices": [{"index": 0, "message": {}, "finish_reason": "stop"}]})


def script(asked: Received) -> Script:
    """An upstream that keeps its caller in the phase that the request names."""
    match json.loads(asked.body)["user"]:
        case "first token":
            return [sse_head(), Stall()]
        case "stream":
            return [sse_head(), TOKEN, Stall()]
        case "slow reader":
            return [sse_head(), TOKEN * 2_000, Stall()]
        case "whole":
            return [head(200, {"Content-Length": "1000", "Content-Type": "application/json"}) + b'{"id":', Stall()]
        case "answered":
            return [ANSWER]
        case _:
            return [Stall()]


async def killed(server: Front, chance: random.Random) -> None:
    """One client, killed somewhere in a phase."""
    phase = chance.choice(PHASES)
    caller = await server.connect(receive_bytes=4096)
    body = chat_body(stream=phase in ("first token", "stream", "slow reader"), user=phase)
    wire = request("POST", f"{server.prefix}{CHAT_PATH}", BEARER, body)
    await caller.send(wire[: chance.randrange(1, len(wire))] if phase == "half a request" else wire)
    if phase in ("stream", "slow reader") and chance.random() < 0.5:
        await caller.until(b"\r\n\r\n")
    for _ in range(chance.randrange(60)):
        await asyncio.sleep(0)
    caller.leave()


def busy(upstream: RawUpstream) -> list[int]:
    """The upstream connections that are open and not in the pool: their last request was not answered whole."""
    last = {received.connection: json.loads(received.body)["user"] for received in upstream.requests}
    return [
        index
        for index, connection in enumerate(upstream.connections)
        if not connection.is_over and last.get(index) != "answered"
    ]


@asynccontextmanager
async def served(url: str, way: str) -> AsyncIterator[Front]:
    """The gateway with few places at its provider, so that calls queue; on its own, or below a host's prefix."""
    config = settings(url, provider="concurrency = 6")
    if way != MOUNTED:
        async with front(config, way) as server:
            yield server
        return
    app, host = create_app(config), web.Application()
    host.add_subapp("/llm", app)
    async with serving_app(host, "runner", app) as port:
        yield Front(port, app, "/llm")


async def play(way: str, kills: int) -> None:
    chance = random.Random(way)
    async with RawUpstream(script) as upstream, served(upstream.url, way) as server:
        for _ in range(kills // 10):
            await asyncio.gather(*(killed(server, chance) for _ in range(10)))
        async with asyncio.timeout(GONE_S):
            while server.gateway.open_calls:
                await asyncio.sleep(0.005)
        async with asyncio.timeout(GONE_S):
            while busy(upstream):
                await asyncio.sleep(0.005)
        assert server.gateway._places.held() == 0
        assert (await server.chat(user="answered")).status == 200


@pytest.mark.parametrize("way", [*WAYS, MOUNTED])
async def test_killed_clients_leave_nothing_behind(way: str) -> None:
    await play(way, 40)


@pytest.mark.deep
@pytest.mark.parametrize("way", [*WAYS, MOUNTED])
async def test_200_killed_clients_leave_nothing_behind(way: str) -> None:
    await play(way, 200)
