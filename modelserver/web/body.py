"""Request bodies, read under our own bounds."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from modelserver.errors import BodyTooLarge, ClientLeft, InvalidRequest, SlowBody, UnsupportedEncoding
from modelserver.gateway.lifecycle import Expired
from modelserver.web.disconnect import left_by
from modelserver.web.keys import GATEWAY

STALLED_S: Final = 30.0
"""Longest silence within a body."""
SLOWEST_S: Final = 300.0
"""Longest time for a whole body."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


async def expect_later(request: web.Request) -> None:
    """Leave `Expect: 100-continue` to `read_body`: a caller without a key shall not be asked for its body."""


async def read_body(request: web.Request) -> bytes:
    """The whole body.

    Raises:
        UnsupportedEncoding: It has a content coding.
        BodyTooLarge: It is over `server.max_body`; it was not read further.
        SlowBody: It stopped coming, or took too long.
        InvalidRequest: Its transfer coding is broken.
        ClientLeft: The client went away.
    """
    limit = request.app[GATEWAY].config.server.max_body_bytes
    headers = request.headers
    coding = headers.get("Content-Encoding")
    if coding is not None and coding.strip().lower() not in ("", "identity"):
        raise UnsupportedEncoding("The request body has a content coding; send it plain.")
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    content = request.content
    if content.is_eof():
        body = content.read_nowait(-1)
        if len(body) > limit:
            raise _too_large(limit)
        return body
    if headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0
    return await _read_slowly(request, limit)


async def _read_slowly(request: web.Request, limit: int) -> bytes:
    gateway = request.app[GATEWAY]
    clock = gateway.clock
    content = request.content
    watch = gateway.watch(ends_s=clock.now_s() + SLOWEST_S, has_left=left_by(request))
    pieces: list[bytes] = []
    size = 0
    try:
        while piece := await watch.wait(content.readany(), clock.now_s() + STALLED_S):
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            pieces.append(piece)
    except Expired:
        raise SlowBody("The request body did not arrive in time.") from None
    except web.RequestPayloadError:
        raise InvalidRequest("The request body is not framed as its headers say.") from None
    except ConnectionError:
        raise ClientLeft("The client closed the connection.") from None
    finally:
        gateway.unwatch(watch)
    return b"".join(pieces)


def _too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than {limit:,} bytes.")
