"""Open calls and the one sweep that watches their waits."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

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

    __slots__ = ("_cancelling", "_due_s", "_reason", "_task", "aside", "doom", "ends_s", "has_left")

    def __init__(self, *, ends_s: float = math.inf, has_left: Callable[[], bool] | None = None) -> None:
        self.ends_s = ends_s
        """When the whole call is over, whatever it waits for."""
        self.has_left = has_left
        self.doom: GatewayError | None = None
        """What the next wait raises, once; what comes after it, saying so to the client, may wait again."""
        self.aside: Watch | None = None
        """The watch of a second task of the call, which waits while the first one does something else."""
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._due_s = math.inf
        self._reason: Exception | None = None

    async def wait(self, awaitable: Awaitable[T], until_s: float = math.inf) -> T:
        """The awaitable's result. One task may wait at a time.

        Raises:
            Expired: `until_s`, or the end of the call, has passed.
            ClientLeft: The client has closed its connection.
            Unavailable: The server ends its calls.
        """
        if self.doom is not None:
            if isinstance(awaitable, Coroutine):
                awaitable.close()
            self.raise_doom()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._due_s = min(until_s, self.ends_s)
        try:
            return await awaitable
        except asyncio.CancelledError:
            reason, self._reason = self._reason, None
            if reason is None or task.uncancel() > self._cancelling:
                raise
            if self.doom is not None and reason is self.doom:
                self.doom = None
            raise reason from None
        finally:
            self._task = None
            if self._reason is not None:  # what was waited for came, or failed, in spite of the interruption
                self._reason = None
                task.uncancel()

    def raise_doom(self) -> None:
        """Raise what ends the call, if anything does."""
        doom, self.doom = self.doom, None
        if doom is not None:
            raise doom

    def end(self, doom: GatewayError) -> None:
        """End the call with an error: in its current wait, else in its next."""
        if self.aside is not None:
            self.aside.end(doom)
            return
        self.doom = doom
        self.interrupt(doom)

    def rejoin(self) -> None:
        """The second task has ended: what would have ended its next wait is for the first one."""
        aside, self.aside = self.aside, None
        if aside is not None and aside.doom is not None:
            self.doom = aside.doom

    def interrupt(self, reason: Exception) -> None:
        """Make the current wait raise `reason`; nothing happens when there is none, or it is interrupted already."""
        if self._task is not None and self._reason is None:
            self._reason = reason
            self._task.cancel()

    def check(self, now_s: float) -> None:
        """Interrupt the wait if it is over or pointless."""
        if self.aside is not None:
            self.aside.check(now_s)
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
        self._ended = False

    def __len__(self) -> int:
        return len(self._watches)

    def open(self, *, ends_s: float = math.inf, has_left: Callable[[], bool] | None = None) -> Watch:
        """A watch that the sweep looks at until `close`; once calls are ended, its first wait raises."""
        watch = Watch(ends_s=ends_s, has_left=has_left)
        if self._ended:
            watch.doom = _draining()
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
        """Wait for every call to end; after `grace_s` make each end with an error, and give that a second.

        Calls that begin later end at once.
        """
        try:
            await self._emptied(self._clock.now_s() + grace_s)
        finally:
            self.end_now()
        await self._emptied(self._clock.now_s() + _SETTLING_S)

    def end_now(self) -> None:
        """Make every call end with an error, and every later one."""
        if self._ended:
            return
        self._ended = True
        for watch in tuple(self._watches):
            watch.end(_draining())

    async def _emptied(self, until_s: float) -> None:
        while self._watches and self._clock.now_s() < until_s:
            await self._clock.sleep(min(0.05, SWEEP_S))


async def done_within(tasks: Iterable[asyncio.Task[Any]], seconds: float, clock: Clock) -> bool:
    """Whether all of the tasks end within `seconds`; returns as soon as that is known."""
    timer = asyncio.ensure_future(clock.sleep(seconds))  # noqa: TID251 - ended below
    try:
        waiting = {task for task in tasks if not task.done()}
        while waiting and not timer.done():
            await asyncio.wait({*waiting, timer}, return_when=asyncio.FIRST_COMPLETED)
            waiting = {task for task in waiting if not task.done()}
        return not waiting
    finally:
        timer.cancel()


def _draining() -> Unavailable:
    return Unavailable("The server is shutting down.", code="draining", retry_after_s=5)
