"""Tries at one target, until there is an answer that may be committed or nothing more to try."""

from __future__ import annotations

import math
import random
from datetime import datetime

from modelserver.errors import GatewayError, UpstreamFailed, UpstreamTimeout
from modelserver.gateway.call import Call, Reply, StreamReply, WholeReply
from modelserver.gateway.exchange import Exchange
from modelserver.gateway.lifecycle import Expired, Watch
from modelserver.gateway.pipes import Failed, StreamPipe, read_body
from modelserver.gateway.places import Place, Places
from modelserver.gateway.snapshot import Route, Snapshot
from modelserver.ir.types import Complaint
from modelserver.policy.faults import MAX_WAIT_S, Fault, Verdict, backoff_s, classify, is_about_seals, judge
from modelserver.ports import Clock, Transport, UpstreamAnswer, UpstreamRequest
from modelserver.wire.headers import retry_after_ms_s, retry_after_s


class Begun:
    """An answer whose first bytes have been read already, and are read again."""

    def __init__(self, answer: UpstreamAnswer, first: bytes) -> None:
        self._answer = answer
        self._pending = first
        self.first = first
        self.status = answer.status
        self.headers = answer.headers

    async def read(self) -> bytes:
        """See `ports.UpstreamAnswer.read`."""
        pending, self._pending = self._pending, b""
        return pending or await self._answer.read()

    def close(self) -> None:
        """See `ports.UpstreamAnswer.close`."""
        self._answer.close()

    def finish(self) -> None:
        """See `ports.UpstreamAnswer.finish`."""
        self._answer.finish()


class Attempts:
    """The tries of one call at one route. What they hold at the end is let go of by `close`."""

    __slots__ = (
        "_answer",
        "_call",
        "_clock",
        "_exchange",
        "_pipe",
        "_place",
        "_places",
        "_route",
        "_snapshot",
        "_stream_watch",
        "_transport",
        "_watch",
    )

    def __init__(
        self,
        call: Call,
        exchange: Exchange,
        route: Route,
        snapshot: Snapshot,
        *,
        transport: Transport,
        places: Places,
        watch: Watch,
        clock: Clock,
    ) -> None:
        self._call = call
        self._exchange = exchange
        self._route = route
        self._snapshot = snapshot
        self._transport = transport
        self._places = places
        self._watch = watch
        self._stream_watch = watch
        self._clock = clock
        self._place: Place | None = None
        self._answer: UpstreamAnswer | None = None
        self._pipe: StreamPipe | None = None

    async def reply(self, aside: Watch | None = None) -> Reply:
        """The answer that is committed, `aside` watching the waits until then.

        Raises:
            GatewayError: Every try failed; it says how the last one did. Or no place at the provider came free.
        """
        if aside is not None:
            self._watch = aside
        request = self._request()  # what can't be said needs no place
        self._place = await self._places.take(self._route.provider, self._watch)
        once_more = True
        while True:
            self._call.attempts += 1
            try:
                return await self._try(request)
            except Failed as failed:
                fault = failed.fault
            except Expired:
                fault = Fault(error=self._late(), verdict=Verdict.NEXT_TARGET)
            except GatewayError as error:
                fault = judge(error)
            self._drop()  # before the next one opens
            verdict = fault.verdict
            if verdict is Verdict.RETRY_ONCE and once_more:
                once_more = False
                verdict = Verdict.RETRY
            if verdict is not Verdict.RETRY or self._call.attempts > self._route.settings.retries:
                raise fault.error
            await self._pause(fault)
            request = self._request(fresh=True)

    def close(self) -> None:
        """Let go of the upstream and of the place there; may be called twice."""
        self._drop()
        if self._place is not None:
            self._place.release()

    def _drop(self) -> None:
        """Let go of the upstream, and put what a stream used on the call."""
        pipe, answer = self._pipe, self._answer
        self._pipe = self._answer = None
        if pipe is not None:
            pipe.close()
        elif answer is not None:
            answer.close()

    async def _try(self, request: UpstreamRequest) -> Reply:
        """One dispatch, and those that go on with an answer that came in pieces."""
        while (reply := await self._dispatch(request)) is None:
            self._drop()
            request = self._request()
        return reply

    async def _dispatch(self, request: UpstreamRequest) -> Reply | None:
        timeouts = self._route.settings.timeouts
        until_s = self._clock.now_s() + (timeouts.first_s if self._call.streamed else timeouts.whole_s)
        answer = self._answer = await self._watch.wait(self._transport.send(request), until_s)
        if answer.status != 200:
            raise Failed(await self._fault_of(answer, self._watch, until_s))
        is_stream = self._call.streamed and await self._is_stream(answer, until_s)
        answer = self._answer  # whose first bytes may have been looked at
        if is_stream:
            relay, answer = self._exchange.open_stream(answer, self._go_on)
            pipe = self._pipe = StreamPipe(
                self._call,
                self._route,
                answer,
                relay,
                watch=self._stream_watch,
                clock=self._clock,
                blame=lambda complaint: self._classify(complaint, None),
            )
            await pipe.prime(until_s, self._watch)
            self._exchange = self._exchange.committed()
            return StreamReply(chunks=pipe.chunks())
        body = await read_body(answer, self._watch, self._clock, until_s=until_s, idle_s=timeouts.idle_s)
        return self._whole(body)

    async def _is_stream(self, answer: UpstreamAnswer, until_s: float) -> bool:
        """Whether the answer is the stream that was asked for; where only its first bytes tell, they are read."""
        content_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        is_stream = self._exchange.is_stream(content_type, None)
        if is_stream is None:
            begun = self._answer = Begun(answer, await self._watch.wait(answer.read(), until_s))
            is_stream = self._exchange.is_stream(content_type, begun.first)
        return bool(is_stream)

    async def _go_on(self) -> UpstreamAnswer:
        """Ask for the rest of a stream. The pipe's wait for it is the one that is watched."""
        answer = await self._transport.send(self._request())
        if answer.status == 200:
            return answer
        try:
            raise (await self._fault_of(answer, Watch(), math.inf)).error
        finally:
            answer.close()

    def _whole(self, body: bytes) -> Reply | None:
        """The reply; None when the answer goes on."""
        finished = self._exchange.finished(body)
        if finished is None:
            return None
        if isinstance(finished, Complaint):
            raise Failed(self._classify(finished, None))
        self._call.used(finished.usage, finished.output_chars)
        return WholeReply(body=finished.body, is_stream=self._call.streamed)

    def _request(self, *, fresh: bool = False) -> UpstreamRequest:
        outgoing = self._exchange.outgoing()
        settings, forwarded = self._route.settings, self._call.forwarded
        if outgoing.losses:
            self._call.losses = tuple(dict.fromkeys(loss.code for loss in outgoing.losses))
        return UpstreamRequest(
            method="POST",
            url=outgoing.url,
            headers={**outgoing.headers, **forwarded} if forwarded else outgoing.headers,
            body=outgoing.body,
            connect_s=settings.timeouts.connect_s,
            proxy=None if settings.proxy is None else settings.proxy.reveal(),
            fresh=fresh,
        )

    async def _fault_of(self, answer: UpstreamAnswer, watch: Watch, until_s: float) -> Fault:
        """Judge an answer that is not 200, by what its body says if that comes whole."""
        idle_s = self._route.settings.timeouts.idle_s
        try:
            body = await read_body(answer, watch, self._clock, until_s=until_s, idle_s=idle_s)
        except (UpstreamFailed, UpstreamTimeout):
            body = b""
        complaint = self._exchange.complaint(answer.status, body)
        repaired = self._exchange.repaired() if is_about_seals(complaint) else None
        if repaired is not None:
            self._exchange = repaired
            return Fault(error=self._classify(complaint, answer).error, verdict=Verdict.RETRY, wait_s=0.0)
        return self._classify(complaint, answer)

    def _classify(self, complaint: Complaint, answer: UpstreamAnswer | None) -> Fault:
        wait_s: float | None = None
        should_retry: bool | None = None
        if answer is not None:
            now: datetime = self._clock.wall()
            wait_s = retry_after_ms_s(answer.headers.get("retry-after-ms"))
            if wait_s is None:
                wait_s = retry_after_s(answer.headers.get("Retry-After"), now=now)
            should_retry = {"true": True, "false": False}.get(answer.headers.get("x-should-retry", "").lower())
        if wait_s is None:
            wait_s = complaint.retry_after_s
        return classify(
            complaint,
            provider=self._route.provider.name,
            clean=self._snapshot.redactor.clean,
            retry_after_s=wait_s,
            should_retry=should_retry,
        )

    async def _pause(self, fault: Fault) -> None:
        """Wait before the next try, if there is time for it; else raise the error."""
        wait_s = fault.wait_s
        if wait_s is None:
            wait_s = backoff_s(self._call.attempts, jitter=random.random())
        elif wait_s > MAX_WAIT_S:
            raise fault.error
        else:
            wait_s *= 1.0 + random.random() / 10
        if self._clock.now_s() + wait_s >= self._watch.ends_s:
            raise fault.error
        try:
            await self._watch.wait(self._clock.sleep(wait_s))
        except Expired:
            raise fault.error from None

    def _late(self) -> UpstreamTimeout:
        return UpstreamTimeout(f"{self._route.provider.name} did not begin its answer in time.")
