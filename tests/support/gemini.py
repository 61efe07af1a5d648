"""What tests of the Gemini dialect share."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import attrs

from modelserver.dialects.codec import Reading, StreamDecoder, WireTool, Writing
from modelserver.errors import GatewayError
from modelserver.ir.card import ModelCard, ReasoningCard
from modelserver.ir.events import Fail, StreamEvent
from modelserver.ir.parts import Origin
from modelserver.ir.profile import Profile
from modelserver.ir.request import Request
from modelserver.policy.seals import EnvelopeSealer

SEALER = EnvelopeSealer(b"key of the tests")
ORIGIN = Origin(dialect="gemini", provider="google", account="a1", model="gemini-3-pro")

CARD_3 = ModelCard(
    top_k=True,
    stop_max=5,
    n_max=8,
    schema="gemini_json",
    url_sources=False,
    audio_in=True,
    ids="optional",
    id_pattern=r".+",
    id_max=128,
    hosted=frozenset(("web_search", "web_fetch", "code_execution")),
    result_media=True,
    seal_required=True,
    reasoning=ReasoningCard(kind="level", efforts=("low", "high"), can_disable=False, default_on=True),
)
CARD_25 = attrs.evolve(
    CARD_3,
    penalties=False,
    result_media=False,
    seal_required=False,
    schema_with_tools=False,
    reasoning=ReasoningCard(kind="budget", budget_min=0, budget_max=24_576, default_on=True),
)


def check_by_google(type_name: str, value: Any) -> None:
    """Have a value validated by a type of Google's own client library, where that is installed."""
    if importlib.util.find_spec("google") is not None and importlib.util.find_spec("google.genai") is not None:
        getattr(importlib.import_module("google.genai.types"), type_name).model_validate(value)


def profile(card: ModelCard = CARD_3, **changes: Any) -> Profile:
    """The target of the tests."""
    settings = {"model": "gemini-3-pro", "origin": ORIGIN, "card": card, "sealer": SEALER, "pseudonym": str, **changes}
    return Profile(**settings)


def reading(tools: dict[str, WireTool] | None = None, **changes: Any) -> Reading:
    """How answers are read in the tests."""
    request = Request(dialect="chat", model="m")
    return Reading(request=request, profile=profile(**changes), tools=tools or {})


def writing(**changes: Any) -> Writing:
    """How answers are written in the tests."""
    request = Request(dialect="gemini", model="m", stream=True)
    return Writing(**{"request": request, "sealer": SEALER, "seed": "req_1", "created": 1_790_000_000, **changes})


class Comparable:
    """A stream decoder whose failures can be compared: errors are not equal to each other."""

    def __init__(self, decoder: StreamDecoder) -> None:
        self._decoder = decoder

    def feed(self, data: bytes) -> list[object]:
        return [_comparable(event) for event in self._decoder.feed(data)]

    def close(self) -> list[object]:
        return [_comparable(event) for event in self._decoder.close()]


def _comparable(event: StreamEvent) -> object:
    if isinstance(event, Fail) and isinstance(event.error, GatewayError):
        return (type(event.error), event.error.message, event.error.code)
    return event
