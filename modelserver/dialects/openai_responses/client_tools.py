"""Tools and the choice among them, as a client declares them."""

from __future__ import annotations

import re
from typing import Any, Final

from modelserver.dialects.openai_responses.vocab import CLIENT_CALLS, HOSTED_FAMILIES
from modelserver.dialects.reading import (
    check_object,
    find_bool,
    find_list,
    find_object,
    find_str,
    join,
    out_of_range,
    want_choice,
    want_list,
    want_name,
    wrong,
)
from modelserver.ir.request import BuiltinTool, CustomTool, FunctionTool, HostedTool, Tool, ToolChoice

_DATE: Final = re.compile(r"_20\d\d_\d\d_\d\d$")
_CLIENT_RUN: Final = frozenset(name for name, _ in CLIENT_CALLS.values())
_MODES: Final = frozenset(("auto", "none", "required"))
_NAMED: Final = frozenset(("function", "custom"))
_SYNTAXES: Final = frozenset(("lark", "regex"))
_KEPT: Final = ("allowed_callers", "output_schema", "async")


def decode_tools(tools: list[Any], path: str) -> tuple[Tool, ...]:
    """The declared tools in order; those of a namespace stand where it does."""
    decoded: list[Tool] = []
    for index, tool in enumerate(tools):
        at = f"{path}[{index}]"
        check_object(tool, at)
        if tool.get("type") == "namespace":
            name = want_name(tool, "name", at)
            for place, inner in enumerate(want_list(tool, "tools", at)):
                check_object(inner, f"{at}.tools[{place}]")
                decoded.append(_decode_tool(inner, name, f"{at}.tools[{place}]"))
        else:
            decoded.append(_decode_tool(tool, None, at))
    return tuple(decoded)


def _decode_tool(tool: dict[str, Any], namespace: str | None, at: str) -> Tool:
    kind = want_name(tool, "type", at)
    if kind == "function":
        return FunctionTool(
            name=want_name(tool, "name", at),
            description=find_str(tool, "description", at),
            schema=find_object(tool, "parameters", at),
            strict=find_bool(tool, "strict", at),
            namespace=namespace,
            defer=find_bool(tool, "defer_loading", at) or False,
            extra={key: tool[key] for key in _KEPT if key in tool},
        )
    if kind == "custom":
        return _decode_custom(tool, namespace, at)
    if kind in _CLIENT_RUN:
        return BuiltinTool(name=kind, type=kind, dialect="responses", raw=tool)
    return HostedTool(family=family(kind), dialect="responses", raw=tool)


def _decode_custom(tool: dict[str, Any], namespace: str | None, at: str) -> CustomTool:
    format = find_object(tool, "format", at) or {}
    syntax = grammar = None
    if format.get("type") == "grammar":
        syntax = want_choice(format, "syntax", _SYNTAXES, join(at, "format"))
        grammar = want_name(format, "definition", join(at, "format"))
    return CustomTool(
        name=want_name(tool, "name", at),
        description=find_str(tool, "description", at),
        syntax=syntax,  # type: ignore[arg-type]
        grammar=grammar,
        namespace=namespace,
    )


def family(kind: str) -> str:
    """The family of a hosted tool; what is new is `other`."""
    return HOSTED_FAMILIES.get(_DATE.sub("", kind), "other")


def decode_choice(value: Any, path: str) -> ToolChoice | None:
    """The tool choice; None where it is absent."""
    if value is None:
        return None
    if isinstance(value, str):
        if value not in _MODES:
            raise out_of_range(path, f"one of {', '.join(sorted(_MODES))} or an object")
        return ToolChoice(mode=value)  # type: ignore[arg-type]
    if not isinstance(value, dict):
        raise wrong(path, "a string or an object", value)
    kind = want_name(value, "type", path)
    if kind in _NAMED:
        return ToolChoice(mode="required", only=(want_name(value, "name", path),))
    if kind == "allowed_tools":
        mode = want_choice(value, "mode", _MODES, path)
        tools = find_list(value, "tools", path) or []
        found = (_named(tool, f"{path}.tools[{i}]") for i, tool in enumerate(tools) if isinstance(tool, dict))
        names = [name for name in found if isinstance(name, str)]
        return ToolChoice(mode=mode, only=tuple(names) or None)  # type: ignore[arg-type]
    if kind in _CLIENT_RUN:
        return ToolChoice(mode="required", only=(kind,))
    return ToolChoice(mode="required", hosted=family(kind))


def _named(tool: dict[str, Any], path: str) -> Any:
    kind = find_str(tool, "type", path)
    return kind if kind in _CLIENT_RUN else tool.get("name")
