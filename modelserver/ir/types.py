"""Neutral values that every dialect shares."""

from __future__ import annotations

from typing import Any, Final

import attrs

MAX_TOKENS: Final = 2**40
"""A provider's count above this is no count (`usage` is not to be trusted)."""


@attrs.frozen(kw_only=True, slots=True)
class Usage:
    """Tokens of one call: inclusive totals and named subsets. None means that the provider did not say.

    `cache_read` and `cache_write` are parts of `input`, `reasoning` is a part of `output`.
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    audio_in: int | None = None
    audio_out: int | None = None


@attrs.frozen(kw_only=True, slots=True)
class Ask:
    """What the gateway must know of a request in order to route it."""

    model: str
    stream: bool
    wants_usage: bool
    """A streaming client asked for the usage chunk."""
    wire: bytes
    """The body as the client sent it."""
    parsed: dict[str, Any]


@attrs.frozen(kw_only=True, slots=True)
class Complaint:
    """An error as an upstream worded it; every field may be missing. Not to be shown unredacted."""

    status: int
    """The HTTP status; where an error came inside a 200, the one that it names, else 502."""
    message: str | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None
    in_json: bool = False
    """The upstream answered in JSON, so that it is the provider that speaks and not a proxy before it."""
