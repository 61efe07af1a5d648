"""What most tests of the HTTP surface begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from modelserver.gateway import lifecycle
from tests.support.front import WAYS, Front, front, settings
from tests.support.upstream import RawUpstream


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    """A provider without a script."""
    async with RawUpstream() as running:
        yield running


@pytest.fixture
async def server(upstream: RawUpstream) -> AsyncIterator[Front]:
    """Our server in front of `upstream`, with the settings that tests have by default."""
    async with front(settings(upstream.url)) as running:
        yield running


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """Each way in which the application can be served."""
    return str(request.param)


@pytest.fixture
def quick_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are over are interrupted at once, not at the next quarter of a second."""
    monkeypatch.setattr(lifecycle, "SWEEP_S", 0.01)
