"""What a dialect is: a frozen record of functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from modelserver.dialects.codec import Codec, Encoded
from modelserver.errors import GatewayError
from modelserver.ir.listing import Listed
from modelserver.ir.parts import DialectName
from modelserver.ir.profile import Profile
from modelserver.ir.request import Request
from modelserver.ir.types import Address, Ask, Complaint
from modelserver.ir.usage import Usage

Claim = Callable[[str], None]
"""Told each id by which the provider keeps something of the answer."""


class StreamRelay(Protocol):
    """A stream of the dialect passing through."""

    @property
    def has_content(self) -> bool:
        """An event with content or a finish has come: the answer may be committed."""
        ...

    @property
    def done(self) -> bool:
        """The stream is complete and over; what follows is of no interest."""
        ...

    @property
    def failure(self) -> GatewayError | Complaint | None:
        """Why the stream must end with an error; nothing after it is relayed."""
        ...

    @property
    def usage(self) -> Usage | None:
        """What the upstream reported, merged."""
        ...

    @property
    def output_chars(self) -> int:
        """Length of the generated text, for an estimate where usage is missing."""
        ...

    def feed(self, data: bytes) -> bytes:
        """What of the stream may leave now; empty after `failure` and once `done`."""
        ...

    def close(self) -> bytes:
        """Call at the end of the upstream's bytes: what may still leave; sets `failure` when the stream was cut."""
        ...

    def fail(self, error: GatewayError) -> bytes:
        """The bytes that end the client's stream with an error, behind what has left of it."""
        ...


@attrs.frozen(kw_only=True, slots=True)
class WholeAnswer:
    """A whole answer that may be passed on as it came."""

    parsed: dict[str, Any]
    """The body; where a stream came whole as a list, that list under `chunks`."""
    usage: Usage | None
    """What the upstream reported."""
    output_chars: int
    """Length of the generated text."""
    ids: Sequence[str] = ()
    """By which the provider keeps something of it; see `Claim`."""


class OpenStream(Protocol):
    """Makes a `StreamRelay`."""

    def __call__(self, *, withhold_usage: bool, rename: str | None, claim: Claim) -> StreamRelay:
        """A relay for one stream; `rename` is the id that the client asked for where its own differs."""
        ...


class Replay(Protocol):
    """Turns a whole answer into a stream."""

    def __call__(self, parsed: Mapping[str, Any], *, model: str | None, wants_usage: bool) -> bytes:
        """Every frame of it."""
        ...


class Forward(Protocol):
    """Makes the body for an upstream of the same dialect."""

    def __call__(
        self,
        ask: Ask,
        *,
        target: str,
        params: Mapping[str, bytes],
        ask_usage: bool,
        drop_options: bool,
        quirks: Mapping[str, Any] = ...,
    ) -> bytes:
        """The client's bytes with the few edits that routing needs.

        `target` becomes the model; `params` (JSON text by the field's name in Chat) are added where the client sent
        none and the dialect has the field; `ask_usage` asks for usage in the stream; `drop_options` takes out the field
        that does, for upstreams that refuse it. `quirks`, by the names of the configuration, are the upstream's
        deviations: those that concern fields of a request apply last.
        """
        ...


Endpoint = tuple[str, Mapping[str, str]]
"""Path below the provider's base URL, and query."""


@attrs.frozen(kw_only=True, slots=True)
class Counter:
    """The token counting of a dialect.

    `read_request` checks and parses a body for the relay (raises InvalidRequest), `forward` puts the target's name into
    it, `place` says where it goes; `read_answer` gives the count (raises UpstreamFailed). `decode_request`,
    `encode_request` and `encode_answer` are for the other side of another dialect.
    """

    read_request: Callable[[bytes, Address], Ask]
    forward: Callable[[Ask, str], bytes]
    place: Callable[[str], Endpoint]
    read_answer: Callable[[bytes], int | Complaint]
    decode_request: Callable[[bytes], Request]
    encode_request: Callable[[Request, Profile], Encoded]
    encode_answer: Callable[[int], bytes]


@attrs.frozen(kw_only=True, slots=True)
class ModelLists:
    """How models are listed: `encode_list` takes the query too and raises InvalidRequest for a page that is none."""

    encode_list: Callable[[Sequence[Listed], Mapping[str, str]], bytes]
    encode_one: Callable[[Listed], bytes]


@attrs.frozen(kw_only=True, slots=True)
class Dialect:
    """One wire format, as functions.

    `read_request` checks and parses a body (raises InvalidRequest); `forward` makes the body for an upstream, `place`
    says where it goes, by target and whether a stream is wanted; `read_answer` reads a body of status 200,
    `read_error` any other; `open_stream`, `encode_error` (with the request's id), `encode_error_event` make what the
    client gets.
    """

    name: DialectName | None
    """None: no upstream speaks it."""
    codec: Codec
    """The way to and from neutral values, where the other side speaks another dialect."""
    prompt_field: str
    """Where a request has its conversation."""
    model_fields: Sequence[str] = ()
    """Where a request may name models beside its own, for its provider to turn to."""
    read_request: Callable[[bytes, Address], Ask]
    forward: Forward
    place: Callable[[str, bool], Endpoint]
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """What a request to an upstream carries unless the client has sent its own."""
    passed_headers: Sequence[str] = ()
    """Those of the client that go on to an upstream of the same dialect."""
    read_answer: Callable[[bytes], WholeAnswer | Complaint]
    read_error: Callable[[int, bytes], Complaint]
    open_stream: OpenStream
    replay: Replay | None = None
    """None: the codec writes a stream from a whole answer."""
    encode_error: Callable[[GatewayError, str], tuple[int, bytes]]
    encode_error_event: Callable[[GatewayError], bytes]
    """For a stream of which nothing was written."""
    rename: Callable[[bytes, str], bytes]
    """A whole answer with its `model` replaced by the id that the client asked for."""
    keepalive: bytes
    """What a silent stream is sent so that nobody between takes it for dead."""
    stream_type: str = "text/event-stream; charset=utf-8"
    """Content type of the client's streams."""
    counter: Counter | None = None
    listing: ModelLists | None = None
