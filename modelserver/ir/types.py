"""Neutral values that every dialect shares."""

from __future__ import annotations

from typing import Any, Final

import attrs


@attrs.frozen(kw_only=True, slots=True)
class Address:
    """What a request says in its path, where the dialect says it there."""

    model: str | None = None
    stream: bool = False


NOWHERE: Final = Address()
"""The address of dialects that say everything in the body."""


@attrs.frozen(kw_only=True, slots=True)
class Reference:
    """Something that a provider keeps, named by a request."""

    param: str
    """Path of the field."""
    id: str


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
    references: tuple[Reference, ...] = ()
    """May only be used by the key that they were made for."""


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
    retry_after_s: float | None = None
    """The pause that the body asks for; None: it names none (a header may)."""
