"""How much an upstream is told to think, in whichever of the dialect's ways it understands."""

from __future__ import annotations

from typing import Any

from modelserver.dialects.efforts import clipped, wanted_effort
from modelserver.ir.profile import Profile
from modelserver.ir.request import Effort, Loss, ReasoningSpec, Request


def encode_reasoning(request: Request, profile: Profile, losses: list[Loss]) -> dict[str, Any]:
    """The fields that ask for reasoning; empty where there is nothing to say."""
    spec = request.reasoning
    if spec is None:
        return {}
    quirks = profile.quirks
    if request.dialect == "chat" and "reasoning_ask" not in quirks and "effort_map" not in quirks:
        return dict(spec.raw)
    wanted = wanted_effort(spec)
    ways = str(quirks.get("reasoning_ask", "reasoning_effort")).split("+")
    # Which efforts a model takes is on its card; a card without a word is believed only where nobody said otherwise.
    if ways == ["none"] or (profile.card.reasoning.kind == "none" and "reasoning_ask" not in quirks):
        if wanted not in (None, "none") or spec.mode == "on":
            losses.append(Loss(path="reasoning", code="reasoning_dropped"))
        return {}
    fields: dict[str, Any] = {}
    for way in ways:
        fields |= _asked(way, spec, wanted, profile, losses)
    return fields


def _asked(
    way: str, spec: ReasoningSpec, wanted: Effort | None, profile: Profile, losses: list[Loss]
) -> dict[str, Any]:
    on = wanted != "none"
    stated = wanted is not None or spec.mode == "on"
    match way:
        case "reasoning_effort":
            word = _word(wanted, profile, losses)
            return {} if word is None else {"reasoning_effort": word}
        case "reasoning_object":
            return _object(spec, wanted, profile, losses)
        case "thinking_type":
            return {"thinking": {"type": "enabled" if on else "disabled"}} if stated else {}
        case "enable_thinking":
            return {"chat_template_kwargs": {"enable_thinking": on}} if stated else {}
        case _:
            return {}


def _object(spec: ReasoningSpec, wanted: Effort | None, profile: Profile, losses: list[Loss]) -> dict[str, Any]:
    """OpenRouter's form, which takes a budget as it is."""
    if wanted == "none":
        return {"reasoning": {"enabled": False}}
    asked: dict[str, Any] = {}
    if spec.effort is None and spec.budget is not None and spec.budget > 0:
        asked["max_tokens"] = spec.budget
    elif (word := _word(wanted, profile, losses)) is not None:
        asked["effort"] = word
    elif spec.mode == "on":
        asked["enabled"] = True
    if spec.show == "omitted":
        asked["exclude"] = True
    return {"reasoning": asked} if asked else {}


def _word(wanted: Effort | None, profile: Profile, losses: list[Loss]) -> str | None:
    """The upstream's word for an effort; None for no word."""
    if wanted is None:
        return None
    words = profile.quirks.get("effort_map")
    effort = wanted if profile.card.reasoning.kind == "none" else clipped(wanted, profile.card.reasoning.efforts)
    if not isinstance(words, dict) or not words:
        return effort
    # The table is by the wish itself where it knows it: `xhigh` may have a word although no card lists it.
    word = words.get(wanted, words.get(effort) if effort is not None else None)
    if word is None and wanted != "none":
        losses.append(Loss(path="reasoning.effort", code="reasoning_dropped"))
    return str(word) if word is not None else None
