"""Whether a Chat request is well formed, and what the gateway must know of it.

Fields and ranges: OpenAI API reference, "Create chat completion", read 2026-11-23. `null` equals absent, unknown fields
pass. Words that vendors add to or that OpenAI itself keeps adding to (`reasoning_effort`, `service_tier`, `verbosity`,
`modalities`, ...) are checked for their type only: which ones a model takes is known to its provider, not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson

from modelserver.dialects.forwarding import NOTHING, param_edits, set_member, shifted, target_edits
from modelserver.dialects.openai_chat.content import check_messages
from modelserver.dialects.openai_chat.quirk_edits import REQUEST_QUIRKS, bend
from modelserver.dialects.reading import (
    Check,
    Json,
    check_bool,
    check_fields,
    check_model,
    check_object,
    check_once,
    check_spelling,
    check_str,
    check_strings,
    find_bool,
    find_list,
    find_object,
    find_str,
    integer,
    missing,
    number,
    out_of_range,
    parse_body,
    want_list,
    want_name,
    want_object,
    want_str,
    wrong,
)
from modelserver.ir.types import NOWHERE, Address, Ask
from modelserver.wire.json_splice import Edit, append_member, get_member, remove_member, splice

_INCLUDE_USAGE: Final = b'{"include_usage":true}'
_MODEL: Final = frozenset(("model",))


@attrs.frozen(kw_only=True, slots=True)
class ChatAsk:
    """What the gateway must know of a Chat request in order to serve it."""

    model: str
    stream: bool
    include_usage: bool
    """`stream_options.include_usage` is true; says nothing about `stream`."""
    n: int
    """Choices asked for."""


def check_request(body: Mapping[str, Any]) -> ChatAsk:
    """The essentials of a request whose every documented field is of the right type and in range.

    Raises:
        InvalidRequest: A field is missing or wrong; `param` is its path.
    """
    check_fields(body, FIELDS)
    # The two required fields have been checked where they are given.
    model = body.get("model")
    if model is None:
        raise missing("model")
    if body.get("messages") is None:
        raise missing("messages")
    options = body.get("stream_options")
    return ChatAsk(
        model=model,
        stream=body.get("stream") is True,
        include_usage=options is not None and options.get("include_usage") is True,
        n=body.get("n") or 1,
    )


def read_request(wire: bytes, address: Address = NOWHERE) -> Ask:
    """A checked request; the path says nothing of it.

    Raises:
        InvalidRequest: It is not JSON, a field is wrong, or a field that is read here stands twice; another spelling
            of `model` (`Model`) counts as a second one.
    """
    parsed = parse_body(wire)
    ask = check_request(parsed)
    check_once(wire, parsed, _READ)
    check_spelling(parsed, _MODEL)
    return Ask(
        model=ask.model, stream=ask.stream, wants_usage=ask.stream and ask.include_usage, wire=wire, parsed=parsed
    )


def forward(
    ask: Ask,
    *,
    target: str,
    params: Mapping[str, bytes],
    ask_usage: bool,
    drop_options: bool,
    quirks: Mapping[str, Any] = NOTHING,
) -> bytes:
    """See `Forward`."""
    wire, parsed = ask.wire, ask.parsed
    edits = target_edits(ask, target)
    if drop_options:
        if "stream_options" in parsed:
            edits.append(remove_member(wire, "stream_options"))
    elif ask_usage:
        edits.append(_usage_edit(ask))
    edits += param_edits(wire, parsed, params)
    if edits:
        wire = splice(wire, edits)
    if quirks and not REQUEST_QUIRKS.isdisjoint(quirks):
        given = {name: orjson.loads(value) for name, value in params.items() if parsed.get(name) is None}
        fields = {**parsed, **given}
        if drop_options:
            fields.pop("stream_options", None)
        elif ask_usage:
            fields["stream_options"] = {**(parsed.get("stream_options") or {}), "include_usage": True}
        wire = bend(wire, fields, quirks)
    return wire


def _usage_edit(ask: Ask) -> Edit:
    """Sets `stream_options.include_usage`, whatever stands there now."""
    wire = ask.wire
    if "stream_options" not in ask.parsed:
        return append_member(wire, "stream_options", _INCLUDE_USAGE)
    options = ask.parsed["stream_options"]
    member = get_member(wire, "stream_options")
    if not options:
        return Edit(member.start, member.end, _INCLUDE_USAGE)
    text = wire[member.start : member.end]
    edit = (set_member if "include_usage" in options else append_member)(text, "include_usage", b"true")
    return shifted([edit], member.start)[0]


def _check_stream_options(value: Any, path: str) -> None:
    check_object(value, path)
    find_bool(value, "include_usage", path)
    find_bool(value, "include_obfuscation", path)


_INTEGER: Final = integer()


def _check_seed(value: Any, path: str) -> None:
    # 7e0 is an integer too, and one past 64 bits is a float by now; the provider gets its digits.
    if type(value) is float and value.is_integer():
        return
    _INTEGER(value, path)


def _check_stop(value: Any, path: str) -> None:
    # OpenAI takes up to 4, Gemini 5, others more: the count is the target's to judge.
    if isinstance(value, str):
        return
    if not isinstance(value, list):
        raise wrong(path, "a string or a list of strings", value)
    check_strings(value, path)


def _check_logprobs(value: Any, path: str) -> None:
    # A boolean; Together and the older completions API take the count of alternatives instead.
    if value is not True and value is not False and (type(value) is not int or value < 0):
        raise wrong(path, "a boolean", value)


_BIAS: Final = number(-100, 100)


def _check_logit_bias(value: Any, path: str) -> None:
    # The path stays that of the map: its keys are the client's words.
    check_object(value, path)
    for bias in value.values():
        _BIAS(bias, path)


def _check_tools(value: Any, path: str) -> None:
    # OpenAI refuses an empty list, other servers take it for none.
    if not isinstance(value, list):
        raise wrong(path, "a list of tools", value)
    for index, tool in enumerate(value):
        _check_tool(tool, f"{path}[{index}]")


def _check_tool(tool: Any, path: str) -> None:
    if not isinstance(tool, dict):
        raise wrong(path, "an object", tool)
    kind = _kind_of_tool(tool, path)
    if kind == "function":
        _check_function(want_object(tool, "function", path), f"{path}.function")
    elif kind == "custom":
        custom = want_object(tool, "custom", path)
        path = f"{path}.custom"
        want_name(custom, "name", path)
        find_str(custom, "description", path)
        find_object(custom, "format", path)


def _kind_of_tool(tool: Json, path: str) -> str:
    """The type of a tool or a tool choice; vendors have their own (`openrouter:web_search`, `builtin_function`)."""
    # Clients of Mistral leave the type out.
    if tool.get("type") is None and "function" in tool:
        return "function"
    return want_name(tool, "type", path)


def _check_function(function: Json, path: str) -> None:
    # OpenAI's pattern for names is not asked for: others allow dots, colons and more than 64 characters.
    want_name(function, "name", path)
    find_str(function, "description", path)
    find_object(function, "parameters", path)
    find_bool(function, "strict", path)


# `any` is Mistral's word for `required`.
_CHOICES: Final = frozenset({"none", "auto", "required", "any"})


def _check_tool_choice(value: Any, path: str) -> None:
    if isinstance(value, str):
        if value not in _CHOICES:
            raise out_of_range(path, "none, auto, required or an object that names a tool")
        return
    if not isinstance(value, dict):
        raise wrong(path, "a string or an object", value)
    kind = _kind_of_tool(value, path)
    if kind in ("function", "custom"):
        want_name(want_object(value, kind, path), "name", f"{path}.{kind}")
    elif kind == "allowed_tools":
        allowed = want_object(value, "allowed_tools", path)
        path = f"{path}.allowed_tools"
        want_str(allowed, "mode", path)
        for index, tool in enumerate(want_list(allowed, "tools", path)):
            check_object(tool, f"{path}.tools[{index}]")


def _check_functions(value: Any, path: str) -> None:
    if not isinstance(value, list):
        raise wrong(path, "a list of functions", value)
    for index, function in enumerate(value):
        at = f"{path}[{index}]"
        check_object(function, at)
        _check_function(function, at)


def _check_function_call(value: Any, path: str) -> None:
    if isinstance(value, str):
        if value not in ("none", "auto"):
            raise out_of_range(path, "none, auto or an object that names a function")
        return
    if not isinstance(value, dict):
        raise wrong(path, "a string or an object", value)
    want_name(value, "name", path)


def _check_response_format(value: Any, path: str) -> None:
    check_object(value, path)
    # Other types than OpenAI's three pass: `structural_tag` (vLLM), `grammar` (Fireworks), `regex` (Together).
    if want_name(value, "type", path) != "json_schema":
        return
    # Together has `schema` beside the type.
    if "json_schema" not in value and isinstance(value.get("schema"), dict):
        return
    schema = want_object(value, "json_schema", path)
    path = f"{path}.json_schema"
    # OpenAI requires the name, Perplexity and others don't.
    find_str(schema, "name", path)
    find_str(schema, "description", path)
    find_object(schema, "schema", path)
    find_bool(schema, "strict", path)


def _check_audio(value: Any, path: str) -> None:
    check_object(value, path)
    want_str(value, "format", path)
    # A voice of one's own is given as {"id": ...}.
    if not isinstance(value.get("voice"), dict):
        want_str(value, "voice", path)


def _check_cache_options(value: Any, path: str) -> None:
    check_object(value, path)
    find_str(value, "mode", path)
    find_str(value, "ttl", path)


def _check_prediction(value: Any, path: str) -> None:
    check_object(value, path)
    want_name(value, "type", path)
    if not isinstance(value.get("content"), str):
        find_list(value, "content", path)


def _check_web_search(value: Any, path: str) -> None:
    check_object(value, path)
    find_str(value, "search_context_size", path)
    find_object(value, "user_location", path)


def _check_moderation(value: Any, path: str) -> None:
    check_object(value, path)
    find_str(value, "model", path)
    find_object(value, "policy", path)


FIELDS: Final[Mapping[str, Check]] = {
    "model": check_model,
    "messages": check_messages,
    "stream": check_bool,
    "stream_options": _check_stream_options,
    "max_completion_tokens": integer(1),
    "max_tokens": integer(1),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "presence_penalty": number(-2, 2),
    "frequency_penalty": number(-2, 2),
    "seed": _check_seed,
    "stop": _check_stop,
    # 128 is OpenAI's bound. Every choice costs memory here too, so that there must be one.
    "n": integer(1, 128),
    "logprobs": _check_logprobs,
    "top_logprobs": integer(0, 20),
    "logit_bias": _check_logit_bias,
    "tools": _check_tools,
    "tool_choice": _check_tool_choice,
    "parallel_tool_calls": check_bool,
    "functions": _check_functions,
    "function_call": _check_function_call,
    "response_format": _check_response_format,
    "reasoning_effort": check_str,
    "verbosity": check_str,
    "modalities": check_strings,
    "audio": _check_audio,
    "prompt_cache_key": check_str,
    "prompt_cache_options": _check_cache_options,
    "prompt_cache_retention": check_str,
    "prediction": _check_prediction,
    "web_search_options": _check_web_search,
    # OpenAI's values are strings, those of other servers (tags, traces) may be anything.
    "metadata": check_object,
    "user": check_str,
    "safety_identifier": check_str,
    "service_tier": check_str,
    "store": check_bool,
    "moderation": _check_moderation,
}
"""Every documented field; a check is given the value, which is not `null`, and its path."""

_READ: Final = frozenset(FIELDS)
