"""What the tests of the official clients share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.market import Market, market
from tests.support.node import installed_libraries


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[Market]:
    """A server that stands as long as the module is tested."""
    async with market() as running:
        yield running


@pytest.fixture
def shop(place: Market) -> Market:
    """The same, with nothing asked yet."""
    place.begin()
    return place


@pytest.fixture(scope="session")
def node_libraries() -> Path:
    """Where the client libraries for Node are installed."""
    return installed_libraries()
