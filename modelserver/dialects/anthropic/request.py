"""Requests to the Messages API, written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from modelserver.dialects.anthropic.caching import MAX_MARKS, Marks
from modelserver.dialects.anthropic.content import Writer
from modelserver.dialects.anthropic.history import has_sealed, is_bare_loop, readable
from modelserver.dialects.anthropic.sampling import encode_sampling
from modelserver.dialects.anthropic.schema import Inexpressible, output_schema
from modelserver.dialects.anthropic.thinking import Plan, Situation, plan_thinking
from modelserver.dialects.anthropic.tools import (
    JSON_TOOL,
    ToolUse,
    encode_choice,
    encode_tools,
    reserved_names,
    settle_tools,
)
from modelserver.dialects.anthropic.vocab import BETA_BINDING, BETA_FAST, PATH, VERSION
from modelserver.dialects.codec import Encoded, Reading
from modelserver.dialects.names import NameMap, build_names
from modelserver.dialects.quirks import apply_quirks
from modelserver.dialects.shaping import shape_for_turns
from modelserver.errors import Unsupported
from modelserver.ir.parts import Message, Opaque, Text, ToolCall
from modelserver.ir.profile import Profile
from modelserver.ir.request import FunctionTool, Loss, Request
from modelserver.wire.json_text import dumps_exact

ATTRIBUTION_KEY: Final = "x-anthropic-billing-header"
"""Extra of a request: the attribution line of its instructions, which only this API gets."""

_NAME: Final = r"[a-zA-Z0-9_-]"
_MAX_NAME: Final = 128
_ANSWER_JSON: Final = "Answer with a single JSON object and nothing else."
_GO_ON: Final = "Continue."
_TIERS: Final[Mapping[str, str | None]] = {
    "auto": None,
    "default": "standard_only",
    "standard": "standard_only",
    "standard_only": "standard_only",
}
NEEDED: Final = frozenset(("model", "messages", "max_tokens", "stream"))


def encode_request(request: Request, profile: Profile) -> Encoded:
    """The request as this API takes it.

    Raises:
        Unsupported: It asks for something that can't be had from the target, or, under `refuse_losses`, only in part.
        InvalidRequest: Two tools have one name.
    """
    losses: list[Loss] = []
    _check(request, losses)
    request = _shaped(request, profile, losses)
    names, use, form = _tools(request, profile, losses)
    messages = request.messages
    situation = Situation(forced=use.is_forced, bare_loop=is_bare_loop(messages), sealed=has_sealed(messages))
    plan = plan_thinking(request, profile.card, situation, losses)
    marks = Marks(wanted=profile.card.cache == "explicit_anthropic" and not _drops(profile, "cache_control"))
    writer = Writer(request, profile, names, marks, losses)
    body: dict[str, Any] = {"model": profile.model, "max_tokens": plan.max_tokens}
    # Tools, system, messages: the order of the prefix that is cached.
    tools = encode_tools(use, request, names, profile.card, marks, losses)
    _add_tools(body, tools, encode_choice(use, request, names))
    _add_messages(body, writer, _system(request, form), messages)
    _add_thinking(body, request, plan, form)
    body.update(encode_sampling(request, profile.card, thinking=plan.is_on, losses=losses))
    _add_identity(body, request, profile, losses)
    _add_cache(body, request, profile, marks)
    if request.stream:
        body["stream"] = True
    _add_extra(body, request)
    body = apply_quirks(body, profile.quirks, needed=NEEDED)
    if losses and profile.refuse_losses:
        raise _refused(losses[0])
    json_tool = JSON_TOOL if form.forces else None
    return Encoded(
        path=PATH,
        headers=_headers(body, plan, writer, profile),
        body=dumps_exact(body),
        losses=tuple(losses),
        reading=Reading(request=request, profile=profile, tools=names.tools, json_tool=json_tool),
    )


@attrs.frozen(kw_only=True, slots=True)
class _Form:
    """How the answer is made to have the form that was asked for."""

    schema: dict[str, Any] | None = None
    """Asked for natively."""
    forces: bool = False
    """By a function that has to be called."""
    sentence: str | None = None
    """By asking in words."""


def _check(request: Request, losses: list[Loss]) -> None:
    """Refuse what can't be asked of this API; note what it does without."""
    if request.dialect != "anthropic":
        for rejected in request.rejected:
            raise Unsupported(rejected.why, param=rejected.param, code="unsupported_parameter")
        losses.extend(Loss(path=each.name, code=f"field_dropped:{each.name}") for each in request.ignored)
    if request.n != 1:
        raise Unsupported("n must be 1 for this model.", param="n", code="unsupported_value")
    if request.modalities - {"text"}:
        raise Unsupported("This model answers in text only.", param="modalities", code="unsupported_value")
    state = request.state
    if state is not None:
        for param, value in (
            ("previous_response_id", state.previous_response_id),
            ("conversation", state.conversation),
            ("background", state.background),
        ):
            if value:
                raise Unsupported(
                    f"{param} is not supported for this model: send the whole input with store=false.",
                    param=param,
                    code="unsupported_parameter",
                )


def _shaped(request: Request, profile: Profile, losses: list[Loss]) -> Request:
    request = attrs.evolve(request, messages=readable(request, profile, losses))
    request = shape_for_turns(request, mid_system=profile.card.mid_system, keep_signed=False, losses=losses)
    return attrs.evolve(request, messages=_ended(request, profile, losses))


def _ended(request: Request, profile: Profile, losses: list[Loss]) -> tuple[Message, ...]:
    """The messages with an end that the service takes: a user's, or a beginning of the answer where that is allowed."""
    messages = request.messages
    last = messages[-1]
    if last.role != "assistant" or any(isinstance(part, ToolCall) for part in last.parts):
        return messages
    if any(isinstance(part, Opaque) for part in last.parts):
        return messages  # a hosted loop that paused is sent back to go on
    if not profile.card.prefill:
        if request.dialect == "anthropic":
            raise Unsupported(
                "This model can't continue a beginning of its answer: the last message must be the user's.",
                param="messages",
                code="unsupported_value",
            )
        losses.append(Loss(path="messages", code="prefill_dropped"))
        return (*messages, Message(role="user", parts=(Text(text=_GO_ON),)))
    part = last.parts[-1]
    if isinstance(part, Text) and part.text != part.text.rstrip():
        parts = (*last.parts[:-1], attrs.evolve(part, text=part.text.rstrip()))
        return (*messages[:-1], attrs.evolve(last, parts=parts))
    return messages


def _tools(request: Request, profile: Profile, losses: list[Loss]) -> tuple[NameMap, ToolUse, _Form]:
    form = _form(request, profile, losses)
    names = build_names(
        request.tools,
        request.messages,
        pattern_first=_NAME,
        pattern_rest=_NAME,
        maximum=_MAX_NAME,
        reserved=reserved_names(request.tools) | ({JSON_TOOL} if form.forces else set()),
    )
    use = settle_tools(request, names.declared, profile.card, losses)
    if form.forces and request.format is not None:
        wanted = request.format
        answer = FunctionTool(
            name=JSON_TOOL, description=wanted.description or "Gives the answer to the user.", schema=wanted.schema
        )
        use = attrs.evolve(use, answer=answer)
    return names, use, form


def _form(request: Request, profile: Profile, losses: list[Loss]) -> _Form:
    wanted = request.format
    if wanted is None or wanted.kind == "text":
        return _Form()
    if wanted.kind == "schema" and wanted.schema is not None:
        if profile.card.schema == "anthropic":
            try:
                return _Form(schema=output_schema(wanted.schema))
            except Inexpressible:
                pass
        is_forced = request.tool_choice is not None and request.tool_choice.mode == "required"
        is_object = wanted.schema.get("type", "object") == "object"
        if profile.card.forced_tools and is_object and not is_forced:
            return _Form(forces=True)
        losses.append(Loss(path="response_format", code="json_mode_emulated"))
        text = dumps_exact(wanted.schema).decode()
        return _Form(sentence=f"{_ANSWER_JSON} It must be valid against this JSON schema:\n{text}")
    losses.append(Loss(path="response_format", code="json_mode_emulated"))
    return _Form(sentence=_ANSWER_JSON)


def _system(request: Request, form: _Form) -> tuple[Text, ...]:
    system = request.system
    attribution = request.extra.get(ATTRIBUTION_KEY) if request.dialect == "anthropic" else None
    if isinstance(attribution, str):
        system = (Text(text=attribution), *system)
    return (*system, Text(text=form.sentence)) if form.sentence else system


def _add_tools(body: dict[str, Any], tools: list[dict[str, Any]], choice: dict[str, Any] | None) -> None:
    if tools:
        body["tools"] = tools
    if choice is not None:
        body["tool_choice"] = choice


def _add_messages(
    body: dict[str, Any], writer: Writer, system: tuple[Text, ...], messages: tuple[Message, ...]
) -> None:
    texts = writer.system(system)
    if texts:
        body["system"] = texts
    body["messages"] = writer.messages(messages)


def _add_thinking(body: dict[str, Any], request: Request, plan: Plan, form: _Form) -> None:
    if plan.thinking is not None:
        body["thinking"] = plan.thinking
    config = dict(request.extra.get("output_config") or {}) if request.dialect == "anthropic" else {}
    if plan.effort is not None:
        config["effort"] = plan.effort
    if form.schema is not None:
        config["format"] = {"type": "json_schema", "schema": form.schema}
    if config:
        body["output_config"] = config


def _add_identity(body: dict[str, Any], request: Request, profile: Profile, losses: list[Loss]) -> None:
    native = request.dialect == "anthropic"
    user = request.identity.user if native else request.identity.safety_id or request.identity.user
    if user:
        body["metadata"] = {"user_id": user if native else profile.pseudonym(user)}
    tier = request.service_tier
    if tier is None:
        return
    if tier not in _TIERS:
        losses.append(Loss(path="service_tier", code="service_tier_dropped"))
        return
    word = tier if native else _TIERS[tier]
    if word is not None:
        body["service_tier"] = word


def _add_cache(body: dict[str, Any], request: Request, profile: Profile, marks: Marks) -> None:
    auto = request.cache.auto_mark or (profile.quirks.get("auto_cache") is True and not marks)
    if auto and profile.card.cache == "explicit_anthropic" and not _drops(profile, "cache_control"):
        long = request.cache.ttl_s is not None and request.cache.ttl_s > 300
        body["cache_control"] = {"type": "ephemeral", "ttl": "1h"} if long else {"type": "ephemeral"}
        marks.apply(MAX_MARKS - 1)  # the automatic mark is one of the four
    else:
        marks.apply()


def _add_extra(body: dict[str, Any], request: Request) -> None:
    if request.dialect == "anthropic":
        for key, value in request.extra.items():
            if key != ATTRIBUTION_KEY:
                body.setdefault(key, value)


def _drops(profile: Profile, name: str) -> bool:
    return name in profile.quirks.get("drop", ())


def _headers(body: Mapping[str, Any], plan: Plan, writer: Writer, profile: Profile) -> dict[str, str]:
    betas = set(writer.betas)
    if plan.is_bound:
        betas.add(BETA_BINDING)
    if body.get("speed") == "fast":
        betas.add(BETA_FAST)
    headers = {"anthropic-version": VERSION}
    if betas and not _drops(profile, "betas"):
        headers["anthropic-beta"] = ",".join(sorted(betas))
    return headers


def _refused(loss: Loss) -> Unsupported:
    return Unsupported(
        f"{loss.path} can't be passed on to this model ({loss.code}).", param=loss.path, code="unsupported_value"
    )
