"""Waiting for something that sets no event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

PATIENCE_S = 5.0


async def until(condition: Callable[[], bool], what: str = "the condition") -> None:
    """Return as soon as the condition holds.

    Raises:
        AssertionError: It never did; `what` says what was waited for.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                await asyncio.sleep(0.001)  # between two looks; no time is assumed
    except TimeoutError:
        raise AssertionError(f"Waited in vain for {what}.") from None
