"""How much an upstream is told to think, and whether the rest of the request goes with it."""

from __future__ import annotations

from typing import Any, Final

from modelserver.dialects.efforts import clipped, wanted_effort
from modelserver.ir.profile import Profile
from modelserver.ir.request import Loss, ReasoningSpec, Request

_SHOWN: Final = {"auto": "auto", "concise": "concise", "detailed": "detailed", "summarized": "auto"}


def encode_reasoning(request: Request, profile: Profile, losses: list[Loss]) -> dict[str, Any]:
    """The `reasoning` object; empty where there is nothing to say."""
    spec = request.reasoning
    card = profile.card.reasoning
    wanted = wanted_effort(spec)
    if card.kind == "none":
        if wanted not in (None, "none"):
            losses.append(Loss(path="reasoning_effort", code="reasoning_dropped"))
        return {}
    reasoning: dict[str, Any] = {}
    effort = None if wanted is None else clipped(wanted, card.efforts)
    names = profile.quirks.get("effort_map")
    word = effort if effort is None or not isinstance(names, dict) else names.get(effort)
    if word is not None:
        reasoning["effort"] = word
    elif effort is not None:
        losses.append(Loss(path="reasoning_effort", code="reasoning_dropped"))
    summary = _summary(request, profile, spec)
    if summary is not None and effort != "none":
        reasoning["summary"] = summary
    return reasoning


def _summary(request: Request, profile: Profile, spec: ReasoningSpec | None) -> str | None:
    """A wish for summaries; only of clients that said something about reasoning.

    OpenAI is said to refuse the wish to organisations that it has not verified (not confirmed), so it is not made for
    clients that may not care.
    """
    if spec is None or spec.show == "omitted" or spec.mode == "off":
        return None
    if spec.show is not None:
        return _SHOWN[spec.show]
    if request.dialect == "chat":
        return "auto" if profile.quirks.get("reasoning", "both") != "none" else None
    return "auto" if spec.mode in ("on", "between_tools") else None
