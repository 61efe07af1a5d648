"""One call: what came in, and what became of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping

import attrs

from modelserver.dialects.dialect import Dialect
from modelserver.errors import GatewayError
from modelserver.gateway.lifecycle import Watch
from modelserver.ir.types import Usage
from modelserver.policy.principals import Principal


@attrs.define(kw_only=True, slots=True)
class Call:
    """A request on its way, and its meter: what the log, and whoever observes, is told at the end."""

    id: str
    dialect: Dialect
    wire: bytes
    """The body as received."""
    principal: Principal
    started_s: float
    """Monotonic."""
    forwarded: Mapping[str, str] = attrs.field(factory=dict)
    """Headers of the client that travel on (`traceparent`, `tracestate`)."""
    has_left: Callable[[], bool] | None = None
    """Whether the client has closed its connection; None where there is no connection."""

    watch: Watch | None = None
    """The call's watch while it is open."""
    model: str | None = None
    provider: str | None = None
    attempts: int = 0
    streamed: bool = False
    first_byte_s: float | None = None
    """From the start of the call until its answer was committed."""
    usage: Usage | None = None
    usage_estimated: bool = False
    error: GatewayError | None = None
    """Why the call failed, before or after its first byte."""

    def answered(self, now_s: float) -> None:
        """Note that the answer is committed."""
        self.first_byte_s = now_s - self.started_s


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
