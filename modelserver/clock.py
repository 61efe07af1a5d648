"""Time as an argument: the real clock, and one that tests and embedders move by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta


class SystemClock:
    """Monotonic seconds of the running process, wall time in UTC."""

    def now_s(self) -> float:
        """Monotonic seconds; only differences mean anything."""
        return time.monotonic()

    def wall(self) -> datetime:
        """The aware UTC instant, for display, expiry dates and month boundaries."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until `advance` is called."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._now_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now_s(self) -> float:
        """Seconds advanced so far."""
        return self._now_s

    def wall(self) -> datetime:
        """The start instant plus what was advanced."""
        return self._start + timedelta(seconds=self._now_s)

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was advanced by `seconds`; at once where there is nothing to wait for."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_s + seconds, next(self._order), waiter))
        await waiter

    async def advance(self, seconds: float) -> None:
        """Let everything that is ready run, then move time forward, waking sleepers in order, each before the next."""
        await settle()
        target = self._now_s + seconds
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, waiter = heapq.heappop(self._sleepers)
            self._now_s = max(self._now_s, due)
            if not waiter.done():
                waiter.set_result(None)
            await settle()
        self._now_s = target
        await settle()


async def settle(turns: int = 20) -> None:
    """Let everything that is ready run: `turns` passes of the event loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
