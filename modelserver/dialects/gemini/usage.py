"""Usage of the Gemini API, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelserver.dialects.gemini.vocab import MODALITY_NUMBERS, TIERS_USED
from modelserver.ir.usage import Usage, count

_TOTALS: Final = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "totalTokenCount")

READ: Final = frozenset(
    (
        *_TOTALS,
        "toolUsePromptTokenCount",
        "cachedContentTokenCount",
        "promptTokensDetails",
        "candidatesTokensDetails",
        "serviceTier",
        "trafficType",
    )
)
"""What of a `usageMetadata` is read here."""


def read_usage(wire: Mapping[str, Any], server_calls: Mapping[str, int] | None = None) -> Usage:
    """The usage that a `usageMetadata` says, or that the merged ones of a stream say so far.

    Thoughts stand beside the candidates and tool prompts beside the prompt: the total equals the sum of the four in
    all recorded usages, where a counter that is missing means 0. One that holds a traffic type only counts nothing
    (the cloud variant begins its streams so).
    """
    prompt, tool_prompt = count(wire.get("promptTokenCount")), count(wire.get("toolUsePromptTokenCount"))
    written, thought = count(wire.get("candidatesTokenCount")), count(wire.get("thoughtsTokenCount"))
    counted = any(key in wire for key in _TOTALS)
    prompt_details, output_details = wire.get("promptTokensDetails"), wire.get("candidatesTokensDetails")
    return Usage(
        input=None if prompt is None and tool_prompt is None else (prompt or 0) + (tool_prompt or 0),
        output=(written or 0) + (thought or 0) if counted else None,
        cache_read=count(wire.get("cachedContentTokenCount")),
        reasoning=thought,
        audio_in=_of_modality(prompt_details, "AUDIO"),
        image_in=_of_modality(prompt_details, "IMAGE"),
        audio_out=_of_modality(output_details, "AUDIO"),
        image_out=_of_modality(output_details, "IMAGE"),
        hosted_prompt=tool_prompt,
        server_calls=server_calls or None,
        tier=_tier(wire),
    )


def count_searches(candidate: Mapping[str, Any]) -> int:
    """How many queries of the hosted search a candidate names."""
    grounding = candidate.get("groundingMetadata")
    queries = grounding.get("webSearchQueries") if isinstance(grounding, dict) else None
    return len(queries) if isinstance(queries, list) else 0


def _of_modality(details: object, wanted: str) -> int | None:
    if not isinstance(details, list):
        return None
    total: int | None = None
    for entry in details:
        if not isinstance(entry, dict):
            continue
        modality = entry.get("modality")
        if modality == wanted or (type(modality) is int and MODALITY_NUMBERS.get(modality) == wanted):
            total = (total or 0) + (count(entry.get("tokenCount")) or 0)
    return total


def _tier(wire: Mapping[str, Any]) -> str | None:
    for key in ("serviceTier", "trafficType"):
        word = wire.get(key)
        if isinstance(word, str) and word:
            word = word.lower()
            return TIERS_USED.get(word, word)
    return None


def write_usage(usage: Usage) -> dict[str, Any]:
    """The `usageMetadata` for a usage; what is unknown is left out."""
    wire: dict[str, Any] = {}
    if usage.input is not None:
        wire["promptTokenCount"] = usage.input - (usage.hosted_prompt or 0)
    if usage.cache_read is not None:
        wire["cachedContentTokenCount"] = usage.cache_read
    if usage.output is not None:
        wire["candidatesTokenCount"] = usage.output - (usage.reasoning or 0)
    if usage.reasoning is not None:
        wire["thoughtsTokenCount"] = usage.reasoning
    if usage.hosted_prompt is not None:
        wire["toolUsePromptTokenCount"] = usage.hosted_prompt
    if usage.input is not None and usage.output is not None:
        wire["totalTokenCount"] = usage.input + usage.output
    return wire
