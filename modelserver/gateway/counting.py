"""Counting the tokens of a request at a provider, for a client of any dialect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from modelserver.dialects.codec import Encoded
from modelserver.dialects.dialect import Counter, StreamRelay
from modelserver.gateway.continuation import Dispatch
from modelserver.gateway.exchange import Exchange, Finished, Outgoing, joined_headers
from modelserver.gateway.snapshot import Route
from modelserver.ir.types import Ask, Complaint
from modelserver.ir.usage import Usage
from modelserver.ports import UpstreamAnswer

_NO_COUNTER: Final = frozenset((404, 405, 501))
"""What servers answer that have no such endpoint. One that does not know the model answers 404 too: a count of it is an
estimate then, and its generation the error."""
_NOTHING: Final = Usage(input=0, output=0)
"""Counting generates nothing and is not billed."""


class CountExchange:
    """An `Exchange` whose answer is a number.

    Attributes:
        is_missing: The provider has no such endpoint, whatever its dialect has.
    """

    def __init__(
        self,
        outgoing: Outgoing,
        upstream: Counter,
        client: Counter,
        read_error: Callable[[int, bytes], Complaint],
    ) -> None:
        self.is_missing = False
        self._outgoing = outgoing
        self._upstream = upstream
        self._client = client
        self._read_error = read_error

    def outgoing(self) -> Outgoing:
        """See `Exchange.outgoing`."""
        return self._outgoing

    def is_stream(self, content_type: str, first: bytes | None) -> bool | None:
        """See `Exchange.is_stream`."""
        return False

    def open_stream(self, answer: UpstreamAnswer, dispatch: Dispatch) -> tuple[StreamRelay, UpstreamAnswer]:
        """See `Exchange.open_stream`."""
        raise AssertionError("A count is no stream.")

    def finished(self, body: bytes) -> Finished | Complaint:
        """See `Exchange.finished`; in the same dialect the provider may say more than the number."""
        tokens = self._upstream.read_answer(body)
        if isinstance(tokens, Complaint):
            return tokens
        if self._client is not self._upstream:
            body = self._client.encode_answer(tokens)
        return Finished(body=body, usage=_NOTHING, output_chars=0)

    def complaint(self, status: int, body: bytes) -> Complaint:
        """See `Exchange.complaint`."""
        self.is_missing = status in _NO_COUNTER
        return self._read_error(status, body)

    def repaired(self) -> Exchange | None:
        """See `Exchange.repaired`."""
        return None

    def committed(self) -> Exchange:
        """See `Exchange.committed`."""
        return self


def forwarded_count(counter: Counter, ask: Ask, route: Route, passed: Mapping[str, str]) -> Outgoing:
    """The request for a count at an upstream of the client's dialect: the client's own bytes."""
    return Outgoing(
        url=route.url_of(*counter.place(route.target)),
        headers=joined_headers(route.json_headers, passed),
        body=counter.forward(ask, route.target),
    )


def encoded_count(encoded: Encoded, route: Route, passed: Mapping[str, str]) -> Outgoing:
    """The request for a count in the upstream's dialect."""
    return Outgoing(
        url=route.url_of(encoded.path, encoded.query),
        headers=joined_headers({**route.json_headers, **encoded.headers}, passed),
        body=encoded.body,
        losses=encoded.losses,
    )
