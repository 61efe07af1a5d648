"""Open calls and the one sweep that watches their waits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from modelserver.errors import ClientLeft, GatewayError, Unavailable
from modelserver.ports import Clock

T = TypeVar("T")

SWEEP_S: Final = 0.25
_SETTLING_S: Final = 1.0


class Expired(Exception):
    """The wait has lasted as long as it may."""


class Watch:
    """The one wait that a call is in, if any: until when it may last, and whether the client is still there.

    A timer for every read would cost more than relaying what was read; instead a sweep over all watches, four times a
    second, interrupts the waits that are over. Interrupting is `Task.cancel`, told apart from a true cancellation as
    `asyncio.timeout` does.
    """

    __slots__ = ("_cancelling", "_due_s", "_reason", "_task", "doom", "ends_s", "has_left")

    def __init__(self, *, ends_s: float = math.inf, has_left: Callable[[], bool] | None = None) -> None:
        self.ends_s = ends_s
        """When the whole call is over, whatever it waits for."""
        self.has_left = has_left
        self.doom: GatewayError | None = None
        """Ends the call at its next wait."""
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._due_s = math.inf
        self._reason: Exception | None = None

    async def wait(self, awaitable: Awaitable[T], until_s: float = math.inf) -> T:
        """The awaitable's result.

        Raises:
            Expired: `until_s`, or the end of the call, has passed.
            ClientLeft: The client has closed its connection.
            Unavailable: The server ends its calls.
        """
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._due_s = min(until_s, self.ends_s)
        try:
            if self.doom is not None:
                self.interrupt(self.doom)
            return await awaitable
        except asyncio.CancelledError:
            reason, self._reason = self._reason, None
            if reason is None or task.uncancel() > self._cancelling:
                raise
            raise reason from None
        finally:
            self._task = None

    def interrupt(self, reason: Exception) -> None:
        """Make the current wait raise `reason`; nothing happens when there is none, or it is interrupted already."""
        if self._task is not None and self._reason is None:
            self._reason = reason
            self._task.cancel()

    def check(self, now_s: float) -> None:
        """Interrupt the wait if it is over or pointless."""
        if self._task is None:
            return
        if now_s >= self._due_s:
            self.interrupt(Expired())
        elif self.has_left is not None and self.has_left():
            self.interrupt(ClientLeft("The client closed the connection."))


class OpenCalls:
    """Every watch in use."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watches: set[Watch] = set()

    def __len__(self) -> int:
        return len(self._watches)

    def open(self, *, ends_s: float = math.inf, has_left: Callable[[], bool] | None = None) -> Watch:
        """A watch that the sweep looks at until `close`."""
        watch = Watch(ends_s=ends_s, has_left=has_left)
        self._watches.add(watch)
        return watch

    def close(self, watch: Watch) -> None:
        """Forget a watch."""
        self._watches.discard(watch)

    async def sweep(self) -> None:
        """Check every watch, four times a second, for ever."""
        while True:
            await self._clock.sleep(SWEEP_S)
            now_s = self._clock.now_s()
            for watch in tuple(self._watches):
                watch.check(now_s)

    async def end(self, grace_s: float) -> None:
        """Wait for every call to end; after `grace_s` make each end with an error, and give that a second."""
        await self._emptied(self._clock.now_s() + grace_s)
        for watch in tuple(self._watches):
            watch.doom = Unavailable("The server is shutting down.", code="draining", retry_after_s=5)
            watch.interrupt(watch.doom)
        await self._emptied(self._clock.now_s() + _SETTLING_S)

    async def _emptied(self, until_s: float) -> None:
        while self._watches and self._clock.now_s() < until_s:
            await self._clock.sleep(min(0.05, SWEEP_S))
