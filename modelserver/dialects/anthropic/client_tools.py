"""Tools and tool choice of a client, read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from modelserver.dialects.anthropic.client_content import decode_cache, extra
from modelserver.dialects.reading import (
    Json,
    check_object,
    find_bool,
    find_list,
    find_object,
    find_str,
    want_choice,
    want_name,
    want_object,
)
from modelserver.ir.request import BuiltinTool, FunctionTool, HostedTool, Rejected, Tool, ToolChoice

CLIENT_RUN: Final = ("bash_", "text_editor_", "memory_")
"""How the types of tools begin that have no schema, and that the client runs itself."""

_HOSTED: Final = (
    ("web_search_", "web_search"),
    ("web_fetch_", "web_fetch"),
    ("code_execution_", "code_execution"),
    ("tool_search_tool_", "tool_search"),
    ("mcp_toolset", "mcp"),
    ("computer_", "computer"),
    ("browser_", "computer"),
)
_CHOICES: Final = {"auto": "auto", "any": "required", "tool": "required", "none": "none"}


def decode_tools(body: Json) -> tuple[Tool, ...]:
    """The declared tools."""
    return tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(find_list(body, "tools", "") or ()))


def rejected_tools(tools: Sequence[Tool]) -> list[Rejected]:
    """Tools without which the client can't work, and which no other provider has."""
    return [
        Rejected(param=f"tools[{index}]", why=f"tools[{index}]: this tool is not supported for this model.")
        for index, tool in enumerate(tools)
        if isinstance(tool, HostedTool) and tool.family in ("computer", "mcp")
    ]


def decode_choice(body: Json, tools: Sequence[Tool]) -> tuple[ToolChoice | None, bool | None]:
    """The tool choice, and whether several calls at a time are wanted."""
    choice = find_object(body, "tool_choice", "")
    if choice is None:
        return None, None
    kind = want_choice(choice, "type", _CHOICES, "tool_choice")
    serial = find_bool(choice, "disable_parallel_tool_use", "tool_choice")
    parallel = False if serial else None
    if kind != "tool":
        return ToolChoice(mode=_CHOICES[kind]), parallel  # type: ignore[arg-type]
    name = want_name(choice, "name", "tool_choice")
    for tool in tools:
        if isinstance(tool, HostedTool) and tool.raw.get("name") == name:
            return ToolChoice(mode="required", hosted=tool.family), parallel
    return ToolChoice(mode="required", only=(name,)), parallel


def _tool(tool: Any, path: str) -> Tool:
    check_object(tool, path)
    kind = find_str(tool, "type", path)
    if kind is None or kind == "custom":
        return _function(tool, path)
    if kind.startswith(CLIENT_RUN):
        return BuiltinTool(name=want_name(tool, "name", path), type=kind, dialect="anthropic", raw=tool)
    family = next((family for prefix, family in _HOSTED if kind.startswith(prefix)), "other")
    return HostedTool(family=family, dialect="anthropic", raw=tool)


def _function(tool: Json, path: str) -> Tool:
    callers = find_list(tool, "allowed_callers", path)
    name = want_name(tool, "name", path)
    schema = want_object(tool, "input_schema", path)
    if callers is not None and "direct" not in callers:
        # Only code that the provider runs may call it.
        return HostedTool(family="other", dialect="anthropic", raw=tool)
    members = extra(tool, "name", "description", "input_schema", "strict", "defer_loading", "input_examples")
    if "type" in tool:
        members["type"] = tool["type"]
    return FunctionTool(
        name=name,
        description=find_str(tool, "description", path),
        schema=schema,
        strict=find_bool(tool, "strict", path),
        cache=decode_cache(tool, path),
        defer=find_bool(tool, "defer_loading", path) is True,
        examples=tuple(find_list(tool, "input_examples", path) or ()),
        extra=members,
    )
