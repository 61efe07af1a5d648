"""Tries at one target, until there is an answer that may be committed or nothing more to try."""

from __future__ import annotations

import random
from datetime import datetime

from modelserver.config import StreamUsage
from modelserver.errors import GatewayError, UpstreamFailed, UpstreamTimeout
from modelserver.gateway.call import Call, Reply, StreamReply, WholeReply
from modelserver.gateway.lifecycle import Expired, Watch
from modelserver.gateway.pipes import Failed, StreamPipe, read_body
from modelserver.gateway.places import Place, Places
from modelserver.gateway.snapshot import Route, Snapshot
from modelserver.ir.types import Ask, Complaint
from modelserver.policy.faults import MAX_WAIT_S, Fault, Verdict, backoff_s, classify, judge
from modelserver.ports import Clock, Transport, UpstreamAnswer, UpstreamRequest
from modelserver.upstream.credentials import EVENT_STREAM, JSON
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

    def __init__(
        self,
        call: Call,
        ask: Ask,
        route: Route,
        snapshot: Snapshot,
        *,
        transport: Transport,
        places: Places,
        watch: Watch,
        clock: Clock,
    ) -> None:
        self._call = call
        self._ask = ask
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
        self._rename = ask.model if ask.model != route.target else None

    async def reply(self, aside: Watch | None = None) -> Reply:
        """The answer that is committed, `aside` watching the waits until then.

        Raises:
            GatewayError: Every try failed; it says how the last one did. Or no place at the provider came free.
        """
        if aside is not None:
            self._watch = aside
        self._place = await self._places.take(self._route.provider, self._watch)
        request = self._request()
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
        """One dispatch."""
        timeouts = self._route.settings.timeouts
        until_s = self._clock.now_s() + (timeouts.first_s if self._ask.stream else timeouts.whole_s)
        answer = self._answer = await self._watch.wait(self._transport.send(request), until_s)
        if answer.status != 200:
            raise Failed(await self._fault_of(answer, until_s))
        if self._ask.stream and not self._is_json(answer := await self._begun(answer, until_s)):
            relay = self._call.dialect.open_stream(withhold_usage=self._asks_usage(), rename=self._rename)
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
            return StreamReply(chunks=pipe.chunks())
        body = await read_body(answer, self._watch, self._clock, until_s=until_s, idle_s=timeouts.idle_s)
        return self._whole(body)

    async def _begun(self, answer: UpstreamAnswer, until_s: float) -> UpstreamAnswer:
        """The answer; its first bytes are read where the content type does not say what they are."""
        if _content_type(answer) in (EVENT_STREAM, JSON):
            return answer
        begun = self._answer = Begun(answer, await self._watch.wait(answer.read(), until_s))
        return begun

    def _is_json(self, answer: UpstreamAnswer) -> bool:
        """Whether an upstream that was asked for a stream sends one JSON object (or a page of HTML) instead."""
        if isinstance(answer, Begun):
            return answer.first.lstrip()[:1] in (b"{", b"[", b"<", b"")
        return _content_type(answer) != EVENT_STREAM

    def _asks_usage(self) -> bool:
        """Whether the option for usage is ours and not the client's."""
        ask = self._ask
        return ask.stream and not ask.wants_usage and self._route.settings.quirks.stream_usage is StreamUsage.OPTION

    def _whole(self, body: bytes) -> Reply:
        dialect = self._call.dialect
        whole = dialect.read_answer(body)
        if isinstance(whole, Complaint):
            raise Failed(self._classify(whole, None))
        self._call.used(whole.usage, whole.output_chars)
        if self._ask.stream:
            stream = dialect.replay(whole.parsed, model=self._rename, wants_usage=self._ask.wants_usage)
            return WholeReply(body=stream, is_stream=True)
        return WholeReply(body=body if self._rename is None else dialect.rename(body, self._rename))

    def _request(self, *, fresh: bool = False) -> UpstreamRequest:
        route, ask = self._route, self._ask
        headers = route.stream_headers if ask.stream else route.json_headers
        return UpstreamRequest(
            method="POST",
            url=route.url,
            headers={**headers, **self._call.forwarded} if self._call.forwarded else headers,
            body=self._call.dialect.forward(
                ask,
                target=route.target,
                params=route.params,
                ask_usage=self._asks_usage(),
                drop_options=route.settings.quirks.stream_usage is not StreamUsage.OPTION,
            ),
            connect_s=route.settings.timeouts.connect_s,
            proxy=None if route.settings.proxy is None else route.settings.proxy.reveal(),
            fresh=fresh,
        )

    async def _fault_of(self, answer: UpstreamAnswer, until_s: float) -> Fault:
        """Judge an answer that is not 200, by what its body says if that comes whole."""
        idle_s = self._route.settings.timeouts.idle_s
        try:
            body = await read_body(answer, self._watch, self._clock, until_s=until_s, idle_s=idle_s)
        except (UpstreamFailed, UpstreamTimeout):
            body = b""
        return self._classify(self._call.dialect.read_error(answer.status, body), answer)

    def _classify(self, complaint: Complaint, answer: UpstreamAnswer | None) -> Fault:
        wait_s: float | None = None
        should_retry: bool | None = None
        if answer is not None:
            now: datetime = self._clock.wall()
            wait_s = retry_after_ms_s(answer.headers.get("retry-after-ms"))
            if wait_s is None:
                wait_s = retry_after_s(answer.headers.get("Retry-After"), now=now)
            should_retry = {"true": True, "false": False}.get(answer.headers.get("x-should-retry", "").lower())
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


def _content_type(answer: UpstreamAnswer) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
