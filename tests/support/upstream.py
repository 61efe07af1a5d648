"""A provider on a raw socket that says exactly what a test scripts, byte for byte, and keeps what it was sent.

async with RawUpstream() as upstream:
    upstream.script(json_answer({"ok": True}))                       # one answer per request, in order
    upstream.script(Send(head(200, {...})), Wait(event), Reset())    # steps
    upstream.default = lambda request: [json_answer({"path": request.path})]
    ...
    await upstream.closed(0)                                         # connection 0 is over
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeAlias, assert_never, cast

import attrs

MAX_HEAD_BYTES = 1 << 18
MAX_BODY_BYTES = 1 << 26
PATIENCE_S = 5.0
"""How long the waits of a test may take before they fail."""

Pairs: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]


@attrs.frozen
class Send:
    """Write these bytes; done when the kernel has taken them all, so that a peer that does not read holds it up."""

    data: bytes


@attrs.frozen
class Wait:
    """Go on when the event is set, or after seconds of real time."""

    until: asyncio.Event | float


@attrs.frozen
class Close:
    """Close in good order: FIN after what was sent."""


@attrs.frozen
class Reset:
    """Break off: RST."""


@attrs.frozen
class Stall:
    """Say nothing more until the peer closes."""


Step: TypeAlias = bytes | Send | Wait | Close | Reset | Stall
"""Plain bytes are sent."""
Script: TypeAlias = Sequence[Step]


@attrs.frozen
class Received:
    """One request as it came."""

    method: str
    path: str
    """The target, query included."""
    headers: tuple[tuple[str, str], ...]
    """Names and values as written, in order."""
    body: bytes
    """Chunks joined."""
    connection: int
    """Index of the connection that it came on."""

    def header(self, name: str) -> str | None:
        """The first value of a header, in any case; None when absent."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """The body parsed."""
        return json.loads(self.body)


class RawUpstream:
    """A server on 127.0.0.1; every request takes the next script, then the default one, then a 500.

    Attributes:
        requests: What was received so far, in order.
        connections: The connections opened so far, in order.
        default: The script of requests for which none is queued: steps, or a function of the request.
    """

    def __init__(self, default: Script | Callable[[Received], Script] | None = None) -> None:
        self.default = default
        self.requests: list[Received] = []
        self.connections: list[Connection] = []
        self._scripts: deque[Script | Callable[[Received], Script]] = deque()
        self._greetings: deque[Script] = deque()
        self._changed = asyncio.Event()
        self._faults: list[BaseException] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close everything; a malformed request or a failing script is raised here."""
        self._server.close()
        for connection in self.connections:
            connection.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in self.connections:
            await connection.lost.wait()
        await self._server.wait_closed()
        if error is None and self._faults:
            raise self._faults[0]

    @property
    def url(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self.port}"

    def script(self, *steps: Step) -> None:
        """Queue the steps that answer one request."""
        self._scripts.append(steps)

    def script_from(self, make: Callable[[Received], Script]) -> None:
        """Queue a function that gives the steps when the request is known."""
        self._scripts.append(make)

    def greet(self, *steps: Step) -> None:
        """Queue the steps that one connection begins with, before any request is read."""
        self._greetings.append(steps)

    async def received(self, count: int = 1, *, within_s: float = PATIENCE_S) -> Received:
        """Wait until there are `count` requests and give the last of these.

        Raises:
            TimeoutError: They did not come.
        """
        await self._until(lambda: len(self.requests) >= count, within_s)
        return self.requests[count - 1]

    async def opened(self, index: int = 0, *, within_s: float = PATIENCE_S) -> Connection:
        """Wait until connection `index` is open and give it."""
        await self._until(lambda: len(self.connections) > index, within_s)
        return self.connections[index]

    async def closed(self, index: int = 0, *, within_s: float = PATIENCE_S) -> Connection:
        """Wait until connection `index` is over and give it; `closed_by_peer` tells who ended it.

        Raises:
            TimeoutError: It is still open.
        """
        await self._until(lambda: len(self.connections) > index and self.connections[index].is_over, within_s)
        return self.connections[index]

    async def _until(self, condition: Callable[[], bool], within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def notice(self) -> None:
        """Let those who wait look again."""
        self._changed.set()

    def adopt(self, connection: Connection) -> None:
        """Count a connection that was accepted, and serve it."""
        index = len(self.connections)
        self.connections.append(connection)
        self.notice()
        task = asyncio.create_task(self._serve(connection, index), name=f"connection {index}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection, index: int) -> None:
        """Greet, then read a request and play its script, until the connection is over."""
        try:
            if self._greetings:
                await connection.play(self._greetings.popleft())
            while (request := await connection.read_request(index)) is not None:
                self.requests.append(request)
                self.notice()
                await connection.play(self._next_script(request))
        except ConnectionError:
            pass
        except Exception as error:  # of a script or a malformed request: told at the end of the test
            self._faults.append(error)
        finally:
            connection.close()

    def _next_script(self, request: Received) -> Script:
        script = self._scripts.popleft() if self._scripts else self.default
        if script is None:
            return [json_answer({"error": {"message": "No script for this request."}}, status=500)]
        return script(request) if callable(script) else script


class Connection(asyncio.Protocol):
    """One accepted connection; reading goes on whatever the script does, so that its end is seen at once.

    Attributes:
        sent_bytes: What the scripts have sent and the kernel has taken.
        is_over: The peer closed its side, or the connection is gone.
        closed_by_peer: It was the peer who ended it.
        closed_at: The loop's time at which it was over, None before.
        lost: Set when its socket is closed on this side too.
    """

    def __init__(self, upstream: RawUpstream) -> None:
        self.sent_bytes = 0
        self.is_over = False
        self.closed_by_peer = False
        self.closed_at: float | None = None
        self._upstream = upstream
        self.lost = asyncio.Event()
        self._ended_by_us = False
        self._transport: asyncio.Transport
        self._received = bytearray()
        self._arrived = asyncio.Event()
        self._over = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        self._transport.set_write_buffer_limits(high=0)
        self._upstream.adopt(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._arrived.set()

    def eof_received(self) -> bool:
        self._end(by_peer=not self._ended_by_us)
        return True  # the script may still send

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(by_peer=not self._ended_by_us)
        self._writable.set()
        self.lost.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def close(self) -> None:
        """FIN after what was sent."""
        self._ended_by_us = self._ended_by_us or not self.is_over
        self._transport.close()

    def abort(self) -> None:
        """Close at once and drop what was not sent."""
        self._ended_by_us = self._ended_by_us or not self.is_over
        self._transport.abort()

    async def play(self, script: Script) -> None:
        """Take the steps in order."""
        for step in script:
            match step:
                case bytes():
                    await self._send(step)
                case Send(data=data):
                    await self._send(data)
                case Wait(until=asyncio.Event() as event):
                    await event.wait()
                case Wait(until=seconds):
                    assert not isinstance(seconds, asyncio.Event)
                    await asyncio.sleep(seconds)
                case Close():
                    self.close()
                    await self._over.wait()
                case Reset():
                    # RFC 9293 has no call for it; Linux and macOS send RST when lingering is on with 0 seconds.
                    linger = struct.pack("ii", 1, 0)
                    self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.abort()
                    await self._over.wait()
                case Stall():
                    await self._over.wait()
                case _:
                    assert_never(step)

    async def read_request(self, index: int) -> Received | None:
        """The next request; None when the connection ends before one.

        Raises:
            ValueError: It is malformed, or over the bounds.
        """
        if self._transport.is_closing():
            return None
        text = await self._read_to(b"\r\n\r\n", MAX_HEAD_BYTES)
        if text is None:
            return None
        first, *lines = text.decode("latin-1").split("\r\n")
        method, path, version = first.split(" ")
        if version != "HTTP/1.1":
            raise ValueError(f"The request speaks {version}.")
        headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip():
                raise ValueError(f"The request has a malformed header line: {line!r}")
            headers.append((name, value.strip(" \t")))
        body = await self._read_body(headers)
        return None if body is None else Received(method, path, tuple(headers), body, index)

    async def _read_body(self, headers: list[tuple[str, str]]) -> bytes | None:
        fields = {name.lower(): value for name, value in headers}
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return await self._read_chunks()
        size = int(fields.get("content-length", "0"))
        if not 0 <= size <= MAX_BODY_BYTES:
            raise ValueError(f"The request has a body of {size} bytes.")
        return await self._read_exactly(size)

    async def _read_chunks(self) -> bytes | None:
        body = bytearray()
        while True:
            line = await self._read_to(b"\r\n", 1024)
            if line is None:
                return None
            size = int(line.partition(b";")[0], 16)
            if len(body) + size > MAX_BODY_BYTES:
                raise ValueError("The request has a body without end.")
            piece = await self._read_exactly(size + 2)
            if piece is None:
                return None
            if not piece.endswith(b"\r\n"):
                raise ValueError("A chunk of the request does not end where it says.")
            if size == 0:
                return bytes(body)
            body += piece[:-2]

    async def _read_to(self, mark: bytes, limit: int) -> bytes | None:
        """What comes before the mark, None at the end of the connection."""
        searched = 0
        while (at := self._received.find(mark, max(0, searched - len(mark)))) < 0:
            searched = len(self._received)
            if searched > limit:
                raise ValueError(f"The request has no {mark!r} within {limit} bytes.")
            if not await self._more():
                return None
        line = bytes(self._received[:at])
        del self._received[: at + len(mark)]
        return line

    async def _read_exactly(self, size: int) -> bytes | None:
        while len(self._received) < size:
            if not await self._more():
                return None
        piece = bytes(self._received[:size])
        del self._received[:size]
        return piece

    async def _more(self) -> bool:
        """Wait for further bytes; False when there will be none."""
        if self.is_over:
            return False
        self._arrived.clear()
        await self._arrived.wait()
        return True

    async def _send(self, data: bytes) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError
        self._transport.write(data)
        await self._writable.wait()
        if self._transport.is_closing():
            raise ConnectionResetError
        self.sent_bytes += len(data)

    def _end(self, *, by_peer: bool) -> None:
        if self.is_over:
            return
        self.is_over = True
        self.closed_by_peer = by_peer
        self.closed_at = asyncio.get_running_loop().time()
        self._over.set()
        self._arrived.set()
        self._upstream.notice()


def head(status: int = 200, headers: Pairs = ()) -> bytes:
    """Status line and headers, the blank line included; nothing is added."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in pairs)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def json_answer(obj: Any, status: int = 200, headers: Pairs = ()) -> bytes:
    """A whole answer with a JSON body and its length; bytes are taken as the body itself."""
    body = obj if isinstance(obj, bytes) else json.dumps(obj, separators=(",", ":")).encode()
    length = ("Content-Length", str(len(body)))
    return head(status, [("Content-Type", "application/json"), length, *_pairs(headers)]) + body


def sse_head(*, chunked: bool = True, status: int = 200, headers: Pairs = ()) -> bytes:
    """The head of an event stream, whose body is in chunks or ends with the connection."""
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Connection", "close")
    return head(status, [("Content-Type", "text/event-stream"), framing, *_pairs(headers)])


def sse_answer(frames: Iterable[Any], *, chunked: bool = True, headers: Pairs = ()) -> bytes:
    """A whole event stream; see `event` for the frames. Without chunks a `Close()` must follow."""
    pieces = [event(frame) for frame in frames]
    body = b"".join(map(chunk, [*pieces, b""])) if chunked else b"".join(pieces)
    return sse_head(chunked=chunked, headers=headers) + body


def event(data: Any) -> bytes:
    """An event stream's frame: bytes as they are, a string or an object (as JSON) behind `data:`."""
    if isinstance(data, bytes):
        return data
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return f"data: {text}\n\n".encode()


def chunk(piece: bytes) -> bytes:
    """One chunk of the chunked coding; an empty piece is the last one."""
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def chunked(pieces: Iterable[bytes], *, last: bool = True) -> bytes:
    """Pieces in the chunked coding, one chunk each, and the last chunk where the body is to end in good order."""
    body = b"".join(chunk(piece) for piece in pieces if piece)
    return body + chunk(b"") if last else body


def _pairs(headers: Pairs) -> Iterable[tuple[str, str]]:
    return headers.items() if isinstance(headers, Mapping) else headers
