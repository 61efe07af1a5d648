"""How much the model is told to think, and how much it may write."""

from __future__ import annotations

from typing import Any, Final

import attrs

from modelserver.dialects.anthropic.vocab import EFFORT_BUDGETS
from modelserver.dialects.efforts import effort_of
from modelserver.ir.card import ModelCard
from modelserver.ir.request import EFFORTS, Effort, Loss, ReasoningSpec, Request

MIN_BUDGET: Final = 1024
DEFAULT_BUDGET: Final = 8192
MAX_EFFORT_BUDGET: Final = 64_000
DEFAULT_MAX_TOKENS: Final = 8192

_HIGHEST_WITHOUT_THINKING: Final = "high"
"""Above it newer models refuse `disabled` and `between_tools` (Vercel AI SDK, read 2026-11-23)."""


@attrs.frozen(kw_only=True, slots=True)
class Plan:
    """What the request says about thinking."""

    max_tokens: int
    thinking: dict[str, Any] | None = None
    effort: Effort | None = None

    @property
    def is_on(self) -> bool:
        """Thinking was asked for, so that the model takes no temperature."""
        return self.thinking is not None and self.thinking["type"] in ("enabled", "adaptive")

    @property
    def is_bound(self) -> bool:
        """Blocks that no longer follow what they followed are dropped instead of refused."""
        return self.thinking is not None and "block_binding" in self.thinking


@attrs.frozen(kw_only=True, slots=True)
class Situation:
    """What else in the request decides on thinking."""

    forced: bool
    """A tool must be called."""
    bare_loop: bool
    """The last assistant turn waits for its results and does not begin with its thinking."""
    sealed: bool
    """Thinking of earlier turns goes back."""


def plan_thinking(request: Request, card: ModelCard, situation: Situation, losses: list[Loss]) -> Plan:
    """Thinking as the card allows it, nearest to the client's wish (hard cases H11, H17, H19, H29)."""
    plan = Plan(max_tokens=_limit(request, card, losses))
    spec = request.reasoning or ReasoningSpec()
    kind = card.reasoning.kind
    wish = _wish(spec, native=request.dialect == "anthropic")
    if kind == "none":
        if wish in ("on", "between_tools", "effort"):
            losses.append(Loss(path="reasoning_effort", code="reasoning_dropped"))
        return plan
    if situation.forced and not card.forced_tools_with_reasoning and wish != "off":
        # A forced call is a contract, thinking is a wish.
        if wish in ("on", "between_tools"):
            losses.append(Loss(path="reasoning_effort", code="reasoning_dropped"))
        plan = _off(plan, spec, card, explicit=False)
    elif kind == "budget":
        plan = _with_budget(plan, request, spec, wish, card, situation, losses)
    else:
        plan = _adaptive(plan, spec, wish, card)
    return _decorated(plan, request, spec, card, situation)


def clip(effort: Effort, card: ModelCard) -> Effort:
    """The nearest effort that the model takes, the lower of two; what is above `high` looks upwards first."""
    efforts = card.reasoning.efforts
    if not efforts or effort in efforts:
        return effort
    rank = EFFORTS.index(effort)
    if effort == "xhigh" and "max" in efforts:
        return "max"
    lower = [each for each in efforts if EFFORTS.index(each) < rank]
    return lower[-1] if lower else efforts[0]


def _wish(spec: ReasoningSpec, *, native: bool) -> str:
    if spec.mode == "off" or spec.effort == "none" or (spec.budget == 0 and not native):
        return "off"
    if spec.mode != "default":
        return spec.mode
    if spec.effort is None and spec.budget is None:
        return "default"
    # This API's own clients may set an effort without asking for thinking; elsewhere an effort asks for it.
    return "effort" if native else "on"


def _limit(request: Request, card: ModelCard, losses: list[Loss]) -> int:
    if request.max_output is None:
        return card.default_max_output or card.max_output or DEFAULT_MAX_TOKENS
    if card.max_output is not None and request.max_output > card.max_output:
        losses.append(Loss(path="max_tokens", code="max_tokens_lowered"))
        return card.max_output
    return request.max_output


def _off(plan: Plan, spec: ReasoningSpec, card: ModelCard, *, explicit: bool) -> Plan:
    """Without thinking, or with as little as the model can; `explicit`: the client wants it said."""
    effort = spec.effort if spec.effort != "none" else None
    if card.reasoning.kind == "budget":
        says = explicit or card.reasoning.default_on
        return attrs.evolve(plan, thinking={"type": "disabled"} if says else None)
    if card.reasoning.can_disable:
        says = explicit or card.reasoning.default_on
        if says:
            return attrs.evolve(plan, thinking={"type": "disabled"}, effort=_at_most_high(effort, card))
        return attrs.evolve(plan, effort=None if effort is None else clip(effort, card))
    if card.reasoning.between_tools:
        return attrs.evolve(plan, thinking={"type": "between_tools"}, effort=_at_most_high(effort, card))
    return attrs.evolve(plan, effort=clip("low", card))


def _at_most_high(effort: Effort | None, card: ModelCard) -> Effort | None:
    if effort is None:
        return None
    clipped = clip(effort, card)
    too_high = EFFORTS.index(clipped) > EFFORTS.index(_HIGHEST_WITHOUT_THINKING)
    return clip(_HIGHEST_WITHOUT_THINKING, card) if too_high else clipped


def _adaptive(plan: Plan, spec: ReasoningSpec, wish: str, card: ModelCard) -> Plan:
    effort = spec.effort
    if effort is None and spec.budget is not None and wish != "off":
        effort = effort_of(spec.budget)
    clipped = None if effort is None else clip(effort, card)
    match wish:
        case "off":
            return _off(plan, spec, card, explicit=True)
        case "between_tools" if card.reasoning.between_tools:
            return attrs.evolve(plan, thinking={"type": "between_tools"}, effort=_at_most_high(effort, card))
        case "between_tools":
            return attrs.evolve(plan, thinking={"type": "adaptive"}, effort=clip("low", card))
        case "on":
            return attrs.evolve(plan, thinking={"type": "adaptive"}, effort=clipped)
        case "effort":
            return attrs.evolve(plan, effort=clipped)
        case _:
            return plan


def _with_budget(
    plan: Plan,
    request: Request,
    spec: ReasoningSpec,
    wish: str,
    card: ModelCard,
    situation: Situation,
    losses: list[Loss],
) -> Plan:
    if wish == "off":
        return _off(plan, spec, card, explicit=True)
    if wish == "default":
        return plan
    if wish == "effort" or situation.bare_loop:
        # An effort alone is not for these models; and a turn without its thinking they take only without thinking.
        losses.append(Loss(path="reasoning_effort", code="reasoning_dropped"))
        return _off(plan, spec, card, explicit=False)
    limit = plan.max_tokens
    budget = _budget(spec, "low" if wish == "between_tools" else spec.effort, card)
    if request.max_output is None:
        # The default has to hold the answer beside the thoughts.
        room = limit + (budget or 0)
        limit = room if card.max_output is None else min(room, card.max_output)
    most = MAX_EFFORT_BUDGET if budget is None else budget
    if card.reasoning.budget_max is not None:
        most = min(most, card.reasoning.budget_max)
    budget = min(most, limit - 1)
    if budget < max(MIN_BUDGET, card.reasoning.budget_min):
        losses.append(Loss(path="reasoning_effort", code="reasoning_dropped"))
        return _off(plan, spec, card, explicit=False)
    return attrs.evolve(plan, max_tokens=limit, thinking={"type": "enabled", "budget_tokens": budget})


def _budget(spec: ReasoningSpec, effort: Effort | None, card: ModelCard) -> int | None:
    """The tokens wished for; None: what there is room for."""
    if spec.budget is not None and spec.budget > 0:
        return spec.budget
    if effort is None:
        return DEFAULT_BUDGET
    return EFFORT_BUDGETS.get(effort)


def _decorated(plan: Plan, request: Request, spec: ReasoningSpec, card: ModelCard, situation: Situation) -> Plan:
    """The plan with what else the thinking object says."""
    thinking = plan.thinking
    if request.dialect == "anthropic":
        if thinking is None or thinking["type"] not in ("enabled", "adaptive"):
            return plan
        own = {key: value for key, value in spec.raw.items() if key not in ("type", "budget_tokens")}
        return attrs.evolve(plan, thinking={**thinking, **own})
    if thinking is None and card.seal_bound and situation.sealed and card.reasoning.default_on:
        thinking = {"type": "adaptive"}  # it thinks anyway; the object is needed to say how blocks are bound
    if thinking is None:
        return plan
    if thinking["type"] == "adaptive":
        show = spec.show or ("summarized" if request.dialect == "chat" else None)
        if show is not None:
            thinking = {**thinking, "display": "omitted" if show == "omitted" else "summarized"}
        if card.seal_bound:
            thinking = {**thinking, "block_binding": {"prefix_mismatch_behavior": "drop_block"}}
    return attrs.evolve(plan, thinking=thinking)
