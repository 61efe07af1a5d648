"""A request, written for a Responses upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelserver.dialects.codec import Encoded, Reading
from modelserver.dialects.openai_responses.effort import encode_reasoning
from modelserver.dialects.openai_responses.items import ItemWriter
from modelserver.dialects.openai_responses.tools import encode_tools
from modelserver.dialects.openai_responses.vocab import ENCRYPTED, INCLUDED, LOGPROBS, MAPPED, PATH, SERVICE_TIERS
from modelserver.dialects.quirks import apply_quirks
from modelserver.dialects.schemas import is_enforced, rooted
from modelserver.errors import Unsupported
from modelserver.ir.parts import Text
from modelserver.ir.profile import Profile
from modelserver.ir.request import Loss, Request
from modelserver.wire.json_text import dumps_exact

_OPENAI: Final = frozenset(("chat", "responses"))
_LEAST_OUTPUT: Final = 16
_LONG_S: Final = 12 * 3600
NEEDED: Final = frozenset(("model", "input", "stream"))
_JSON_WANTED: Final = "Answer with a single JSON object and nothing else."


def encode_request(request: Request, profile: Profile) -> Encoded:
    """The request for an upstream; pure, and the input of a conversation begins the input of its continuation.

    Raises:
        Unsupported: Something can't be asked of the target, or with `refuse_losses` would be lost.
        InvalidRequest: The tools contradict each other.
    """
    losses: list[Loss] = []
    _refuse(request, profile)
    tools = encode_tools(request, profile, losses)
    items = ItemWriter(request, profile, tools.names, losses)
    instructions, leading = items.system(_system(request))
    body: dict[str, Any] = {"model": profile.model}
    if instructions is not None:
        body["instructions"] = instructions
    body["input"] = leading + items.items(request.messages)
    body |= tools.fields
    text = _text(request, losses)
    if text:
        body["text"] = text
    reasoning = encode_reasoning(request, profile, losses)
    if reasoning:
        body["reasoning"] = reasoning
    body |= _limits(request, profile, reasoning.get("effort"), losses)
    body["store"] = False
    if _streams(request, profile):
        body["stream"] = True
    body |= _identity(request, profile, losses)
    if request.dialect == "responses":
        _add_own(body, request)
    else:
        losses.extend(Loss(path=field.name, code=f"field_dropped:{field.name}") for field in request.ignored)
    if profile.refuse_losses and losses:
        raise Unsupported(f"{losses[0].path} is not supported for this model.", param=losses[0].path)
    return Encoded(
        path=PATH,
        body=dumps_exact(apply_quirks(body, profile.quirks, needed=NEEDED)),
        losses=tuple(losses),
        reading=Reading(request=request, profile=profile, tools=tools.names.tools),
    )


def _add_own(body: dict[str, Any], request: Request) -> None:
    """What a client of this dialect said that has no neutral meaning."""
    extra = request.extra
    body.update((key, value) for key, value in extra.items() if key not in MAPPED and key not in body)
    include = [*body.get("include", ()), *(word for word in extra.get("include") or () if word not in INCLUDED)]
    if include:
        body["include"] = include
    if request.reasoning is not None:
        rest = {key: value for key, value in request.reasoning.raw.items() if key not in ("effort", "summary")}
        if rest:
            body["reasoning"] = {**rest, **body.get("reasoning", {})}
    for key in ("user", "safety_identifier"):
        body.pop(key, None)
        if extra.get(key) is not None:
            body[key] = extra[key]


def _refuse(request: Request, profile: Profile) -> None:
    if request.dialect != "responses" and request.rejected:
        field = request.rejected[0]
        raise Unsupported(
            f"{field.param} is not supported for this model: {field.why}",
            param=field.param,
            code="unsupported_parameter",
        )
    if request.n > 1:
        raise Unsupported("n must be 1 for this model.", param="n")
    if request.modalities - {"text"}:
        raise Unsupported("This model answers in text only.", param="modalities")
    if request.sampling.stop and not profile.quirks.get("emulate_stop", True):
        raise Unsupported("stop is not supported by this model.", param="stop")


def _system(request: Request) -> tuple[Text, ...]:
    """The leading instructions; JSON mode wants the word in the prompt, which only OpenAI's own clients know."""
    if request.format is None or request.format.kind != "json" or request.dialect in _OPENAI:
        return request.system
    said = (*request.system, *(part for message in request.messages for part in message.parts))
    if any(isinstance(part, Text) and "json" in part.text.lower() for part in said):
        return request.system
    return (*request.system, Text(text=_JSON_WANTED))


def _text(request: Request, losses: list[Loss]) -> dict[str, Any]:
    text: dict[str, Any] = {}
    wanted = request.format
    if wanted is not None and wanted.kind == "json":
        text["format"] = {"type": "json_object"}
    elif wanted is not None and wanted.kind == "schema":
        schema: Mapping[str, Any] = wanted.schema or {}
        strict = wanted.strict is True
        if request.dialect not in _OPENAI:
            schema = rooted(schema)
            if strict and not is_enforced(schema):
                strict = False
                losses.append(Loss(path="response_format", code="strict_dropped"))
        format: dict[str, Any] = {"type": "json_schema", "name": wanted.name or "response", "schema": schema}
        if wanted.description is not None:
            format["description"] = wanted.description
        text["format"] = {**format, "strict": strict}
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    return text


def _limits(request: Request, profile: Profile, effort: object, losses: list[Loss]) -> dict[str, Any]:
    """Length, sampling, and what the answer shall include."""
    card, sampling = profile.card, request.sampling
    fields: dict[str, Any] = {}
    if request.max_output is not None:
        most = request.max_output if card.max_output is None else min(request.max_output, card.max_output)
        if most < request.max_output:
            losses.append(Loss(path="max_tokens", code="max_tokens_lowered"))
        fields["max_output_tokens"] = max(most, _LEAST_OUTPUT)
    taken = card.sampling == "full" or (card.sampling == "only_without_reasoning" and effort == "none")
    if sampling.temperature is not None:
        if taken:
            fields["temperature"] = min(sampling.temperature, card.temperature_max)
        elif sampling.temperature != 1:
            losses.append(Loss(path="temperature", code="temperature_dropped"))
    if sampling.top_p is not None:
        if taken or card.sampling == "no_temperature":
            fields["top_p"] = sampling.top_p
        elif sampling.top_p != 1:
            losses.append(Loss(path="top_p", code="top_p_dropped"))
    if sampling.top_k is not None:
        losses.append(Loss(path="top_k", code="top_k_dropped"))
    if sampling.presence or sampling.frequency:
        path = "presence_penalty" if sampling.presence else "frequency_penalty"
        losses.append(Loss(path=path, code="penalties_dropped"))
    if sampling.logit_bias:
        losses.append(Loss(path="logit_bias", code="field_dropped:logit_bias"))
    include: list[str] = []
    if card.reasoning.kind != "none":
        include.append(ENCRYPTED)
    if sampling.logprobs:
        if card.logprobs and (card.reasoning.kind == "none" or effort == "none"):
            include.append(LOGPROBS)
            if sampling.top_logprobs is not None:
                fields["top_logprobs"] = sampling.top_logprobs
        else:
            losses.append(Loss(path="logprobs", code="logprobs_dropped"))
    if include:
        fields["include"] = include
    return fields


def _streams(request: Request, profile: Profile) -> bool:
    if profile.quirks.get("stream_only"):
        return True
    return request.stream and not profile.quirks.get("no_stream")


def _identity(request: Request, profile: Profile, losses: list[Loss]) -> dict[str, Any]:
    """For whom the request is, and under which name its prompt is cached."""
    fields: dict[str, Any] = {}
    cache, identity = request.cache, request.identity
    if cache.key is not None:
        fields["prompt_cache_key"] = cache.key
    elif identity.conversation_hint and request.dialect not in _OPENAI:
        fields["prompt_cache_key"] = profile.pseudonym(identity.conversation_hint).removeprefix("u_")
    if profile.card.cache == "explicit_openai" and (cache.mode is not None or cache.ttl_s is not None):
        options: dict[str, Any] = {}
        if cache.mode is not None:
            options["mode"] = "explicit" if cache.mode == "explicit" else "implicit"
        if cache.ttl_s is not None:
            options["ttl"] = "12h" if cache.ttl_s >= _LONG_S else "30m"
        fields["prompt_cache_options"] = options
    person = identity.safety_id or identity.user
    if person:
        fields["safety_identifier"] = profile.pseudonym(person)
    if identity.metadata and request.dialect in _OPENAI:
        fields["metadata"] = dict(identity.metadata)
    tier = request.service_tier
    if tier is not None:
        word = SERVICE_TIERS.get(tier, tier if request.dialect in _OPENAI else None)
        if word is not None:
            fields["service_tier"] = word
        elif tier not in SERVICE_TIERS:
            losses.append(Loss(path="service_tier", code="service_tier_dropped"))
    return fields
