"""A Chat request as a neutral one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from modelserver.dialects.openai_chat.client_content import Conversation, ttl_seconds
from modelserver.dialects.openai_chat.client_tools import decode_choice, decode_tools
from modelserver.dialects.openai_chat.request import check_request
from modelserver.dialects.reading import Json, parse_body
from modelserver.ir.request import (
    EFFORTS,
    AudioSpec,
    CacheSpec,
    Effort,
    Identity,
    Ignored,
    ReasoningSpec,
    Rejected,
    Request,
    ResponseFormat,
    Sampling,
)

_MAPPED: Final = frozenset(
    {"model", "messages", "stream", "max_completion_tokens", "max_tokens", "n", "stop", "seed"}
    | {"temperature", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias"}
    | {"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "web_search_options"}
    | {"verbosity", "modalities", "prompt_cache_key", "prompt_cache_options"}
    | {"metadata", "user", "safety_identifier", "service_tier"}
)
"""Fields that are wholly in the neutral request; what else a client sent is kept for an upstream of this dialect."""

# Fields that are kept and that another dialect does without, and what makes each of them say something.
_IGNORED: Final[Mapping[str, Callable[[Any], bool]]] = {
    "logit_bias": bool,
    "prompt_cache_retention": bool,
    "prediction": bool,
    "store": lambda value: value is True,
}
_REASONING_KEYS: Final = frozenset(
    ("reasoning_effort", "reasoning", "thinking", "chat_template_kwargs", "enable_thinking", "extra_body", "google")
)


def decode_request(body: bytes) -> Request:
    """The request that a client's body holds.

    Raises:
        InvalidRequest: It is not JSON, or a field is missing or wrong; `param` is its path.
    """
    parsed = parse_body(body)
    ask = check_request(parsed)
    fields = {key: value for key, value in parsed.items() if value is not None}
    conversation = Conversation()
    conversation.read(fields["messages"])
    legacy = "tools" not in fields and ("functions" in fields or "function_call" in fields)
    return Request(
        dialect="chat",
        model=ask.model,
        system=tuple(conversation.system),
        messages=tuple(conversation.messages),
        tools=tuple(decode_tools(fields)),
        tool_choice=decode_choice(fields),
        # The older form of an answer has room for one call.
        parallel_tools=False if legacy else fields.get("parallel_tool_calls"),
        format=_decode_format(fields.get("response_format")),
        sampling=_decode_sampling(fields),
        reasoning=_decode_reasoning(fields),
        max_output=fields.get("max_completion_tokens", fields.get("max_tokens")),
        n=ask.n,
        stream=ask.stream,
        stream_usage=ask.include_usage,
        verbosity=fields["verbosity"] if fields.get("verbosity") in ("low", "medium", "high") else None,
        modalities=frozenset(fields.get("modalities") or ("text",)),
        audio_out=_decode_audio(fields.get("audio")),
        cache=_decode_cache(fields),
        identity=Identity(
            user=fields.get("user"), safety_id=fields.get("safety_identifier"), metadata=fields.get("metadata") or {}
        ),
        service_tier=fields.get("service_tier"),
        legacy_functions=legacy,
        rejected=(*_rejected(fields), *conversation.rejected),
        ignored=tuple(_ignored(fields)),
        extra=dict(_extra(fields)),
    )


def _decode_sampling(fields: Json) -> Sampling:
    stop = fields.get("stop", ())
    seed = fields.get("seed")
    logprobs = fields.get("logprobs", False)
    top = fields.get("top_logprobs")
    if type(logprobs) is int and logprobs and top is None:
        top = logprobs  # Together gives the count of alternatives here
    top_k = fields.get("top_k")
    return Sampling(
        temperature=fields.get("temperature"),
        top_p=fields.get("top_p"),
        top_k=top_k if type(top_k) is int else None,
        presence=fields.get("presence_penalty"),
        frequency=fields.get("frequency_penalty"),
        seed=None if seed is None else int(seed),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        logprobs=bool(logprobs),
        top_logprobs=top,
        logit_bias=fields.get("logit_bias"),
    )


def _decode_format(format: Json | None) -> ResponseFormat | None:
    if format is None:
        return None
    # llama.cpp and Together take a schema beside the type.
    beside = format.get("schema") if isinstance(format.get("schema"), dict) else None
    match format["type"]:
        case "text":
            return ResponseFormat(kind="text")
        case "json_object" if beside is None:
            return ResponseFormat(kind="json")
        case "json_object" | "json_schema":
            schema: Json = format.get("json_schema") or {"schema": beside}
            return ResponseFormat(
                kind="schema",
                name=schema.get("name"),
                description=schema.get("description"),
                schema=schema.get("schema"),
                strict=schema.get("strict"),
            )
        case _:
            return None


def _decode_audio(audio: Json | None) -> AudioSpec | None:
    if audio is None:
        return None
    voice = audio["voice"]
    return AudioSpec(voice=voice if isinstance(voice, str) else None, format=audio["format"])


def _decode_cache(fields: Json) -> CacheSpec:
    options: Json = fields.get("prompt_cache_options") or {}
    marker = fields.get("cache_control")
    ttl = options.get("ttl")
    if ttl is None and isinstance(marker, dict):
        ttl = marker.get("ttl")
    match options.get("mode"):
        case "explicit":
            return CacheSpec(key=fields.get("prompt_cache_key"), ttl_s=ttl_seconds(ttl), mode="explicit")
        case "implicit":
            return CacheSpec(key=fields.get("prompt_cache_key"), ttl_s=ttl_seconds(ttl), mode="auto")
        case _:
            return CacheSpec(
                key=fields.get("prompt_cache_key"), ttl_s=ttl_seconds(ttl), auto_mark=isinstance(marker, dict)
            )


def _decode_reasoning(fields: Json) -> ReasoningSpec | None:
    """What a request says of reasoning in any of the ways that servers of this dialect know; OpenAI's own wins."""
    raw = {key: fields[key] for key in _REASONING_KEYS if key in fields}
    if not raw:
        return None
    said: dict[str, Any] = {}
    for reads in (_google_wish, _template_wish, _thinking_wish, _reasoning_wish):
        said |= {key: value for key, value in reads(fields) if value is not None}
    effort = _effort(fields.get("reasoning_effort"))
    if effort is not None:
        said["effort"] = effort
    if said.get("effort") == "none":
        said["mode"] = "off"
    return ReasoningSpec(**said, raw=raw) if said else ReasoningSpec(raw=raw)


_Wish = Iterator[tuple[str, Any]]


def _reasoning_wish(fields: Json) -> _Wish:
    """OpenRouter's object."""
    wish = fields.get("reasoning")
    if not isinstance(wish, dict):
        return
    if _is_bool(wish, "enabled"):
        yield "mode", "on" if wish["enabled"] else "off"
    yield "effort", _effort(wish.get("effort"))
    yield "budget", _tokens(wish.get("max_tokens"))
    if wish.get("exclude") is True:
        yield "show", "omitted"


def _thinking_wish(fields: Json) -> _Wish:
    """Anthropic's object, which DeepSeek and others took over."""
    wish = fields.get("thinking")
    if not isinstance(wish, dict):
        return
    kind = wish.get("type")
    yield "mode", {"enabled": "on", "adaptive": "on", "disabled": "off"}.get(kind if isinstance(kind, str) else "")
    yield "budget", _tokens(wish.get("budget_tokens"))


def _template_wish(fields: Json) -> _Wish:
    """The switch of vLLM and SGLang templates, and the one of Alibaba."""
    kwargs = fields.get("chat_template_kwargs")
    for place in (kwargs if isinstance(kwargs, dict) else {}, fields):
        if _is_bool(place, "enable_thinking"):
            yield "mode", "on" if place["enable_thinking"] else "off"


def _google_wish(fields: Json) -> _Wish:
    """The settings of Gemini's OpenAI endpoint; some clients leave them in `extra_body`."""
    body = fields.get("extra_body")
    for place in (body if isinstance(body, dict) else {}, fields):
        google = place.get("google")
        config = google.get("thinking_config") if isinstance(google, dict) else None
        if isinstance(config, dict):
            level, budget = config.get("thinking_level"), config.get("thinking_budget")
            yield "effort", _effort(level.lower() if isinstance(level, str) else None)
            yield "budget", -1 if budget == -1 else _tokens(budget)
            if _is_bool(config, "include_thoughts"):
                yield "show", "auto" if config["include_thoughts"] else "omitted"


def _effort(value: object) -> Effort | None:
    return next((effort for effort in EFFORTS if effort == value), None)


def _tokens(value: object) -> int | None:
    return value if type(value) is int and value >= 0 else None


def _is_bool(obj: Json, key: str) -> bool:
    return type(obj.get(key)) is bool


def _rejected(fields: Json) -> Iterator[Rejected]:
    if "moderation" in fields:
        yield Rejected(param="moderation", why="its results can't be had from another provider's model")
    format = fields.get("response_format")
    if format is not None and format["type"] not in ("text", "json_object", "json_schema"):
        yield Rejected(param="response_format.type", why="only text, json_object and json_schema are understood")


def _ignored(fields: Json) -> Iterator[Ignored]:
    for name, says_something in _IGNORED.items():
        if name in fields and says_something(fields[name]):
            yield Ignored(name=name)
    options = fields.get("stream_options")
    if options is not None and options.get("include_obfuscation") is True:
        yield Ignored(name="stream_options.include_obfuscation")
    if "reasoning_effort" in fields and _effort(fields["reasoning_effort"]) is None:
        yield Ignored(name="reasoning_effort")
    if "verbosity" in fields and fields["verbosity"] not in ("low", "medium", "high"):
        yield Ignored(name="verbosity")


def _extra(fields: Json) -> Iterator[tuple[str, Any]]:
    """What an upstream of this dialect gets beside the mapped fields."""
    for key, value in fields.items():
        if key in _MAPPED or key in _REASONING_KEYS:
            continue
        if key == "stream_options":
            rest = {name: option for name, option in value.items() if name != "include_usage"}
            if rest:
                yield key, rest
        elif key == "response_format":
            if value["type"] not in ("text", "json_object", "json_schema"):
                yield key, value
        elif key == "audio":
            if not isinstance(value["voice"], str):
                yield key, value
        elif key != "top_k" or type(value) is not int:
            yield key, value
