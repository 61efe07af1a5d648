"""Tools and the choice among them, written for an upstream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelserver.dialects.builtin_schemas import BUILTIN_SCHEMAS
from modelserver.dialects.names import NameMap, build_names
from modelserver.dialects.schemas import FREE_TEXT, NO_ARGUMENTS, free_text_description, is_enforced, rooted
from modelserver.dialects.shaping import NEVER_DROPPED, offered_tools
from modelserver.errors import Unsupported
from modelserver.ir.parts import CacheHint
from modelserver.ir.profile import Profile
from modelserver.ir.request import BuiltinTool, CustomTool, FunctionTool, HostedTool, Loss, Request, Tool, ToolChoice

_CHARACTER: Final = "[a-zA-Z0-9_-]"
_NAME_MAX: Final = 64
OPENAI: Final = frozenset(("chat", "responses"))
"""Dialects whose schemas the same service judges."""


def map_names(request: Request) -> NameMap:
    """The names that the request's tools have on the wire.

    Raises:
        InvalidRequest: Two different tools have one name.
    """
    return build_names(
        request.tools, request.messages, pattern_first=_CHARACTER, pattern_rest=_CHARACTER, maximum=_NAME_MAX
    )


def encode_tools(request: Request, profile: Profile, names: NameMap, losses: list[Loss]) -> dict[str, Any]:
    """`tools`, `tool_choice`, `parallel_tool_calls` and `web_search_options`, as far as they are wanted.

    Raises:
        Unsupported: A tool can't be left out, or is forced and not offered.
    """
    tools, choice = offered_tools(names.declared, request.tool_choice, profile, losses)
    fields: dict[str, Any] = {}
    written: list[Any] = []
    for index, tool in enumerate(tools):
        path = f"tools[{index}]"
        match tool:
            case FunctionTool():
                written.append(_function(tool, path, request, profile, names, losses))
            case CustomTool():
                written.append(_custom(tool, profile, names))
            case BuiltinTool():
                written.append(_builtin(tool, path, profile, names))
            case HostedTool():
                _hosted(tool, path, request, profile, fields, written, losses)
    if not written:
        return fields
    fields["tools"] = written
    if choice is not None:
        fields["tool_choice"] = _encode_choice(choice, tools, names, profile)
    if request.parallel_tools is False:
        if profile.quirks.get("parallel_field", True) and profile.card.parallel_tools:
            fields["parallel_tool_calls"] = False
        else:
            losses.append(Loss(path="parallel_tool_calls", code="parallel_not_enforced"))
    return fields


def _function(
    tool: FunctionTool, path: str, request: Request, profile: Profile, names: NameMap, losses: list[Loss]
) -> dict[str, Any]:
    function: dict[str, Any] = {"name": names.wire(tool.name, tool.namespace)}
    if tool.description is not None:
        function["description"] = _cut(tool.description, profile)
    schema, strict = tool.schema if tool.schema is not None else NO_ARGUMENTS, tool.strict
    if strict and request.dialect not in OPENAI:
        schema = rooted(schema)
        if not is_enforced(schema):
            strict = False
            losses.append(Loss(path=f"{path}.strict", code="strict_dropped"))
    function["parameters"] = schema
    if strict is not None and profile.quirks.get("strict_tools", True):
        function["strict"] = strict
    if request.dialect == "chat":
        function |= tool.extra
    return _marked({"type": "function", "function": function}, tool.cache, profile)


def _custom(tool: CustomTool, profile: Profile, names: NameMap) -> dict[str, Any]:
    name = names.wire(tool.name, tool.namespace)
    if profile.card.custom_tools:
        custom: dict[str, Any] = {"name": name}
        if tool.description is not None:
            custom["description"] = _cut(tool.description, profile)
        if tool.syntax is not None:
            grammar = {"syntax": tool.syntax, "definition": tool.grammar or ""}
            custom["format"] = {"type": "grammar", "grammar": grammar}
        return {"type": "custom", "custom": custom}
    description = _cut(free_text_description(tool), profile)
    return {"type": "function", "function": {"name": name, "description": description, "parameters": FREE_TEXT}}


def _builtin(tool: BuiltinTool, path: str, profile: Profile, names: NameMap) -> dict[str, Any]:
    known = BUILTIN_SCHEMAS.get(tool.type)
    if known is None:
        raise Unsupported(f"The tool type {tool.type} is not supported for this model.", param=path)
    description, schema = known
    function = {"name": names.wire(tool.name), "description": _cut(description, profile), "parameters": schema}
    return {"type": "function", "function": function}


def _hosted(
    tool: HostedTool,
    path: str,
    request: Request,
    profile: Profile,
    fields: dict[str, Any],
    written: list[Any],
    losses: list[Loss],
) -> None:
    """A tool that the provider runs: the option for searches, a vendor's own declaration, or a loss."""
    if tool.dialect == "chat":
        if "type" in tool.raw:
            written.append(tool.raw)
        else:
            fields["web_search_options"] = tool.raw
    elif tool.family == "web_search" and "web_search" in profile.card.hosted:
        fields["web_search_options"] = _search_options(tool.raw)
    else:
        forced = request.tool_choice is not None and request.tool_choice.hosted == tool.family
        if forced or tool.family in NEVER_DROPPED:
            raise Unsupported(f"The hosted tool {tool.family} is not supported for this model.", param=path)
        losses.append(Loss(path=path, code=f"hosted_tool_dropped:{tool.family}"))


def _search_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    size, place = settings.get("search_context_size"), settings.get("user_location")
    if size in ("low", "medium", "high"):
        options["search_context_size"] = size
    if isinstance(place, Mapping):
        approximate = {key: place[key] for key in ("city", "country", "region", "timezone") if place.get(key)}
        options["user_location"] = {"type": "approximate", "approximate": approximate}
    return options


def _encode_choice(choice: ToolChoice, tools: tuple[Tool, ...], names: NameMap, profile: Profile) -> Any:
    if choice.only is None or choice.mode == "none":
        if choice.mode == "required" and profile.quirks.get("tool_choice") == "any":
            return "any"
        return choice.mode
    own = {tool.name for tool in tools if isinstance(tool, CustomTool)} if profile.card.custom_tools else set()
    named = [_named(name, names, custom=name in own) for name in choice.only]
    if choice.mode == "required" and len(named) == 1:
        return named[0]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}


def _named(name: str, names: NameMap, *, custom: bool) -> dict[str, Any]:
    kind = "custom" if custom else "function"
    return {"type": kind, kind: {"name": names.wire(name)}}


def _cut(description: str, profile: Profile) -> str:
    most = profile.quirks.get("description_max")
    return description[:most] if isinstance(most, int) else description


def _marked(obj: dict[str, Any], hint: CacheHint | None, profile: Profile) -> dict[str, Any]:
    if hint is not None and profile.quirks.get("cache_control"):
        obj["cache_control"] = cache_marker(hint)
    return obj


def cache_marker(hint: CacheHint) -> dict[str, Any]:
    """Anthropic's marker, which some servers pass on; it knows five minutes and an hour."""
    return {"type": "ephemeral", "ttl": "1h"} if (hint.ttl_s or 0) > 300 else {"type": "ephemeral"}
