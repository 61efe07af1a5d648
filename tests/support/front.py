"""The gateway on a real port, in each way that it can be served, and a raw client that sees every byte.

async with RawUpstream() as upstream, front(settings(upstream.url)) as server:
    answer = await server.ask("GET", "/v1/models")
    answer = await server.chat(messages=[...])
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import attrs
from aiohttp import web

from modelserver.clock import settle
from modelserver.config import Config, parse_config
from modelserver.gateway.gateway import Gateway
from modelserver.stores.keyfile import digest
from modelserver.web import server
from modelserver.web.access_log import AccessLog
from modelserver.web.app import create_app
from modelserver.web.keys import GATEWAY
from modelserver.web.listen import bind
from modelserver.web.server import serve_app

PATIENCE_S = 10.0
SEND_BYTES = 32_768
KEY = "sk-ms-alice-0123456789"
PROVIDER_KEY = "provider-secret-0123456789"
BEARER = {"Authorization": f"Bearer {KEY}"}
MESSAGES = [{"role": "user", "content": "Hi"}]
CHAT_PATH = "/v1/chat/completions"

WAYS = ("server", "runner", "cancelling runner")
"""Our own server; aiohttp's runner as it is by default; the same with `handler_cancellation`."""

Pairs = Mapping[str, str] | Iterable[tuple[str, str]]


def settings(url: str = "http://127.0.0.1:9", more: str = "", *, server: str = "", provider: str = "") -> Config:
    """A configuration with the provider `up` at `url`, its model `m`, and the key `KEY` called alice.

    `more` is TOML behind it, `server` and `provider` go into their tables.
    """
    text = f"""
[server]
{server}
[defaults]
retries = 0
[providers.up]
base_url = "{url}/v1"
key = "$UP_KEY"
{provider}
[[models]]
model_id = "m"
route = "up/m"
[[keys]]
name = "alice"
hash = "sha256:{digest(KEY)}"
{more}
"""
    return parse_config(text, environ={"UP_KEY": PROVIDER_KEY})


@attrs.frozen
class Answer:
    """One whole answer; header names and values as sent, in order."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of a header, in any case; None when absent. It may stand only once."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) < 2, f"{name} is repeated: {values}"
        return values[0] if values else None

    def json(self) -> Any:
        """The body parsed."""
        return json.loads(self.body)

    def error(self) -> tuple[int, str, str | None, str | None]:
        """Status, type, code and param of an error in OpenAI's shape, which is checked."""
        body = self.json()
        assert list(body) == ["error"]
        assert list(body["error"]) == ["message", "type", "param", "code"]
        assert body["error"]["message"]
        assert self.header("Content-Type") == "application/json"
        return self.status, body["error"]["type"], body["error"]["code"], body["error"]["param"]


class Caller:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Write, and wait until the kernel has it."""
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, mark: bytes) -> bytes:
        """What comes up to the mark, it included."""
        return await asyncio.wait_for(self.reader.readuntil(mark), PATIENCE_S)

    async def exactly(self, size: int) -> bytes:
        """So many of the next bytes."""
        return await asyncio.wait_for(self.reader.readexactly(size), PATIENCE_S)

    async def head(self) -> tuple[int, tuple[tuple[str, str], ...]]:
        """Status and headers of the next answer."""
        first, *lines = (await self.until(b"\r\n\r\n"))[:-4].decode("latin-1").split("\r\n")
        pairs = (line.partition(": ") for line in lines)
        return int(first.split(" ")[1]), tuple((name, value) for name, _, value in pairs)

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """The next answer; `bodiless` for what answers a HEAD."""
        status, headers = await self.head()
        fields = {name.lower(): value for name, value in headers}
        if bodiless or status in (204, 304) or status < 200:
            body = b""
        elif fields.get("transfer-encoding") == "chunked":
            body = await self.chunks()
        elif "content-length" in fields:
            body = await asyncio.wait_for(self.reader.readexactly(int(fields["content-length"])), PATIENCE_S)
        else:
            body = await self.rest()
        return Answer(status, headers, body)

    async def rest(self) -> bytes:
        """Everything until the server closes; a reset is the end too."""
        data = b""
        try:
            while piece := await asyncio.wait_for(self.reader.read(1 << 16), PATIENCE_S):
                data += piece
        except ConnectionResetError:
            pass
        return data

    def leave(self) -> None:
        """Close at once."""
        self.writer.transport.abort()

    async def chunks(self) -> bytes:
        """A chunked body to its end."""
        body = b""
        while size := int(await self.until(b"\r\n"), 16):
            body += (await asyncio.wait_for(self.reader.readexactly(size + 2), PATIENCE_S))[:-2]
        await self.until(b"\r\n")
        return body


@attrs.frozen
class Front:
    """A server at work."""

    port: int
    app: web.Application | None = None
    """The gateway's application; None where there are several."""
    prefix: str = ""
    callers: list[Caller] = attrs.field(factory=list)

    @property
    def gateway(self) -> Gateway:
        """The gateway behind it."""
        assert self.app is not None
        return self.app[GATEWAY]

    async def connect(self, *, receive_bytes: int | None = None) -> Caller:
        """A new connection; `receive_bytes` bounds what the kernel takes for a reader that does not read."""
        peer = socket.socket()
        peer.setblocking(False)
        if receive_bytes is not None:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        await asyncio.get_running_loop().sock_connect(peer, ("127.0.0.1", self.port))
        caller = Caller(*await asyncio.open_connection(sock=peer, limit=receive_bytes or 1 << 16))
        self.callers.append(caller)
        return caller

    async def ask(self, method: str, path: str, headers: Pairs = (), body: bytes = b"") -> Answer:
        """One request on a connection of its own."""
        caller = await self.connect()
        try:
            await caller.send(request(method, f"{self.prefix}{path}", headers, body))
            return await caller.answer(bodiless=method == "HEAD")
        finally:
            caller.leave()

    async def chat(self, body: bytes | None = None, headers: Pairs = BEARER, **fields: Any) -> Answer:
        """One chat completion with the key: `body` as it is, or the fields over `chat_body`'s."""
        return await self.ask("POST", CHAT_PATH, headers, chat_body(**fields) if body is None else body)


def chat_body(**fields: Any) -> bytes:
    """A request for the model `m`, with fields replaced or added."""
    return json.dumps({"model": "m", "messages": MESSAGES, **fields}).encode()


def request(method: str, path: str, headers: Pairs = (), body: bytes = b"", *, host: str = "localhost") -> bytes:
    """A whole request; Host and Content-Length are added where they are not given."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    names = {name.lower() for name, _ in pairs}
    if "host" not in names:
        pairs.insert(0, ("Host", host))
    if (body or method == "POST") and not names & {"content-length", "transfer-encoding"}:
        pairs.append(("Content-Length", str(len(body))))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@asynccontextmanager
async def front(
    config: Config,
    way: str = "server",
    *,
    load: Callable[[], Config] | None = None,
    access_log: AccessLog | None = None,
) -> AsyncIterator[Front]:
    """The gateway on a free port until the block ends."""
    app = create_app(config, load=load, access_log=access_log)
    async with serving_app(app, way, app) as port:
        running = Front(port, app)
        try:
            yield running
        finally:
            for caller in running.callers:
                caller.leave()
            await settle()  # the server sees that they have left, and need not wait for them


@asynccontextmanager
async def serving_app(app: web.Application, way: str, gateway: web.Application) -> AsyncIterator[int]:
    """The port on which an application is served; `gateway` is the application in it that has the gateway."""
    if way == "server":
        async with _our_server(app, gateway) as port:
            yield port
        return
    runner = web.AppRunner(app, handler_cancellation=way == "cancelling runner", access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        (listener,) = _bound()
        await web.SockSite(runner, listener, backlog=1024).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def _bound() -> list[socket.socket]:
    """A socket to listen on, whose connections have a small send buffer: a client that does not read is felt soon."""
    sockets = bind("127.0.0.1", 0)
    for each in sockets:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
    return sockets


@asynccontextmanager
async def _our_server(app: web.Application, gateway: web.Application) -> AsyncIterator[int]:
    stop = asyncio.Event()
    address: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    sockets = _bound()
    task = asyncio.create_task(serve_app(app, lambda: gateway[GATEWAY], sockets, started=address.set_result, stop=stop))
    task.add_done_callback(lambda _: address.cancel())  # so that a failed start does not hang
    try:
        _, port = await address
        yield port
    finally:
        stop.set()
        with patch.object(server, "_STEP_S", 0.001):  # nobody comes any more who could need the time
            await asyncio.wait([task])
        task.result()
