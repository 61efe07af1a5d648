"""The `generationConfig` for an upstream: limits, sampling, format, thinking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelserver.dialects.efforts import effort_of
from modelserver.dialects.gemini.schema import json_schema, openapi_schema
from modelserver.errors import Unsupported
from modelserver.ir.card import ModelCard, ReasoningCard
from modelserver.ir.profile import Profile
from modelserver.ir.request import EFFORTS, Effort, Loss, ReasoningSpec, Request, ResponseFormat
from modelserver.wire.json_text import dumps_exact

_LEVELS: Final[Mapping[Effort, tuple[Effort, ...]]] = {
    "none": ("minimal", "low"),
    "minimal": ("minimal", "low"),
    "low": ("low", "minimal", "medium"),
    "medium": ("medium", "high"),
    "high": ("high", "xhigh", "medium"),
    "xhigh": ("xhigh", "high"),
    "max": ("xhigh", "high"),
}
"""Levels for a wish, the nearest first."""
_BUDGETS: Final[Mapping[Effort, int]] = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24_576}
"""Efforts above these get the card's whole budget."""
_ANY_JSON: Final = "Answer with a single JSON object and nothing else."


def encode_config(request: Request, profile: Profile, has_functions: bool, losses: list[Loss]) -> dict[str, Any]:
    """The `generationConfig` of a request.

    Raises:
        Unsupported: Something is asked for that the model can't do and that must not be left out.
    """
    config: dict[str, Any] = {}
    _sample(config, request, profile.card, losses)
    _limit(config, request, profile.card, losses)
    if request.format is not None and not is_emulated(request.format, profile, has_functions):
        _shape(config, request.format, profile)
    _speak(config, request, profile.card)
    if request.reasoning is not None:
        thinking = encode_thinking(request.reasoning, profile.card.reasoning, losses)
        if thinking:
            config["thinkingConfig"] = thinking
    if request.verbosity is not None:
        losses.append(Loss(path="verbosity", code="verbosity_dropped"))
    return config


def _sample(config: dict[str, Any], request: Request, card: ModelCard, losses: list[Loss]) -> None:
    wish = request.sampling
    has_temperature = card.sampling == "full" or (
        card.sampling == "only_without_reasoning" and _is_off(request.reasoning)
    )
    if wish.temperature is not None:
        if has_temperature:
            config["temperature"] = min(wish.temperature, card.temperature_max)
        elif wish.temperature != 1:
            losses.append(Loss(path="temperature", code="temperature_dropped"))
    if wish.top_p is not None:
        if has_temperature or card.sampling == "no_temperature":
            config["topP"] = wish.top_p
        else:
            losses.append(Loss(path="top_p", code="top_p_dropped"))
    if wish.top_k is not None:
        if card.top_k:
            config["topK"] = wish.top_k
        else:
            losses.append(Loss(path="top_k", code="top_k_dropped"))
    for path, name, value in (
        ("presence_penalty", "presencePenalty", wish.presence),
        ("frequency_penalty", "frequencyPenalty", wish.frequency),
    ):
        if value is not None and card.penalties:
            config[name] = value
        elif value:
            losses.append(Loss(path=path, code="penalties_dropped"))
    if wish.seed is not None:
        if card.seed:
            config["seed"] = wish.seed
        else:
            losses.append(Loss(path="seed", code="seed_dropped"))
    if wish.logprobs:
        if card.logprobs:
            config["responseLogprobs"] = True
            if wish.top_logprobs:
                config["logprobs"] = wish.top_logprobs
        else:
            losses.append(Loss(path="logprobs", code="logprobs_dropped"))


def _is_off(spec: ReasoningSpec | None) -> bool:
    return spec is not None and (spec.mode == "off" or spec.effort == "none")


def _limit(config: dict[str, Any], request: Request, card: ModelCard, losses: list[Loss]) -> None:
    stop = request.sampling.stop
    if stop:
        if card.stop_max is not None and len(stop) > card.stop_max:
            raise Unsupported(
                f"stop: at most {card.stop_max} stop strings are accepted by this model.",
                param="stop",
                code="unsupported_value",
            )
        config["stopSequences"] = list(stop)
    if request.n > 1:
        if request.n > card.n_max:
            raise Unsupported(
                "n must be 1 for this model." if card.n_max == 1 else f"n must be at most {card.n_max} for this model.",
                param="n",
                code="unsupported_value",
            )
        config["candidateCount"] = request.n
    if request.max_output is not None:
        if card.max_output is not None and request.max_output > card.max_output:
            losses.append(Loss(path="max_tokens", code="max_tokens_lowered"))
            config["maxOutputTokens"] = card.max_output
        else:
            config["maxOutputTokens"] = request.max_output


def _shape(config: dict[str, Any], wish: ResponseFormat, profile: Profile) -> None:
    if wish.kind == "text":
        return
    config["responseMimeType"] = "application/json"
    if wish.kind != "schema" or wish.schema is None:
        return
    if profile.card.schema == "gemini_openapi" and (old := openapi_schema(wish.schema)) is not None:
        config["responseSchema"] = old
    else:
        config["responseJsonSchema"] = json_schema(wish.schema)


def is_emulated(wish: ResponseFormat, profile: Profile, has_functions: bool) -> bool:
    """Whether the form of the answer can only be asked for in words; with functions, Gemini 2 refuses it elsewhere."""
    card = profile.card
    if wish.kind == "text":
        return False
    able = card.json_mode if wish.kind == "json" else card.schema != "none"
    return not able or (has_functions and not card.schema_with_tools)


def emulation(wish: ResponseFormat) -> str:
    """The words that ask for the form."""
    if wish.kind != "schema" or wish.schema is None:
        return _ANY_JSON
    return f"Answer with a single JSON value that matches this JSON Schema and nothing else:\n{_text(wish.schema)}"


def _text(schema: Mapping[str, Any]) -> str:
    return dumps_exact(schema).decode()


def _speak(config: dict[str, Any], request: Request, card: ModelCard) -> None:
    wanted = request.modalities - {"text"}
    if not wanted:
        return
    if request.dialect != "gemini":
        audio = request.audio_out
        if wanted != {"audio"} or not card.audio_out:
            raise Unsupported(
                "modalities: this model answers in text only.", param="modalities", code="unsupported_value"
            )
        if audio is not None and audio.format not in (None, "pcm16"):
            raise Unsupported(
                "audio.format must be pcm16 for this model.", param="audio.format", code="unsupported_value"
            )
        config["responseModalities"] = ["AUDIO"]
        if audio is not None and audio.voice:
            config["speechConfig"] = {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": audio.voice}}}
        return
    config["responseModalities"] = sorted(modality.upper() for modality in request.modalities)


def encode_thinking(spec: ReasoningSpec, card: ReasoningCard, losses: list[Loss]) -> dict[str, Any]:
    """The `thinkingConfig`: a level or a budget, never both, by the card."""
    effort = "none" if spec.mode == "off" else "low" if spec.mode == "between_tools" else spec.effort
    if card.kind == "none":
        if effort not in (None, "none") or spec.budget or spec.mode == "on":
            losses.append(Loss(path="reasoning_effort", code="reasoning_dropped"))
        return {}
    thinking: dict[str, Any] = {}
    if card.kind == "budget":
        budget = _budget(effort, spec.budget, card)
        if budget is not None:
            thinking["thinkingBudget"] = budget
        silent = budget == 0
    else:
        effort = effort or (None if spec.budget is None else effort_of(spec.budget))
        level = _level(effort, card)
        if level is not None:
            thinking["thinkingLevel"] = level.upper()
        silent = effort == "none"
    if not silent and spec.show != "omitted":
        thinking["includeThoughts"] = True
    return thinking


def _budget(effort: Effort | None, budget: int | None, card: ReasoningCard) -> int | None:
    if budget is None or effort == "none":
        if effort is None:
            return None
        budget = _BUDGETS.get(effort, card.budget_max or _BUDGETS["high"])
    if budget == -1:
        return -1  # the model decides
    if budget == 0 and card.can_disable:
        return 0
    budget = max(budget, card.budget_min)
    return budget if card.budget_max is None else min(budget, card.budget_max)


def _level(effort: Effort | None, card: ReasoningCard) -> Effort | None:
    if effort is None:
        return None
    for level in _LEVELS[effort]:
        if level in card.efforts:
            return level
    wanted = EFFORTS.index(effort)
    listed = [level for level in card.efforts if level not in ("none", "max")]
    return min(listed, key=lambda level: (abs(EFFORTS.index(level) - wanted), EFFORTS.index(level)), default=None)
