"""What shipped models can do, by id prefix; a model's own settings win over it.

Anthropic, OpenAI and Google model pages and API errors as gathered on 2026-11-23. A name that no row knows gets the
plain card of its dialect: nothing is guessed from how a name looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from modelserver.ir.card import ModelCard, ReasoningCard

_EFFORTS_5: Final = ("low", "medium", "high", "xhigh", "max")

_ANTHROPIC: Final = ModelCard(
    temperature_max=1.0,
    penalties=False,
    logprobs=False,
    seed=False,
    top_k=True,
    both_temperature_and_top_p=False,
    developer_role=False,
    result_media=True,
    cache="explicit_anthropic",
    id_pattern=r"[a-zA-Z0-9_-]+",
    id_max=64,
    json_mode=False,
    forced_tools_with_reasoning=False,
    hosted=frozenset(("web_search", "web_fetch", "code_execution")),
)
_CLAUDE_3: Final = attrs.evolve(_ANTHROPIC, both_temperature_and_top_p=True, prefill=True, pdf=True)
_CLAUDE_4: Final = attrs.evolve(
    _ANTHROPIC, prefill=True, reasoning=ReasoningCard(kind="budget", budget_max=64_000), eager_input=True
)
_CLAUDE_4_5: Final = attrs.evolve(_CLAUDE_4, schema="anthropic", strict_tools=True)
_CLAUDE_4_6: Final = attrs.evolve(
    _CLAUDE_4_5, prefill=False, reasoning=ReasoningCard(kind="adaptive", efforts=("low", "medium", "high", "max"))
)
_CLAUDE_4_7: Final = attrs.evolve(
    _CLAUDE_4_6,
    sampling="none",
    forced_tools_with_reasoning=True,
    mid_system=True,
    reasoning=ReasoningCard(kind="adaptive", efforts=_EFFORTS_5, between_tools=True),
)
_CLAUDE_5_5: Final = attrs.evolve(
    _CLAUDE_4_7,
    forced_tools=False,
    seal_bound=True,
    reasoning=ReasoningCard(kind="adaptive", efforts=_EFFORTS_5, can_disable=False, default_on=True),
)

_OPENAI: Final = ModelCard(
    custom_tools=True,
    allowed_tools=True,
    schema="strict_openai",
    strict_tools=True,
    stop_max=4,
    id_max=64,
    id_pattern=r".+",
    hosted=frozenset(("web_search", "code_execution", "file_search", "image_generation")),
)
_GPT_4: Final = attrs.evolve(_OPENAI, n_max=8)
_GPT_5: Final = attrs.evolve(
    _OPENAI,
    sampling="none",
    stop_max=0,
    logprobs=False,
    reasoning=ReasoningCard(kind="effort", efforts=("minimal", "low", "medium", "high"), can_disable=False),
)
_O_SERIES: Final = attrs.evolve(
    _GPT_5, reasoning=ReasoningCard(kind="effort", efforts=("low", "medium", "high"), can_disable=False)
)
_GPT_5_1: Final = attrs.evolve(
    _GPT_5,
    sampling="only_without_reasoning",
    reasoning=ReasoningCard(kind="effort", efforts=("none", "low", "medium", "high", "xhigh")),
)
_GPT_5_6: Final = attrs.evolve(
    _GPT_5_1,
    cache="explicit_openai",
    reasoning=ReasoningCard(kind="effort", efforts=("none", "low", "medium", "high", "xhigh", "max")),
)
_GPT_6: Final = attrs.evolve(_GPT_5_6, sampling="none")

_GEMINI: Final = ModelCard(
    top_k=True,
    stop_max=5,
    n_max=8,
    schema="gemini_json",
    url_sources=False,
    audio_in=True,
    ids="optional",
    id_pattern=r".+",
    id_max=128,
    hosted=frozenset(("web_search", "web_fetch", "code_execution", "maps")),
)
_GEMINI_2_5: Final = attrs.evolve(
    _GEMINI,
    penalties=False,
    schema_with_tools=False,
    reasoning=ReasoningCard(kind="budget", budget_min=0, budget_max=24_576, default_on=True),
)
_GEMINI_3: Final = attrs.evolve(
    _GEMINI,
    result_media=True,
    seal_required=True,
    reasoning=ReasoningCard(kind="level", efforts=("low", "high"), can_disable=False, default_on=True),
)

_BY_DIALECT: Final[Mapping[str, ModelCard]] = {
    "chat": ModelCard(stop_max=None, n_max=128, custom_tools=False, id_pattern=r".+", id_max=40, json_mode=True),
    "responses": _OPENAI,
    "anthropic": _ANTHROPIC,
    "gemini": _GEMINI,
}

CARDS: Final[Mapping[str, ModelCard]] = {
    "claude-3": _CLAUDE_3,
    "claude-opus-4": _CLAUDE_4,
    "claude-sonnet-4": _CLAUDE_4,
    "claude-haiku-4-5": _CLAUDE_4_5,
    "claude-sonnet-4-5": _CLAUDE_4_5,
    "claude-opus-4-5": _CLAUDE_4_5,
    "claude-sonnet-4-6": _CLAUDE_4_6,
    "claude-opus-4-6": _CLAUDE_4_6,
    "claude-opus-4-7": _CLAUDE_4_7,
    "claude-opus-4-8": _CLAUDE_4_7,
    "claude-sonnet-5": _CLAUDE_4_7,
    "claude-opus-5": _CLAUDE_4_7,
    "claude-fable-5": _CLAUDE_4_7,
    "claude-haiku-5-5": _CLAUDE_4_7,
    "claude-fable-5-1": _CLAUDE_5_5,
    "claude-opus-5-5": _CLAUDE_5_5,
    "claude-sonnet-5-5": _CLAUDE_5_5,
    "gpt-4": _GPT_4,
    "o1": _O_SERIES,
    "o3": _O_SERIES,
    "o4": _O_SERIES,
    "gpt-5": _GPT_5,
    "gpt-5.": _GPT_5_1,
    "gpt-5.6": _GPT_5_6,
    "gpt-6": _GPT_6,
    "gemini-2.5": _GEMINI_2_5,
    "gemini-2.5-pro": attrs.evolve(
        _GEMINI_2_5,
        reasoning=ReasoningCard(kind="budget", budget_min=128, budget_max=32_768, can_disable=False, default_on=True),
    ),
    "gemini-3": _GEMINI_3,
    "gemini-3.5": attrs.evolve(
        _GEMINI_3,
        reasoning=ReasoningCard(
            kind="level", efforts=("minimal", "low", "medium", "high"), can_disable=False, default_on=True
        ),
    ),
    "gemini-3.8": attrs.evolve(
        _GEMINI_3,
        reasoning=ReasoningCard(
            kind="level", efforts=("minimal", "low", "medium", "high"), can_disable=False, default_on=True
        ),
    ),
}
"""The longest prefix of the upstream's model name wins."""


def card_for(target: str, dialect: str, overrides: Mapping[str, Any]) -> ModelCard:
    """The card of an upstream's model in a dialect; `overrides` are card fields that the configuration states."""
    name = target.rpartition("/")[2]
    known = max((prefix for prefix in CARDS if name.startswith(prefix)), key=len, default=None)
    card = _BY_DIALECT[dialect] if known is None else CARDS[known]
    if not overrides:
        return card
    changes = dict(overrides)
    reasoning = changes.pop("reasoning", None)
    if reasoning:
        changes["reasoning"] = attrs.evolve(card.reasoning, **reasoning)
    return attrs.evolve(card, **changes)
