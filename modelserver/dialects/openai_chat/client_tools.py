"""Tools and tool choices of a Chat request, as neutral ones; the request has been checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from modelserver.dialects.openai_chat.client_content import cache_hint
from modelserver.dialects.reading import Json
from modelserver.ir.request import CustomTool, FunctionTool, HostedTool, Tool, ToolChoice

_FUNCTION_KEYS = frozenset(("name", "description", "parameters", "strict"))


def decode_tools(body: Json) -> Iterator[Tool]:
    """The tools that a request declares: `tools`, else the older `functions`, and the search option."""
    tools = body.get("tools")
    if tools is not None:
        for tool in tools:
            yield _decode_tool(tool)
    else:
        for function in body.get("functions") or ():
            yield _decode_function(function, {})
    search = body.get("web_search_options")
    if search is not None:
        yield HostedTool(family="web_search", dialect="chat", raw=search)


def _decode_tool(tool: Json) -> Tool:
    match tool.get("type"):
        case "function" | None:
            return _decode_function(tool["function"], tool)
        case "custom":
            return _decode_custom(tool["custom"])
        case kind:
            # Vendors' own tools, run by their servers (`openrouter:web_search`).
            family = "web_search" if isinstance(kind, str) and kind.endswith("web_search") else "other"
            return HostedTool(family=family, dialect="chat", raw=tool)


def _decode_function(function: Json, tool: Json) -> FunctionTool:
    return FunctionTool(
        name=function["name"],
        description=function.get("description"),
        schema=function.get("parameters"),
        strict=function.get("strict"),
        cache=cache_hint(tool) or cache_hint(function),
        extra={key: value for key, value in function.items() if key not in _FUNCTION_KEYS and key != "cache_control"},
    )


def _decode_custom(custom: Json) -> CustomTool:
    syntax, grammar = None, None
    format = custom.get("format")
    if format is not None and format.get("type") == "grammar" and isinstance(format.get("grammar"), dict):
        syntax, grammar = format["grammar"].get("syntax"), format["grammar"].get("definition")
    known = syntax in ("lark", "regex") and isinstance(grammar, str)
    return CustomTool(
        name=custom["name"],
        description=custom.get("description"),
        syntax=syntax if known else None,
        grammar=grammar if known else None,
    )


def decode_choice(body: Json) -> ToolChoice | None:
    """What a request says about the use of tools: `tool_choice`, else the older `function_call`."""
    choice = body.get("tool_choice")
    if choice is None:
        legacy = body.get("function_call")
        if legacy is None:
            return None
        return _by_word(legacy) if isinstance(legacy, str) else _by_name(legacy["name"])
    if isinstance(choice, str):
        return _by_word(choice)
    match choice.get("type"):
        case "function" | "custom" | None as kind:
            return _by_name(choice[kind or "function"]["name"])
        case "allowed_tools":
            return _allowed(choice["allowed_tools"])
        case _:
            # A vendor's own tool is forced; that it is hosted is all that is known.
            return ToolChoice(mode="required", hosted="other")


def _by_word(word: str) -> ToolChoice:
    match word:
        case "none":
            return ToolChoice(mode="none")
        case "auto":
            return ToolChoice(mode="auto")
        case _:  # `any` is Mistral's word for it
            return ToolChoice(mode="required")


def _by_name(name: str) -> ToolChoice:
    return ToolChoice(mode="required", only=(name,))


def _allowed(allowed: Json) -> ToolChoice:
    choice = _by_word(allowed["mode"])
    return attrs.evolve(choice, only=tuple(_names(allowed["tools"])))


def _names(tools: list[Any]) -> Iterator[str]:
    for tool in tools:
        kind = tool.get("type")
        inner = tool.get(kind if isinstance(kind, str) else "function")
        name = inner.get("name") if isinstance(inner, dict) else tool.get("name")
        if isinstance(name, str):
            yield name
