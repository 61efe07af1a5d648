"""The load: raw client connections that ask, time and check."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

from .wire import Answer, AnswerReader, WrongAnswer

Check = Callable[[Answer], None]
"""Raises WrongAnswer."""


def run(main: Coroutine[Any, Any, int | None]) -> int:
    """Run `main` to its end, on uvloop where that is installed; its result, None as 0."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main) or 0
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main) or 0


class Connection(asyncio.Protocol):
    """One client connection with at most one request under way."""

    def __init__(self) -> None:
        self._reader = AnswerReader()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._begun: asyncio.Future[None] | None = None
        self.reads = 0
        """How often bytes have arrived."""

    @classmethod
    async def open(cls, port: int) -> Connection:
        """A connection to `port` of this machine."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asserted: uvloop's transports are no subclass.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(WrongAnswer("The connection was closed before the answer was whole."))

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        try:
            answer = self._reader.feed(data)
        except (WrongAnswer, ValueError) as error:
            self._fail(error)
            self.close()
            return
        if self._begun is not None and not self._begun.done() and (answer is not None or self._reader.has_body):
            self._begun.set_result(None)
        if answer is None:
            return
        if self._answer is None or self._answer.done():
            self.close()
            return
        if answer.field(b"connection") == b"close":
            self.close()
        self._answer.set_result(answer)

    def _fail(self, error: Exception) -> None:
        for future in (self._begun, self._answer):
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # Seen, whether or not somebody still waits for it.

    @property
    def is_open(self) -> bool:
        """Whether the next request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes) -> asyncio.Future[Answer]:
        """Send; the future is the whole answer, or a WrongAnswer."""
        if self._transport is None:
            raise WrongAnswer("The connection was closed between two requests.")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    async def begin(self, request: bytes) -> asyncio.Future[Answer]:
        """Send and wait for the first bytes of the body; the future is the whole answer."""
        answer = self.send(request)
        self._begun = asyncio.get_running_loop().create_future()
        await self._begun
        return answer

    def close(self) -> None:
        """Close; nothing more is read."""
        if self._transport is not None:
            self._transport.close()


async def ask(port: int, request: bytes, check: Check) -> Answer:
    """One checked answer on a connection of its own."""
    connection = await Connection.open(port)
    try:
        answer = await connection.send(request)
    finally:
        connection.close()
    check(answer)
    return answer


async def drive(port: int, request: bytes, check: Check, *, count: int, connections: int) -> int:
    """Ask `count` times over `connections` kept connections, each with one request at a time; the reads it took."""
    left = count
    reads = 0

    async def work() -> None:
        nonlocal left, reads
        connection = await Connection.open(port)
        try:
            while left > 0:
                left -= 1
                if not connection.is_open:
                    reads += connection.reads
                    connection = await Connection.open(port)
                check(await connection.send(request))
        finally:
            reads += connection.reads
            connection.close()

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(connections, count)):
            workers.create_task(work())
    return reads
