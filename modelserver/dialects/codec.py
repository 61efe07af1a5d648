"""The codec side of a dialect: wire bytes to neutral values and back, without a clock, a network or chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import attrs

from modelserver.ir.events import StreamEvent
from modelserver.ir.parts import Response
from modelserver.ir.profile import Profile, Sealer
from modelserver.ir.request import Loss, Request
from modelserver.ir.types import Complaint


@attrs.frozen(kw_only=True, slots=True)
class WireTool:
    """What a tool's name on the wire stands for."""

    name: str
    """The client's own name."""
    namespace: str | None = None
    kind: Literal["function", "custom", "client_builtin"] = "function"
    """`custom` and `client_builtin` were declared as functions with a schema of ours: their arguments are unwrapped."""


@attrs.frozen(kw_only=True, slots=True)
class Reading:
    """How the answer to an encoded request is to be read."""

    request: Request
    profile: Profile
    tools: Mapping[str, WireTool] = attrs.field(factory=dict)
    """By the name on the wire; a name that is not in it passes unchanged."""
    json_tool: str | None = None
    """A function that was forced in order to get JSON of a schema: its arguments are the text of the answer."""


@attrs.frozen(kw_only=True, slots=True)
class Encoded:
    """A request in an upstream's dialect."""

    path: str
    """Below the provider's base URL, which carries the version where the dialect's paths do not."""
    query: Mapping[str, str] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)
    """Of the dialect only (`anthropic-version`); credentials are added elsewhere."""
    body: bytes
    losses: tuple[Loss, ...] = ()
    reading: Reading


@attrs.frozen(kw_only=True, slots=True)
class Writing:
    """How an answer is written for a client."""

    request: Request
    """What the client asked: its model id, its wish for usage, its legacy forms."""
    sealer: Sealer
    seed: str
    """The request id: ids of ours are derived from it, so that whole and streamed answers agree."""
    created: int
    """Unix seconds."""
    show_reasoning: bool = True


class StreamDecoder(Protocol):
    """Bytes of an upstream's stream in, events out, legal by `ir.grammar` whatever the bytes are."""

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Events that are known now; none after the terminal one."""
        ...

    def close(self) -> list[StreamEvent]:
        """The events that the end of the bytes means: `Fail` when the stream was cut."""
        ...


class StreamEncoder(Protocol):
    """Events in, bytes for the client out."""

    def feed(self, event: StreamEvent) -> bytes:
        """What the client gets now; often nothing. `Fail` becomes the error frame, with no success behind it."""
        ...


@attrs.frozen(kw_only=True, slots=True)
class Codec:
    """The functions of one dialect.

    `decode_request` raises InvalidRequest with the client's own paths; `encode_request` raises Unsupported or
    InvalidRequest for what can't be asked of the target; `decode_response` raises UpstreamFailed for what is no answer.
    """

    decode_request: Callable[[bytes], Request]
    encode_request: Callable[[Request, Profile], Encoded]
    decode_response: Callable[[bytes, Reading], Response | Complaint]
    decode_error: Callable[[int, bytes], Complaint]
    stream_decoder: Callable[[Reading], StreamDecoder]
    encode_response: Callable[[Response, Writing], bytes]
    stream_encoder: Callable[[Writing], StreamEncoder]
