"""What a conversation needs from its earlier turns and its client does not send back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from modelserver.ir.parts import Message, Part, Reasoning, Seal, Text, ToolCall
from modelserver.ir.request import Request
from modelserver.policy.principals import Principal
from modelserver.stores.side_store import SideStore


class TurnMemory:
    """The reasoning and seals of assistant turns with calls, found again by the ids of the calls.

    Most Chat clients echo calls and texts only, while providers want their own reasoning back in a tool loop.
    """

    def __init__(self, store: SideStore) -> None:
        self._store = store

    def remember(self, principal: Principal, parts: Sequence[Part], now_s: float) -> None:
        """Keep what a finished turn has, if it has calls and something that must come back with them."""
        calls = [part for part in parts if isinstance(part, ToolCall)]
        kept: list[Part] = [part for part in parts if isinstance(part, Reasoning)]
        kept += [attrs.evolve(call, arguments="", extra={}) for call in calls if call.seal is not None]
        if not kept:
            return
        for call in calls:
            self._store.put(_tenant(principal), call.id, kept, now_s)

    def restored(self, request: Request, principal: Principal, now_s: float) -> Request:
        """The request with what its client left out of its own earlier turns."""
        messages = tuple(self._message(message, principal, now_s) for message in request.messages)
        return attrs.evolve(request, messages=messages)

    def _message(self, message: Message, principal: Principal, now_s: float) -> Message:
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        if message.role != "assistant" or not calls or any(call.seal is not None for call in calls):
            return message
        kept = next((parts for call in calls if (parts := self._store.get(_tenant(principal), call.id, now_s))), ())
        if not kept:
            return message
        thought = _thought(message.parts)
        if thought and thought != _thought(kept):  # edited: its seal is no longer one of this text
            return message
        seals = {part.id: part.seal for part in kept if isinstance(part, ToolCall)}
        parts = tuple(_sealed(part, seals) for part in message.parts)
        if not any(isinstance(part, Reasoning) and part.seal is not None for part in parts):
            reasoning = (part for part in kept if isinstance(part, Reasoning))
            parts = (*reasoning, *(part for part in parts if not isinstance(part, Reasoning)))
        return attrs.evolve(message, parts=parts)


def without_seals(request: Request) -> Request:
    """The request with every seal taken out, and the reasoning that is nothing without one: the one repair."""

    def bare(part: Part) -> Part | None:
        if isinstance(part, Reasoning):
            return None
        if isinstance(part, ToolCall | Text) and part.seal is not None:
            return attrs.evolve(part, seal=None)
        return part

    return attrs.evolve(
        request,
        messages=tuple(
            attrs.evolve(message, parts=tuple(kept for part in message.parts if (kept := bare(part)) is not None))
            for message in request.messages
        ),
    )


def _thought(parts: Iterable[Part]) -> str:
    """The visible text of the reasoning, without what dialects put between its sections."""
    return "".join("".join(part.text for part in parts if isinstance(part, Reasoning)).split())


def _sealed(part: Part, seals: dict[str, Seal | None]) -> Part:
    if isinstance(part, ToolCall) and (seal := seals.get(part.id)) is not None:
        return attrs.evolve(part, seal=seal)
    return part


def _tenant(principal: Principal) -> str:
    return f"{principal.user}\n{principal.key}"
