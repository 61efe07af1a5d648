"""Requests of a client of the Messages API, read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import attrs

from modelserver.dialects.anthropic.client_content import (
    decode_cache,
    decode_content,
    decode_texts,
    extra,
)
from modelserver.dialects.anthropic.client_tools import decode_choice, decode_tools, rejected_tools
from modelserver.dialects.anthropic.request import ATTRIBUTION_KEY
from modelserver.dialects.anthropic.vocab import ATTRIBUTION
from modelserver.dialects.reading import (
    Check,
    Json,
    check_bool,
    check_object,
    check_strings,
    find_object,
    find_str,
    integer,
    missing,
    number,
    parse_body,
    want_choice,
    want_list,
    want_name,
    want_object,
)
from modelserver.errors import Unsupported
from modelserver.ir.parts import Message, Opaque, Text
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
)
from modelserver.wire.json_text import loads_exact

_ROLES: Final = frozenset(("user", "assistant", "system"))
_THINKING: Final = {"enabled": "on", "adaptive": "on", "disabled": "off", "between_tools": "between_tools"}
_EFFORTS: Final = frozenset(EFFORTS) - {"none", "minimal"}
_FORMATS: Final = frozenset(("json_schema",))
_THREAD_CODE: Final = "thread_unsupported_request"

_CHECKS: Final[dict[str, Check]] = {
    "max_tokens": integer(0),
    "temperature": number(0, 1),
    "top_p": number(0, 1),
    "top_k": integer(0),
    "stop_sequences": check_strings,
    "stream": check_bool,
}
_MAPPED: Final = frozenset(
    (
        *_CHECKS,
        "model",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
        "metadata",
        "service_tier",
        "cache_control",
        "thread",
    )
)
_IGNORED: Final = (
    "diagnostics",
    "context_management",
    "fallbacks",
    "fallback_credit_token",
    "billing_policy",
)
_IGNORED_OF_TOOLS: Final = ("defer_loading", "eager_input_streaming", "input_examples")
_REJECTED: Final = ("inference_geo", "mcp_servers", "compaction")


def decode_request(body: bytes, *, counting: bool = False) -> Request:
    """The request in a body; one that asks for a token count has no limit of the answer.

    Raises:
        InvalidRequest: It is malformed.
        Unsupported: It continues a thread: the official libraries send the whole when they are told so.
    """
    parse_body(body)
    wire: dict[str, Any] = loads_exact(body)  # integers of tool inputs keep their digits
    _check(wire, counting)
    messages = _messages(wire)
    system, attribution = _system(wire)
    tools = decode_tools(wire)
    choice, parallel = decode_choice(wire, tools)
    config = find_object(wire, "output_config", "") or {}
    return Request(
        dialect="anthropic",
        model=want_name(wire, "model", ""),
        system=system,
        messages=messages,
        tools=tools,
        tool_choice=choice,
        parallel_tools=parallel,
        format=_format(wire, config),
        sampling=Sampling(
            temperature=wire.get("temperature"),
            top_p=wire.get("top_p"),
            top_k=wire.get("top_k"),
            stop=tuple(wire.get("stop_sequences") or ()),
        ),
        reasoning=_reasoning(wire, config),
        max_output=wire.get("max_tokens"),
        stream=wire.get("stream") is True,
        cache=_cache(wire),
        identity=_identity(wire),
        service_tier=find_str(wire, "service_tier", ""),
        rejected=(*_rejected(wire, messages), *rejected_tools(tools)),
        ignored=tuple(_ignored(wire, config)),
        extra=_extra(wire, config, attribution),
    )


def check_thread(wire: Json) -> None:
    """Refuse a request that continues a thread, with the code that makes the official libraries send the whole."""
    if wire.get("thread") is not None:
        raise Unsupported("Threads are not supported; send the whole conversation.", param="thread", code=_THREAD_CODE)


def _check(wire: Json, counting: bool) -> None:
    check_thread(wire)
    for key, check in _CHECKS.items():
        if wire.get(key) is not None:
            check(wire[key], key)
    if wire.get("max_tokens") is None and not counting:
        raise missing("max_tokens")


def _extra(wire: Json, config: Json, attribution: str | None) -> dict[str, Any]:
    others = {key: value for key, value in wire.items() if key not in _MAPPED}
    if rest := {key: value for key, value in config.items() if key not in ("effort", "format")}:
        others["output_config"] = rest
    if attribution is not None:
        others[ATTRIBUTION_KEY] = attribution
    return others


def _messages(wire: Json) -> tuple[Message, ...]:
    messages = []
    for index, message in enumerate(want_list(wire, "messages", "")):
        path = f"messages[{index}]"
        check_object(message, path)
        role = want_choice(message, "role", _ROLES, path)
        messages.append(
            Message(
                role=role,  # type: ignore[arg-type]
                parts=decode_content(message, "content", path),
                authority="system" if role == "system" else None,
                extra=extra(message, "role", "content"),
            )
        )
    return tuple(messages)


def _system(wire: Json) -> tuple[tuple[Text, ...], str | None]:
    """The instructions, and the attribution line that Claude Code puts before them.

    That line changes with every request: for other providers it would spoil each prompt cache from the first token.
    """
    value = wire.get("system")
    if value is None:
        return (), None
    system = decode_texts(value, "system")
    if not system or not system[0].text.startswith(ATTRIBUTION):
        return system, None
    line, _, rest = system[0].text.partition("\n")
    if not rest.strip():
        return system[1:], line
    return (attrs.evolve(system[0], text=rest), *system[1:]), line


def _format(wire: Json, config: Json) -> ResponseFormat | None:
    wanted, path = find_object(config, "format", "output_config"), "output_config.format"
    if wanted is None:
        wanted, path = find_object(wire, "output_format", ""), "output_format"
    if wanted is None:
        return None
    want_choice(wanted, "type", _FORMATS, path)
    return ResponseFormat(kind="schema", schema=want_object(wanted, "schema", path))


def _reasoning(wire: Json, config: Json) -> ReasoningSpec | None:
    effort = None if config.get("effort") is None else want_choice(config, "effort", _EFFORTS, "output_config")
    thinking = find_object(wire, "thinking", "")
    if thinking is None:
        return None if effort is None else ReasoningSpec(effort=effort)  # type: ignore[arg-type]
    kind = want_choice(thinking, "type", _THINKING, "thinking")
    budget = None
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if budget is None:
            raise missing("thinking.budget_tokens")
        integer(1)(budget, "thinking.budget_tokens")
    display = find_str(thinking, "display", "thinking")
    show = None
    if kind in ("enabled", "adaptive"):
        show = display if display in ("summarized", "omitted") else "auto"
    return ReasoningSpec(
        mode=_THINKING[kind],  # type: ignore[arg-type]
        effort=effort,  # type: ignore[arg-type]
        budget=budget,
        show=show,  # type: ignore[arg-type]
        raw=thinking,
    )


def _cache(wire: Json) -> CacheSpec:
    hint = decode_cache(wire, "")
    return CacheSpec() if hint is None else CacheSpec(auto_mark=True, ttl_s=hint.ttl_s)


def _identity(wire: Json) -> Identity:
    metadata = find_object(wire, "metadata", "")
    return Identity(user=find_str(metadata, "user_id", "metadata")) if metadata else Identity()


def _rejected(wire: Json, messages: tuple[Message, ...]) -> Iterator[Rejected]:
    params = [key for key in _REJECTED if wire.get(key)]
    if wire.get("max_tokens") == 0:
        params.append("max_tokens")  # only fills the prompt cache
    if _names_container(wire.get("container")):
        params.append("container")
    for index, message in enumerate(messages):
        for at, part in enumerate(message.parts):
            if isinstance(part, Opaque) and part.type == "compaction":
                params.append(f"messages[{index}].content[{at}]")
    for param in params:
        yield Rejected(param=param, why=f"{param} is not supported for this model.")


def _names_container(container: Any) -> bool:
    """Whether a container is one with a past, or with skills in it."""
    if isinstance(container, dict):
        return bool(container.get("id") or container.get("skills"))
    return bool(container)


def _ignored(wire: Json, config: Json) -> Iterator[Ignored]:
    for key in _IGNORED:
        if wire.get(key):
            yield Ignored(name=key)
    if config.get("task_budget"):
        yield Ignored(name="output_config.task_budget")
    if wire.get("speed") not in (None, "standard"):
        yield Ignored(name="speed")
    container = wire.get("container")
    if container and not _names_container(container):
        yield Ignored(name="container")
    tools = [tool for tool in wire.get("tools") or () if isinstance(tool, dict)]
    for key in _IGNORED_OF_TOOLS:
        if any(tool.get(key) for tool in tools):
            yield Ignored(name=f"tools.{key}")
