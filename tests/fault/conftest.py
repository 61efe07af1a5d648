"""Providers that fail, both transports, both event loops; and the look at what is left after each test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import attrs
import pytest

from modelserver.gateway import lifecycle
from modelserver.ports import UpstreamRequest
from modelserver.upstream.answer import StreamedAnswer
from modelserver.upstream.connection import UpstreamConnection
from modelserver.upstream.transport import HttpTransport
from tests.support.proxy import Proxy
from tests.support.upstream import RawUpstream
from tests.support.waiting import until

try:
    import uvloop
except ImportError:  # not on Windows
    uvloop = None  # type: ignore[assignment]

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Transports differ by the loop below them; the rest is tested on one."""
    if uvloop is None or not item.path.name.startswith("test_transport"):
        return LOOPS
    return LOOPS | {"uvloop": uvloop.new_event_loop}


@pytest.fixture(autouse=True)
def quick_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are over are interrupted at once, not at the next quarter of a second."""
    monkeypatch.setattr(lifecycle, "SWEEP_S", 0.01)


@pytest.fixture(autouse=True)
async def no_stray_tasks() -> AsyncIterator[None]:
    """Every task that a test started, through whatever it called, has ended with it."""
    yield
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()}, "the end of every task")


@pytest.fixture
async def upstream(no_stray_tasks: None) -> AsyncIterator[RawUpstream]:
    """A provider without a script."""
    async with RawUpstream() as running:
        yield running


@attrs.frozen
class Carrier:
    """A transport at work, and the proxy that its requests go through, if any."""

    transport: HttpTransport
    proxy: Proxy | None = None

    async def send(self, url: str, body: bytes | None = b"{}", **fields: Any) -> StreamedAnswer:
        """The answer to a POST, or to a GET where `body` is None."""
        asked = UpstreamRequest(
            **{
                "method": "GET" if body is None else "POST",
                "url": url,
                "headers": {"Accept": "*/*"},
                "body": body,
                "connect_s": 5.0,
                "proxy": None if self.proxy is None else self.proxy.url,
                **fields,
            }
        )
        async with asyncio.timeout(10):
            return await self.transport.send(asked)

    async def fetch(self, url: str, body: bytes | None = b"{}", **fields: Any) -> tuple[int, bytes]:
        """Status and whole body of an answer."""
        answer = await self.send(url, body, **fields)
        return answer.status, await rest(answer)

    @property
    def open(self) -> set[UpstreamConnection]:
        """Our own connections that are open."""
        return self.transport._open

    @property
    def idle(self) -> int:
        """How many of our own connections wait for the next request."""
        return sum(connection.is_usable for kept in self.transport._idle.values() for connection in kept)


async def rest(answer: StreamedAnswer) -> bytes:
    """What is left of a body."""
    pieces = []
    async with asyncio.timeout(10):
        while data := await answer.read():
            pieces.append(data)
    answer.close()
    return b"".join(pieces)


@pytest.fixture
async def own(no_stray_tasks: None) -> AsyncIterator[Carrier]:
    """The transport on connections of our own; at the end none is open but those that wait for a request."""
    transport = HttpTransport()
    carrier = Carrier(transport)
    yield carrier
    await until(lambda: len(carrier.open) == carrier.idle, "the end of every connection in use")
    await transport.close()
    assert not carrier.open


@pytest.fixture
async def proxied(no_stray_tasks: None) -> AsyncIterator[Carrier]:
    """The transport for what goes through a proxy."""
    async with Proxy() as proxy:
        transport = HttpTransport()
        yield Carrier(transport, proxy)
        connector = None if transport._proxied is None else transport._proxied._session.connector
        if connector is not None:
            await until(lambda: not connector._acquired, "the end of every connection in use")
        await transport.close()


@pytest.fixture(params=["own", "proxied"])
def carrier(request: pytest.FixtureRequest) -> Carrier:
    """Each of the two transports."""
    found: Carrier = request.getfixturevalue(str(request.param))
    return found
