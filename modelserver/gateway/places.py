"""Places at a provider that serves only so many calls at once, and the line before it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from modelserver.config import Provider
from modelserver.errors import Unavailable
from modelserver.gateway.lifecycle import Expired, Watch


class Places:
    """Who is being served and who waits, per provider name; first come, first served."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}

    def held(self) -> int:
        """Places taken over all providers."""
        return sum(self._taken.values())

    @asynccontextmanager
    async def hold(self, provider: Provider, watch: Watch) -> AsyncIterator[None]:
        """Hold a place of the provider.

        Raises:
            Unavailable: `queue_full`, the line is as long as it may be, or the place did not come in time.
        """
        if provider.concurrency is None:
            yield
            return
        name = provider.name
        if self._taken.get(name, 0) < provider.concurrency and not self._lines.get(name):
            self._taken[name] = self._taken.get(name, 0) + 1
        else:
            await self._wait(provider, watch)
        try:
            yield
        finally:
            self._leave(provider)

    async def _wait(self, provider: Provider, watch: Watch) -> None:
        line = self._lines.setdefault(provider.name, deque())
        if provider.queue is not None and len(line) >= provider.queue:
            raise _full(provider)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await watch.wait(turn)
        except BaseException as exc:
            if turn.done() and not turn.cancelled():
                self._leave(provider)  # the place came in the moment of leaving: the next one gets it
            elif turn in line:
                line.remove(turn)
            if isinstance(exc, Expired):
                raise _full(provider) from None
            raise

    def _leave(self, provider: Provider) -> None:
        name = provider.name
        line = self._lines.get(name)
        # A reload may have lowered the number of places.
        while line and self._taken[name] <= (provider.concurrency or 1):
            turn = line.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken[name] -= 1
        if not self._taken[name]:
            del self._taken[name]


def _full(provider: Provider) -> Unavailable:
    return Unavailable(
        f"{provider.name} serves {provider.concurrency} calls at once and enough others wait already.",
        code="queue_full",
        retry_after_s=5,
    )
