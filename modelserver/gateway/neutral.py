"""Calls made in neutral values, by a program that embeds the gateway: no wire format on the client's side."""

from __future__ import annotations

from collections import deque
from typing import Final, NoReturn

import attrs

from modelserver.dialects.codec import Codec, Writing
from modelserver.dialects.dialect import Dialect
from modelserver.ir.events import Fail, StreamEvent
from modelserver.ir.parts import Response
from modelserver.ir.request import Request
from modelserver.ir.types import Address, Ask
from modelserver.policy.estimate import CHARS_PER_TOKEN, estimate_prompt

_EVENT: Final = b"."


class NeutralClient:
    """The client's side of one call: its request goes in as it is, and what is answered is kept here as it is.

    On the way through the gateway an event is one byte: what counts, holds and passes bytes does so with events.

    Attributes:
        events: Of a stream, those that were not taken yet.
        response: A whole answer, once there is one.
    """

    def __init__(self, request: Request) -> None:
        self.events: deque[StreamEvent] = deque()
        self.response: Response | None = None
        self._request = request

    @property
    def prompt_bytes(self) -> int:
        """Size of a body that would say the request, about."""
        return estimate_prompt(self._request) * CHARS_PER_TOKEN

    def dialect(self) -> Dialect:
        """The functions by which the gateway reads the request and writes the answer; no upstream speaks it."""
        return Dialect(
            name=None,
            codec=Codec(
                decode_request=lambda _: self._request,
                encode_request=_nobody,
                decode_response=_nobody,
                decode_error=_nobody,
                stream_decoder=_nobody,
                encode_response=self._encode_response,
                stream_encoder=lambda _: self,
            ),
            prompt_field="messages",
            read_request=self._read_request,
            forward=_nobody,
            place=_nobody,
            read_answer=_nobody,
            read_error=_nobody,
            open_stream=_nobody,
            encode_error=_nobody,
            encode_error_event=lambda error: self.feed(Fail(error)),
            rename=_nobody,
            keepalive=b"",
        )

    def feed(self, event: StreamEvent) -> bytes:
        """See `codec.StreamEncoder`."""
        self.events.append(event)
        return _EVENT

    def _read_request(self, wire: bytes, address: Address) -> Ask:
        request = self._request
        return Ask(model=request.model, stream=request.stream, wants_usage=True, wire=wire, parsed={})

    def _encode_response(self, response: Response, writing: Writing) -> bytes:
        self.response = attrs.evolve(response, model=writing.request.model)
        return _EVENT


def _nobody(*_: object, **__: object) -> NoReturn:
    raise AssertionError("Nobody speaks this dialect to a provider.")
