"""Places at a provider that serves only so many calls at once, and the line before it."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Iterable

from modelserver.config import Provider
from modelserver.errors import Unavailable
from modelserver.gateway.lifecycle import Expired, Watch


class Place:
    """A place at a provider, held until `release`."""

    __slots__ = ("_desk",)

    def __init__(self, desk: _Desk) -> None:
        self._desk: _Desk | None = desk

    def release(self) -> None:
        """Give the place to the next in line; may be called twice."""
        desk, self._desk = self._desk, None
        if desk is not None:
            desk.taken -= 1
            desk.serve()


class Places:
    """Who is being served and who waits, per provider name; first come, first served."""

    def __init__(self) -> None:
        self._desks: dict[str, _Desk] = {}

    def held(self) -> int:
        """Places taken over all providers, those without a limit included."""
        return sum(desk.taken for desk in self._desks.values())

    def waiting(self) -> int:
        """Calls in line over all providers."""
        return sum(len(desk.line) for desk in self._desks.values())

    def resize(self, providers: Iterable[Provider]) -> None:
        """Take over the limits of a new configuration: more places are given out, fewer are waited for."""
        for provider in providers:
            desk = self._desks.get(provider.name)
            if desk is not None:
                desk.limit = _limit(provider)
                desk.serve()

    async def take(self, provider: Provider, watch: Watch) -> Place:
        """A place at the provider.

        Raises:
            Unavailable: `queue_full`, the line is as long as it may be, or the place did not come in time.
        """
        desk = self._desks.get(provider.name)
        if desk is None:
            desk = self._desks[provider.name] = _Desk(_limit(provider))
        if desk.taken < desk.limit:  # then nobody is in line
            desk.taken += 1
            return Place(desk)
        if provider.queue is not None and len(desk.line) >= provider.queue:
            raise _full(provider)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        desk.line.append(turn)
        try:
            await watch.wait(turn)
        except BaseException as exc:
            if turn.done() and not turn.cancelled():
                Place(desk).release()  # the place came in the moment of leaving: the next one gets it
            elif turn in desk.line:
                desk.line.remove(turn)
            if isinstance(exc, Expired):
                raise _full(provider) from None
            raise
        return Place(desk)


class _Desk:
    """One provider's places. Calls without a limit are counted too: a reload may set one."""

    __slots__ = ("limit", "line", "taken")

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.taken = 0
        self.line: deque[asyncio.Future[None]] = deque()

    def serve(self) -> None:
        """Give free places to those who wait."""
        while self.line and self.taken < self.limit:
            turn = self.line.popleft()
            if not turn.done():
                self.taken += 1
                turn.set_result(None)


def _limit(provider: Provider) -> float:
    return math.inf if provider.concurrency is None else provider.concurrency


def _full(provider: Provider) -> Unavailable:
    return Unavailable(
        f"{provider.name} serves {provider.concurrency} calls at once and enough others wait already.",
        code="queue_full",
        retry_after_s=5,
    )
