"""Usage of the Messages API, both ways: its input counts stand beside each other, the neutral ones include."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelserver.dialects.reading import Json
from modelserver.ir.usage import Usage, clamped, count

_EXECUTOR: Final = ("message", "compaction")
_SPLITS: Final = (("5m", "ephemeral_5m_input_tokens"), ("1h", "ephemeral_1h_input_tokens"))
_OWN_TIERS: Final = frozenset(("standard", "priority", "batch"))
_CALLS: Final = "_requests"
READ: Final = frozenset(
    (
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
        "cache_creation",
        "output_tokens_details",
        "server_tool_use",
        "iterations",
        "service_tier",
        "speed",
    )
)
"""What of a `usage` is read here."""


def decode_usage(wire: Json) -> Usage:
    """The usage that an answer, or the merged reports of a stream, says.

    `input_tokens` leaves out what was read from and written to the cache. The top level leaves out compactions, which
    `iterations` lists; an advisor's inferences there are billed at its own model's price (SDK `BetaUsage`).
    """
    entries = [entry for entry in _list(wire.get("iterations")) if isinstance(entry, dict)]
    counts = wire
    if entries and not any(entry.get("type") == "fallback_message" for entry in entries):
        executor = [entry for entry in entries if entry.get("type") in _EXECUTOR]
        if executor:
            counts = {**wire, **_sum(executor)}
    return clamped(
        Usage(
            **_counts(counts),
            reasoning=count(_object(wire.get("output_tokens_details")).get("thinking_tokens")),
            server_calls=_server_calls(wire),
            by_model=tuple(
                (str(entry["model"]), clamped(Usage(**_counts(entry))))
                for entry in entries
                if entry.get("type") == "advisor_message" and isinstance(entry.get("model"), str)
            ),
            tier=_tier(wire),
        )
    )


def encode_usage(usage: Usage | None) -> dict[str, Any]:
    """The counters that are known; an unknown one is left out, since clients overwrite what they have by it."""
    if usage is None:
        return {}
    wire: dict[str, Any] = {}
    if usage.input is not None:
        wire["input_tokens"] = max(usage.input - (usage.cache_read or 0) - (usage.cache_write or 0), 0)
    if usage.cache_write is not None:
        wire["cache_creation_input_tokens"] = usage.cache_write
    if usage.cache_read is not None:
        wire["cache_read_input_tokens"] = usage.cache_read
    if usage.cache_write_by_ttl is not None and usage.cache_write_by_ttl.keys() <= {"5m", "1h"}:
        wire["cache_creation"] = {key: usage.cache_write_by_ttl.get(ttl, 0) for ttl, key in _SPLITS}
    if usage.output is not None:
        wire["output_tokens"] = usage.output
    if usage.reasoning is not None:
        wire["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.server_calls:
        calls = {"web_search": 0, "web_fetch": 0, **usage.server_calls}
        wire["server_tool_use"] = {f"{name}{_CALLS}": calls[name] for name in ("web_search", "web_fetch")}
    if usage.tier in _OWN_TIERS:
        wire["service_tier"] = usage.tier
    return wire


def _counts(wire: Json) -> dict[str, Any]:
    plain, output = count(wire.get("input_tokens")), count(wire.get("output_tokens"))
    read, written = count(wire.get("cache_read_input_tokens")), count(wire.get("cache_creation_input_tokens"))
    by_ttl = None
    split = _object(wire.get("cache_creation"))
    if split and written is not None:
        by_ttl = {ttl: tokens for ttl, key in _SPLITS if (tokens := count(split.get(key)))}
        if not by_ttl or sum(by_ttl.values()) != written:  # of an earlier report than the total
            by_ttl = None
    return {
        "input": None if plain is None else plain + (read or 0) + (written or 0),
        "output": output,
        "cache_read": read,
        "cache_write": written,
        "cache_write_by_ttl": by_ttl,
    }


def _sum(entries: list[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    split: dict[str, int] = {}
    for entry in entries:
        for key in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"):
            tokens = count(entry.get(key))
            if tokens is not None:
                total[key] = total.get(key, 0) + tokens
        for key, tokens in _object(entry.get("cache_creation")).items():
            split[key] = split.get(key, 0) + (count(tokens) or 0)
    if split:
        total["cache_creation"] = split
    return total


def _server_calls(wire: Json) -> Mapping[str, int] | None:
    calls = {
        key.removesuffix(_CALLS): number
        for key, value in _object(wire.get("server_tool_use")).items()
        if key.endswith(_CALLS) and (number := count(value))
    }
    return calls or None


def _tier(wire: Json) -> str | None:
    if wire.get("speed") == "fast":
        return "fast"
    tier = wire.get("service_tier")
    return tier if isinstance(tier, str) else None


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
