"""A small application in place of the gateway's, to see what the server around it does; and a raw client for it.

`python -m tests.support.serving` serves it in a process of its own, for what concerns signals and limits.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from modelserver.config import Config
from modelserver.config.types import Server
from modelserver.web.listen import bind
from modelserver.web.server import serve_app

END = b'data: {"error":{}}\n\n'


class StandIn:
    """Counts and ends calls as the gateway does."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.drains = asyncio.Event()
        self.reloads = 0
        self.cancelled = 0
        self.seen: list[str] = []
        self.ended = asyncio.Event()
        self.finish = asyncio.Event()
        self._open = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    @property
    def draining(self) -> bool:
        return self.drains.is_set()

    @property
    def open_calls(self) -> int:
        return self._open

    def begin_drain(self) -> None:
        self.drains.set()

    async def end_calls(self, grace_s: float) -> None:
        if not self._open:
            return
        try:
            await asyncio.wait_for(self._quiet.wait(), grace_s)
        except TimeoutError:
            self.ended.set()
            await self._quiet.wait()

    async def reload(self) -> None:
        self.reloads += 1
        print("reloaded", flush=True)

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        self._open += 1
        self._quiet.clear()
        try:
            yield
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self._open -= 1
            if not self._open:
                self._quiet.set()


def make_app(gateway: StandIn) -> web.Application:
    async def hello(request: web.Request) -> web.Response:
        gateway.seen.append(request.path)
        return web.json_response({"draining": gateway.draining})

    async def echo(request: web.Request) -> web.Response:
        try:
            return web.Response(body=await request.content.read())
        except RequestPayloadError:
            return web.Response(status=400, body=b"broken body")

    async def stream(request: web.Request) -> web.StreamResponse:
        async with gateway.call():
            answer = web.StreamResponse()
            await answer.prepare(request)
            await answer.write(b"data: 1\n\n")
            waits = [asyncio.create_task(event.wait()) for event in (gateway.ended, gateway.finish)]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in waits:
                    each.cancel()
            await answer.write(END if gateway.ended.is_set() else b"data: [DONE]\n\n")
            return answer

    async def bug(request: web.Request) -> web.Response:
        raise ZeroDivisionError("the secret of the bug")

    async def stamp(request: web.BaseRequest, answer: web.StreamResponse) -> None:
        if gateway.draining:
            answer.headers["Connection"] = "close"
            answer.force_close()

    app = web.Application()
    app.router.add_get("/", hello)
    app.router.add_post("/echo", echo)
    app.router.add_get("/stream", stream)
    app.router.add_get("/bug", bug)
    app.on_response_prepare.append(stamp)
    return app


class Client:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def read_to(self, end: bytes) -> bytes:
        return await asyncio.wait_for(self._reader.readuntil(end), 10)

    async def read_answer(self) -> tuple[int, bytes]:
        """Status and body of an answer with Content-Length; the connection stays."""
        head = await self.read_to(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return int(head.split()[1]), await asyncio.wait_for(self._reader.readexactly(length), 10)

    async def read_all(self) -> bytes:
        """Everything until the server closes."""
        try:
            return await asyncio.wait_for(self._reader.read(), 10)
        except ConnectionResetError:
            return b"<reset>"

    def close(self) -> None:
        self._writer.transport.abort()


@attrs.frozen
class Running:
    """The stand-in server, running in this loop."""

    gateway: StandIn
    address: tuple[str, int]
    stop: asyncio.Event
    task: asyncio.Task[None]
    clients: list[Client]

    async def connect(self) -> Client:
        client = Client(*await asyncio.open_connection(*self.address))
        self.clients.append(client)
        return client

    async def exchange(self, *pieces: bytes) -> bytes:
        """What comes back until the server closes, for bytes sent on a new connection."""
        client = await self.connect()
        for piece in pieces:
            await client.send(piece)
        return await client.read_all()


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Running]:
    """The stand-in on a free port; `settings` are those of `[server]`. At the end it is stopped; a drain is cut off."""
    gateway = StandIn(Config(server=Server(**({"drain_s": 0.0} | settings))))
    stop = asyncio.Event()
    address: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(
        serve_app(make_app(gateway), lambda: gateway, bind("127.0.0.1", 0), started=address.set_result, stop=stop)
    )
    task.add_done_callback(lambda _: address.cancel())  # so that a failed start does not hang
    running = Running(gateway, await address, stop, task, [])
    try:
        yield running
    finally:
        for client in running.clients:
            client.close()
        if stop.is_set():
            task.cancel()
        stop.set()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


def split_answer(raw: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers with lower-case names, and the JSON body of one whole answer."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, json.loads(body)


async def _main() -> None:
    settings = json.loads(sys.argv[1])
    gateway = StandIn(Config(server=Server(**settings)))

    def started(address: tuple[str, int]) -> None:
        print(address[1], flush=True)

    from modelserver.web.logs import logging_to

    with logging_to(sys.stderr, "text"):
        await serve_app(make_app(gateway), lambda: gateway, bind("127.0.0.1", 0), started=started)


if __name__ == "__main__":
    if "uvloop" in sys.argv[2:]:
        import uvloop

        uvloop.run(_main())
    else:
        asyncio.run(_main())
