"""Fetches what clients name by URL, from the public internet and from nowhere else.

The connections are our own (`UpstreamConnection`): the one address that was checked is the one that is connected to,
and no second parser of URLs, second resolver, proxy of the environment, cookie or credential can come in between.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple
from urllib.parse import urljoin

from modelserver.errors import InvalidRequest, UpstreamFailed
from modelserver.ports import Fetched
from modelserver.upstream.answer import StreamedAnswer
from modelserver.upstream.connection import UpstreamConnection
from modelserver.upstream.fetch_target import Target, is_public, read_target
from modelserver.upstream.media_types import may_be_media, media_type_of
from modelserver.version import USER_AGENT

TOTAL_S: Final = 10.0
MAX_ITEM_BYTES: Final = 20 * 1024 * 1024
MAX_REDIRECTS: Final = 3
_CONNECT_S: Final = 4.0
"""For one address of several, TLS included."""
_MAX_ADDRESSES: Final = 3
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))
_RESOLVER_THREADS: Final = 4
_HEADERS: Final = (
    f"User-Agent: {USER_AGENT}\r\n"
    "Accept: image/*, audio/*, application/pdf, text/plain;q=0.5\r\n"
    "Accept-Encoding: identity\r\n"
    "Connection: close\r\n"
)


class Endpoint(NamedTuple):
    """Where to connect to."""

    address: str
    """Numeric: it is never resolved again."""
    port: int


Resolve = Callable[[str, int], Awaitable[Sequence[Endpoint]]]
"""The endpoints of a host and a port, the best one first; raises OSError when there are none."""


class UrlFetcher:
    """Fetches media by URL; see `ports.Fetcher`.

    `http` allows plain HTTP. `resolve`, `is_allowed` and `context` are for tests, where a server on this machine stands
    for a public one; no setting reaches them.
    """

    def __init__(
        self,
        *,
        http: bool = False,
        resolve: Resolve | None = None,
        is_allowed: Callable[[str], bool] = is_public,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._http = http
        self._resolve = self._look_up if resolve is None else resolve
        self._is_allowed = is_allowed
        self._context = context
        self._threads: ThreadPoolExecutor | None = None
        self._open: set[UpstreamConnection] = set()

    async def fetch(self, url: str, *, arrived: Callable[[int], None]) -> Fetched:
        """See `ports.Fetcher.fetch`."""
        host = read_target(url, http=self._http).host
        try:
            async with asyncio.timeout(TOTAL_S):
                return await self._follow(url, arrived)
        except TimeoutError:
            raise InvalidRequest(f"host {host} did not answer within {TOTAL_S:.0f} seconds") from None

    def close(self) -> None:
        """Close what is open; a look-up that hangs is not waited for."""
        for connection in tuple(self._open):
            connection.drop()
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _follow(self, url: str, arrived: Callable[[int], None]) -> Fetched:
        for _ in range(1 + MAX_REDIRECTS):
            target = read_target(url, http=self._http)
            connection = await self._connect(target)
            try:
                answer = await connection.exchange(_request(target))
                if answer.status not in _REDIRECTS:
                    return await _read(target, answer, arrived)
                url = _next(url, target, answer)
            except UpstreamFailed:
                raise InvalidRequest(f"host {target.host} broke off its answer, or sent none") from None
            finally:
                connection.drop()
        raise InvalidRequest(f"host {target.host} redirects more than {MAX_REDIRECTS} times")

    async def _connect(self, target: Target) -> UpstreamConnection:
        """A connection to one of the addresses that a host has now, all of which must be public."""
        for endpoint in await self._endpoints(target):
            try:
                async with asyncio.timeout(_CONNECT_S):
                    return await self._dial(target, endpoint)
            except (OSError, ValueError):  # a TimeoutError is an OSError, and so is what TLS finds wrong
                continue
        raise InvalidRequest(f"host {target.host} could not be connected to")

    async def _endpoints(self, target: Target) -> Sequence[Endpoint]:
        if target.is_literal:
            if not self._is_allowed(target.host):
                raise InvalidRequest(f"host {target.host} is not allowed")
            return [Endpoint(target.host, target.port)]
        try:
            endpoints = await self._resolve(target.host, target.port)
        except (OSError, ValueError):
            endpoints = []
        # One message for both, or every client could ask which names there are in the network of the server.
        if not endpoints or not all(self._is_allowed(endpoint.address) for endpoint in endpoints):
            raise InvalidRequest(f"host {target.host} is not allowed or does not exist")
        return endpoints[:_MAX_ADDRESSES]

    async def _look_up(self, host: str, port: int) -> Sequence[Endpoint]:
        """Ask the system in threads of our own: names that hang must not hold up the names of providers."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_RESOLVER_THREADS, thread_name_prefix="fetch")
        loop = asyncio.get_running_loop()
        infos = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [Endpoint(str(info[4][0]), port) for info in infos]

    async def _dial(self, target: Target, endpoint: Endpoint) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        if target.tls and self._context is None:
            self._context = ssl.create_default_context()
            self._context.set_alpn_protocols(["http/1.1"])
        _, connection = await loop.create_connection(
            lambda: UpstreamConnection(loop, target, UpstreamConnection.drop, self._open),
            endpoint.address,
            endpoint.port,
            ssl=self._context if target.tls else None,
            server_hostname=target.host if target.tls else None,
        )
        return connection


def _request(target: Target) -> bytes:
    return f"GET {target.path} HTTP/1.1\r\nHost: {target.authority}\r\n{_HEADERS}\r\n".encode("ascii")


def _next(url: str, target: Target, answer: StreamedAnswer) -> str:
    """Where a redirect leads to; it is read and checked like the first URL."""
    try:
        return urljoin(url, answer.headers["Location"])
    except (KeyError, ValueError):
        raise InvalidRequest(f"host {target.host} redirects to nowhere") from None


async def _read(target: Target, answer: StreamedAnswer, arrived: Callable[[int], None]) -> Fetched:
    declared = answer.headers.get("Content-Type", "")
    if answer.status != 200:
        raise InvalidRequest(f"host {target.host} answered with status {answer.status}")
    if answer.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
        raise InvalidRequest(f"host {target.host} sent a compressed answer, which was not asked for")
    if not may_be_media(declared):
        raise _not_media(target)
    length = answer.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > MAX_ITEM_BYTES:
        raise _too_large(target)
    pieces: list[bytes] = []
    size = 0
    while piece := await answer.read():
        size += len(piece)
        if size > MAX_ITEM_BYTES:
            raise _too_large(target)
        arrived(len(piece))
        pieces.append(piece)
    data = b"".join(pieces)
    media_type = media_type_of(data, declared)
    if media_type is None:
        raise _not_media(target)
    return Fetched(media_type=media_type, data=data)


def _too_large(target: Target) -> InvalidRequest:
    return InvalidRequest(f"host {target.host} sent more than {MAX_ITEM_BYTES // 1024 // 1024} MiB")


def _not_media(target: Target) -> InvalidRequest:
    return InvalidRequest(f"host {target.host} sent no image, sound, PDF or plain text of a kind that is known here")
