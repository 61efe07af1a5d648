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
from modelserver.policy.faults import Fault
from modelserver.ports import Clock, UpstreamAnswer

MAX_BODY_BYTES: Final = 32_000_000
MAX_HELD_BYTES: Final = 65_536
_YIELD_BYTES: Final = 16_384


class Failed(Exception):
    """An attempt failed, and its fault is known already."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.error.message)
        self.fault = fault


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
    """One stream from an upstream to a client."""

    __slots__ = (
        "_answer",
        "_blame",
        "_call",
        "_clock",
        "_committed",
        "_held",
        "_last_byte_s",
        "_last_sent_s",
        "_over",
        "_relay",
        "_route",
        "_watch",
    )

    def __init__(
        self,
        call: Call,
        route: Route,
        answer: UpstreamAnswer,
        relay: StreamRelay,
        *,
        watch: Watch,
        clock: Clock,
        blame: Callable[[Complaint], Fault],
    ) -> None:
        self._call = call
        self._route = route
        self._answer = answer
        self._relay = relay
        self._watch = watch
        self._clock = clock
        self._blame = blame
        self._held: list[bytes] = []
        self._committed = False
        self._over = False
        self._last_byte_s = 0.0
        self._last_sent_s = 0.0

    async def prime(self, until_s: float, watch: Watch) -> None:
        """Read up to the commit point, holding what comes; `until_s` is when the first byte must have come.

        Raises:
            Failed: It is an error; nothing of it was sent.
            GatewayError: It is no answer, or broke off, or did not come; nothing of it was sent.
        """
        keepalive_s = self._route.settings.keepalive_s
        relay = self._relay
        began_s: float | None = None
        held = 0
        while True:
            try:
                data = await watch.wait(self._answer.read(), until_s)
            except Expired:
                if not self._is_alive(began_s, watch):
                    raise _silent() from None
                break
            now_s = self._last_byte_s = self._clock.now_s()
            if began_s is None:
                began_s = now_s
            out = relay.feed(data) if data else relay.close()
            match relay.failure:
                case Complaint() as complaint:
                    raise Failed(self._blame(complaint))
                case GatewayError() as error:
                    raise error
            if out:
                self._held.append(out)
                held += len(out)
            self._over = not data or relay.done
            if self._over or relay.has_content or held > MAX_HELD_BYTES:
                break
            until_s = min(now_s + self._route.settings.timeouts.idle_s, began_s + keepalive_s)
        self._committed = True
        self._call.fail = relay.fail
        if not self._held:
            self._held.append(self._call.dialect.keepalive)  # begun, alive and silent

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """What the client gets, one item for each read of the upstream; ends with an error event on a failure."""
        yield b"".join(self._held)
        self._held.clear()
        # A client that takes its time must not make the provider look silent.
        self._last_sent_s = self._last_byte_s = self._clock.now_s()
        try:
            while not self._over:
                out = await self._next()
                if out is None:
                    yield self._call.dialect.keepalive
                    self._last_sent_s = self._clock.now_s()
                elif out:
                    yield out
                    self._last_sent_s = self._last_byte_s = self._clock.now_s()
                else:
                    self._last_byte_s = self._clock.now_s()
        except ClientLeft:
            raise
        except GatewayError as error:
            self._call.error = error
            yield b"".join(self._held) + self._relay.fail(error)
            return
        if self._relay.done:
            self._answer.finish()

    def close(self) -> None:
        """Let go of the upstream, and put on the call what was used; nothing was where nothing was committed."""
        self._answer.close()
        if self._committed:
            self._call.used(self._relay.usage, self._relay.output_chars)

    async def _next(self) -> bytes | None:
        """The bytes that the next read of the upstream allows to leave; None when a keep-alive is due before it."""
        settings = self._route.settings
        relay, ends_s = self._relay, self._watch.ends_s
        if self._last_sent_s >= ends_s:  # reads that never have to wait are not interrupted
            raise _silent()
        idle_until_s = self._last_byte_s + settings.timeouts.idle_s
        ping_at_s = self._last_sent_s + settings.keepalive_s
        try:
            data = await self._watch.wait(self._answer.read(), min(idle_until_s, ping_at_s))
        except Expired:
            if self._clock.now_s() >= min(idle_until_s, ends_s):
                raise _silent() from None
            return None
        except UpstreamFailed:
            # The connection broke: an end like any other once every choice has finished, else a failure.
            out = relay.close()
            if relay.failure is not None:
                if out:
                    self._held.append(out)
                raise
            self._over = True
            return out
        if len(data) > _YIELD_BYTES:
            # Reads that find their data waiting never suspend: one fast stream must not starve the others.
            await asyncio.sleep(0)
        out = relay.feed(data) if data else relay.close()
        if relay.failure is not None:
            if out:
                self._held.append(out)
            raise self._blame(relay.failure).error if isinstance(relay.failure, Complaint) else relay.failure
        self._over = not data or relay.done
        return out

    def _is_alive(self, began_s: float | None, watch: Watch) -> bool:
        """Whether a wait that is over was a begun stream's, which may be silent for longer."""
        idle_until_s = self._last_byte_s + self._route.settings.timeouts.idle_s
        return began_s is not None and self._clock.now_s() < min(idle_until_s, watch.ends_s)


def _silent() -> UpstreamTimeout:
    return UpstreamTimeout("The provider did not go on with its answer in time.")
