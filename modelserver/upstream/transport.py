"""Dispatches over connections of our own.

aiohttp's client is the dearest part of a relayed call; of it only the compiled parser is used here. What goes through
an HTTP proxy is left to the client.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import defaultdict, deque
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, zip_longest
from socket import AF_INET6, SOCK_STREAM
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from modelserver.errors import UpstreamConnectTimeout, UpstreamFailed
from modelserver.ports import UpstreamRequest
from modelserver.upstream.answer import StreamedAnswer
from modelserver.upstream.connection import UpstreamConnection
from modelserver.upstream.proxied import ProxiedTransport

_IDLE_S: Final = 30.0
"""Providers close kept-alive connections after a minute or so; long before that they are given up here."""
_STAGGER_S: Final = 0.25
"""Head start of one address over the next (RFC 8305, 5)."""
_RESOLVED_S: Final = 60.0
_CLOSING_TURNS: Final = 10


class _Place(NamedTuple):
    """Where connections go to; those to one place are interchangeable."""

    host: str
    port: int
    tls: bool


class _Address(NamedTuple):
    """A URL taken apart."""

    place: _Place
    request_line: str
    """With the Host header behind it."""


class HttpTransport:
    """Sends requests to providers over HTTP/1.1; see `ports.Transport`.

    No redirect is followed (it could carry a key or a prompt to another host), no cookie is kept, no proxy comes from
    the environment, the number of connections has no limit but the configuration's.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle: defaultdict[_Place, list[UpstreamConnection]] = defaultdict(list)
        self._open: set[UpstreamConnection] = set()
        self._hosts: dict[_Place, tuple[float, Sequence[str]]] = {}
        self._tls: ssl.SSLContext | None = None
        self._proxied: ProxiedTransport | None = None
        self._pruning: asyncio.TimerHandle | None = None

    async def send(self, request: UpstreamRequest) -> StreamedAnswer:
        """See `ports.Transport.send`."""
        if request.proxy is not None:
            if self._proxied is None:
                self._proxied = ProxiedTransport()
            return await self._proxied.send(request)
        address = _take_apart(request.method, request.url)
        wire = _encode(address.request_line, request)
        connection = None if request.fresh else self._pooled(address.place)
        if connection is not None:
            try:
                return await connection.exchange(wire)
            except UpstreamFailed:
                if connection.answered:
                    raise
                # It was dead already: that says nothing about the provider.
        connection = await self._connect(address.place, request.connect_s)
        return await connection.exchange(wire)

    async def close(self) -> None:
        """See `ports.Transport.close`."""
        if self._pruning is not None:
            self._pruning.cancel()
        for connection in tuple(self._open):
            connection.drop()
        if self._proxied is not None:
            await self._proxied.close()
        for _ in range(_CLOSING_TURNS):
            if not self._open:
                break
            await asyncio.sleep(0)  # for the connections to be told; TLS takes a turn more

    def _pooled(self, place: _Place) -> UpstreamConnection | None:
        idle = self._idle.get(place)
        while idle:
            connection = idle.pop()
            if connection.is_usable:
                return connection
        return None

    def _keep(self, connection: UpstreamConnection) -> None:
        connection.idle_since_s = self._loop.time()
        place = connection.place
        assert isinstance(place, _Place)
        self._idle[place].append(connection)
        if self._pruning is None:
            self._pruning = self._loop.call_later(_IDLE_S, self._prune)

    def _prune(self) -> None:
        """Close what has been idle for too long, and look again as long as something is idle."""
        self._pruning = None
        now_s = self._loop.time()
        for place, idle in tuple(self._idle.items()):
            kept = []
            for connection in idle:
                since_s = connection.idle_since_s
                if connection.is_usable and since_s is not None and now_s - since_s < _IDLE_S:
                    kept.append(connection)
                else:
                    connection.drop()
            if kept:
                self._idle[place] = kept
            else:
                del self._idle[place]
        if self._idle:
            self._pruning = self._loop.call_later(_IDLE_S / 2, self._prune)

    async def _connect(self, place: _Place, connect_s: float) -> UpstreamConnection:
        try:
            async with asyncio.timeout(connect_s):
                return await self._first_to_connect(place)
        except TimeoutError:
            self._hosts.pop(place, None)
            raise UpstreamConnectTimeout("The provider could not be connected to in time.") from None
        except (OSError, UnicodeError) as exc:  # names that can't be resolved or encoded, refusals and TLS among them
            self._hosts.pop(place, None)
            raise UpstreamFailed("The provider could not be reached.", code="upstream_unreachable") from exc

    async def _first_to_connect(self, place: _Place) -> UpstreamConnection:
        """The connection that comes about first, trying the addresses of a name one after the other, overlapping."""
        waiting = deque(await self._resolve(place))
        if len(waiting) == 1:
            return await self._connect_to(place, waiting[0])
        trying: set[asyncio.Task[UpstreamConnection]] = set()
        failure = OSError("no address")
        try:
            while waiting or trying:
                if waiting:
                    # Ended below, whatever happens.
                    trying.add(asyncio.create_task(self._connect_to(place, waiting.popleft())))  # noqa: TID251
                stagger_s = _STAGGER_S if waiting else None
                done, _ = await asyncio.wait(trying, timeout=stagger_s, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    trying.discard(task)
                    error = task.exception()
                    if error is None:
                        trying |= done - {task}
                        return task.result()
                    if not isinstance(error, OSError):
                        raise error
                    failure = error
            raise failure
        finally:
            for task in trying:
                task.cancel()
                task.add_done_callback(_drop_loser)
            del failure  # its traceback holds this frame

    async def _resolve(self, place: _Place) -> Sequence[str]:
        """The addresses of a place; a resolver takes a thread, so what it said is used for a minute."""
        now_s = self._loop.time()
        known = self._hosts.get(place)
        if known is not None and now_s < known[0]:
            return known[1]
        infos = await self._loop.getaddrinfo(place.host, place.port, type=SOCK_STREAM)
        hosts = [str(info[4][0]) for info in _interleaved(infos)]
        self._hosts[place] = (now_s + _RESOLVED_S, hosts)
        return hosts

    async def _connect_to(self, place: _Place, host: str) -> UpstreamConnection:
        def make() -> UpstreamConnection:
            return UpstreamConnection(self._loop, place, self._keep, self._open)

        _, connection = await self._loop.create_connection(
            make,
            host,
            place.port,
            ssl=self._context() if place.tls else None,
            server_hostname=place.host if place.tls else None,
        )
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls


def _drop_loser(task: asyncio.Task[UpstreamConnection]) -> None:
    """Close the connection of a try that came second."""
    if not task.cancelled() and task.exception() is None:
        task.result().drop()


@lru_cache(maxsize=4096)
def _take_apart(method: str, url: str) -> _Address:
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    host = parts.hostname or ""
    port = parts.port or (443 if tls else 80)
    shown = f"[{host}]" if ":" in host else host
    if port != (443 if tls else 80):
        shown = f"{shown}:{port}"
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    return _Address(_Place(host, port, tls), f"{method} {target} HTTP/1.1\r\nHost: {shown}\r\n")


def _encode(request_line: str, request: UpstreamRequest) -> bytes:
    """The bytes of a request. Values are those of the configuration, which has checked them, and of a parsed head."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in request.headers.items()])
    body = request.body
    if body is None:
        return f"{request_line}{lines}\r\n".encode("utf-8", "surrogateescape")
    return f"{request_line}{lines}Content-Length: {len(body)}\r\n\r\n".encode("utf-8", "surrogateescape") + body


def _interleaved(infos: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Addresses of both families in turns, the resolver's favourite first (RFC 8305, 4)."""
    first = infos[0][0] if infos else AF_INET6
    ours = [info for info in infos if info[0] == first]
    others = [info for info in infos if info[0] != first]
    return [info for info in chain.from_iterable(zip_longest(ours, others)) if info is not None]
