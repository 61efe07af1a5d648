"""What tests of the Chat codec share: a target, and decoders whose events can be compared."""

from __future__ import annotations

from typing import Any

import attrs

from modelserver.dialects.codec import Reading, StreamDecoder
from modelserver.dialects.openai_chat.chunks import stream_decoder
from modelserver.errors import GatewayError
from modelserver.ir.card import ModelCard, ReasoningCard
from modelserver.ir.events import Fail, StreamEvent
from modelserver.ir.parts import Origin
from modelserver.ir.profile import Profile
from modelserver.ir.request import EFFORTS, Request
from modelserver.ir.types import Complaint
from modelserver.policy.seals import EnvelopeSealer

SEALER = EnvelopeSealer(b"key")
ORIGIN = Origin(dialect="chat", provider="p", account="a", model="m")
ABLE = ModelCard(
    n_max=8,
    reasoning=ReasoningCard(kind="effort", efforts=EFFORTS),
    custom_tools=True,
    allowed_tools=True,
    audio_in=True,
    audio_out=True,
    result_media=True,
    cache="explicit_openai",
    hosted=frozenset(("web_search",)),
)
"""A model that takes everything that the dialect can say."""


def profile(card: ModelCard = ABLE, **quirks: Any) -> Profile:
    """A target with these quirks."""
    return Profile(
        model="m", origin=ORIGIN, card=card, quirks=quirks, sealer=SEALER, pseudonym=lambda user: f"u_{len(user)}"
    )


def reading(card: ModelCard = ABLE, *, request: Request | None = None, tools: Any = None, **quirks: Any) -> Reading:
    """How an answer of that target is read."""
    return Reading(
        request=request or Request(dialect="chat", model="m"), profile=profile(card, **quirks), tools=tools or {}
    )


class Comparable:
    """A stream decoder whose failures are values."""

    def __init__(self, how: Reading) -> None:
        self._decoder: StreamDecoder = stream_decoder(how)

    def feed(self, data: bytes) -> list[StreamEvent]:
        return [_comparable(event) for event in self._decoder.feed(data)]

    def close(self) -> list[StreamEvent]:
        return [_comparable(event) for event in self._decoder.close()]


def _comparable(event: StreamEvent) -> StreamEvent:
    if isinstance(event, Fail) and isinstance(event.error, GatewayError):
        return attrs.evolve(event, error=Complaint(status=0, message=event.error.message, code=event.error.code))
    return event
