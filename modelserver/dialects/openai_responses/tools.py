"""Tools and the choice among them, written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from modelserver.dialects.builtin_schemas import BUILTIN_SCHEMAS
from modelserver.dialects.names import NameMap, build_names
from modelserver.dialects.openai_responses.vocab import HOSTED_TYPES
from modelserver.dialects.schemas import FREE_TEXT, NO_ARGUMENTS, free_text_description, is_enforced, rooted
from modelserver.dialects.shaping import NEVER_DROPPED, offered_tools
from modelserver.errors import Unsupported
from modelserver.ir.profile import Profile
from modelserver.ir.request import (
    BuiltinTool,
    CustomTool,
    FunctionTool,
    HostedTool,
    Loss,
    Request,
    Tool,
    ToolChoice,
)

_CHARACTER: Final = "[a-zA-Z0-9_-]"
_NAME_MAX: Final = 64
_OPENAI: Final = frozenset(("chat", "responses"))


def map_names(request: Request) -> NameMap:
    """The names that the request's tools have on the wire."""
    return build_names(
        request.tools, request.messages, pattern_first=_CHARACTER, pattern_rest=_CHARACTER, maximum=_NAME_MAX
    )


@attrs.frozen(slots=True)
class ToolFields:
    """The fields of a request that are about tools; empty without tools."""

    fields: dict[str, Any]
    names: NameMap


def encode_tools(request: Request, profile: Profile, losses: list[Loss]) -> ToolFields:
    """`tools`, `tool_choice` and `parallel_tool_calls`.

    Raises:
        Unsupported: A tool can't be left out, or is forced and not offered.
        InvalidRequest: Two different tools have one name.
    """
    names = map_names(request)
    tools, choice = offered_tools(names.declared, request.tool_choice, profile, losses)
    written = [
        one
        for index, tool in enumerate(tools)
        if (one := _encode_tool(tool, f"tools[{index}]", request, profile, names, losses)) is not None
    ]
    fields: dict[str, Any] = {}
    if written:
        fields["tools"] = written
        if choice is not None:
            fields["tool_choice"] = _encode_choice(choice, tools, names, profile)
        if request.parallel_tools is False and profile.quirks.get("parallel_field", True):
            fields["parallel_tool_calls"] = False
    return ToolFields(fields, names)


def _encode_tool(
    tool: Tool, path: str, request: Request, profile: Profile, names: NameMap, losses: list[Loss]
) -> dict[str, Any] | None:
    match tool:
        case FunctionTool():
            return _function(tool, path, request, profile, names, losses)
        case CustomTool():
            return _custom(tool, profile, names)
        case HostedTool():
            return _hosted(tool, path, request, profile, losses)
        case BuiltinTool(dialect="responses"):
            return dict(tool.raw)
        case BuiltinTool():
            return _builtin(tool, path, names)


def _function(
    tool: FunctionTool, path: str, request: Request, profile: Profile, names: NameMap, losses: list[Loss]
) -> dict[str, Any]:
    schema = tool.schema if tool.schema is not None else NO_ARGUMENTS
    strict = tool.strict is True
    # Between the two OpenAI dialects the service itself judges the schema; its refusal is the right answer.
    if strict and request.dialect not in _OPENAI:
        schema = rooted(schema)
        if not is_enforced(schema):
            strict = False
            losses.append(Loss(path=f"{path}.strict", code="strict_dropped"))
    written: dict[str, Any] = {"type": "function", "name": names.wire(tool.name, tool.namespace)}
    if tool.description is not None:
        written["description"] = _cut(tool.description, profile)
    written["parameters"] = schema
    # Left out, the service would try `true`, and optional properties would silently become required.
    if profile.quirks.get("strict_tools", True):
        written["strict"] = strict
    if request.dialect == "responses":
        written |= tool.extra
    return written


def _builtin(tool: BuiltinTool, path: str, names: NameMap) -> dict[str, Any]:
    known = BUILTIN_SCHEMAS.get(tool.type)
    if known is None:
        raise Unsupported(f"{path} is a tool that this model does not know.", param=path)
    description, schema = known
    return {
        "type": "function",
        "name": names.wire(tool.name),
        "description": description,
        "parameters": schema,
        "strict": False,
    }


def _custom(tool: CustomTool, profile: Profile, names: NameMap) -> dict[str, Any]:
    name = names.wire(tool.name, tool.namespace)
    if profile.card.custom_tools:
        written: dict[str, Any] = {"type": "custom", "name": name}
        if tool.description is not None:
            written["description"] = _cut(tool.description, profile)
        if tool.syntax is not None:
            written["format"] = {"type": "grammar", "syntax": tool.syntax, "definition": tool.grammar or ""}
        return written
    return {
        "type": "function",
        "name": name,
        "description": _cut(free_text_description(tool), profile),
        "parameters": FREE_TEXT,
        "strict": False,
    }


def _cut(description: str, profile: Profile) -> str:
    most = profile.quirks.get("description_max")
    return description[:most] if isinstance(most, int) else description


def _hosted(
    tool: HostedTool, path: str, request: Request, profile: Profile, losses: list[Loss]
) -> dict[str, Any] | None:
    if tool.dialect == "responses":
        return dict(tool.raw)
    type_ = HOSTED_TYPES.get(tool.family)
    if type_ is not None and tool.family in profile.card.hosted:
        return _web_search(tool.raw) if type_ == "web_search" else {"type": type_, "container": {"type": "auto"}}
    forced = request.tool_choice is not None and request.tool_choice.hosted == tool.family
    if forced or tool.family in NEVER_DROPPED:
        raise Unsupported(f"The hosted tool {tool.family} is not supported for this model.", param=path)
    losses.append(Loss(path=path, code=f"hosted_tool_dropped:{tool.family}"))
    return None


def _web_search(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A search with those settings that have one name everywhere."""
    written: dict[str, Any] = {"type": "web_search"}
    filters = {
        key: domains
        for key in ("allowed_domains", "blocked_domains")
        if isinstance(domains := settings.get(key), list) and domains
    }
    if filters:
        written["filters"] = filters
    place = settings.get("user_location")
    if isinstance(place, Mapping):
        inner = place.get("approximate")
        fields = inner if isinstance(inner, Mapping) else place
        known = {key: fields[key] for key in ("city", "country", "region", "timezone") if fields.get(key)}
        written["user_location"] = {"type": "approximate", **known}
    size = settings.get("search_context_size")
    if size in ("low", "medium", "high"):
        written["search_context_size"] = size
    return written


def _is_forced(tool: HostedTool, family: str) -> bool:
    return tool.family == family and tool.dialect == "responses"


def _encode_choice(choice: ToolChoice, tools: tuple[Tool, ...], names: NameMap, profile: Profile) -> Any:
    if choice.hosted is not None:
        own = next(
            (tool.raw["type"] for tool in tools if isinstance(tool, HostedTool) and _is_forced(tool, choice.hosted)),
            None,
        )
        return {"type": own or HOSTED_TYPES.get(choice.hosted, choice.hosted)}
    if choice.only is None or choice.mode == "none":
        if choice.mode == "required" and profile.quirks.get("tool_choice") == "any":
            return "any"
        return choice.mode
    custom = {tool.name for tool in tools if isinstance(tool, CustomTool)} if profile.card.custom_tools else set()
    builtin = {tool.name: tool.type for tool in tools if isinstance(tool, BuiltinTool) and tool.dialect == "responses"}
    named: list[dict[str, str]] = []
    for name in choice.only:
        if name in builtin:
            named.append({"type": builtin[name]})
        else:
            named.append({"type": "custom" if name in custom else "function", "name": names.wire(name)})
    if choice.mode == "required" and len(named) == 1:
        return named[0]
    return {"type": "allowed_tools", "mode": choice.mode, "tools": named}
