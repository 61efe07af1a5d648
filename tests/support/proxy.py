"""A small HTTP proxy: CONNECT, and requests with an absolute target, which are passed on as they came."""

from __future__ import annotations

import asyncio
import socket
import struct
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """A proxy on 127.0.0.1.

    Attributes:
        asked: The first line of what was asked on each connection.
        answer: Said instead of doing what was asked, when set; empty: nothing is said at all.
    """

    def __init__(self, answer: bytes | None = None) -> None:
        self.asked: list[str] = []
        self.answer = answer
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()
        await asyncio.sleep(0)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer), name="proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.partition(b"\r\n")[0].decode()
        self.asked.append(line)
        if self.answer is not None:
            writer.write(self.answer)
            await reader.read()
            return
        method, target, _ = line.split(" ")
        place = urlsplit(f"//{target}" if method == "CONNECT" else target)
        there, back = await asyncio.open_connection(place.hostname, place.port)
        self._writers.append(back)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            back.write(head)
        await asyncio.gather(_pump(reader, back), _pump(there, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """What comes from one side goes to the other, its end included: a FIN as such, a reset as such."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
    except ConnectionError:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
