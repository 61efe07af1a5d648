"""How much thinking a wish amounts to, for dialects that count in words where the client counted in tokens."""

from __future__ import annotations

from typing import Final

from modelserver.ir.request import EFFORTS, Effort, ReasoningSpec

_STEPS: Final[tuple[tuple[int, Effort], ...]] = (
    (0, "none"),
    (1024, "minimal"),
    (4096, "low"),
    (12_288, "medium"),
    (24_576, "high"),
    (48_000, "xhigh"),
)
"""The effort of a budget: the first step that is not below it, else `max`."""


def effort_of(budget: int) -> Effort | None:
    """The effort that a number of tokens stands for; None where the model decides."""
    if budget < 0:
        return None
    return next((effort for most, effort in _STEPS if budget <= most), "max")


def wanted_effort(spec: ReasoningSpec | None) -> Effort | None:
    """The effort that a wish amounts to; None where it names no degree."""
    if spec is None:
        return None
    if spec.mode == "off":
        return "none"
    if spec.effort is not None:
        return spec.effort
    if spec.budget is not None and spec.budget >= 0:
        return effort_of(spec.budget)
    return "low" if spec.mode == "between_tools" else None


def clipped(wanted: Effort, efforts: tuple[Effort, ...]) -> Effort | None:
    """The nearest effort on the card, downwards first; thinking is never turned off by clipping."""
    if wanted in efforts or not efforts:
        return wanted if efforts else None
    if wanted == "none":
        return efforts[0]
    place = EFFORTS.index(wanted)
    thinking = [effort for effort in efforts if effort != "none"]
    below = [effort for effort in thinking if EFFORTS.index(effort) < place]
    return below[-1] if below else thinking[0] if thinking else None
