"""One call: what came in, and what became of it."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Callable, Mapping

import attrs

from modelserver.dialects.dialect import Counter, Dialect
from modelserver.errors import GatewayError
from modelserver.gateway.lifecycle import Watch
from modelserver.ir.types import NOWHERE, Address
from modelserver.ir.usage import Usage
from modelserver.policy.estimate import completed
from modelserver.policy.principals import Principal


@attrs.define(kw_only=True, slots=True)
class Call:
    """A request on its way, and its meter: what the log, and whoever observes, is told at the end."""

    id: str
    dialect: Dialect
    wire: bytes
    """The body as received; let go of once the answer is committed."""
    principal: Principal
    started_s: float
    """Monotonic."""
    address: Address = NOWHERE
    """What the path says."""
    counter: Counter | None = None
    """Only the tokens of the request are asked for, in this way."""
    forwarded: Mapping[str, str] = attrs.field(factory=dict)
    """Headers of the client that travel on (`traceparent`, `tracestate`)."""
    passed: Mapping[str, str] = attrs.field(factory=dict)
    """Those that go on to an upstream of the client's dialect, names in small letters."""
    has_left: Callable[[], bool] | None = None
    """Whether the client has closed its connection; None where there is no connection."""

    prompt_bytes: int = attrs.field()
    """Size of the body; usage that is not reported is estimated by it."""
    watch: Watch | None = None
    """The call's watch while it is open."""
    model: str | None = None
    provider: str | None = None
    attempts: int = 0
    losses: tuple[str, ...] = ()
    """Codes of what the upstream's dialect could not say of the request."""
    streamed: bool = False
    first_byte_s: float | None = None
    """From the start of the call until its answer was committed."""
    usage: Usage | None = None
    usage_estimated: bool = False
    count_estimated: bool = False
    """The tokens of the request were not counted but estimated."""
    fail: Callable[[GatewayError], bytes] | None = None
    """What ends the client's stream with an error, once it has begun."""
    error: GatewayError | None = None
    """Why the call failed, before or after its first byte."""

    @prompt_bytes.default
    def _size(self) -> int:
        return len(self.wire)

    def answered(self, now_s: float) -> None:
        """Note that the answer is committed; a stream may go on for minutes, and its prompt is not needed for that."""
        self.first_byte_s = now_s - self.started_s
        self.wire = b""

    def used(self, reported: Usage | None, output_chars: int) -> None:
        """Note the usage that the provider reported; a total that it did not say is estimated from sizes."""
        self.usage, self.usage_estimated = completed(
            reported, prompt_bytes=self.prompt_bytes, output_chars=output_chars
        )


@attrs.frozen(kw_only=True, slots=True)
class WholeReply:
    """An answer that is there whole."""

    body: bytes
    is_stream: bool = False
    """It is an event stream, written at once: the upstream answered whole where a stream was asked for."""


@attrs.frozen(kw_only=True, slots=True)
class StreamReply:
    """An answer that is committed and goes on; `chunks` never raises for what the upstream does."""

    chunks: AsyncGenerator[bytes, None]


Reply = WholeReply | StreamReply

_CHANCE = random.Random()
"""Unique is all that an id must be; asking the kernel for each would be dearer than the rest of it."""


def new_request_id() -> str:
    """An id for a request whose client gave none."""
    return f"req_{_CHANCE.getrandbits(96):024x}"
