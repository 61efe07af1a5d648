"""From an upstream's answer to the client: whole bodies, and streams with their commit point."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Final

from modelserver.dialects.dialect import StreamRelay
from modelserver.errors import ClientLeft, GatewayError, UpstreamFailed, UpstreamTimeout
from modelserver.gateway.call import Call
from modelserver.gateway.lifecycle import Expired, Watch
from modelserver.gateway.snapshot import Route
from modelserver.ir.types import Complaint
from modelserver.policy.estimate import estimate_usage
from modelserver.ports import Clock, UpstreamAnswer

MAX_BODY_BYTES: Final = 32_000_000
MAX_HELD_BYTES: Final = 65_536
_YIELD_BYTES: Final = 16_384


async def read_body(answer: UpstreamAnswer, watch: Watch, clock: Clock, *, until_s: float, idle_s: float) -> bytes:
    """The whole body of an answer; `until_s` is when its first byte must have come, at the latest.

    Raises:
        UpstreamFailed: It broke off, or is over the limit.
        UpstreamTimeout: It did not begin, or go on, in time.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        while data := await watch.wait(answer.read(), until_s):
            size += len(data)
            if size > MAX_BODY_BYTES:
                raise UpstreamFailed(
                    f"The provider's answer has more than {MAX_BODY_BYTES:,} bytes.", code="upstream_too_large"
                )
            pieces.append(data)
            until_s = clock.now_s() + idle_s
    except Expired:
        raise UpstreamTimeout("The provider did not finish its answer in time.") from None
    return b"".join(pieces)


class StreamPipe:
    """One stream from an upstream to a client of the same dialect."""

    def __init__(
        self,
        call: Call,
        route: Route,
        answer: UpstreamAnswer,
        relay: StreamRelay,
        *,
        watch: Watch,
        clock: Clock,
        blame: Callable[[GatewayError | Complaint], GatewayError],
    ) -> None:
        self._call = call
        self._route = route
        self._answer = answer
        self._relay = relay
        self._watch = watch
        self._clock = clock
        self._blame = blame
        self._held: list[bytes] = []
        self._over = False
        self._last_byte_s = 0.0

    async def prime(self, until_s: float) -> None:
        """Read up to the commit point, holding what comes; `until_s` is when the first byte must have come.

        Raises:
            GatewayError: The answer failed before anything of it was sent.
        """
        timeouts = self._route.settings.timeouts
        keepalive_s = self._route.settings.keepalive_s
        relay = self._relay
        began_s: float | None = None
        held = 0
        while True:
            try:
                data = await self._watch.wait(self._answer.read(), until_s)
            except Expired:
                now_s = self._clock.now_s()
                if began_s is not None and now_s < min(self._last_byte_s + timeouts.idle_s, self._watch.ends_s):
                    return  # begun, alive and silent: commit, so that keep-alives can flow
                raise _silent() from None
            now_s = self._last_byte_s = self._clock.now_s()
            out = relay.feed(data) if data else relay.close()
            if relay.failure is not None:
                raise self._blame(relay.failure)
            if out:
                self._held.append(out)
                held += len(out)
            if not data or relay.done:
                self._over = True
                return
            if relay.has_content or held > MAX_HELD_BYTES:
                return
            if began_s is None:
                began_s = now_s
            until_s = min(now_s + timeouts.idle_s, began_s + keepalive_s)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """What the client gets, one item for each read of the upstream; ends with an error event on a failure."""
        if self._held:
            yield b"".join(self._held)
            self._held.clear()
        try:
            while not self._over:
                out = await self._next()
                if out:
                    yield out
        except ClientLeft:
            raise
        except GatewayError as error:
            self._call.error = error
            yield b"".join(self._held) + self._call.dialect.encode_error_event(error)
            return
        if self._relay.done:
            self._answer.finish()

    def settle(self) -> None:
        """Put what was used on the call."""
        relay = self._relay
        if relay.usage is not None:
            self._call.usage = relay.usage
        else:
            self._call.usage = estimate_usage(prompt_bytes=len(self._call.wire), output_chars=relay.output_chars)
            self._call.usage_estimated = True

    async def _next(self) -> bytes:
        """The bytes that the next read of the upstream allows to leave; a keep-alive when none came for a while."""
        settings = self._route.settings
        relay = self._relay
        idle_until_s = self._last_byte_s + settings.timeouts.idle_s
        ping_at_s = self._clock.now_s() + settings.keepalive_s
        try:
            data = await self._watch.wait(self._answer.read(), min(idle_until_s, ping_at_s))
        except Expired:
            if self._clock.now_s() >= min(idle_until_s, self._watch.ends_s):
                raise _silent() from None
            return self._call.dialect.keepalive
        self._last_byte_s = self._clock.now_s()
        if len(data) > _YIELD_BYTES:
            # Reads that find their data waiting never suspend: one fast stream must not starve the others.
            await asyncio.sleep(0)
        out = relay.feed(data) if data else relay.close()
        if relay.failure is not None:
            if out:
                self._held.append(out)
            raise self._blame(relay.failure)
        self._over = not data or relay.done
        return out


def _silent() -> UpstreamTimeout:
    return UpstreamTimeout("The provider did not go on with its answer in time.")
