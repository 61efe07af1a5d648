"""Dispatches over aiohttp's client, with the hygiene that a gateway needs."""

from __future__ import annotations

import zlib
from asyncio import TimerHandle, get_running_loop
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from modelserver.errors import GatewayError, UpstreamConnectTimeout, UpstreamFailed
from modelserver.ports import UpstreamRequest

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.tracing import Trace

_READ_BUFFER_BYTES: Final = 65_536
_MAX_URLS: Final = 4_096
_INFLATE_STEP_BYTES: Final = 1_048_576
_LINGER_S: Final = 1.0
_AUTO_HEADERS: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")

_fresh: ContextVar[bool] = ContextVar("_fresh", default=False)
_reused: ContextVar[bool] = ContextVar("_reused", default=False)


class CheckedConnector(aiohttp.TCPConnector):
    """A pool that never hands out a connection on which bytes nobody asked for have arrived.

    aiohttp's own pool parses them and gives them to the next request as its answer (3.14.5: `_get` looks at
    `is_connected` only), so that a provider which answers twice would answer somebody else.
    """

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


class AiohttpAnswer:
    """An answer on an aiohttp connection; see `ports.UpstreamAnswer`."""

    __slots__ = ("_content", "_inflate", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._content = response.content
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        coding = response.headers.get("Content-Encoding", "").strip().lower()
        self._inflate = None if coding in ("", "identity") else _inflater(coding)

    async def read(self) -> bytes:
        """See `ports.UpstreamAnswer.read`."""
        inflate = self._inflate
        if inflate is not None and inflate.unconsumed_tail:
            return self._decoded(inflate, inflate.unconsumed_tail)
        try:
            data = await self._content.readany()
            while inflate is not None and data:
                plain = self._decoded(inflate, data)
                if plain:
                    return plain
                data = await self._content.readany()
        except (aiohttp.ClientError, OSError, RuntimeError) as exc:
            # A bare RuntimeError("Connection closed.") comes from reads after a malformed chunk (aiohttp 3.14.5).
            raise _broken() from exc
        if inflate is not None and not inflate.eof:
            raise _broken()
        return data

    def close(self) -> None:
        """See `ports.UpstreamAnswer.close`."""
        self._response.close()

    def finish(self) -> None:
        """Let go of a stream whose last event has come: its end may still be on the way, and is waited for 1 s.

        Without that no connection of a stream would ever be used again.
        """
        if self._content.is_eof():
            return
        timer: TimerHandle = get_running_loop().call_later(_LINGER_S, self._response.close)
        self._content.on_eof(timer.cancel)

    def _decoded(self, inflate: zlib._Decompress, data: bytes) -> bytes:
        try:
            return inflate.decompress(data, _INFLATE_STEP_BYTES)
        except zlib.error as exc:
            raise UpstreamFailed(
                "The provider's answer is not coded as it says.", code="upstream_invalid_response"
            ) from exc


class AiohttpTransport:
    """Sends requests to providers over HTTP; see `ports.Transport`.

    No redirect is followed (it could carry a key or a prompt to another host), no cookie is kept, no proxy comes from
    the environment, the number of connections has no limit but the configuration's.
    """

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=CheckedConnector(limit=0, ttl_dns_cache=60, keepalive_timeout=30),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=_AUTO_HEADERS,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            read_bufsize=_READ_BUFFER_BYTES,
        )
        self._urls: dict[str, URL] = {}
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}

    async def send(self, request: UpstreamRequest) -> AiohttpAnswer:
        """See `ports.Transport.send`."""
        _fresh.set(request.fresh)
        _reused.set(False)
        try:
            return await self._send(request)
        except UpstreamFailed:
            if not _reused.get():
                raise
        # A connection out of the pool was dead already: that says nothing about the provider.
        _fresh.set(True)
        _reused.set(False)
        return await self._send(request)

    async def close(self) -> None:
        """See `ports.Transport.close`."""
        await self._session.close()

    async def _send(self, request: UpstreamRequest) -> AiohttpAnswer:
        try:
            response = await self._session.request(
                request.method,
                self._url(request.url),
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                proxy=request.proxy,
                timeout=self._timeout(request.connect_s),
            )
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as exc:
            raise _reason(exc) from exc
        try:
            return AiohttpAnswer(response)
        except UpstreamFailed:
            response.close()
            raise

    def _url(self, text: str) -> URL:
        url = self._urls.get(text)
        if url is None:
            if len(self._urls) >= _MAX_URLS:
                self._urls.clear()
            url = self._urls[text] = URL(text, encoded=True)
        return url

    def _timeout(self, connect_s: float) -> aiohttp.ClientTimeout:
        timeout = self._timeouts.get(connect_s)
        if timeout is None:
            timeout = self._timeouts[connect_s] = aiohttp.ClientTimeout(total=None, connect=connect_s)
        return timeout


def _inflater(coding: str) -> zlib._Decompress:
    """A decoder for a coding that was sent although `identity` was asked for."""
    if coding in ("gzip", "x-gzip"):
        return zlib.decompressobj(16 + zlib.MAX_WBITS)
    if coding == "deflate":
        return zlib.decompressobj()
    raise UpstreamFailed(
        "The provider's answer has a content coding that was not asked for.", code="upstream_invalid_response"
    )


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


def _broken() -> UpstreamFailed:
    return UpstreamFailed("The provider broke off in the middle of its answer.", code="upstream_error")
