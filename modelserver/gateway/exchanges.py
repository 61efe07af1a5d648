"""Which exchange a call needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import attrs

from modelserver.dialects.codec import Writing
from modelserver.dialects.table import DIALECTS
from modelserver.errors import InvalidRequest, NotFound, Unsupported
from modelserver.gateway.call import Call
from modelserver.gateway.counting import CountExchange, encoded_count, forwarded_count
from modelserver.gateway.exchange import Exchange, SameDialect
from modelserver.gateway.lifecycle import Expired, Watch
from modelserver.gateway.memory import TurnMemory
from modelserver.gateway.params import with_params
from modelserver.gateway.snapshot import Route, Snapshot
from modelserver.gateway.translation import Pair, Translated
from modelserver.ir.parts import Origin
from modelserver.ir.profile import Profile
from modelserver.ir.request import Request
from modelserver.ir.types import Ask
from modelserver.policy.estimate import estimate_prompt
from modelserver.policy.seals import PREFIX, EnvelopeSealer, pseudonym
from modelserver.ports import Clock
from modelserver.stores.owners import Owners

Inline = Callable[[Request, Route, bytes], Awaitable[Request]]
"""Puts media that the client named by URL into the request itself, for an upstream that takes nothing else.

The bytes are the request as the client wrote it, for the paths in what it is told.
"""

_SEALED: Final = f'"{PREFIX}'.encode()
"""How a seal in an envelope of ours begins, as JSON. A text that begins so is translated too, which loses nothing."""


class Exchanges:
    """Makes the exchange of each call; holds what conversations leave behind."""

    def __init__(self, memory: TurnMemory, owners: Owners, inline: Inline, clock: Clock) -> None:
        self._memory = memory
        self._owners = owners
        self._inline = inline
        self._clock = clock

    async def of(self, call: Call, ask: Ask, route: Route, snapshot: Snapshot, watch: Watch) -> Exchange:
        """The exchange for a call at a route; what it has to fetch for that is watched.

        Raises:
            InvalidRequest: The request can't be said in the upstream's dialect.
            Unsupported: It names other models, and its key may call some only.
            NotFound: It names something that was not made for this key.
        """
        if route.dialect != call.dialect.name:
            return await self._translated(call, ask, route, snapshot, watch)
        self._check_owned(call, ask, route)
        if call.principal.rules:
            _check_models(call, ask)
        # Seals that other providers made, for earlier turns of the conversation, are none of this one's business.
        if _SEALED in ask.wire or _changes_form(ask, route):
            return await self._translated(call, ask, route, snapshot, watch)
        return SameDialect(
            call.dialect,
            ask,
            route,
            passed=call.passed,
            claim=lambda id: self._owners.put(id, _owner(call, route), self._clock.now_s()),
            translated=lambda: self._rewritten(call, ask, route, snapshot),
        )

    async def count(self, call: Call, ask: Ask, route: Route, snapshot: Snapshot, watch: Watch) -> CountExchange:
        """The exchange for counting the tokens of a request; see `of`."""
        client, upstream = call.counter, DIALECTS[route.dialect].counter
        assert client is not None
        assert upstream is not None
        is_same = route.dialect == call.dialect.name
        if is_same:
            self._check_owned(call, ask, route)
        if is_same and _SEALED not in ask.wire:
            outgoing = forwarded_count(upstream, ask, route, call.passed)
        else:
            request = self._bare(client.decode_request(ask.wire), call, route)
            request = await self._inlined(attrs.evolve(request, model=ask.model), call, ask, route, watch)
            encoded = upstream.encode_request(request, self._profile(call, route, snapshot))
            outgoing = encoded_count(encoded, route, call.passed if is_same else {})
        return CountExchange(outgoing, upstream, client, DIALECTS[route.dialect].read_error)

    def estimate(self, call: Call, ask: Ask) -> bytes:
        """The answer to a client that wants tokens counted where no provider counts them."""
        assert call.counter is not None
        call.count_estimated = True
        return call.counter.encode_answer(estimate_prompt(call.counter.decode_request(ask.wire)))

    async def _translated(self, call: Call, ask: Ask, route: Route, snapshot: Snapshot, watch: Watch) -> Translated:
        request = self._memory.restored(self._request(call, ask, route), call.principal, self._clock.now_s())
        request = await self._inlined(request, call, ask, route, watch)
        return self._exchange(call, request, route, self._profile(call, route, snapshot))

    def _request(self, call: Call, ask: Ask, route: Route) -> Request:
        request = self._bare(call.dialect.codec.decode_request(ask.wire), call, route)
        return with_params(attrs.evolve(request, model=ask.model, stream=ask.stream), route.params)

    def _bare(self, request: Request, call: Call, route: Route) -> Request:
        """The request without what only a foreign upstream can't do."""
        return attrs.evolve(request, rejected=(), ignored=()) if route.dialect == call.dialect.name else request

    async def _inlined(self, request: Request, call: Call, ask: Ask, route: Route, watch: Watch) -> Request:
        try:
            return await watch.wait(self._inline(request, route, ask.wire))
        except Expired:
            param = call.dialect.prompt_field
            raise InvalidRequest("The media that the request names did not arrive in time.", param=param) from None

    def _exchange(self, call: Call, request: Request, route: Route, profile: Profile) -> Translated:
        principal = call.principal
        created = int(self._clock.wall().timestamp())
        return Translated(
            Pair(client=call.dialect.codec, upstream=DIALECTS[route.dialect]),
            request,
            route,
            profile,
            Writing(request=request, sealer=profile.sealer, seed=call.id, created=created),
            lambda parts: self._memory.remember(principal, parts, self._clock.now_s()),
            passed=call.passed if route.dialect == call.dialect.name else {},
        )

    def _rewritten(self, call: Call, ask: Ask, route: Route, snapshot: Snapshot) -> Translated:
        """For a stream that was answered whole: nothing of the request can be lost any more, it was sent as it came."""
        profile = attrs.evolve(self._profile(call, route, snapshot), refuse_losses=False)
        return self._exchange(call, self._request(call, ask, route), route, profile)

    def _profile(self, call: Call, route: Route, snapshot: Snapshot) -> Profile:
        return Profile(
            model=route.target,
            origin=Origin(
                dialect=route.dialect, provider=route.provider.name, account=route.account, model=route.target
            ),
            card=route.card,
            quirks=route.settings.quirks.dialect,
            sealer=EnvelopeSealer(snapshot.key),
            pseudonym=pseudonym(snapshot.key, call.principal.user),
            refuse_losses=route.settings.refuse_losses,
        )

    def _check_owned(self, call: Call, ask: Ask, route: Route) -> None:
        for reference in ask.references:
            if not self._owners.holds(reference.id, _owner(call, route), self._clock.now_s()):
                raise NotFound(
                    f"{reference.param} names nothing that was made with this key; send the whole input instead.",
                    param=reference.param,
                    code="not_found",
                )


def _check_models(call: Call, ask: Ask) -> None:
    for field in call.dialect.model_fields:
        if ask.parsed.get(field):
            raise Unsupported(
                f"{field} would let the provider choose another model, and this key may call some models only.",
                param=field,
                code="unsupported_parameter",
            )


def _changes_form(ask: Ask, route: Route) -> bool:
    """Whether the provider answers in the other form only: whole, or as a stream."""
    quirks = route.settings.quirks.dialect
    return bool(quirks) and bool(quirks.get("no_stream" if ask.stream else "stream_only"))


def _owner(call: Call, route: Route) -> tuple[str, ...]:
    """Whose a thing is that a provider keeps: the key's, and the account's that made it."""
    principal = call.principal
    return principal.user, principal.key or "", route.provider.name, route.account
