"""What a model can do: encoders read it and never guess from a name."""

from __future__ import annotations

from typing import Literal

import attrs

from modelserver.ir.request import Effort


@attrs.frozen(kw_only=True, slots=True)
class ReasoningCard:
    """How a model is told to think."""

    kind: Literal["none", "effort", "budget", "adaptive", "level"] = "none"
    efforts: tuple[Effort, ...] = ("low", "medium", "high")
    """What it accepts, in rising order; wishes are clipped to the nearest, downwards first."""
    budget_min: int = 1024
    budget_max: int | None = None
    can_disable: bool = True
    between_tools: bool = False
    default_on: bool = False
    raw_visible: bool = False
    """Its raw reasoning may be shown (open models)."""


@attrs.frozen(kw_only=True, slots=True)
class ModelCard:
    """Capabilities of the model at the upstream that a call goes to."""

    max_output: int | None = None
    default_max_output: int | None = None
    max_input: int | None = None
    sampling: Literal["full", "no_temperature", "none", "only_without_reasoning"] = "full"
    temperature_max: float = 2.0
    both_temperature_and_top_p: bool = True
    """False: known to refuse the two together."""
    top_k: bool = False
    penalties: bool = True
    stop_max: int | None = None
    """Stop strings accepted; 0: none, None: no known limit."""
    logprobs: bool = True
    seed: bool = True
    n_max: int = 1
    reasoning: ReasoningCard = ReasoningCard()
    forced_tools: bool = True
    forced_tools_with_reasoning: bool = True
    parallel_tools: bool = True
    strict_tools: bool = False
    custom_tools: bool = False
    allowed_tools: bool = False
    eager_input: bool = False
    """Takes `eager_input_streaming` (Anthropic)."""
    schema: Literal["strict_openai", "anthropic", "gemini_json", "gemini_openapi", "none"] = "none"
    schema_with_tools: bool = True
    json_mode: bool = True
    mid_system: bool = False
    prefill: bool = False
    developer_role: bool = True
    vision: bool = True
    pdf: bool = True
    audio_in: bool = False
    audio_out: bool = False
    url_sources: bool = True
    """Takes media by URL; False: they must be inline."""
    result_media: bool = False
    """Takes media inside tool results."""
    cache: Literal["auto", "explicit_anthropic", "explicit_openai", "none"] = "auto"
    seal_required: bool = False
    seal_bound: bool = False
    ids: Literal["required", "optional", "none"] = "required"
    id_pattern: str = r"[a-zA-Z0-9_-]+"
    id_max: int = 64
    hosted: frozenset[str] = frozenset()
    """Families of hosted tools that it offers."""
