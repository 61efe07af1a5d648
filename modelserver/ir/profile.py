"""What an encoder is told about the target of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import attrs

from modelserver.ir.card import ModelCard
from modelserver.ir.parts import Origin, Seal


class Sealer(Protocol):
    """Puts foreign payloads into envelopes that clients carry, and takes them out again; keys are its own affair."""

    def wrap(self, seal: Seal, visible_text: str) -> str:
        """The envelope for a seal with a known origin: standard base64 that begins with `msE1`."""
        ...

    def open(self, text: str, visible_text: str | None) -> Seal | None:
        """The seal in an envelope; None when it is none, was forged, or the visible text was edited.

        `visible_text` None leaves the text unchecked.
        """
        ...

    def is_envelope(self, text: str) -> bool:
        """Whether the text claims to be one of ours."""
        ...


@attrs.frozen(kw_only=True, slots=True)
class Profile:
    """The target, and what is needed to speak to it."""

    model: str
    """The name sent upstream."""
    origin: Origin
    """Whose seals the target can read: (dialect, provider, account, model)."""
    card: ModelCard
    quirks: Mapping[str, Any] = attrs.field(factory=dict)
    """Deviations of the provider, by the names of the quirks table; what is absent has its default."""
    sealer: Sealer
    pseudonym: Callable[[str], str]
    """`u_` + 32 hexadecimal digits for a user's id: the same user is the same pseudonym, and nobody can go back."""
    refuse_losses: bool = False
    """`unsupported = "refuse"`: each loss is a 400 instead."""


def same_family(ours: str, theirs: str) -> bool:
    """Whether two models read each other's seals: the same name, or one a dated snapshot of the other."""
    return ours == theirs or ours.startswith(f"{theirs}-2") or theirs.startswith(f"{ours}-2")


def can_read(profile: Profile, seal: Seal) -> bool:
    """Whether the target made the seal; one of unknown origin is believed to be native where dialects agree.

    An origin without a provider is that of a native payload which a client of another dialect brought along: only the
    dialect of its maker is known.
    """
    origin = seal.origin
    if origin is None:
        return True
    ours = profile.origin
    if not origin.provider:
        return origin.dialect == ours.dialect
    return (origin.dialect, origin.provider, origin.account) == (ours.dialect, ours.provider, ours.account) and (
        same_family(origin.model, ours.model)
    )
