"""A model as lists show it, whatever their shape."""

from __future__ import annotations

from datetime import date

import attrs

from modelserver.ir.card import ReasoningCard


@attrs.frozen(kw_only=True, slots=True)
class Listed:
    """One entry; None means that the catalogue does not say."""

    id: str
    root: str
    """The id of which it is another name; its own where it is none."""
    owned_by: str
    created: date | None = None
    description: str | None = None
    max_input: int | None = None
    """Tokens."""
    max_output: int | None = None
    """Tokens."""
    thinking: bool = False
    reasoning: ReasoningCard = attrs.field(factory=ReasoningCard)
    """How it is told to think, where it does."""
    images: bool = False
    """Takes images as input."""
    documents: bool = False
    """Takes PDF documents as input."""
    schemas: bool = False
    """Answers in a JSON schema that is given."""
