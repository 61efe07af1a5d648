"""`python -m tests.bench.upstream`: the scripted provider, which plays what `user` in the request names."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections import deque
from collections.abc import Iterator
from typing import cast

from .load import run
from .native import NATIVES
from .wire import EVENTS, HELD_EVENTS, JSON_ANSWER, chunk, find_field

KEY_VARIABLE = "BENCH_UP_KEY"
TICK_S = 0.000_2
"""Between two events of all paced streams together, which take turns: each is a turn of its own at the gateway."""

_SCRIPT = re.compile(rb'"user":\s*"bench-(json|burst|paced|held|release)"')
_JSON = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: req_bench\r\n"
    b"server: bench\r\n\r\n%s"
) % (len(JSON_ANSWER), JSON_ANSWER)
_REFUSED = b"HTTP/1.1 %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"transfer-encoding: chunked\r\nserver: bench\r\n\r\n"
)
_END = chunk(b"")


def _writes(events: list[bytes]) -> list[bytes]:
    """What is written for `events`, one chunk each; the head leaves with the first, the end with the last."""
    chunks = [chunk(event) for event in events]
    return [_STREAM_HEAD + chunks[0], *chunks[1:-1], chunks[-1] + _END]


_PACED = _writes(EVENTS)
_BURST = b"".join(_PACED)
_NATIVE = {b"POST " + native.path: b"".join(_writes(native.events)) for native in NATIVES.values()}
_HELD = _writes(HELD_EVENTS)
_BEFORE, _AFTER = b"".join(_HELD[:2]), b"".join(_HELD[2:])


class Pacer:
    """Writes paced streams, one event per tick, each stream in its turn."""

    def __init__(self) -> None:
        self._streams: deque[tuple[asyncio.Transport, Iterator[bytes]]] = deque()

    def add(self, transport: asyncio.Transport) -> None:
        """Begin a stream on `transport`."""
        self._streams.append((transport, iter(_PACED)))
        if len(self._streams) == 1:
            asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        # Asleep inside the loop, because its timers count whole milliseconds: streams that fall due together would
        # reach the gateway together and cost it less than they do in life.
        time.sleep(TICK_S)
        transport, pending = self._streams.popleft()
        data = next(pending, None)
        if data is not None and not transport.is_closing():
            transport.write(data)
            self._streams.append((transport, pending))
        if self._streams:
            asyncio.get_running_loop().call_soon(self._tick)


class Provider(asyncio.Protocol):
    """One connection. Answers in order, one request at a time, and keeps the connection."""

    def __init__(self, authorization: bytes, held: set[Provider], pacer: Pacer) -> None:
        self._authorization = authorization
        self._held = held
        self._pacer = pacer
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: uvloop's transports are no subclass.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._held.discard(self)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._buffer[:end])
        length = find_field(head.lower(), b"content-length")
        if not length:
            self._refuse(b"411 Length Required")
            return
        body_end = end + 4 + int(length)
        if len(self._buffer) >= body_end:
            body = bytes(self._buffer[end + 4 : body_end])
            del self._buffer[:body_end]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        script = _SCRIPT.search(body)
        native = next((stream for begin, stream in _NATIVE.items() if head.startswith(begin)), None)
        if native is None and (not head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n") or script is None):
            self._refuse(b"404 Not Found")
        elif find_field(head.lower(), b"authorization") != self._authorization:
            # Above all the client's own key: it must never get here.
            self._refuse(b"401 Unauthorized")
        elif native is not None:
            self._transport.write(native)
        elif script is not None:
            self._play(script[1])

    def _play(self, script: bytes) -> None:
        match script:
            case b"json":
                self._transport.write(_JSON)
            case b"burst":
                self._transport.write(_BURST)
            case b"paced":
                self._pacer.add(self._transport)
            case b"held":
                self._held.add(self)
                self._transport.write(_BEFORE)
            case _:
                for held in self._held:
                    held._transport.write(_AFTER)
                self._held.clear()
                self._transport.write(_JSON)

    def _refuse(self, status: bytes) -> None:
        self._transport.write(_REFUSED % status)
        self._transport.close()


class _Closed(asyncio.Protocol):
    """Notices the end of standard input: whoever started us is gone."""

    def __init__(self, closed: asyncio.Event) -> None:
        self._closed = closed

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()


async def main() -> None:
    """Serve until standard input ends; the port is the one line on standard output."""
    loop = asyncio.get_running_loop()
    authorization = b"bearer " + os.environ[KEY_VARIABLE].lower().encode()
    held: set[Provider] = set()
    pacer = Pacer()
    closed = asyncio.Event()
    pipe, _ = await loop.connect_read_pipe(lambda: _Closed(closed), sys.stdin)
    server = await loop.create_server(lambda: Provider(authorization, held, pacer), "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await closed.wait()
    pipe.close()
    server.close()


if __name__ == "__main__":
    run(main())
