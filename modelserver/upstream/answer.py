"""What the two HTTP transports share: a body that is read off an aiohttp stream, decoded where it is coded."""

from __future__ import annotations

import zlib
from asyncio import get_running_loop
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
from aiohttp.streams import StreamReader

from modelserver.errors import UpstreamFailed

LINGER_S: Final = 1.0
"""How long the end of a stream may take after its last event."""
_INFLATE_STEP_BYTES: Final = 1_048_576


class StreamedAnswer:
    """An answer whose body comes through an aiohttp stream; see `ports.UpstreamAnswer`.

    `drop` closes the connection, at once and for good.

    Attributes:
        is_cut: The stream ends before the body does. An exception in the stream would say so too, but throw away what
            came before the cut and was not read yet.
    """

    __slots__ = ("_content", "_drop", "_inflater", "headers", "is_cut", "status")

    def __init__(
        self, status: int, headers: Mapping[str, str], content: StreamReader, drop: Callable[[], None]
    ) -> None:
        self.status = status
        self.headers = headers
        self.is_cut = False
        self._content = content
        self._drop = drop
        coding = headers.get("Content-Encoding")
        self._inflater = None if coding is None else _inflater(coding.strip().lower())

    async def read(self) -> bytes:
        """See `ports.UpstreamAnswer.read`."""
        if self._inflater is not None:
            return await self._read_coded(self._inflater)
        try:
            data = await self._content.readany()
        except (aiohttp.ClientError, OSError, RuntimeError) as exc:
            # A bare RuntimeError("Connection closed.") comes from reads after a malformed chunk (aiohttp 3.14.5).
            raise _broken() from exc
        if not data and self.is_cut:
            raise _broken()
        return data

    def close(self) -> None:
        """See `ports.UpstreamAnswer.close`."""
        if not self._content.is_eof() or self._content.exception() is not None:
            self._drop()

    def finish(self) -> None:
        """See `ports.UpstreamAnswer.finish`; without it no connection of a stream would ever be used again."""
        drop, self._drop = self._drop, _nothing
        if not self._content.is_eof():
            self._content.on_eof(get_running_loop().call_later(LINGER_S, drop).cancel)

    async def _read_coded(self, inflater: _Inflater) -> bytes:
        try:
            while True:
                plain = inflater.take()
                if plain:
                    return plain
                data = await self._content.readany()
                if not data:
                    break
                inflater.give(data)
        except zlib.error as exc:
            raise UpstreamFailed(
                "The provider's answer is not coded as it says.", code="upstream_invalid_response"
            ) from exc
        except (aiohttp.ClientError, OSError, RuntimeError) as exc:
            raise _broken() from exc
        if self.is_cut or not inflater.is_complete:
            raise _broken()
        return b""


class _Inflater:
    """Undoes gzip or deflate, a bounded step at a time.

    Raises:
        zlib.error: From `take`, when the bytes are not coded that way.
    """

    __slots__ = ("_engine", "_gzip", "_left")

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._engine: zlib._Decompress | None = None
        self._left = b""

    @property
    def is_complete(self) -> bool:
        """Whether the coded text was whole; nothing at all counts as that."""
        return self._engine is None or self._engine.eof

    def give(self, data: bytes) -> None:
        """Add coded bytes."""
        self._left += data

    def take(self) -> bytes:
        """The next piece of the plain text; empty when it takes more coded bytes to know it."""
        engine = self._engine
        while self._left or (engine is not None and not engine.eof):
            if engine is None or engine.eof:
                engine = self._engine = self._begin(first=engine is None)
            plain = engine.decompress(self._left, _INFLATE_STEP_BYTES)
            self._left = engine.unused_data if engine.eof else engine.unconsumed_tail
            if plain or not engine.eof:
                return plain
        return b""

    def _begin(self, *, first: bool) -> zlib._Decompress:
        if self._gzip:  # may consist of several members, RFC 1952 2.2
            return zlib.decompressobj(16 + zlib.MAX_WBITS)
        if not first:
            raise zlib.error("bytes after the end")
        # RFC 9110 8.4.1.2: deflate means the zlib format, but some send the bare one.
        is_zlib = self._left[0] & 0x0F == 8
        return zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)


class _Unknown(_Inflater):
    """Stands for a coding that nobody here can undo."""

    def take(self) -> bytes:
        """Nothing, as long as nothing came."""
        if self._left:
            raise zlib.error("unknown coding")
        return b""


def _inflater(coding: str) -> _Inflater | None:
    """A decoder for a coding that was sent although `identity` was asked for."""
    match coding:
        case "" | "identity":
            return None
        case "gzip" | "x-gzip":
            return _Inflater(gzip=True)
        case "deflate":
            return _Inflater(gzip=False)
        case _:
            return _Unknown(gzip=False)


def _broken() -> UpstreamFailed:
    return UpstreamFailed("The provider broke off in the middle of its answer.", code="upstream_error")


def _nothing() -> None:
    """Stands for a connection that is being let go of already."""
