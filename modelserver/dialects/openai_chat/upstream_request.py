"""A neutral request, written for a Chat upstream; a provider's deviations are data (`Profile.quirks`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from modelserver.dialects.codec import Encoded, Reading
from modelserver.dialects.efforts import wanted_effort
from modelserver.dialects.openai_chat.effort import encode_reasoning
from modelserver.dialects.openai_chat.history import HistoryWriter
from modelserver.dialects.openai_chat.tools import OPENAI, encode_tools, map_names
from modelserver.dialects.openai_chat.vocab import PATHS, SERVICE_TIERS, TTLS
from modelserver.dialects.quirks import apply_quirks
from modelserver.dialects.schemas import is_enforced, rooted
from modelserver.errors import Unsupported
from modelserver.ir.parts import DialectName, Text
from modelserver.ir.profile import Profile
from modelserver.ir.request import Loss, Request
from modelserver.wire.json_text import dumps_exact

_NEEDED: Final = frozenset(("model", "messages", "stream"))
_JSON_WANTED: Final = "Answer with a single JSON object and nothing else."
_FORMAT_PATHS: Final[Mapping[DialectName, str]] = {
    "chat": "response_format",
    "responses": "text.format",
    "anthropic": "output_config.format",
    "gemini": "generationConfig.responseJsonSchema",
}


def encode_request(request: Request, profile: Profile) -> Encoded:
    """The request for an upstream; pure, and the messages of a conversation begin those of its continuation.

    Raises:
        Unsupported: Something can't be asked of the target, or with `refuse_losses` would be lost.
        InvalidRequest: The tools contradict each other.
    """
    losses: list[Loss] = []
    quirks = profile.quirks
    _refuse(request, profile)
    names = map_names(request)
    format, sentence = _encode_format(request, profile, losses)
    system = (*request.system, Text(text=sentence)) if sentence else request.system
    path = PATHS[request.dialect]
    body: dict[str, Any] = {"model": profile.model}
    body["messages"] = HistoryWriter(request, profile, names, losses, path).write(system)
    if (request.stream or quirks.get("stream_only")) and not quirks.get("no_stream"):
        body["stream"] = True
        if quirks.get("stream_usage", "option") == "option":
            body["stream_options"] = {"include_usage": True}
    body |= _encode_limits(request, profile, losses)
    body |= encode_tools(request, profile, names, losses)
    if format is not None:
        body |= format
    body |= encode_reasoning(request, profile, losses)
    body |= _encode_rest(request, profile, losses)
    if request.dialect == "chat":
        body |= _own_extras(request, body)
    else:
        losses.extend(Loss(path=each.name, code=f"field_dropped:{each.name}") for each in request.ignored)
    if profile.refuse_losses and losses:
        raise Unsupported(f"{losses[0].path} can't be kept for this model ({losses[0].code}).", param=losses[0].path)
    return Encoded(
        path=str(quirks.get("path", "/chat/completions")),
        query=dict(quirks.get("query") or {}),
        body=dumps_exact(apply_quirks(body, quirks, needed=_NEEDED)),
        losses=tuple(losses),
        reading=Reading(request=request, profile=profile, tools=names.tools),
    )


def _refuse(request: Request, profile: Profile) -> None:
    """What would be another request without it."""
    if request.dialect != "chat" and request.rejected:
        field = request.rejected[0]
        raise Unsupported(
            f"{field.param} is not supported for this model: {field.why}",
            param=field.param,
            code="unsupported_parameter",
        )
    if request.n > profile.card.n_max:
        raise Unsupported(f"n must be at most {profile.card.n_max} for this model.", param="n")
    if "audio" in request.modalities and not profile.card.audio_out:
        raise Unsupported("Spoken answers are not supported by this model.", param="modalities")
    if request.modalities - {"text", "audio"} and request.dialect != "chat":
        raise Unsupported("This model answers in text only.", param="modalities")
    most, stop = profile.card.stop_max, request.sampling.stop
    if most == 0 and stop and not profile.quirks.get("emulate_stop", True):
        raise Unsupported("stop is not supported by this model.", param="stop")
    if most and len(stop) > most:
        raise Unsupported(f"At most {most} stop strings are supported by this model.", param="stop")


def enforced_stops(reading: Reading) -> tuple[str, ...]:
    """The stop strings that the reader of the answer has to look for, since the target takes none."""
    profile = reading.profile
    if profile.card.stop_max == 0 and profile.quirks.get("emulate_stop", True):
        return reading.request.sampling.stop
    return ()


def _encode_limits(request: Request, profile: Profile, losses: list[Loss]) -> dict[str, Any]:
    """Length and sampling."""
    card, quirks, sampling = profile.card, profile.quirks, request.sampling
    fields: dict[str, Any] = {}
    if request.max_output is not None:
        most = request.max_output if card.max_output is None else min(request.max_output, card.max_output)
        if most < request.max_output:
            losses.append(Loss(path="max_output_tokens", code="max_tokens_lowered"))
        fields[str(quirks.get("max_tokens_field", "max_completion_tokens"))] = most
    fields |= _encode_temperature(request, profile, losses)
    if sampling.top_k is not None:
        if quirks.get("top_k"):
            fields["top_k"] = sampling.top_k
        else:
            losses.append(Loss(path="top_k", code="top_k_dropped"))
    penalties = {"presence_penalty": sampling.presence, "frequency_penalty": sampling.frequency}
    if card.penalties:
        fields |= {name: value for name, value in penalties.items() if value is not None}
    elif any(penalties.values()):
        losses.append(Loss(path="presence_penalty", code="penalties_dropped"))
    if sampling.seed is not None:
        if card.seed:
            fields["seed"] = sampling.seed
        else:
            losses.append(Loss(path="seed", code="seed_dropped"))
    if sampling.stop and card.stop_max != 0:
        fields["stop"] = list(sampling.stop)
    if request.n > 1:
        fields["n"] = request.n
    if sampling.logprobs and card.logprobs:
        fields["logprobs"] = True
        if sampling.top_logprobs is not None:
            fields["top_logprobs"] = sampling.top_logprobs
    elif sampling.logprobs:
        losses.append(Loss(path="logprobs", code="logprobs_dropped"))
    if sampling.logit_bias is not None and request.dialect == "chat":
        fields["logit_bias"] = sampling.logit_bias
    return fields


def _encode_temperature(request: Request, profile: Profile, losses: list[Loss]) -> dict[str, Any]:
    card, sampling = profile.card, request.sampling
    calm = wanted_effort(request.reasoning) == "none" or card.reasoning.kind == "none"
    taken = card.sampling == "full" or (card.sampling == "only_without_reasoning" and calm)
    fields: dict[str, Any] = {}
    temperature, top_p = sampling.temperature, sampling.top_p
    if temperature is not None:
        if taken:
            least = profile.quirks.get("temperature_zero")
            fields["temperature"] = (
                least if temperature == 0 and least is not None else min(temperature, card.temperature_max)
            )
        elif temperature != 1:
            losses.append(Loss(path="temperature", code="temperature_dropped"))
    if top_p is not None:
        together = "temperature" not in fields or card.both_temperature_and_top_p
        if (taken and together) or card.sampling == "no_temperature":
            fields["top_p"] = top_p
        elif top_p != 1:
            losses.append(Loss(path="top_p", code="top_p_dropped"))
    return fields


def _encode_format(request: Request, profile: Profile, losses: list[Loss]) -> tuple[dict[str, Any] | None, str]:
    """The fields that ask for JSON, and a sentence that does so where none can."""
    wanted, path = request.format, _FORMAT_PATHS[request.dialect]
    if wanted is None:
        return None, ""
    if wanted.kind == "text":
        return ({"response_format": {"type": "text"}} if request.dialect == "chat" else None), ""
    way = profile.quirks.get("json_schema", "native")
    if wanted.kind == "json":
        if not profile.card.json_mode or way == "none":
            losses.append(Loss(path=path, code="json_mode_emulated"))
            return None, _JSON_WANTED
        # OpenAI wants the word in the prompt, which only its own clients know.
        return {"response_format": {"type": "json_object"}}, _said_if_missing(request)
    schema = wanted.schema or {}
    match way:
        case "guided_json":
            return {"guided_json": schema}, ""
        case "format_schema":
            return {"response_format": {"type": "json_object", "schema": schema}}, ""
        case "json_object" | "none":
            losses.append(Loss(path=path, code="json_mode_emulated"))
            text = orjson.dumps(schema).decode()
            sentence = f"{_JSON_WANTED} It must be valid by this JSON Schema:\n{text}"
            return ({"response_format": {"type": "json_object"}} if way == "json_object" else None), sentence
    strict = wanted.strict
    if strict and request.dialect not in OPENAI:
        schema = rooted(schema)
        if not is_enforced(schema):
            strict = None
            losses.append(Loss(path=f"{path}.strict", code="strict_dropped"))
    written: dict[str, Any] = {"name": wanted.name or "response", "schema": schema}
    if wanted.description is not None:
        written["description"] = wanted.description
    if strict is not None:
        written["strict"] = strict
    return {"response_format": {"type": "json_schema", "json_schema": written}}, ""


def _said_if_missing(request: Request) -> str:
    if request.dialect in OPENAI:
        return ""
    # Looked at is only what stays as the conversation grows, so that its beginning does not change.
    parts = (*request.system, *(part for message in request.messages[:1] for part in message.parts))
    return "" if any(isinstance(part, Text) and "json" in part.text.lower() for part in parts) else _JSON_WANTED


def _encode_rest(request: Request, profile: Profile, losses: list[Loss]) -> dict[str, Any]:
    """Form of the answer, cache, identity, tier."""
    own = request.dialect == "chat"
    identity, cache = request.identity, request.cache
    fields: dict[str, Any] = {}
    if request.verbosity is not None:
        fields["verbosity"] = request.verbosity
    if request.modalities != {"text"}:
        fields["modalities"] = sorted(request.modalities, reverse=True)  # as OpenAI writes it: text, audio
    if request.audio_out is not None and "audio" in request.modalities:
        fields["audio"] = {"voice": request.audio_out.voice or "alloy", "format": request.audio_out.format or "wav"}
    if cache.key is not None:
        fields["prompt_cache_key"] = cache.key
    if cache.mode is not None and profile.card.cache == "explicit_openai":
        mode = "implicit" if cache.mode == "auto" else "explicit"
        ttl = next((name for name, seconds in TTLS.items() if seconds == cache.ttl_s), None)
        fields["prompt_cache_options"] = {"mode": mode, **({"ttl": ttl} if ttl else {})}
    if own:
        fields |= {"user": identity.user} if identity.user is not None else {}
        fields |= {"safety_identifier": identity.safety_id} if identity.safety_id is not None else {}
    elif (who := identity.safety_id or identity.user) is not None:
        # The provider shall tell the caller's users apart, and know none of them.
        fields["safety_identifier"] = profile.pseudonym(who)
    if identity.metadata and request.dialect in OPENAI:
        fields["metadata"] = identity.metadata
    if request.service_tier is not None:
        tier = request.service_tier if own else SERVICE_TIERS.get(request.service_tier)
        if tier is not None:
            fields["service_tier"] = tier
        elif request.service_tier != "auto":
            losses.append(Loss(path="service_tier", code="service_tier_dropped"))
    return fields


def _own_extras(request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
    """What a client of this dialect sent beside the mapped fields; it stays as it was sent."""
    extra = dict(request.extra)
    options = extra.get("stream_options")
    if isinstance(options, dict):
        extra["stream_options"] = {**options, **body.get("stream_options", {})}
    return extra
