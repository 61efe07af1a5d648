"""What a dialect is: a frozen record of functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from modelserver.errors import GatewayError
from modelserver.ir.parts import DialectName
from modelserver.ir.types import Ask, Complaint
from modelserver.ir.usage import Usage


class StreamRelay(Protocol):
    """A stream of the dialect passing through: see `ChatStreamRelay` for what each member promises."""

    has_content: bool
    done: bool
    failure: GatewayError | Complaint | None
    usage: Usage | None
    output_chars: int

    def feed(self, data: bytes) -> bytes:
        """What may leave now."""
        ...

    def close(self) -> bytes:
        """What may still leave at the end of the upstream's bytes."""
        ...


class Whole(Protocol):
    """A whole answer, read."""

    @property
    def parsed(self) -> dict[str, Any]:
        """The body."""
        ...

    @property
    def usage(self) -> Usage | None:
        """What the upstream reported."""
        ...

    @property
    def output_chars(self) -> int:
        """Length of the generated text."""
        ...


class OpenStream(Protocol):
    """Makes a `StreamRelay`."""

    def __call__(self, *, withhold_usage: bool, rename: str | None) -> StreamRelay:
        """A relay for one stream."""
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

        `target` becomes the model; `params` (JSON text by field) are added where the client sent none; `ask_usage`
        asks for usage in the stream; `drop_options` takes out the field that does, for upstreams that refuse it.
        `quirks`, by the names of the configuration, are the upstream's deviations: those that concern fields of a
        request apply last.
        """
        ...


@attrs.frozen(kw_only=True, slots=True)
class Dialect:
    """One wire format, as functions.

    `read_request` checks and parses a body (raises InvalidRequest); `forward` makes the body for an upstream;
    `read_answer` reads a body of status 200, `read_error` any other; `open_stream`, `replay`, `encode_error`,
    `encode_error_event` make what the client gets.
    """

    name: DialectName
    read_request: Callable[[bytes], Ask]
    forward: Forward
    read_answer: Callable[[bytes], Whole | Complaint]
    read_error: Callable[[int, bytes], Complaint]
    open_stream: OpenStream
    replay: Replay
    encode_error: Callable[[GatewayError], tuple[int, bytes]]
    encode_error_event: Callable[[GatewayError], bytes]
    rename: Callable[[bytes, str], bytes]
    """A whole answer with its `model` replaced by the id that the client asked for."""
    keepalive: bytes
    """What a silent stream is sent so that nobody between takes it for dead."""
