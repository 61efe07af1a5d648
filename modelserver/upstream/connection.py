"""One connection to a provider: aiohttp's compiled parser on an asyncio protocol, one answer for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp.base_protocol import BaseProtocol
from aiohttp.client_exceptions import ClientPayloadError
from aiohttp.http import HttpResponseParser, RawResponseMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from modelserver.errors import UpstreamFailed
from modelserver.upstream.answer import StreamedAnswer

_BUFFER_BYTES: Final = 65_536
_MAX_INTERIM: Final = 16
_NO_ANSWER: Final = "The provider closed the connection without an answer."
_NOT_HTTP: Final = "The provider's answer is not HTTP."


class UpstreamConnection(BaseProtocol):
    """A connection that carries one request at a time.

    Bytes that come when none was sent, or after an answer is complete, are nobody's: they close the connection, so
    that no answer can reach another caller's request.

    Attributes:
        place: Where it leads to.
        answered: Something of an answer to the request in hand has come.
        idle_since_s: When it was put into the pool; None while in use.
    """

    __slots__ = (
        "_answer",
        "_content",
        "_head",
        "_interim",
        "_on_free",
        "_register",
        "_reusable",
        "answered",
        "idle_since_s",
        "place",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        place: object,
        on_free: Callable[[UpstreamConnection], None],
        register: set[UpstreamConnection],
    ) -> None:
        super().__init__(loop)
        self._parser = HttpResponseParser(
            self,
            loop,
            _BUFFER_BYTES,
            payload_exception=ClientPayloadError,
            read_until_eof=True,
            auto_decompress=False,
        )
        self._on_free = on_free
        self._register = register
        self._head: asyncio.Future[StreamedAnswer] | None = None
        self._answer: StreamedAnswer | None = None
        self._content: StreamReader | None = None
        self._reusable = True
        self._interim = 0
        self.place = place
        self.answered = False
        self.idle_since_s: float | None = None

    @property
    def is_usable(self) -> bool:
        """Whether a request may be sent on it."""
        transport = self.transport
        return transport is not None and not transport.is_closing() and self._reusable

    async def exchange(self, wire: bytes) -> StreamedAnswer:
        """Send a request and return its answer when the head of that is complete.

        Raises:
            UpstreamFailed: `upstream_error`, the connection broke or spoke no HTTP before the head was complete.
        """
        transport = self.transport
        self.idle_since_s = None
        self.answered = False
        if transport is None or transport.is_closing():
            raise UpstreamFailed(_NO_ANSWER, code="upstream_error")
        self._interim = 0
        head = self._head = self._loop.create_future()
        try:
            transport.write(wire)
            answer: StreamedAnswer = await head
            return answer
        except BaseException:
            self._abandon(head)
            raise
        finally:
            del head  # its exception's traceback holds this frame, and with it the request

    def drop(self) -> None:
        """Close the connection, at once and for good."""
        self._reusable = False
        self._parser = None
        self._end_answer()
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        super().connection_made(transport)
        self._register.add(self)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        parser = self._parser
        if parser is None:
            return
        if self._head is None and self._content is None:
            self.drop()
            return
        self.answered = True
        try:
            messages, _, _ = parser.feed_data(data)
        except Exception:  # noqa: BLE001 - whatever a parser makes of hostile bytes, the answer is broken
            self._fail(_NOT_HTTP)
            return
        for message, body in messages:
            self._begin(message, body)
        content = self._content
        if content is not None and content.is_eof():
            self._complete()

    def eof_received(self) -> None:
        """See `asyncio.Protocol`.

        All is over at once: left to itself, the transport would wait for a provider that has closed its side to take
        the rest of the request.
        """
        self._lose()
        self.drop()

    def connection_lost(self, exc: BaseException | None) -> None:
        """See `asyncio.Protocol`."""
        self._register.discard(self)
        if exc is None:
            self._lose()
        self._fail(_NO_ANSWER)
        super().connection_lost(exc)

    def pause_reading(self) -> None:
        """Stop the socket when the reader of an answer does not keep up.

        What was received already is still parsed: it is bounded by the size of one receive, and a parser that is
        stopped in the middle has to be woken again by hand.
        """
        self._reading_paused = True
        self._pause_transport_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on; called for every read of the answer."""
        if self._reading_paused:
            self._reading_paused = False
            self._resume_transport_reading()

    def _begin(self, message: RawResponseMessage, content: StreamReader) -> None:
        """Take the head of an answer."""
        head = self._head
        if head is None or head.done():  # nobody asked for it, or who did has left
            self.drop()
            return
        code = message.code
        if 100 <= code <= 199 and code != 101:
            self._interim += 1
            if self._interim > _MAX_INTERIM:
                self._fail(_NOT_HTTP)
            return
        self._head = None
        if code in (101, 205):  # what follows is another protocol, or a body that must not be there
            self._reusable = False
            content = EMPTY_PAYLOAD
        elif message.should_close:
            self._reusable = False
        self._content = content
        self._answer = StreamedAnswer(code, message.headers, content, self.drop)
        head.set_result(self._answer)

    def _complete(self) -> None:
        """The answer is complete."""
        self._content = self._answer = None
        transport = self.transport
        # A provider that answers early may still be reading the request; the next one would queue behind it.
        if transport is not None and self.is_usable and not transport.get_write_buffer_size() and self._is_clean():
            self._on_free(self)
        else:
            self.drop()

    def _is_clean(self) -> bool:
        """Whether the answer was followed by nothing: half a head would become the beginning of the next answer."""
        try:
            # Between messages it does nothing; inside a head it gives the half that there is (aiohttp 3.14.5).
            return self._parser is not None and self._parser.feed_eof() is None
        except Exception:  # noqa: BLE001 - what it makes of half a head is of no interest
            return False

    def _lose(self) -> None:
        """The provider has closed in good order: that is the end of an answer which has no other."""
        parser, self._parser = self._parser, None
        content = self._content
        if parser is None or content is None:
            return
        try:
            parser.feed_eof()
        except Exception:  # noqa: BLE001 - every reason is the same to a reader: it was cut
            return

    def _fail(self, why: str) -> None:
        head, self._head = self._head, None
        if head is not None and not head.done():
            head.set_exception(UpstreamFailed(why, code="upstream_error"))
        self.drop()

    def _end_answer(self) -> None:
        """Let go of the answer in hand; it was cut unless it is complete."""
        content, answer = self._content, self._answer
        self._content = self._answer = None
        if content is not None and answer is not None and not content.is_eof():
            answer.is_cut = True
            content.feed_eof()

    def _abandon(self, head: asyncio.Future[StreamedAnswer]) -> None:
        """Nobody waits for the answer any more; one that is complete has set the connection free already."""
        if self._head is head:
            self.drop()
        elif not head.cancelled() and head.exception() is None:
            head.result().close()
