"""Token counts of the Chat dialect, read and written.

Servers disagree on what includes what, and the totals decide. Reasoning stands beside the completion at xAI (total =
prompt + completion + reasoning) and behind the Vercel gateway (reasoning > completion); audio stands beside the prompt
at Mistral; Grok on Azure reports more cached tokens than prompt. Seen in recorded answers, 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelserver.ir.usage import MAX_TOKENS, Usage, clamped

_TOTALS: Final[Mapping[str, str]] = {"prompt_tokens": "input", "completion_tokens": "output", "total_tokens": "total"}
_DETAILS: Final[Mapping[str, Mapping[str, str]]] = {
    "prompt_tokens_details": {
        "cached_tokens": "cache_read",
        "cache_write_tokens": "cache_write",
        "audio_tokens": "audio_in",
        "image_tokens": "image_in",
    },
    "completion_tokens_details": {
        "reasoning_tokens": "reasoning",
        "audio_tokens": "audio_out",
        "image_tokens": "image_out",
        "rejected_prediction_tokens": "prediction_rejected",
    },
}
# Moonshot and Together, DeepSeek, Databricks, Mistral.
_CACHE_READ: Final = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens", "num_cached_tokens")
_CACHE_WRITE: Final = ("cache_creation_input_tokens",)
_WHOLES: Final = frozenset(("input", "output", "total"))


class UsageReports:
    """The reports of one answer, merged: count by count the last one that is present wins."""

    __slots__ = ("_counts", "_reasoning_tokens", "_tier")

    def __init__(self, reasoning_tokens: object = None) -> None:
        self._counts: dict[str, int] = {}
        self._tier: str | None = None
        self._reasoning_tokens = reasoning_tokens

    def read(self, chunk: Mapping[str, Any]) -> bool:
        """Take the report of an answer or chunk; whether it had one."""
        tier = chunk.get("service_tier")
        if type(tier) is str and tier:
            self._tier = tier
        usage = chunk.get("usage")
        if usage is None and type(groq := chunk.get("x_groq")) is dict:
            usage = groq.get("usage")
        if type(usage) is not dict:
            return False
        found = _counts(usage)
        self._counts.update(found)
        return bool(found)

    def usage(self) -> Usage | None:
        """What was reported, with inclusive totals; None where neither total is known."""
        counts = self._counts
        if "input" not in counts and "output" not in counts:
            return None
        prompt, completion = _reconciled(counts, self._reasoning_tokens)
        parts: dict[str, Any] = {name: count for name, count in counts.items() if name not in _WHOLES}
        usage = Usage(input=prompt, output=completion, tier=self._tier, **parts)
        return clamped(usage) if parts else usage


def read_usage(answer: Mapping[str, Any]) -> Usage | None:
    """The usage of a whole answer; None when it has none that can be trusted."""
    reports = UsageReports()
    reports.read(answer)
    return reports.usage()


def _counts(usage: Mapping[str, Any]) -> dict[str, int]:
    """The counts of one report, by neutral names and `total`; what is no count is left out."""
    counts: dict[str, int] = {}
    for key, value in usage.items():
        if type(value) is dict:
            names = _DETAILS.get(key)
            if names is not None:
                for inner, detail in value.items():
                    if inner in names and type(detail) is int and 0 <= detail <= MAX_TOKENS:
                        counts[names[inner]] = detail
        elif key in _TOTALS and type(value) is int and 0 <= value <= MAX_TOKENS:
            counts[_TOTALS[key]] = value
    for name, keys in (("cache_read", _CACHE_READ), ("cache_write", _CACHE_WRITE)):
        if name not in counts:
            for key in keys:
                value = usage.get(key)
                if type(value) is int and 0 <= value <= MAX_TOKENS:
                    counts[name] = value
                    break
    return counts


def _reconciled(counts: Mapping[str, int], reasoning_tokens: object) -> tuple[int | None, int | None]:
    """All of the prompt and all of the completion."""
    prompt, completion, total = counts.get("input"), counts.get("output"), counts.get("total")
    reasoning, audio_in = counts.get("reasoning", 0), counts.get("audio_in", 0)
    if reasoning_tokens == "inside" or completion is None:
        return prompt, completion
    if reasoning_tokens == "outside":
        return prompt, completion + reasoning
    if reasoning > completion:
        return prompt, completion + reasoning
    if prompt is not None and total is not None and total != prompt + completion:
        if reasoning and total == prompt + completion + reasoning:
            return prompt, completion + reasoning
        if audio_in > prompt and total == prompt + audio_in + completion:
            return prompt + audio_in, completion
    return prompt, completion


def encode_usage(usage: Usage) -> dict[str, Any] | None:
    """The counts as a client gets them; what is not known is left out, None where no total is."""
    if usage.input is None and usage.output is None:
        return None
    # The dialect's own type has both totals; a count that the upstream did not give is none that a client could use.
    prompt, completion = usage.input or 0, usage.output or 0
    encoded: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    for outer, names in _DETAILS.items():
        details = {inner: count for inner, name in names.items() if (count := getattr(usage, name)) is not None}
        if details:
            encoded[outer] = details
    return encoded
