"""Tokens of a call, counted without counting anything twice."""

from __future__ import annotations

from collections.abc import Container, Mapping
from operator import attrgetter
from typing import Any, Final

import attrs

MAX_TOKENS: Final = 2**40
"""A provider's count above this is no count (`usage` is not to be trusted)."""
_MAX_ENTRIES: Final = 1000


@attrs.frozen(kw_only=True, slots=True)
class Usage:
    """Tokens of one call: inclusive totals and named subsets. None means that the provider did not say.

    `cache_read`, `cache_write`, `audio_in`, `image_in`, `hosted_prompt` are parts of `input`; `reasoning`,
    `audio_out`, `image_out`, `prediction_rejected` are parts of `output`.
    """

    input: int | None = None
    """All prompt tokens, cached or not, media and hosted-tool results included."""
    output: int | None = None
    """All generated tokens, reasoning included."""
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_by_ttl: Mapping[str, int] | None = None
    """Splits `cache_write` by life time (`5m`, `30m`, `1h`, `12h`) where the provider does."""
    reasoning: int | None = None
    audio_in: int | None = None
    image_in: int | None = None
    audio_out: int | None = None
    image_out: int | None = None
    hosted_prompt: int | None = None
    """Results of hosted tools fed back to the model."""
    prediction_rejected: int | None = None
    server_calls: Mapping[str, int] | None = None
    """Hosted calls billed one by one (`web_search`)."""
    by_model: tuple[tuple[str, Usage], ...] = ()
    """Inferences within the call that are billed at another model's price."""
    tier: str | None = None
    """The service tier really used."""


def count(value: object) -> int | None:
    """A provider's token count, or None where it is none: not an integer, negative, absurd."""
    return value if type(value) is int and 0 <= value <= MAX_TOKENS else None


def merge_report(merged: dict[str, Any], report: object, read: Container[str]) -> bool:
    """Take a report over into those of the same stream before it, and tell whether it said anything.

    Counters of a later report are cumulative; what it leaves out or says as null keeps its value. What is not `read`
    later, or is too long to be a count, is not kept: a stream may have a million reports.
    """
    if not isinstance(report, dict):
        return False
    said = {key: value for key, value in report.items() if key in read and value is not None and not _is_long(value)}
    merged.update(said)
    return bool(said)


def _is_long(value: object) -> bool:
    return isinstance(value, list | dict | str) and len(value) > _MAX_ENTRIES


def clamped(usage: Usage) -> Usage:
    """The usage with every part at most as large as its whole; providers do report otherwise."""
    changes: dict[str, Any] = {}
    for names, whole in ((_INPUT_PARTS, usage.input), (_OUTPUT_PARTS, usage.output)):
        if whole is None:
            continue
        for name in names:
            part = getattr(usage, name)
            if part is not None and part > whole:
                changes[name] = whole
    clamped_usage = attrs.evolve(usage, **changes) if changes else usage
    read, write = clamped_usage.cache_read, clamped_usage.cache_write
    if read is not None and write is not None and usage.input is not None and read + write > usage.input:
        clamped_usage = attrs.evolve(clamped_usage, cache_write=usage.input - read)
    return clamped_usage


def merge_usage(earlier: Usage | None, later: Usage) -> Usage:
    """Two reports of one stream: field by field the last value that is present wins."""
    if earlier is None:
        return later
    said = _VALUES(later)
    merged = tuple([was if now is None or now == () else now for was, now in zip(_VALUES(earlier), said, strict=True)])
    # Some providers report with every event, and each report has all that the one before it had.
    return later if merged == said else Usage(**dict(zip(_FIELDS, merged, strict=True)))


def add_usage(first: Usage | None, second: Usage | None) -> Usage | None:
    """The usage of two requests that make up one answer; unknown and known give the known."""
    if first is None or second is None:
        return first if second is None else second
    total: dict[str, Any] = {}
    for name in _COUNTS:
        ours, theirs = getattr(first, name), getattr(second, name)
        if ours is not None or theirs is not None:
            total[name] = (ours or 0) + (theirs or 0)
    for name in ("server_calls", "cache_write_by_ttl"):
        ours, theirs = getattr(first, name) or {}, getattr(second, name) or {}
        if ours or theirs:
            total[name] = {key: ours.get(key, 0) + theirs.get(key, 0) for key in {**ours, **theirs}}
    return Usage(**total, by_model=first.by_model + second.by_model, tier=second.tier or first.tier)


_INPUT_PARTS: Final = ("cache_read", "cache_write", "audio_in", "image_in", "hosted_prompt")
_OUTPUT_PARTS: Final = ("reasoning", "audio_out", "image_out", "prediction_rejected")
_FIELDS: Final = tuple(field.name for field in attrs.fields(Usage))
_VALUES: Final = attrgetter(*_FIELDS)
_COUNTS: Final = ("input", "output", *_INPUT_PARTS, *_OUTPUT_PARTS)
