"""A Responses request, read into the neutral model."""

from __future__ import annotations

from typing import Any, Final

from modelserver.dialects.openai_responses.client_content import ttl_s
from modelserver.dialects.openai_responses.client_items import Conversation, read_input
from modelserver.dialects.openai_responses.client_tools import decode_choice, decode_tools
from modelserver.dialects.openai_responses.vocab import ENCRYPTED, IGNORED, INCLUDED, LOGPROBS, REJECTED
from modelserver.dialects.reading import (
    Check,
    check_strings,
    find_bool,
    find_list,
    find_object,
    find_str,
    integer,
    join,
    missing,
    number,
    out_of_range,
    parse_body,
    want_choice,
    want_name,
    want_object,
    wrong,
)
from modelserver.ir.parts import Text
from modelserver.ir.request import (
    EFFORTS,
    CacheSpec,
    Identity,
    Ignored,
    ReasoningSpec,
    Rejected,
    Request,
    ResponseFormat,
    Sampling,
    StateRef,
)

_FORMATS: Final = frozenset(("text", "json_object", "json_schema"))
_VERBOSITIES: Final = frozenset(("low", "medium", "high"))
_SUMMARIES: Final = frozenset(("auto", "concise", "detailed"))
_EFFORTS: Final = frozenset(EFFORTS)
_UNKEPT: Final = frozenset(("input", "model", "stream"))
_TEMPERATURE: Final = number(0, 2)
_TOP_P: Final = number(0, 1)
_TOP_LOGPROBS: Final = integer(0, 20)
_LIMIT: Final = integer(1)


def decode_request(body: bytes) -> Request:
    """The request in a body.

    Raises:
        InvalidRequest: It is no JSON object, or a field that is read here is wrong; `param` is the client's own path.
    """
    parsed = parse_body(body)
    model = want_name(parsed, "model", "")
    conversation = _conversation(parsed)
    instructions = find_str(parsed, "instructions", "")
    leading = [Text(text=instructions)] if instructions else []
    include = find_list(parsed, "include", "") or []
    check_strings(include, "include")
    rejected, ignored = _unmapped(parsed, include)
    tools = decode_tools(find_list(parsed, "tools", "") or [], "tools")
    text = {**(find_object(parsed, "text", "") or {}), **(conversation.text or {})}
    return Request(
        dialect="responses",
        model=model,
        system=(*leading, *conversation.system),
        messages=tuple(conversation.messages),
        tools=(*tools, *(tool for tool in conversation.tools if tool not in tools)),
        tool_choice=decode_choice(parsed.get("tool_choice"), "tool_choice"),
        parallel_tools=find_bool(parsed, "parallel_tool_calls", ""),
        format=_format(text),
        sampling=_sampling(parsed, include),
        reasoning=_reasoning(parsed, conversation, include),
        max_output=_checked(parsed, "max_output_tokens", _LIMIT),
        stream=find_bool(parsed, "stream", "") or False,
        verbosity=_word(text, "verbosity", _VERBOSITIES, "text"),
        cache=_cache(parsed),
        identity=_identity(parsed),
        service_tier=find_str(parsed, "service_tier", ""),
        state=_state(parsed, conversation),
        rejected=(*rejected, *conversation.rejected),
        ignored=ignored,
        extra={key: value for key, value in parsed.items() if key not in _UNKEPT},
    )


def _conversation(parsed: dict[str, Any]) -> Conversation:
    value = parsed.get("input")
    if isinstance(value, str | list):
        return read_input(value)
    if value is None:
        # A stored prompt or conversation may stand for it; those are refused with their own names.
        if any(parsed.get(key) for key in ("prompt", "conversation", "previous_response_id")):
            return Conversation()
        raise missing("input")
    raise wrong("input", "a string or a list", value)


def _unmapped(parsed: dict[str, Any], include: list[str]) -> tuple[tuple[Rejected, ...], tuple[Ignored, ...]]:
    """What another dialect must refuse, and what it does without."""
    # `background: false` and the like ask for nothing.
    rejected = [Rejected(param=key, why=why) for key, why in REJECTED.items() if parsed.get(key)]
    options = find_object(parsed, "prompt_cache_options", "") or {}
    if options.get("prewarm"):
        rejected.append(Rejected(param="prompt_cache_options.prewarm", why="send the request without it."))
    ignored = [
        key for key, default in IGNORED.items() if (value := parsed.get(key)) is not None and value not in (default, [])
    ]
    reasoning = find_object(parsed, "reasoning", "") or {}
    ignored.extend(f"reasoning.{key}" for key in ("context", "mode") if reasoning.get(key))
    ignored.extend(word for word in include if word not in INCLUDED)
    return tuple(rejected), tuple(Ignored(name=name) for name in ignored)


def _format(text: dict[str, Any]) -> ResponseFormat | None:
    format = find_object(text, "format", "text")
    if format is None:
        return None
    at = "text.format"
    kind = want_choice(format, "type", _FORMATS, at)
    if kind == "text":
        return ResponseFormat(kind="text")
    if kind == "json_object":
        return ResponseFormat(kind="json")
    return ResponseFormat(
        kind="schema",
        name=want_name(format, "name", at),
        description=find_str(format, "description", at),
        schema=want_object(format, "schema", at),
        strict=find_bool(format, "strict", at),
    )


def _sampling(parsed: dict[str, Any], include: list[str]) -> Sampling:
    return Sampling(
        temperature=_checked(parsed, "temperature", _TEMPERATURE),
        top_p=_checked(parsed, "top_p", _TOP_P),
        logprobs=LOGPROBS in include,
        top_logprobs=_checked(parsed, "top_logprobs", _TOP_LOGPROBS),
    )


def _reasoning(parsed: dict[str, Any], conversation: Conversation, include: list[str]) -> ReasoningSpec | None:
    raw = {**(find_object(parsed, "reasoning", "") or {}), **(conversation.reasoning or {})}
    sealed = ENCRYPTED in include
    if not raw and not sealed:
        return None
    effort = _word(raw, "effort", _EFFORTS, "reasoning")
    show = _word(raw, "summary", _SUMMARIES, "reasoning") or _word(raw, "generate_summary", _SUMMARIES, "reasoning")
    return ReasoningSpec(
        mode="off" if effort == "none" else "default",
        effort=effort,
        show=show,
        want_sealed=sealed,
        raw=raw,
    )


def _cache(parsed: dict[str, Any]) -> CacheSpec:
    options = find_object(parsed, "prompt_cache_options", "") or {}
    mode = _word(options, "mode", frozenset(("implicit", "explicit")), "prompt_cache_options")
    return CacheSpec(
        key=find_str(parsed, "prompt_cache_key", ""),
        ttl_s=ttl_s(options.get("ttl")),
        mode=None if mode is None else "explicit" if mode == "explicit" else "auto",
    )


def _identity(parsed: dict[str, Any]) -> Identity:
    return Identity(
        user=find_str(parsed, "user", ""),
        safety_id=find_str(parsed, "safety_identifier", ""),
        metadata=find_object(parsed, "metadata", "") or {},
    )


def _state(parsed: dict[str, Any], conversation: Conversation) -> StateRef:
    held = parsed.get("conversation")
    if isinstance(held, dict):
        held = held.get("id")
    return StateRef(
        previous_response_id=find_str(parsed, "previous_response_id", ""),
        conversation=held if isinstance(held, str) else None,
        item_references=tuple(conversation.references),
        store=find_bool(parsed, "store", ""),
        background=find_bool(parsed, "background", "") or False,
    )


def _checked(parsed: dict[str, Any], key: str, check: Check) -> Any:
    value = parsed.get(key)
    if value is not None:
        check(value, key)
    return value


def _word(obj: dict[str, Any], key: str, words: frozenset[str], path: str) -> Any:
    value = find_str(obj, key, path)
    if value is not None and value not in words:
        raise out_of_range(join(path, key), f"one of {', '.join(sorted(words))}")
    return value
