"""One client connection: aiohttp's request handler with the timers, limits and error pages that it lacks.

Everything that touches aiohttp's inner parts is in this file; facts about them were read in aiohttp 3.14.5.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any, cast

import orjson
from aiohttp import hdrs, web
from aiohttp.http import HttpVersion10, HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo, _RequestFactory, _RequestHandler
from aiohttp.web_server import Server

from modelserver.gateway.call import new_request_id
from modelserver.web.logs import Notices

HEAD_TIMEOUT_S = 10.0
"""How long a client may take over the head of a request, or to send the first byte of a new connection."""
KEEPALIVE_S = 75.0
"""How long a connection may be idle between two requests."""
STALLED_S = 75.0
"""A client that takes nothing of its answer for so long is cut; generation has a shorter limit of its own."""
LINGER_S = 5.0
"""How long the rest of a refused body is read and dropped, so that the client gets to see the refusal."""
REFUSAL_S = 1.0
"""How long a refused connection stays, so that its client gets to see the refusal."""

# Unequal, so that LineTooLong, which carries the limit, tells which of the two it was.
MAX_LINE_BYTES = 8190
MAX_FIELD_BYTES = 8192

_TLS = "Received HTTPS traffic on an HTTP port"
_BROKEN_BODY = "The transfer coding of the request body is broken."


def error_body(status: int, message: str, *, code: str | None = None) -> bytes:
    """The JSON error for a connection on which no request was understood, hence in no particular dialect."""
    kind = "invalid_request_error" if status < 500 or status in (501, 505) else "server_error"
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def raw_answer(status: int, message: str, *, code: str | None = None, retry_after_s: int | None = None) -> bytes:
    """A whole error answer as bytes, for a connection that has no request; it announces the close."""
    body = error_body(status, message, code=code)
    reason = {408: "Request Timeout", 503: "Service Unavailable"}[status]
    retry = f"Retry-After: {retry_after_s}\r\n" if retry_after_s is not None else ""
    head = (
        f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"X-Content-Type-Options: nosniff\r\nX-Request-Id: {new_request_id()}\r\n{retry}Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


def refusal(exc: BaseException | None, message: str | None, status: int) -> tuple[int, str]:
    """Status and wording for what the parser refused; nothing of the client's bytes is in it."""
    if isinstance(exc, LineTooLong):
        if exc.args[1] == MAX_LINE_BYTES:
            return 414, f"The request line is longer than {MAX_LINE_BYTES} bytes."
        return 431, f"A header of the request is longer than {MAX_FIELD_BYTES} bytes."
    if message == "Too many headers received":
        return 431, "The request has too many headers."
    if message == "Missing 'Host' header in request.":
        return 400, "The request has no Host header."
    if message == _TLS:
        return 400, "This port speaks plain HTTP and was sent TLS; use an http:// address."
    if isinstance(exc, Unframed):
        return status, exc.message
    return 400, "The request is not well-formed HTTP/1.1."


class Unframed(HttpProcessingError):
    """The parser let it pass, but where this request ends is not certain to everyone on the way."""


def framing_fault(message: RawRequestMessage) -> _ErrInfo | None:
    """What is wrong with a request's version and transfer coding, if anything.

    The parser refuses Transfer-Encoding beside Content-Length, but accepts it in HTTP/1.0, where RFC 9112 6.1 calls
    the framing faulty, and with codings other than chunked, which nobody here decodes. It accepts HTTP/0.9 and 2.0.
    """
    if message.version == HttpVersion11:
        if not message.chunked or message.headers.get(hdrs.TRANSFER_ENCODING, "").lower() == "chunked":
            return None
        status, text = 501, "The only transfer coding understood here is chunked."
    elif message.version == HttpVersion10:
        if hdrs.TRANSFER_ENCODING not in message.headers:
            return None
        status, text = 400, "HTTP/1.0 has no Transfer-Encoding."
    else:
        status, text = 505, "This server speaks HTTP/1.1 and HTTP/1.0."
    return _ErrInfo(status=status, exc=Unframed(code=status, message=text), message=text)


class Connection(RequestHandler):
    """A connection that gives a client `HEAD_TIMEOUT_S` for a request head and answers nonsense in JSON."""

    __slots__ = ("_head_s", "_notices", "_opened_s", "_told_s", "_unsent", "_unsent_s")

    def __init__(self, manager: Server, *, loop: asyncio.AbstractEventLoop, notices: Notices, **kwargs: Any) -> None:
        super().__init__(manager, loop=loop, **kwargs)
        self._notices = notices
        self._opened_s = loop.time()
        self._head_s = 0.0
        """When the first byte of a request came whose head is not complete; 0.0: there is none such."""
        self._told_s = 0.0
        """When the client was told that its time is over; 0.0: it was not."""
        self._unsent = 0
        self._unsent_s = 0.0
        """When the client last took something of what waits to be sent."""

    @property
    def waiting(self) -> bool:
        """Whether no request is being served or ready to be."""
        waiter = self._waiter
        return waiter is not None and not waiter.done()

    @property
    def idle(self) -> bool:
        """Whether the client has sent nothing that is not answered."""
        return self._head_s == 0.0 and self.waiting

    @property
    def busy(self) -> bool:
        """Whether a request has begun to arrive, is being served or its answer is on its way out."""
        return self.transport is not None and not self.idle

    def data_received(self, data: bytes) -> None:
        """Parse, then note what the parser keeps to itself: a head that has begun, a message that must not pass."""
        super().data_received(data)
        if self._messages:
            self._head_s = 0.0
            self._check_messages()
        elif data and self._head_s == 0.0 and self.waiting and data.strip(b"\r\n"):
            # Empty lines before a request are no request: RFC 9112 2.2.
            self._head_s = self._loop.time()

    def _check_messages(self) -> None:
        messages = self._messages
        for index in range(len(messages)):
            message = messages[index][0]
            if type(message) is _ErrInfo:
                self._break_body()
            elif (fault := framing_fault(message)) is not None:  # type: ignore[arg-type]
                messages[index] = (fault, EMPTY_PAYLOAD)

    def _break_body(self) -> None:
        # A parser that gives up inside a body forgets the reader of it, who would wait until a timer ends it.
        request = self._current_request
        if request is not None and not request.content.is_eof() and request.content.exception() is None:
            request.content.set_exception(RequestPayloadError(_BROKEN_BODY))

    def expire(self, now_s: float) -> None:
        """Close the connection if its client takes nothing of an answer, or lets a request head wait for too long."""
        if self._is_stalled(now_s):
            self._notices.say("Clients that did not read their answers", f"from {self._address()}")
            if self.transport is not None:
                self.transport.abort()
            return
        if self._told_s:
            if now_s - self._told_s >= REFUSAL_S:
                self.force_close()
            return
        since_s = self._head_s or (self._opened_s if self._request_count == 0 else now_s)
        if now_s - since_s < HEAD_TIMEOUT_S or not self.waiting:
            return
        if not self._head_s or self.transport is None:
            self.force_close()
            return
        self._notices.say("Request heads that did not arrive in time", f"from {self._address()}")
        self.transport.write(raw_answer(408, f"The request head did not arrive within {HEAD_TIMEOUT_S:g} s."))
        # A socket closed while bytes still come is reset, and the reset overtakes the answer.
        self.transport.write_eof()
        self._close = True
        self._told_s = now_s

    def _is_stalled(self, now_s: float) -> bool:
        unsent = 0 if self.transport is None else self.transport.get_write_buffer_size()
        if unsent == 0 or unsent < self._unsent or self._unsent == 0:
            self._unsent, self._unsent_s = unsent, now_s
            return False
        self._unsent = unsent
        return now_s - self._unsent_s >= STALLED_S

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The JSON answer to what the parser refused or to what no handler caught; the connection ends with it."""
        request_id = new_request_id()
        if isinstance(exc, HttpProcessingError):
            status, text = refusal(exc, message, status)
            self._notices.say("Malformed requests", f"{status} to {self._address()}: {text}")
        else:
            status, text = 500, f"The server failed to answer (request {request_id})."
            self._notices.say("A request failed", request_id, exc=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("The answer has begun; no other can be sent.")
        headers = {
            hdrs.CONNECTION: "close",
            hdrs.SERVER: "modelserver",
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": request_id,
        }
        answer = web.Response(
            body=error_body(status, text), status=status, headers=headers, content_type="application/json"
        )
        answer.force_close()
        return answer

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log what escaped from the serving of a request, at a bounded rate."""
        exc = kw.get("exc_info")
        if not isinstance(exc, RequestPayloadError):  # which the handler has seen and answered
            self._notices.say("A connection failed", exc=exc if isinstance(exc, BaseException) else None)

    def _address(self) -> str:
        peer = self.peername
        return str(peer[0]) if isinstance(peer, tuple) else "a local socket"


class Refusal(asyncio.Protocol):
    """A connection over the cap: told so, then closed."""

    __slots__ = ("_loop", "_refusals")

    def __init__(self, loop: asyncio.AbstractEventLoop, refusals: set[Refusal]) -> None:
        self._loop = loop
        self._refusals = refusals

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer without reading; close once the client has, so that no reset overtakes the answer."""
        transport = cast(asyncio.Transport, transport)
        if len(self._refusals) >= MAX_REFUSALS:
            transport.abort()
            return
        self._refusals.add(self)
        transport.write(
            raw_answer(503, "This server has as many connections as it may have.", code="overloaded", retry_after_s=1)
        )
        transport.write_eof()
        self._loop.call_later(REFUSAL_S, transport.abort)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._refusals.discard(self)


MAX_REFUSALS = 100
"""Refused connections that are open at a time; beyond that they are reset without an answer."""


class Connections(Server):
    """Makes a `Connection` of every accepted socket, up to a cap."""

    def __init__(
        self,
        answer: _RequestHandler,
        *,
        request_factory: _RequestFactory,
        notices: Notices,
    ) -> None:
        # A client that has left must end the call that it paid for; the library leaves the handler running.
        super().__init__(answer, request_factory=request_factory, handler_cancellation=True)
        self.max_connections = sys.maxsize
        self._notices = notices
        self._refusals: set[Refusal] = set()

    def __call__(self) -> RequestHandler:
        """A protocol for the next connection."""
        if len(self._connections) >= self.max_connections:
            self._notices.say("Connections refused", f"max_connections is {self.max_connections}")
            return Refusal(self._loop, self._refusals)  # type: ignore[return-value]
        return Connection(
            self,
            loop=self._loop,
            notices=self._notices,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGER_S,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_FIELD_BYTES,
            auto_decompress=False,
            access_log=None,
        )

    @property
    def open(self) -> list[Connection]:
        """Every connection that is not closed yet."""
        return [held for held in self._connections if isinstance(held, Connection)]

    def sweep(self) -> None:
        """Close what is overdue; called about once a second."""
        now_s = self._loop.time()
        for connection in self.open:
            connection.expire(now_s)

    def close_idle(self) -> None:
        """Close every connection whose client waits for nothing."""
        for connection in self.open:
            if connection.idle:
                connection.force_close()
