"""Dispatches through an HTTP proxy, over aiohttp's client: it knows CONNECT and TLS within it."""

from __future__ import annotations

from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.streams import EMPTY_PAYLOAD
from yarl import URL

from modelserver.errors import GatewayError, UpstreamConnectTimeout, UpstreamFailed
from modelserver.ports import UpstreamRequest
from modelserver.upstream.answer import StreamedAnswer

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.tracing import Trace

_READ_BUFFER_BYTES: Final = 65_536
_AUTO_HEADERS: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")

_fresh: ContextVar[bool] = ContextVar("_fresh", default=False)
_reused: ContextVar[bool] = ContextVar("_reused", default=False)


class CheckedProtocol(ResponseHandler):
    """A connection that tells the reader of an answer when it is cut.

    aiohttp's own leaves that reader waiting when the parser gives up (a malformed chunk size) or the session ends, and
    takes a reset for the end of a body that has no other (3.14.5).
    """

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """See `DataQueue.set_exception`."""
        super().set_exception(exc, *cause)
        self._cut()

    def connection_lost(self, exc: BaseException | None) -> None:
        """See `asyncio.Protocol`."""
        if exc is not None:
            self._cut()
        super().connection_lost(exc)

    def close(self) -> None:
        """Close, as the session does with connections in use when it ends."""
        self._cut()
        super().close()

    def _cut(self) -> None:
        payload = self._payload
        if payload is not None and not payload.is_eof() and payload.exception() is None:
            payload.set_exception(aiohttp.ClientPayloadError("cut"))


class CheckedConnector(aiohttp.TCPConnector):
    """A pool that never hands out a connection on which bytes nobody asked for have arrived.

    aiohttp's own pool parses them and gives them to the next request as its answer (3.14.5: `_get` looks at
    `is_connected` only), so that a provider which answers twice would answer somebody else.
    """

    def __init__(self) -> None:
        super().__init__(limit=0, ttl_dns_cache=60, keepalive_timeout=30)
        self._factory = partial(CheckedProtocol, loop=self._loop)  # type: ignore[assignment]

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        if _fresh.get():
            return None
        while (connection := await super()._get(key, traces)) is not None:
            protocol = connection.protocol
            if protocol is not None and not protocol.should_close:
                _reused.set(True)
                return connection
            connection.close()
        return None


class ProxiedTransport:
    """Sends requests to providers through the proxy that each names; see `ports.Transport`.

    No redirect is followed (it could carry a key or a prompt to another host), no cookie is kept, no proxy comes from
    the environment, the number of connections has no limit but the configuration's.
    """

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=CheckedConnector(),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=_AUTO_HEADERS,
            read_bufsize=_READ_BUFFER_BYTES,
        )

    async def send(self, request: UpstreamRequest) -> StreamedAnswer:
        """See `ports.Transport.send`."""
        _fresh.set(request.fresh)
        _reused.set(False)
        try:
            try:
                return await self._send(request)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                if not _reused.get():
                    raise
            # A connection out of the pool was dead already: that says nothing about the provider.
            _fresh.set(True)
            return await self._send(request)
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as exc:
            raise _reason(exc) from exc

    async def close(self) -> None:
        """See `ports.Transport.close`."""
        await self._session.close()

    async def _send(self, request: UpstreamRequest) -> StreamedAnswer:
        response = await self._session.request(
            request.method,
            URL(request.url, encoded=True),
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
            proxy=request.proxy,
            timeout=aiohttp.ClientTimeout(total=None, connect=request.connect_s),
        )
        content = response.content
        if response.status in (101, 205):  # what follows is another protocol, or a body that must not be there
            response.close()
            content = EMPTY_PAYLOAD
        return StreamedAnswer(response.status, response.headers, content, response.close)


def _reason(exc: BaseException) -> GatewayError:
    match exc:
        case aiohttp.ServerTimeoutError():
            return UpstreamConnectTimeout("The provider could not be connected to in time.")
        case aiohttp.ClientConnectorError() | aiohttp.ClientHttpProxyError():
            return UpstreamFailed("The provider could not be reached.", code="upstream_unreachable")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return UpstreamFailed("The provider closed the connection without an answer.", code="upstream_error")
        case aiohttp.ClientResponseError():
            return UpstreamFailed("The provider's answer is not HTTP.", code="upstream_error")
        case _:
            return UpstreamFailed("The provider could not be asked.", code="upstream_error")
