"""The gateway, complete without a web server: the web layer is one of its callers, an embedding program another."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any, Final

import attrs
import orjson

from modelserver.catalog.catalog import Offer
from modelserver.clock import SystemClock
from modelserver.config import CallSettings, Config, ConfigError, Provider, load_config
from modelserver.dialects.dialect import Dialect
from modelserver.dialects.openai_chat import CHAT
from modelserver.dialects.table import DIALECTS
from modelserver.errors import GatewayError, InvalidRequest, NotAuthenticated
from modelserver.gateway.attempts import Attempts
from modelserver.gateway.call import Call, Reply, StreamReply, WholeReply, new_request_id
from modelserver.gateway.discovery import Discovery
from modelserver.gateway.early import EarlyReply
from modelserver.gateway.exchange import Exchange
from modelserver.gateway.exchanges import Exchanges
from modelserver.gateway.files import fingerprint
from modelserver.gateway.inlining import MediaInliner
from modelserver.gateway.lifecycle import OpenCalls, Watch
from modelserver.gateway.memory import TurnMemory
from modelserver.gateway.neutral import NeutralClient
from modelserver.gateway.places import Places
from modelserver.gateway.snapshot import Route, Snapshot
from modelserver.ir.events import Fail, StreamEvent
from modelserver.ir.parts import Response
from modelserver.ir.request import Request
from modelserver.ir.types import Ask
from modelserver.policy.principals import LOCAL, Principal
from modelserver.ports import Clock, Fetcher, Lease, Limiter, Transport
from modelserver.stores.keyfile import digest
from modelserver.stores.memory import MemoryLimiter
from modelserver.stores.owners import Owners
from modelserver.stores.side_store import SideStore
from modelserver.upstream.fetch import UrlFetcher
from modelserver.upstream.mock import MockTransport
from modelserver.upstream.transport import HttpTransport
from modelserver.version import USER_AGENT
from modelserver.wire.json_text import loads_lenient
from modelserver.wire.sse import DONE, SseFramer

LOGGER: Final = logging.getLogger("modelserver.gateway")
FILES_LOOKED_AT_S: Final = 0.5


class Gateway:
    """One configuration at work. Made by `Gateway.open`, never twice for one configuration's state."""

    def __init__(
        self, config: Config, *, clock: Clock, transport: Transport, limiter: Limiter, fetcher: Fetcher
    ) -> None:
        self._clock = clock
        self._http = transport
        self._mock = MockTransport(clock)
        self._limiter = limiter
        self._own_key = secrets.token_bytes(32)
        """Stands for the installation's secret where the configuration has none."""
        self._snapshot = self._compiled(config)
        self._calls = OpenCalls(clock)
        self._places = Places()
        self._tasks: set[asyncio.Task[None]] = set()
        self._exchanges = Exchanges(TurnMemory(SideStore()), Owners(), MediaInliner(fetcher), clock)
        self._discovery = Discovery(self._transport_of, clock, self.spawn)
        self._load: Callable[[], Config] | None = None
        self._reloading = asyncio.Lock()
        self._draining = False

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        config: Config,
        *,
        load: Callable[[], Config] | None = None,
        clock: Clock | None = None,
        transport: Transport | None = None,
        fetcher: Fetcher | None = None,
    ) -> AsyncIterator[Gateway]:
        """A gateway at work until the block ends.

        `load` reads the configuration again; where `config` came from a file, that file and its companions are read
        again by themselves when they change.
        """
        async with AsyncExitStack() as stack:
            if transport is None:
                transport = HttpTransport()
                stack.push_async_callback(transport.close)
            if fetcher is None:
                fetcher = UrlFetcher()
                stack.callback(fetcher.close)
            clock = SystemClock() if clock is None else clock
            gateway = cls(config, clock=clock, transport=transport, limiter=MemoryLimiter(), fetcher=fetcher)
            path = config.path
            if load is not None:
                gateway._load = load
            elif path is not None:
                gateway._load = lambda: load_config(path)
            stack.push_async_callback(gateway._stop)
            gateway.spawn(gateway._calls.sweep(), "sweep")
            if gateway._load is not None and config.watched:
                gateway.spawn(gateway._follow_files(), "follow files")
            yield gateway

    @property
    def config(self) -> Config:
        """The reading of the configuration in force."""
        return self._snapshot.config

    @property
    def snapshot(self) -> Snapshot:
        """The configuration in force, compiled."""
        return self._snapshot

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        return self._clock

    @property
    def open_calls(self) -> int:
        """Calls that are being answered."""
        return len(self._calls)

    @property
    def draining(self) -> bool:
        """The server is about to stop: it is not ready for new clients."""
        return self._draining

    def begin_drain(self) -> None:
        """Say that the server is about to stop; calls are still answered."""
        self._draining = True

    async def end_calls(self, grace_s: float) -> None:
        """Let open calls end; after `grace_s` seconds end each with an error, and refuse new ones."""
        self._draining = True
        await self._calls.end(grace_s)

    def watch(self, *, ends_s: float = math.inf, has_left: Callable[[], bool] | None = None) -> Watch:
        """A watch for a wait outside `relay` (reading a request body); give it back by `unwatch`."""
        return self._calls.open(ends_s=ends_s, has_left=has_left)

    def unwatch(self, watch: Watch) -> None:
        """Forget a watch."""
        self._calls.close(watch)

    def authenticate(self, credential: str | None) -> Principal:
        """Who holds this key.

        Raises:
            NotAuthenticated: No key, an unknown or an expired one. The three are told apart by the message only as
                far as the caller knows anyway.
        """
        if self.config.server.open:
            return LOCAL
        if not credential:
            raise NotAuthenticated(
                "No API key was given: send it as `Authorization: Bearer KEY`.", code="authentication_error"
            )
        principal = self._snapshot.directory.find(digest(credential))
        if principal is None:
            raise NotAuthenticated("The API key is not valid here.")
        if principal.expires is not None and self._clock.wall().date() > principal.expires:
            raise NotAuthenticated(f"The API key expired on {principal.expires:%Y-%m-%d}.")
        return principal

    async def admit(self, principal: Principal) -> Lease:
        """Admission for one call; the one place where limits are checked.

        Raises:
            RateLimited: A limit of the key, its user or its group is reached.
        """
        return await self._limiter.admit(principal.scopes, now_s=self._clock.now_s())

    async def offers(self, principal: Principal) -> Mapping[str, Offer]:
        """What the caller can call now, by name in the order of the file, aliases and discovered models included."""
        snapshot = self._snapshot
        lists = await self._discovery.lists(snapshot)
        return snapshot.offers(principal, lists)

    @asynccontextmanager
    async def relay(self, call: Call) -> AsyncIterator[Reply]:
        """The answer to a call, open until the block ends; whatever happens, everything is let go of and settled.

        Raises:
            GatewayError: There is no answer; the error says why. It is noted on the call too.
        """
        snapshot = self._snapshot
        watch = call.watch = self._calls.open(has_left=call.has_left)
        try:
            watch.raise_doom()
            reading = call.dialect if call.counter is None else call.counter
            ask = reading.read_request(call.wire, call.address)
            call.model, call.streamed = ask.model, ask.stream
            offer = snapshot.offer(ask.model, call.principal)
            route = snapshot.route(offer, call.dialect.name)
            call.provider = route.provider.name
            watch.ends_s = call.started_s + route.settings.timeouts.total_s
            if call.counter is not None:
                yield await self._counted(call, ask, offer, snapshot, watch)
                return
            exchange = await self._exchanges.of(call, ask, route, snapshot, watch)
            attempts = self._attempts(call, exchange, route, snapshot, watch)
            # Or they would be held, parsed, for as long as the answer takes.
            del ask, exchange
            if call.streamed:
                async with self._stream_reply(attempts, call, watch, route.settings) as reply:
                    call.answered(self._clock.now_s())
                    yield reply
                return
            try:
                reply = await attempts.reply()
                call.answered(self._clock.now_s())
                yield reply
            finally:
                attempts.close()
        except GatewayError as error:
            call.error = error
            raise
        finally:
            self._calls.close(watch)

    async def generate(self, request: Request, *, principal: Principal = LOCAL) -> Response:
        """The answer to a neutral request, whole; the models of `ir.request` and `ir.parts`.

        Raises:
            GatewayError: As the HTTP interface would answer.
        """
        client = NeutralClient(attrs.evolve(request, stream=False))
        async with self._admitted(client.dialect(), b"", principal, client.prompt_bytes) as call, self.relay(call):
            assert client.response is not None
            return client.response

    async def stream(self, request: Request, *, principal: Principal = LOCAL) -> AsyncGenerator[StreamEvent, None]:
        """The events of the answer to a neutral request, as they come; see `ir.events`, and `ir.grammar` for the order.

        Raises:
            GatewayError: As the HTTP interface would answer; also in the middle, when the stream fails.
        """
        client = NeutralClient(attrs.evolve(request, stream=True))
        async with (
            self._admitted(client.dialect(), b"", principal, client.prompt_bytes) as call,
            self.relay(call) as reply,
            aclosing(_pieces(reply)) as pieces,
        ):
            async for _ in pieces:
                while client.events:
                    event = client.events.popleft()
                    if isinstance(event, Fail):
                        assert isinstance(event.error, GatewayError)  # the words of upstreams become one
                        raise event.error
                    yield event

    async def chat(self, body: Mapping[str, Any], *, principal: Principal = LOCAL) -> dict[str, Any]:
        """The chat completion for an OpenAI-shaped request.

        Raises:
            GatewayError: As the HTTP interface would answer.
        """
        wire = _chat_wire(body, stream=False)
        async with self._admitted(CHAT, wire, principal, len(wire)) as call, self.relay(call) as reply:
            assert not isinstance(reply, StreamReply)
            answer: dict[str, Any] = loads_lenient(reply.body)
            return answer

    async def chat_stream(
        self, body: Mapping[str, Any], *, principal: Principal = LOCAL
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The chunks of a streamed chat completion, as they come.

        Raises:
            GatewayError: As the HTTP interface would answer; also in the middle, when the stream fails.
        """
        wire = _chat_wire(body, stream=True)
        framer = SseFramer()
        async with (
            self._admitted(CHAT, wire, principal, len(wire)) as call,
            self.relay(call) as reply,
            aclosing(_pieces(reply)) as pieces,
        ):
            async for piece in pieces:
                for frame in framer.feed(piece):
                    if frame.data is None or frame.data.strip() == DONE:
                        continue
                    chunk: dict[str, Any] = loads_lenient(frame.data)
                    if call.error is not None and chunk.get("error"):
                        raise call.error
                    yield chunk

    async def reload(self) -> None:
        """Read the configuration again; a bad one changes nothing and is said in the log."""
        if self._load is None:
            return
        async with self._reloading:  # or one that read earlier could come later
            try:
                self._take_over(await asyncio.to_thread(self._load))
            except ConfigError as exc:
                for problem in exc.problems:
                    LOGGER.error("The configuration was not reloaded: %s: %s", problem.file, problem)
            except OSError as exc:
                LOGGER.error("The configuration was not reloaded: %s", exc)
            except Exception:
                # Whoever follows the files must not end over it: a key that is revoked later has to stop working.
                LOGGER.exception("The configuration was not reloaded.")

    def _take_over(self, config: Config) -> None:
        old = self.config.server
        if (config.server.listen_host, config.server.listen_port) != (old.listen_host, old.listen_port):
            LOGGER.warning("server.listen has changed; that takes a restart.")
        self._snapshot = self._compiled(config)
        self._places.resize(config.providers.values())
        self._discovery.forget()
        LOGGER.info("Configuration reloaded: %d models, %d keys.", len(config.models), len(config.keys))

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something beside the calls; it is cancelled when the gateway closes."""
        task = asyncio.create_task(work, name=name)  # noqa: TID251 - the place that holds and names them
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            LOGGER.error("The task %r failed.", task.get_name(), exc_info=exc)

    @asynccontextmanager
    async def _stream_reply(
        self, attempts: Attempts, call: Call, watch: Watch, settings: CallSettings
    ) -> AsyncIterator[Reply]:
        """The reply of attempts for a stream, which end with the block."""
        early: EarlyReply | None = None
        reply: Reply | None = None
        try:
            if settings.early_commit_s is None:
                reply = await attempts.reply()
            else:
                early = EarlyReply(attempts, call, watch=watch, keepalive_s=settings.keepalive_s, clock=self._clock)
                reply = await early.reply(settings.early_commit_s)
            yield reply
        finally:
            try:
                if early is not None:
                    await early.close()
            finally:
                attempts.close()
                if isinstance(reply, StreamReply):
                    await reply.chunks.aclose()

    def _compiled(self, config: Config) -> Snapshot:
        secret = config.server.secret
        key = self._own_key if secret is None else secret.reveal().encode()
        return Snapshot(config, user_agent=USER_AGENT, key=key)

    @asynccontextmanager
    async def _admitted(
        self, dialect: Dialect, wire: bytes, principal: Principal, prompt_bytes: int
    ) -> AsyncIterator[Call]:
        """A call of this program, admitted until the block ends."""
        lease = await self.admit(principal)
        try:
            yield Call(
                id=new_request_id(),
                dialect=dialect,
                wire=wire,
                principal=principal,
                started_s=self._clock.now_s(),
                prompt_bytes=prompt_bytes,
            )
        finally:
            lease.release()

    def _attempts(self, call: Call, exchange: Exchange, route: Route, snapshot: Snapshot, watch: Watch) -> Attempts:
        return Attempts(
            call,
            exchange,
            route,
            snapshot,
            transport=self._transport_of(route.provider),
            places=self._places,
            watch=watch,
            clock=self._clock,
        )

    async def _counted(self, call: Call, ask: Ask, offer: Offer, snapshot: Snapshot, watch: Watch) -> Reply:
        """The tokens of a request, counted by a provider where one does."""
        route = snapshot.route(offer, call.dialect.name, counting=True)
        if DIALECTS[route.dialect].counter is None:
            return WholeReply(body=self._exchanges.estimate(call, ask))
        counting = await self._exchanges.count(call, ask, route, snapshot, watch)
        attempts = self._attempts(call, counting, route, snapshot, watch)
        try:
            return await attempts.reply()
        except GatewayError:
            if not counting.is_missing:
                raise
            return WholeReply(body=self._exchanges.estimate(call, ask))
        finally:
            attempts.close()

    def _transport_of(self, provider: Provider) -> Transport:
        return self._mock if provider.mock else self._http

    async def _follow_files(self) -> None:
        seen = fingerprint(self.config.watched)
        while True:
            await self._clock.sleep(FILES_LOOKED_AT_S)
            now = fingerprint(self.config.watched)
            if now != seen:
                seen = now
                await self.reload()

    async def _stop(self) -> None:
        self._calls.end_now()  # nobody watches their waits any more
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pieces(reply: Reply) -> AsyncGenerator[bytes, None]:
    if not isinstance(reply, StreamReply):
        yield reply.body
        return
    async for chunk in reply.chunks:
        yield chunk


def _chat_wire(body: Mapping[str, Any], *, stream: bool) -> bytes:
    try:
        return orjson.dumps({**body, "stream": stream})
    except (TypeError, ValueError):
        raise InvalidRequest("The request holds something that JSON can't say.") from None
