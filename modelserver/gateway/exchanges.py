"""Which exchange a call needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from modelserver.dialects.codec import Writing
from modelserver.dialects.table import CODECS
from modelserver.errors import InvalidRequest
from modelserver.gateway.call import Call
from modelserver.gateway.exchange import Exchange, SameDialect
from modelserver.gateway.lifecycle import Expired, Watch
from modelserver.gateway.memory import TurnMemory
from modelserver.gateway.snapshot import Route, Snapshot
from modelserver.gateway.translation import Pair, Translated
from modelserver.ir.parts import Origin
from modelserver.ir.profile import Profile
from modelserver.ir.request import Request
from modelserver.ir.types import Ask
from modelserver.policy.seals import EnvelopeSealer, pseudonym
from modelserver.ports import Clock

Inline = Callable[[Request, Route, bytes], Awaitable[Request]]
"""Puts media that the client named by URL into the request itself, for an upstream that takes nothing else.

The bytes are the request as the client wrote it, for the paths in what it is told.
"""


class Exchanges:
    """Makes the exchange of each call; holds what conversations leave behind."""

    def __init__(self, memory: TurnMemory, inline: Inline, clock: Clock) -> None:
        self._memory = memory
        self._inline = inline
        self._clock = clock

    async def of(self, call: Call, ask: Ask, route: Route, snapshot: Snapshot, watch: Watch) -> Exchange:
        """The exchange for a call at a route; what it has to fetch for that is watched.

        Raises:
            InvalidRequest: The request can't be said in the upstream's dialect.
        """
        if route.dialect == call.dialect.name:
            return SameDialect(call.dialect, ask, route)
        wire = ask.wire
        if route.params:
            wire = call.dialect.forward(ask, target=ask.model, params=route.params, ask_usage=False, drop_options=False)
        pair = Pair(client=CODECS[call.dialect.name], upstream=CODECS[route.dialect])
        principal = call.principal
        request = self._memory.restored(pair.client.decode_request(wire), principal, self._clock.now_s())
        try:
            request = await watch.wait(self._inline(request, route, ask.wire))
        except Expired:
            raise InvalidRequest("The media that the request names did not arrive in time.", param="messages") from None
        sealer = EnvelopeSealer(snapshot.key)
        profile = Profile(
            model=route.target,
            origin=Origin(
                dialect=route.dialect, provider=route.provider.name, account=route.account, model=route.target
            ),
            card=route.card,
            quirks=route.settings.quirks.dialect,
            sealer=sealer,
            pseudonym=pseudonym(snapshot.key, principal.user),
            refuse_losses=route.settings.refuse_losses,
        )
        writing = Writing(request=request, sealer=sealer, seed=call.id, created=int(self._clock.wall().timestamp()))
        return Translated(
            pair,
            request,
            route,
            profile,
            writing,
            lambda parts: self._memory.remember(principal, parts, self._clock.now_s()),
        )
